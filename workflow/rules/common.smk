# The one place where wildcards become objects: what a rule makes is a step of the study, found by its path.

import functools
import math
import re
import time

from snakemake.exceptions import WorkflowError

from equal_losses.page import content
from equal_losses.study import keys, kinds
from equal_losses.study.configuration import TUNABLE
from equal_losses.study.keys import DATASET_FILES
from equal_losses.study.partial import SUFFIX, PartialStudy
from equal_losses.study.paths import *
from equal_losses.terminal.time_left import units

content.add_to(steps)


@functools.cache
def partial_steps():
    """The steps of what is there of the study, for which nothing is trained."""
    try:
        found = Steps(PartialStudy(config, steps.is_measured), Codebase(), ROOT, listing.saved(study, ROOT))
    except InputError as error:
        raise WorkflowError(f"config: {error}") from error
    content.add_to(found)
    if workflow.is_main_process:
        mark(found)
    return found


def steps_of(path):
    """The steps that a result belongs to."""
    return partial_steps() if SUFFIX in path else steps


def step_at(path):
    """The step whose result is at this path."""
    if path not in steps_of(path).by_path:
        raise WorkflowError(f"{path}: no result of this study; `equal-losses why {path}` says what it wants instead")
    return steps_of(path).by_path[path]


def inputs(pattern):
    """Files that the step at this path reads, by name. Keys stand for content, so time stamps of files mean nothing."""

    def of_step(wildcards):
        found = step_at(pattern.format(**wildcards))
        made = [f"{MARKERS}/{each.path}.made" for each in found.sources if not each.is_keyed]
        outputs = {name: files.outputs for name, files in found.inputs.items()}
        return {name: ancient(files) for name, files in {**outputs, "made": made}.items() if files}

    return of_step


def task(wildcards, output):
    """What a job is told: the ingredients of its result, and its inputs with their keys."""
    path = Path(output[0]).relative_to(steps.root)
    named = str(path.with_suffix(""))
    return (steps_of(named).making(path) or step_at(named)).for_job(steps.root)


def caption(package, wildcard="figure"):
    """The caption of a figure or table. It depends on `threads` in name only, so that no other caption makes it again."""
    return lambda wildcards, threads: kinds.caption(package, wildcards[wildcard])


def compute(wildcards, threads):
    """Where and how a job computes, on the threads that it was given."""
    return {**study.compute, "threads": threads}


def keep_snapshots(wildcards):
    """Whether snapshots stay once their features are taken."""
    return study.experiments[wildcards.experiment].config["keep_snapshots"]


LEVELS = ["trunk", "trunk that goes on", "training", "features"]


def first(level):
    """The priority of a level of jobs. In a level larger networks come first: what takes longest is not left for last."""
    return lambda wildcards: 10_000 * LEVELS.index(level) + round(100 * float(wildcards.width))


def trunk_first(wildcards):
    """The priority of a trunk."""
    goes_on = steps.by_key[wildcards.key].subject.parent is not None
    return first("trunk that goes on" if goes_on else "trunk")(wildcards)


# What a job asks a cluster for, generous for the paper's networks on one GPU of its day. A training that needs longer
# goes on from its checkpoint at the next attempt, which asks for more.


def memory(wildcards, attempt):
    """Megabytes."""
    return 8000 * attempt


def minutes(wildcards, attempt):
    """Run time of a training, or of an extraction, whose snapshots cost less than as many epochs."""
    measured = hasattr(wildcards, "features_key")
    subject = steps.by_key[wildcards.features_key if measured else wildcards.key].subject
    return attempt * cluster_minutes(subject, len(subject.snapshot_epochs) + 1 if measured else subject.own_epochs)


def alignment_minutes(wildcards, attempt):
    """Run time of the comparison of features: a model costs less than an epoch, a pair half a minute."""
    experiment = step_at(f"{TABLES}/alignment".format(**wildcards)).subject
    pairs = experiment.model_pairs
    models = len({model for _, *both in pairs for model in both})
    return attempt * (cluster_minutes(experiment.largest_runs[0], models) + len(pairs))


def cluster_minutes(subject, epochs):
    """Minutes for so many epochs of a run or of each run of a stack."""
    return math.ceil(30 + units(subject, epochs))  # a unit of work takes a minute, and everything half an hour more


def one_of(experiments):
    """A wildcard for these experiments, which nothing matches where there are none."""
    return "|".join(re.escape(each.name) for each in experiments) or "(?!)"


# Runs of an experiment are trained, or linked to what was trained as chosen.
TRAINED = one_of(each for each in study.experiments.values() if each.tuning is None)
TUNED = one_of(each for each in study.experiments.values() if each.tuning is not None)


# A result with a name of its own is made again where its record has another key than the wanted one. Snakemake knows
# nothing of keys, so this is put into what it does know, by two files that each start of the workflow makes anew: an
# input `wanted`, new where the result is to be made and as old as can be where not, and an output `made`, which is
# there only where the result is. The former counts for a result that is asked for by its name; the latter for results
# that are made from it, whose time stamps mean nothing either.
MARKERS = ".snakemake/markers"


def wanted(*patterns):
    """The input by which results with names of their own are made again."""
    return [f"{MARKERS}/{pattern}.wanted" for pattern in patterns]


def made(*patterns):
    """The output that is there only where such results are."""
    return touch([f"{MARKERS}/{pattern}.made" for pattern in patterns])


def mark(steps):
    """Make the markers of every result with a name of its own, unless a workflow that runs here goes by them."""
    runs = any(Path(".snakemake/locks").glob("*"))
    for each in steps.by_path.values():
        if each.is_keyed:
            continue
        wanted, made = (ROOT / MARKERS / f"{each.path}.{state}" for state in ("wanted", "made"))
        if runs and wanted.exists():
            continue
        wanted.parent.mkdir(parents=True, exist_ok=True)
        if steps.is_made(each):
            made.touch()
            wanted.write_text("")
            os.utime(wanted, (0, 0))
        else:
            made.unlink(missing_ok=True)
            wanted.write_text(f"{time.time_ns()}")  # Snakemake passes over a new file with the content of before


wildcard_constraints:
    **dict.fromkeys("dataset experiment loss width epochs seed to candidate number table figure".split(), "[^/]+"),
    tuned="|".join(TUNABLE),
    key=KEY,
    features_key=KEY,
    metrics_key=KEY,
    study=re.escape(study.name) + f"({re.escape(SUFFIX)})?",
