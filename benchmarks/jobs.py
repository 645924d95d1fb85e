"""Two jobs, two cores: `python benchmarks/jobs.py`.

How many threads a training job should have where there are two cores, and how much of the default study's wall time is
not training; once to its figures, and once to its page, which takes the theory and the claims too.

Full throughput is what two long trainings reach side by side, a thread each, between the end of their first epochs and
the end of the shorter one: no imports, nothing on disk. The cores of a machine may share parts, so it is measured with
both busy, and half of it is what each job can be held against. The trainings of the study cost, at that throughput,
the sum over their own epochs (a shared trunk counts once); what the study took to its figures over half of that sum,
minus one, is the overhead. The same study with its runs in stacks is held against the same sum, of separate trainings.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from equal_losses.study.grid import Experiment, Run, Study
from equal_losses.study.keys import Steps

CORES = 2
EPOCHS, WARM_UP = 14, 2  # of a training in steady state, and how many of them do not count
ROUNDS = 3
OVERHEAD = 0.25
STACK = 4  # of the demo's eight runs of a width and budget: a stack for each core
# Both losses that are furthest apart, both widths, and few epochs: eight jobs that train or read images.
SUBSET = {
    "losses": ["CE", "MSE"],
    "widths": [0.5, 1],
    "epochs": [20],
    "seeds": [1],
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


def _train(manifest: Path, settings: Mapping, threads: int, barrier: Barrier, times: Queue) -> None:
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.training import loop, numerics

    dataset = PreparedDataset.open(manifest)
    device = numerics.resolve_device("cpu")
    ends: list[float] = []
    with numerics.reproducible(threads):
        barrier.wait()
        for state in loop.train(settings, dataset, device=device, until=EPOCHS):
            if state.epoch > 0:
                ends.append(time.perf_counter())
    times.put(ends)


def _epochs(ends: Sequence[float]) -> list[float]:
    return [second - first for first, second in pairwise(ends)]


def demo_settings(experiment: Experiment, width: float) -> list[Mapping]:
    """Settings of two long runs of a width, of different losses."""
    longest = max(experiment.config["epochs"])
    runs = [run for run in experiment.runs if (run.width, run.epochs) == (width, longest)]
    return [runs[0].settings, runs[-1].settings]


def steady_state(manifest: Path, experiment: Experiment) -> dict[float, Ratios]:
    """Core-seconds of an epoch by width: two trainings at a time on a thread each, and one on two threads."""
    found = {}
    for width in experiment.config["widths"]:
        pair = demo_settings(experiment, width)
        rounds = [
            (epoch_seconds(manifest, pair, 1), CORES * epoch_seconds(manifest, pair[:1], CORES)) for _ in range(ROUNDS)
        ]
        found[width] = Ratios(*map(list, zip(*rounds, strict=True)))
    return found


# The study


def segments(study: Study) -> Iterator[tuple[Run, int, int]]:
    """Every piece of a training that the study does once: a run that goes through it, and between which epochs."""
    seen = set()
    for run in (run for experiment in study.experiments.values() for run in experiment.runs):
        for piece in (run, *run.trunks):
            if piece not in seen:
                end = run.epochs if piece is run else piece.to
                yield run, end - piece.own_epochs, end
        seen.update(run.trunks)


def own_epochs(study: Study) -> Counter[float]:
    """Epochs that the study trains, by width; a shared trunk counts once."""
    epochs: Counter[float] = Counter()
    for run, begin, end in segments(study):
        epochs[run.width] += end - begin
    return epochs


def history_seconds(steps: Steps) -> float:
    """Seconds of the study's own epochs, as the histories have them."""
    total = 0.0
    for run, begin, end in segments(steps.study):
        path = steps.root / steps.run(run).file("history.csv")
        total += sum(pd.read_csv(path)["seconds"][begin:end])
    return total


