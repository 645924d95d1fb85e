"""What it costs to check what a job reads, runs and writes: `python benchmarks/checks.py`.

A job compares the checksum of every file that it reads with the file's record, and its code with the code that the
workflow was started with; at its end it records the checksums of its results.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from harness import Ratios, Row, record, seconds, side_by_side

from equal_losses.commands.opening import DEMO, opened
from equal_losses.running import records, sources, weights

TRAIN, TEST, PIXELS = 50_000, 10_000, 32 * 32 * 3  # CIFAR10
WEIGHTS = 268_000_000  # bytes of a WideResNet50-2
TOLD = {"settings": {}, "code": {}, "inputs": {}}  # of results; what is in it does not matter
ROUNDS = 5


def write_dataset(folder: Path) -> list[Path]:
    """Arrays of CIFAR10's size, of noise, with their record."""
    random = np.random.default_rng(0)
    files = []
    for split, count in (("train", TRAIN), ("test", TEST)):
        arrays = {
            "images": random.integers(0, 256, (count, PIXELS), dtype=np.uint8),
            "labels": random.integers(0, 10, count),
        }
        for kind, array in arrays.items():
            files.append(folder / f"{kind}_{split}.npy")
            np.save(files[-1], array)
    records.seal(files, TOLD)
    return files


def check(files: Sequence[Path]) -> None:
    """What a job does before it reads them."""
    for file in files:
        records.check(file, records.digest(TOLD))


def add_up(files: Sequence[Path]) -> None:
    """One sum over the same bytes."""
    for file in files:
        np.memmap(file, np.uint8, mode="r").sum()


def drop(files: Sequence[Path]) -> None:
    """Ask the kernel to forget the content of files, which are on disk."""
    for file in files:
        with open(file, "rb") as content:
            os.fsync(content.fileno())
            os.posix_fadvise(content.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_from_disk(work: Callable[[], object]) -> int:
    """Bytes that this process reads from the disk, and not from the page cache, while it does something."""

    def so_far() -> int:
        return int(Path("/proc/self/io").read_text().split("read_bytes: ")[1].split()[0])

    before = so_far()
    work()
    return so_far() - before


def from_disk(files: Sequence[Path]) -> Ratios | None:
    """Seconds of the sum and of the check, each from disk, in turn; None where the page cache cannot be dropped."""
    drop(files)
    if read_from_disk(lambda: check(files)) < sum(file.stat().st_size for file in files) / 2:
        return None
    rounds = []
    for _ in range(ROUNDS):
        drop(files)
        summed = seconds(lambda: add_up(files))
        drop(files)
        rounds.append((summed, seconds(lambda: check(files))))
    return Ratios(*map(list, zip(*rounds, strict=True)))


def row(what: str, alternative: str, ratios: Ratios, ratio: str) -> Row:
    """A row without a target, of seconds of the alternative and of `what`."""
    theirs, ours = (f"{median(times):#.2g} s" for times in (ratios.ours, ratios.theirs))
    return Row(f"{what}: {ours}", f"{alternative}: {theirs}", ratio, "none", None)


def row_over_start(what: str, work: Callable[[], object]) -> Row:
    """A row against the start of Python and PyTorch, as a training job has it."""
    command = [sys.executable, "-c", "import torch"]
    ratios = side_by_side(lambda: subprocess.run(command, check=True), work, rounds=ROUNDS)
    least, most = (f"{100 * each:.1f}%" for each in (min(ratios.speedups), max(ratios.speedups)))
    ratio = f"{100 * ratios.speedup:.1f}% of the start ({least} to {most})"
    return row(what, "Python with `import torch`", ratios, ratio)


def dataset_rows(folder: Path) -> list[Row]:
    """What it costs to check a dataset."""
    files = write_dataset(folder)
    what = f"checking images and labels of CIFAR10's size, {sum(file.stat().st_size for file in files) / 1e6:.0f} MB"
    cached = side_by_side(lambda: add_up(files), lambda: check(files), rounds=ROUNDS)
    rows = [row(f"{what}, in the page cache", "one NumPy sum over the same bytes", cached, f"check over sum {cached}")]
    if cold := from_disk(files):
        rows.append(row(f"{what}, from disk", "one NumPy sum, from disk too", cold, f"check over sum {cold}"))
    return [*rows, row_over_start(f"{what}, in the page cache", lambda: check(files))]


def code_row() -> Row:
    """What it costs to check the code of a training job."""
    steps = opened([DEMO])
    (experiment,) = steps.study.experiments.values()
    code = steps.training(experiment.trainings[0]).ingredients["code"]
    return row_over_start(f"checking the code of a training job, {len(code)} files", lambda: sources.check_code(code))


def sealing_row(folder: Path) -> Row:
    """What it costs to seal the weights of a large run."""
    paper = opened([DEMO.with_name("paper.yaml")]).study.experiments["cifar10"]
    copies = 2 + len(paper.largest_runs[0].snapshot_epochs)
    tensors = {"weights": torch.randn(WEIGHTS // 4)}
    file = folder / "final.safetensors"
    ratios = side_by_side(lambda: weights.save(file, tensors, {}), lambda: records.seal([file], TOLD), rounds=ROUNDS)
    what = f"sealing weights of WideResNet50-2, {WEIGHTS / 1e6:.0f} MB, {copies} of which a run of the paper writes"
    return row(what, "writing them, to disk", ratios, f"sealing over writing {ratios}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record("Checks", [*dataset_rows(folder), code_row(), sealing_row(folder)])


if __name__ == "__main__":
    main()
