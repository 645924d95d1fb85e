"""Two jobs, two cores: `python benchmarks/jobs.py`.

How many threads a training job should have where there are two cores, and how much of the default study's wall time,
from its images to its page, is not training.

Full throughput is what two stacks of the study reach side by side, a thread each, between the end of their first epochs
and the end of the shorter one: no imports, nothing on disk. The cores of a machine may share parts, so both are busy
when it is measured. The trainings of the study cost, at that throughput, the sum over the epochs of its stacks (a
shared trunk counts once); what the study took over half of that sum, minus one, is the overhead.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import mean, median

import pandas as pd
import yaml
from harness import Ratios, Row, Table, record, side_by_side, snakemake

from equal_losses.commands.opening import DEMO, opened
from equal_losses.study.grid import Experiment
from equal_losses.study.keys import Steps

CORES = 2
EPOCHS, WARM_UP = 14, 2  # of a training in steady state, and how many of them do not count
ROUNDS = 3
OVERHEAD, MINUTES = 0.25, 3
STUDIES = 3  # runs of the whole study
# Both losses that are furthest apart, both widths, and few epochs: eight jobs that train or read images.
SUBSET = {
    "losses": ["CE", "MSE"],
    "widths": [0.5, 1],
    "epochs": [20],
    "seeds": [1],
    "stack": 1,
    "figures": ["nc_evolution"],
}

# Imported by every Python of a workflow; at its end a job writes down what it was, when it began and what it used.
TRACE = """
import atexit, os, sys, time
began = time.time()

def write():
    task = getattr(sys.modules["__main__"], "snakemake", None)
    if hasattr(task, "rule"):
        with open(os.path.join(os.environ["TRACE"], str(os.getpid())), "w") as file:
            print(task.rule, began, time.time(), sum(os.times()[:4]), file=file)

atexit.register(write)
"""


@dataclass(frozen=True)
class Job:
    """A job of a workflow: its rule, when it began and ended (seconds), and its processor time (seconds)."""

    rule: str
    began: float
    ended: float
    cpu: float

    @property
    def wall(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Traced:
    """A call of Snakemake: when it began and ended (seconds), and its jobs."""

    began: float
    ended: float
    jobs: Sequence[Job]

    @property
    def wall(self) -> float:
        return self.ended - self.began


def traced(folder: Path, files: Sequence[Path], *targets: str) -> Traced:
    """Run Snakemake on two cores in an empty folder."""
    tools, trace = folder / "tools", folder / "trace"
    for part in (tools, trace):
        part.mkdir(parents=True)
    (tools / "sitecustomize.py").write_text(TRACE, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tools), "TRACE": str(trace)}
    command = snakemake(*targets, files=files, cores=CORES)
    began = time.time()
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    ended = time.time()
    if result.returncode:
        raise RuntimeError(result.stdout + result.stderr)
    jobs = []
    for path in trace.iterdir():
        rule, *numbers = path.read_text(encoding="utf-8").split()
        jobs.append(Job(rule, *map(float, numbers)))
    return Traced(began, ended, jobs)


# Steady state


def epoch_seconds(manifest: Path, settings: Sequence[Mapping], threads: int) -> float:
    """Median wall time of an epoch of trainings that run side by side, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(len(settings)), context.Queue()
    processes = [context.Process(target=_train, args=(manifest, one, threads, barrier, times)) for one in settings]
    for process in processes:
        process.start()
    ends = [times.get(timeout=600) for _ in processes]
    for process in processes:
        process.join()
    # Once one of them is done, the other has the machine to itself.
    until = min(one[-1] for one in ends)
    return mean(median(_epochs([end for end in one[WARM_UP:] if end <= until])) for one in ends)


def _train(manifest: Path, members: Mapping, threads: int, barrier: Barrier, times: Queue) -> None:
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.training import numerics
    from equal_losses.training.together import train_together

    dataset = PreparedDataset.open(manifest)
    device = numerics.resolve_device("cpu")
    ends: list[float] = []
    with numerics.reproducible(threads):
        barrier.wait()
        for states in train_together(members, dataset, device=device, until=EPOCHS):
            if states[0].epoch > 0:
                ends.append(time.perf_counter())
    times.put(ends)


def _epochs(ends: Sequence[float]) -> list[float]:
    return [second - first for first, second in pairwise(ends)]


def steady_state(manifest: Path, experiment: Experiment) -> dict[float, Ratios]:
    """Core-seconds of an epoch of a stack by width: two stacks at a time on a thread each, and one on two threads."""
    found = {}
    for width in experiment.config["widths"]:
        stack = max((each for each in experiment.trainings if each.width == width), key=lambda each: each.epochs)
        pair = 2 * [{run.name: run.settings for run in stack.members}]
        rounds = [
            (epoch_seconds(manifest, pair, 1), CORES * epoch_seconds(manifest, pair[:1], CORES)) for _ in range(ROUNDS)
        ]
        found[width] = Ratios(*map(list, zip(*rounds, strict=True)))
    return found


# The study


def own_epochs(experiment: Experiment) -> Counter[float]:
    """Epochs of stacks that the study trains, by width; a shared trunk counts once."""
    epochs: Counter[float] = Counter()
    for piece in (*experiment.trainings, *experiment.trunks):
        epochs[piece.width] += piece.own_epochs
    return epochs


def history_seconds(steps: Steps, experiment: Experiment) -> float:
    """Seconds of the study's own epochs, as the histories have them; a trunk is in that of its longest budget."""
    total = 0.0
    for training in experiment.trainings:
        begin = 0 if training.epochs == max(experiment.config["epochs"]) else training.epochs - training.own_epochs
        for run in training.members:
            path = steps.root / steps.run(run).file("history.csv")
            total += sum(pd.read_csv(path)["seconds"][begin:])
    return total


