"""What the workflow itself costs: `python benchmarks/workflow.py`.

Dry runs of the paper's study as it is, with twice and with four times its seeds; and every kind of job that reads
tables alone, on the results of the small study of the tests, started as Snakemake starts the script of a local rule: a
Python of its own in a shell.
"""

from __future__ import annotations

import copy
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import yaml
from harness import ROOT, Row, Table, record, snakemake

PAPER = ROOT / "config" / "paper.yaml"

FACTORS = (1, 2, 4)
DRY_ROUNDS, JOB_ROUNDS = 2, 3
DRY_SECONDS, JOB_SECONDS = 20, 1.5
# By how much a job of the larger study may cost more than one of the smaller and the growth still counts as linear.
LINEAR = 1.2
NEED_TORCH = {"prepare_dataset", "train", "train_trunk", "extract_features", "align_features", "theory_tables"}


@dataclass(frozen=True)
class Spent:
    """Of one process with its children: wall time, and user and system time of the processor, in seconds."""

    wall: float
    cpu: float
    output: str

    @classmethod
    def median(cls, several: Sequence[Spent]) -> Spent:
        """The median of each."""
        return cls(median(one.wall for one in several), median(one.cpu for one in several), several[-1].output)

    def __str__(self) -> str:
        return f"{self.wall:.2f} s"


