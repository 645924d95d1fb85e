"""What the benchmarks share: timing side by side in one run, and the rows that docs/performance.md shows.

Absolute times drift on a machine that others use too. What counts is the ratio of two things timed in turn, A B A B, in
the same run; the median over the pairs is quoted, and the smallest and the largest beside it.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "measured"


@dataclass(frozen=True)
class Ratios:
    """Seconds of two things that were timed in turn.

    Attributes:
        ours, theirs: seconds, one pair per round.
    """

    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def speedups(self) -> list[float]:
        """Theirs over ours in each round: above one, ours is faster."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    @property
    def speedup(self) -> float:
        """The median of `speedups`."""
        return median(self.speedups)

    def __str__(self) -> str:
        return f"{self.speedup:.2f} ({min(self.speedups):.2f} to {max(self.speedups):.2f})"


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def side_by_side(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int = 5) -> Ratios:
    """Time both in turn, `rounds` times, after one call of each that does not count."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    return Ratios(*map(list, zip(*pairs, strict=True)))


@dataclass(frozen=True)
class Row:
    """A row of docs/performance.md.

    Attributes:
        figure: what was measured, with its value and unit.
        alternative: what it was measured against in the same run, with its value and unit.
        ratio: of the two, in words such as "1.84 (1.79 to 1.90)", which says what is over what.
        target: what it should be.
        met: whether it is; None where there was no target.
        why: where it is missed, why.
    """

    figure: str
    alternative: str
    ratio: str
    target: str
    met: bool | None
    why: str = ""


@dataclass(frozen=True)
class Table:
    """More numbers of a benchmark, shown under the rows.

    Attributes:
        caption: a sentence or two.
        head, rows: cells as text.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def record(title: str, rows: Iterable[Row], tables: Iterable[Table] = ()) -> None:
    """Print what the calling benchmark measured and keep it for docs/performance.md.

    Args:
        title: heading of the benchmark on the page; its file is named after the script that calls.
    """
    import __main__

    name = Path(__main__.__file__).stem
    measured = {
        "title": title,
        "rows": [asdict(row) for row in rows],
        "tables": [asdict(table) for table in tables],
        "machine": machine(),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    text = json.dumps(measured, indent=1, ensure_ascii=False) + "\n"
    MEASURED.mkdir(exist_ok=True)
    (MEASURED / f"{name}.json").write_text(text, encoding="utf-8")
    print(text, flush=True)


def snakemake(*arguments: str, files: Iterable[Path], cores: int) -> list[str]:
    """A call of Snakemake on the study of some configuration files."""
    start = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(ROOT / "Snakefile")]
    profile = ["--workflow-profile", str(ROOT / "profiles" / "default"), "--cores", str(cores)]
    return [*start, *profile, "--configfile", *map(str, files)]


def machine() -> str:
    """Processor, cores and memory."""
    model = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, no GPU"


def versions() -> str:
    """Python and the packages that the figures depend on."""
    packages = ("torch", "numpy", "snakemake")
    return ", ".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])


def matrix_product_rate(*, size: int = 2048, rounds: int = 10) -> float:
    """Operations per second (a multiply-add is two) of the fastest of some float32 products, on PyTorch's threads."""
    import torch

    matrix = torch.randn(size, size)
    matrix @ matrix
    return 2 * size**3 / min(seconds(lambda: matrix @ matrix) for _ in range(rounds))


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