def breakdown(name: str, done: Traced, steps: Steps) -> Table:
    """Where the core-seconds of the study went."""
    available = CORES * done.wall
    (experiment,) = steps.study.experiments.values()
    training = history_seconds(steps, experiment)
    rules = {rule: [job for job in done.jobs if job.rule == rule] for rule in sorted({job.rule for job in done.jobs})}
    trained = [job for job in done.jobs if job.rule.startswith("train")]
    first, last = min(job.began for job in done.jobs), max(job.ended for job in done.jobs)
    outside = CORES * (done.wall - (last - first))
    inside = sum(job.wall for job in done.jobs)
    rows = [("epochs of the trainings", own_epochs(experiment).total(), training, None)]
    rest = sum(job.wall for job in trained) - training
    cpu = sum(job.cpu for job in trained) - training
    rows.append(("training jobs but for their epochs: Python, imports, files", len(trained), rest, cpu))
    for rule, jobs in rules.items():
        if jobs[0] not in trained:
            rows.append((f"{rule} jobs", len(jobs), sum(job.wall for job in jobs), sum(job.cpu for job in jobs)))
    rows.append(("Snakemake before the first job and after the last", 1, outside, None))
    rows.append(("cores without a job in between", 1, available - outside - inside, None))
    cells = [
        [
            what,
            f"{count:,}",
            f"{seconds:.1f} s",
            "–" if used is None else f"{used:.1f} s",
            f"{1e3 * seconds / count:,.0f} ms",
            f"{seconds / available:.1%}",
        ]
        for what, count, seconds, used in rows
    ]
    caption = (
        f"{name} on {CORES} cores: {done.wall:.0f} s of wall time, {available:.0f} core-seconds. Jobs that run beside "
        "others are slower than alone."
    )
    return Table(caption, ["what", "number", "core-seconds", "processor", "each", "share"], cells)


def threads_in_jobs(folder: Path) -> Ratios:
    """Wall time of a few short trainings as jobs: two at a time on a thread each against one at a time on two."""
    numbers = iter(range(100))

    def run(threads: int) -> None:
        here = folder / f"subset{next(numbers)}"
        here.mkdir()
        overlay = here / "overlay.yaml"
        text = yaml.safe_dump({"experiments": {"demo": SUBSET}, "compute": {"threads": threads}})
        overlay.write_text(text, encoding="utf-8")
        traced(here, [DEMO, overlay], "figures")

    return side_by_side(lambda: run(1), lambda: run(CORES), rounds=ROUNDS - 1)


def whole(folder: Path) -> tuple[Traced, Table]:
    """The default study in an empty folder, and where its time went."""
    folder.mkdir()
    done = traced(folder, [DEMO])
    return done, breakdown("The default study", done, opened([DEMO], folder))


def main() -> None:
    study = opened([DEMO]).study
    (experiment,) = study.experiments.values()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        traced(data, [DEMO], "datasets")
        (manifest,) = data.glob("results/datasets/digits/*/manifest.json")
        before = steady_state(manifest, experiment)
        jobs = threads_in_jobs(folder)
        studies = sorted((whole(folder / f"study{number}") for number in range(STUDIES)), key=lambda each: each[0].wall)
        after = steady_state(manifest, experiment)
    (fastest, _), (demo, table), *_, (slowest, _) = studies
    seconds = {width: median([*before[width].ours, *after[width].ours]) for width in before}
    both = {
        width: Ratios([*before[width].ours, *after[width].ours], [*before[width].theirs, *after[width].theirs])
        for width in before
    }
    work = sum(epochs * seconds[width] for width, epochs in own_epochs(experiment).items()) / CORES
    overhead = demo.wall / work - 1
    threads = study.compute["threads"]
    best = 1 if median([ratio.speedup for ratio in both.values()] + [jobs.speedup]) >= 1 else CORES
    rows = [
        *(
            Row(
                f"an epoch of a stack of width {width:g}, two on a thread each: {1e3 * seconds[width] / CORES:.0f} ms",
                f"one stack on two threads: {1e3 * median(ratios.theirs) / CORES:.0f} ms",
                f"{ratios} times faster",
                "none",
                None,
            )
            for width, ratios in both.items()
        ),
        Row(
            f"a few short trainings as jobs, compute.threads 1: {median(jobs.ours):.1f} s",
            f"compute.threads {CORES}: {median(jobs.theirs):.1f} s",
            f"{jobs} times faster",
            f"compute.threads of the default study is the better: {best}",
            threads == best,
            "" if threads == best else f"it is {threads}",
        ),
        Row(
            f"the default study, images to page: {demo.wall:.0f} s ({fastest.wall:.0f} to {slowest.wall:.0f})",
            f"its trainings at full throughput: {work:.0f} s",
            f"overhead {overhead:.0%}",
            f"at most {MINUTES} minutes, overhead at most {OVERHEAD:.0%}",
            demo.wall <= 60 * MINUTES and overhead <= OVERHEAD,
            "" if overhead <= OVERHEAD else why(demo),
        ),
    ]
    record("Jobs", rows, [table])


def why(done: Traced) -> str:
    """What the overhead is made of, in a sentence."""
    torch = [job for job in done.jobs if job.rule.startswith(("train", "extract"))]
    return (
        f"theory, features and the start of {len(done.jobs)} jobs, of which {len(torch)} import PyTorch to train or to "
        "take features; the table says what each costs"
    )


if __name__ == "__main__":
    main()