def breakdown(name: str, done: Traced, steps: Steps) -> Table:
    """Where the core-seconds of the study went."""
    available = CORES * done.wall
    training = history_seconds(steps)
    rules = {rule: [job for job in done.jobs if job.rule == rule] for rule in sorted({job.rule for job in done.jobs})}
    trained = [job for job in done.jobs if job.rule.startswith("train")]
    first, last = min(job.began for job in done.jobs), max(job.ended for job in done.jobs)
    outside = CORES * (done.wall - (last - first))
    inside = sum(job.wall for job in done.jobs)
    rows = [("epochs of the trainings", own_epochs(steps.study).total(), training, None)]
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


def whole(folder: Path, name: str, files: Sequence[Path], *targets: str) -> tuple[Traced, Table]:
    """A study in an empty folder, and where its time went."""
    folder.mkdir()
    done = traced(folder, files, *targets)
    return done, breakdown(name, done, opened(files, folder))


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
        stacks = folder / "stacks.yaml"
        stacks.write_text(yaml.safe_dump({"defaults": {"stack": STACK}}), encoding="utf-8")
        demo, table = whole(folder / "demo", "The default study to its figures", [DEMO], "figures")
        stacked, stacked_table = whole(folder / "stacked", f"The same with `stack: {STACK}`", [DEMO, stacks], "figures")
        everything, whole_table = whole(folder / "whole", "The whole of the default study", [DEMO])
        after = steady_state(manifest, experiment)
    seconds = {width: median([*before[width].ours, *after[width].ours]) for width in before}
    both = {
        width: Ratios([*before[width].ours, *after[width].ours], [*before[width].theirs, *after[width].theirs])
        for width in before
    }
    work = sum(epochs * seconds[width] for width, epochs in own_epochs(study).items()) / CORES
    overhead, stacked_overhead = demo.wall / work - 1, stacked.wall / work - 1
    threads = study.compute["threads"]
    best = 1 if median([ratio.speedup for ratio in both.values()] + [jobs.speedup]) >= 1 else CORES
    rows = [
        *(
            Row(
                f"an epoch of width {width:g}, two trainings on a thread each: {1e3 * seconds[width] / CORES:.0f} ms",
                f"one training on two threads: {1e3 * median(ratios.theirs) / CORES:.0f} ms",
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
            f"the default study to its figures: {demo.wall:.0f} s",
            f"its trainings at full throughput: {work:.0f} s",
            f"overhead {overhead:.0%}",
            f"at most {OVERHEAD:.0%}",
            overhead <= OVERHEAD,
            "" if overhead <= OVERHEAD else why(demo, study),
        ),
        Row(
            f"the same with `stack: {STACK}`: {stacked.wall:.0f} s, {demo.wall / stacked.wall:.2f} times faster",
            f"its trainings one by one at full throughput: {work:.0f} s",
            f"overhead {stacked_overhead:.0%}",
            f"at most {OVERHEAD:.0%}",
            stacked_overhead <= OVERHEAD,
            "" if stacked_overhead <= OVERHEAD else why(stacked, study),
        ),
        Row(
            f"the whole of the default study, theory, claims and page in it: {everything.wall:.0f} s",
            f"the default study to its figures: {demo.wall:.0f} s",
            f"{everything.wall / demo.wall:.2f} times as long",
            "none",
            None,
        ),
    ]
    record("Jobs", rows, [table, stacked_table, whole_table])


def why(done: Traced, study: Study) -> str:
    """What the overhead is made of, in a sentence."""
    trained = [job for job in done.jobs if job.rule.startswith("train")]
    torch = [job for job in done.jobs if job in trained or job.rule.startswith("extract")]
    epochs = own_epochs(study).total() / len(trained)
    return (
        f"{len(torch)} of {len(done.jobs)} jobs start a Python that imports PyTorch, and a training job has "
        f"{epochs:.0f} epochs of its own to make up for it; the table says what each costs"
    )


if __name__ == "__main__":
    main()