def spent(command: Sequence[str], folder: Path) -> Spent:
    """Run a command to its end in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        raise RuntimeError(f"{shlex.join(command)}: {result.stdout}{result.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(wall, cpu, result.stdout + result.stderr)


def in_turn(works: dict[str, Callable[[], Spent]], rounds: int) -> dict[str, Spent]:
    """The median of each, all of them run in turn, `rounds` times."""
    found: dict[str, list[Spent]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(work())
    return {name: Spent.median(several) for name, several in found.items()}


# Dry runs


def dry_runs(folder: Path) -> tuple[list[Row], Table]:
    """Time of a dry run over the number of jobs."""
    seeds = yaml.safe_load(PAPER.read_text(encoding="utf-8"))["defaults"]["seeds"]
    works = {}
    for factor in FACTORS:
        overlay = folder / f"seeds{factor}.yaml"
        more = list(range(1, factor * len(seeds) + 1))
        overlay.write_text(yaml.safe_dump({"defaults": {"seeds": more}}), encoding="utf-8")
        command = snakemake("--dry-run", files=[PAPER, overlay], cores=2)
        works[f"{factor}x"] = lambda command=command: spent(command, folder)
    found = in_turn(works, DRY_ROUNDS)
    jobs = {name: int(re.search(r"^total +(\d+)$", one.output, re.MULTILINE)[1]) for name, one in found.items()}
    single, double, quadruple = found
    a_job = {name: found[name].cpu / jobs[name] for name in found}
    further = {
        larger: (found[larger].cpu - found[smaller].cpu) / (jobs[larger] - jobs[smaller])
        for smaller, larger in ((single, double), (double, quadruple))
    }
    growth = a_job[quadruple] / a_job[single], further[quadruple] / further[double]
    rows = [
        Row(
            f"dry run of config/paper.yaml, {jobs[single]:,} jobs: {found[single]}",
            "none",
            "–",
            f"at most {DRY_SECONDS} s",
            found[single].wall <= DRY_SECONDS,
            "" if found[single].wall <= DRY_SECONDS else "Snakemake's own graph of jobs; see the table",
        ),
        Row(
            f"processor time per job at 4x the seeds: {1e3 * a_job[quadruple]:.2f} ms",
            f"at 1x: {1e3 * a_job[single]:.2f} ms",
            f"{growth[0]:.2f} (of each further job, 2x to 4x over 1x to 2x: {growth[1]:.2f})",
            f"linear: both at most {LINEAR}",
            max(growth) <= LINEAR,
            "" if max(growth) <= LINEAR else "a job of the larger study costs more than one of the smaller",
        ),
    ]
    cells = [
        [
            name,
            f"{jobs[name]:,}",
            str(one),
            f"{one.cpu:.2f} s",
            f"{1e3 * a_job[name]:.2f} ms",
            f"{1e3 * further[name]:.2f} ms" if name in further else "–",
        ]
        for name, one in found.items()
    ]
    head = ["seeds", "jobs", "wall", "processor", "processor per job", "processor per further job"]
    return rows, Table("Dry runs of config/paper.yaml by the number of seeds.", head, cells)


# Jobs that read tables


def small_study(folder: Path) -> Path:
    """Run the small study to its page; the scripts as Snakemake ran them are kept."""
    sys.path.insert(0, str(ROOT))
    from tests.conftest import SMALL_STUDY

    study = copy.deepcopy(SMALL_STUDY)
    # A loss for the figure that only MSE has.
    study["losses"]["MSE"] = {"kind": "mse", "kappa": 1, "beta": 15}
    study["theory"]["descent"]["step"] = 0.02  # longer ones lead MSE out of a model of this size
    study["theory"]["bias_sweep"] = {"sizes": [{"classes": 3, "samples": 2, "dim": 4}]}
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    spent(snakemake("--skip-script-cleanup", files=[file], cores=2), folder)
    return file


def kept_scripts(folder: Path) -> dict[str, Path]:
    """One script of each kind of job that reads tables, ready to run; of tables and figures one of each name."""
    scripts = {}
    for path in sorted((folder / ".snakemake" / "scripts").glob("*.py")):
        kind = path.suffixes[-2].removeprefix(".")
        if kind not in NEED_TORCH:
            if kind in ("figure", "table"):
                # The preamble holds the path of the log.
                log = re.search(r"/(theory/)?(?:figures|tables)/(?:\w+/)?(\w+)\.log", path.read_text(encoding="utf-8"))
                kind = f"{'theory ' if log[1] else ''}{kind} {log[2]}"
            scripts[kind] = path
    return dict(sorted(scripts.items()))


def table_jobs(folder: Path) -> tuple[list[Row], Table]:
    """Time of each kind of job, and what Snakemake adds to it."""
    file = small_study(folder)
    works = {}
    for name, script in kept_scripts(folder).items():
        shell = ["bash", "-c", f"set -euo pipefail; {shlex.join([sys.executable, str(script)])}"]
        works[name] = lambda shell=shell: spent(shell, folder)
    jobs = in_turn(works, JOB_ROUNDS)
    slowest = max(jobs, key=lambda name: jobs[name].wall)
    on_time = jobs[slowest].wall <= JOB_SECONDS
    around = around_a_job(folder, file, mean(one.wall for name, one in jobs.items() if name.startswith("figure ")))
    rows = [
        Row(
            f"slowest table or figure job ({slowest}): {jobs[slowest]}, processor {jobs[slowest].cpu:.2f} s",
            f"median of {len(jobs)} kinds: {median(one.wall for one in jobs.values()):.2f} s",
            f"{sum(one.wall <= JOB_SECONDS for one in jobs.values())} of {len(jobs)} kinds are on time",
            f"at most {JOB_SECONDS} s",
            on_time,
            ""
            if on_time
            else "imports of pandas, SciPy and Matplotlib; where wall is far above processor, a busy machine",
        ),
        Row(
            f"Snakemake around a figure job, before and after its script: {around:.2f} s",
            "none",
            "–",
            "none",
            None,
        ),
    ]
    cells = [[name, str(one), f"{one.cpu:.2f} s"] for name, one in jobs.items()]
    caption = f"Jobs that read tables, start of Python and imports included; the median of {JOB_ROUNDS} runs."
    return rows, Table(caption, ["job", "wall", "processor"], cells)


def around_a_job(folder: Path, file: Path, script_seconds: float) -> float:
    """Seconds that a further figure takes in one call of Snakemake, minus those of its script."""

    def forced(target: str) -> Spent:
        return spent(snakemake(target, "--forcerun", "figure", files=[file], cores=1), folder)

    one, every = forced("results/figures/small/overview.pdf"), forced("figures")
    further = len(list((folder / "results" / "figures" / "small").glob("*.pdf"))) - 1
    return (every.wall - one.wall) / further - script_seconds


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = [dry_runs(folder), table_jobs(folder)]
        record("The workflow", [row for rows, _ in parts for row in rows], [table for _, table in parts])
