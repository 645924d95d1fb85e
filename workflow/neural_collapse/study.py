"""A study: the validated configuration as experiments, runs and paths.

The only module that knows what a grid is. It imports neither PyTorch nor Snakemake, because it is read at every start
of the workflow. Every step has a key, a hash of the settings it uses, of the code it uses and of the keys of the steps
before it; the workflow hands keys to the rules as parameters, so a step runs again exactly when its key changes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from . import configuration
from .files import read_json
from .provenance import Codebase, digest
from .schedule import first_decay
from .theory import TheoryStudy

RESULTS = Path("results")

CLAIMS = RESULTS / "claims.csv"
THEORY_CLAIMS = RESULTS / "theory" / "tables" / "claims.csv"
# Captions of the report, and the template of the page.
CAPTIONS = Path(__file__).parents[1] / "report"

# What a job asks a cluster for, generous for the paper's networks on one GPU of its day. A training that needs longer
# goes on from its checkpoint at the next attempt, which asks for more.
START_MINUTES = 30

# Paths as rules know them; `Run.directory` and `Stem.directory` fill them in.
RUN = f"{RESULTS}/runs/{{experiment}}/{{loss}}/width{{width}}/epochs{{epochs}}/seed{{seed}}"
STEM = f"{RESULTS}/stems/{{experiment}}/{{loss}}/width{{width}}/seed{{seed}}/to{{to}}"
# The same of the candidates from which a weight decay is chosen, and the choice.
_CELL = f"{RESULTS}/tuning/{{experiment}}/{{loss}}/width{{width}}/epochs{{epochs}}"
CHOICE = f"{_CELL}/weight_decay.json"
CANDIDATE = f"{_CELL}/seed{{seed}}/decay{{weight_decay}}"
CANDIDATE_STEM = f"{RESULTS}/stems/{{experiment}}/{{loss}}/width{{width}}/seed{{seed}}/decay{{weight_decay}}/to{{to}}"
# Where the jobs of a stack log; those of a run or stem by itself log beside its files.
_STACK = f"{RESULTS}/logs/stacks/{{experiment}}/{{number}}/width{{width}}"
STACK_LOGS = f"{_STACK}/epochs{{epochs}}"
STACK_STEM_LOGS = f"{_STACK}/to{{to}}"

# A model in a comparison of features: its loss, None where it is untrained, and its seed.
Model = tuple[str | None, int]


class Study:
    """All experiments of a configuration.

    Args:
        config: the merged configuration, as Snakemake or `configuration.load` delivers it.

    Raises:
        InputError: one line that names the key, the value and what is allowed.
    """

    def __init__(self, config: Mapping):
        self.codebase = Codebase()
        self.config = configuration.validated(config, self.codebase)
        self.experiments = {name: Experiment(self, name) for name in self.config["experiments"]}

    @cached_property
    def warnings(self) -> list[str]:
        """What is allowed but outside the paper's assumptions, a line each."""
        return configuration.warnings(self.config, self.codebase)

    @cached_property
    def theory(self) -> TheoryStudy:
        """The section `theory`: its cases and their paths."""
        return TheoryStudy(self.config, self.codebase)

    @property
    def compute(self) -> dict:
        """Device, threads, and how often a training saves its state."""
        return self.config["compute"]

    def job_compute(self, threads: int) -> dict:
        """Where and how a job computes, on the threads that it was given.

        Snakemake counts a parameter that depends on `threads` as derived, and runs nothing again when it changes.
        """
        return {**self.compute, "threads": threads}

    @property
    def comparison(self) -> dict:
        """The part of the section `evidence` that says how runs are compared; the rest says what decides a claim."""
        return {key: self.config["evidence"][key] for key in ("significance", "margin", "resamples", "seed")}

    @property
    def gpus(self) -> int:
        """GPUs that a training job asks the scheduler for."""
        return 0 if self.compute["device"] == "cpu" else 1

    @property
    def wildcards(self) -> dict[str, str]:
        """What each wildcard of a path may be, as regular expressions."""
        return {
            "dataset": _one_of(self.config["datasets"]),
            "experiment": _one_of(self.experiments),
            "loss": _one_of(self.config["losses"]),
            "figure": _one_of(self.codebase.functions("figures")),
            "width": r"(?:0|[1-9]\d*)(?:\.\d*[1-9])?",
            "epochs": r"[1-9]\d*",
            "seed": r"0|[1-9]\d*",
            "to": r"[1-9]\d*",
            "weight_decay": r"[0-9][0-9.e-]*",
        }

    @property
    def adopted_wildcard(self) -> str:
        """Experiments, as a wildcard of `RUN`, whose runs are adopted: tuned, and at a seed of the candidates."""
        tuned = {name: each.tuning["seeds"] for name, each in self.experiments.items() if each.tuning}
        return "|".join(f"{re.escape(name)}(?={_at_seeds(seeds)})" for name, seeds in tuned.items()) or _NONE

    @property
    def trained_wildcard(self) -> str:
        """Experiments, as a wildcard of `RUN`, whose runs are trained each by itself."""
        return f"(?!{self.adopted_wildcard})(?:{self.unstacked_wildcard})"

    @property
    def unstacked_wildcard(self) -> str:
        """Experiments, as a wildcard, without stacks."""
        return _one_of(name for name, each in self.experiments.items() if not each.stacks) or _NONE

    @property
    def stacks(self) -> list[Stack]:
        """The stacks of all experiments."""
        return [stack for experiment in self.experiments.values() for stack in experiment.stacks]

    def run(
        self, experiment: str, loss: str, width: str, epochs: str, seed: str, weight_decay: str | None = None
    ) -> Run:
        """The run, or with a weight decay the candidate, that a rule's wildcards name."""
        decay = None if weight_decay is None else float(weight_decay)
        return Run(self.experiments[experiment], loss, _number(width), int(epochs), int(seed), decay)

    def stem(self, experiment: str, loss: str, width: str, seed: str, to: str, weight_decay: str | None = None) -> Stem:
        """The stem that a rule's wildcards name."""
        decay = None if weight_decay is None else float(weight_decay)
        return Stem(self.experiments[experiment], loss, _number(width), int(seed), int(to), decay)

    def choice(self, experiment: str, loss: str, width: str, epochs: str) -> Choice:
        """The choice of a weight decay that a rule's wildcards name."""
        return Choice(self.experiments[experiment], loss, _number(width), int(epochs))

    def dataset_source(self, dataset: str) -> dict:
        """Kind of a dataset and the options of that kind."""
        options = self.config["datasets"][dataset]
        return {key: value for key, value in options.items() if key not in configuration.SPLIT_KEYS}

    def dataset_split(self, dataset: str) -> dict:
        """How a dataset is split (see `preparation.prepare`)."""
        return {key: self.config["datasets"][dataset][key] for key in configuration.SPLIT_KEYS}

    def dataset_key(self, dataset: str) -> str:
        """Key of `prepare_dataset`."""
        options = self.config["datasets"][dataset]
        code = self.codebase.fingerprint("prepare_dataset.py", f"datasets.{options['kind']}")
        return digest([options, code])

    @property
    def dataset_manifests(self) -> list[Path]:
        """Manifests of the datasets that an experiment uses."""
        used = sorted({experiment.dataset for experiment in self.experiments.values()})
        return [dataset_directory(name) / "manifest.json" for name in used]

    @property
    def claim_tables(self) -> dict[str, object]:
        """Input files of `claims`: of each table a list, an experiment an item; and the table of the theory."""
        names = ("runs", "equivalence", "alignment")
        tables = {name: [experiment.table(name) for experiment in self.experiments.values()] for name in names}
        return {**tables, "theory": THEORY_CLAIMS}

    @property
    def claims_key(self) -> str:
        """Key of `claims`."""
        code = self.codebase.fingerprint("claims.py")
        keys = [[each.evidence_key, each.alignment_key] for each in self.experiments.values()]
        return digest([code, self.config["evidence"], keys, self.theory.table_key])

    def caption(self, figure: str) -> str:
        """What a figure of an experiment shows: the first paragraph of its function's docstring."""
        return self.codebase.summary("figures", figure)

    @property
    def page_sections(self) -> list[dict]:
        """Of each experiment what the page shows: name, tables, figures with captions, and records of the runs."""
        return [
            {
                "name": name,
                "tables": {table: str(experiment.table(table)) for table in ("runs", "equivalence", "correlation")},
                "figures": [
                    {"name": path.stem, "path": str(path.with_suffix(".png")), "caption": self.caption(path.stem)}
                    for path in experiment.figures
                ],
                "records": [str(path) for path in experiment.outputs("run.json")],
            }
            for name, experiment in self.experiments.items()
        ]

    @property
    def theory_captions(self) -> list[dict]:
        """Of each figure of the theory its name, path and caption."""
        return [
            {
                "name": path.stem,
                "path": str(path.with_suffix(".png")),
                "caption": (CAPTIONS / f"theory_{path.stem}.rst").read_text(encoding="utf-8"),
            }
            for path in self.theory.figures
        ]

    @property
    def page_inputs(self) -> dict[str, object]:
        """Input files of the page."""
        sections = self.page_sections
        return {
            "claims": CLAIMS,
            "tables": [path for section in sections for path in section["tables"].values()],
            "figures": [figure["path"] for section in sections for figure in section["figures"]],
            "records": [path for section in sections for path in section["records"]],
            "theory": [figure["path"] for figure in self.theory_captions],
        }

    @property
    def page_key(self) -> str:
        """Key of the page."""
        figures = [each.figure_key(path.stem) for each in self.experiments.values() for path in each.figures]
        theory = [self.theory.figure_key(path.stem) for path in self.theory.figures]
        template = (CAPTIONS / "page.html.jinja").read_text(encoding="utf-8")
        return digest([self.codebase.fingerprint("page.py"), template, figures, theory, self.claims_key])

    @property
    def figures(self) -> list[Path]:
        """Figures of all experiments."""
        return [path for experiment in self.experiments.values() for path in experiment.figures]


@dataclass(frozen=True)
class Experiment:
    """One dataset, one network and a grid over (loss, width, epochs, seed)."""

    study: Study
    name: str

    @property
    def config(self) -> dict:
        """The experiment's resolved configuration."""
        return self.study.config["experiments"][self.name]

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.config["dataset"]

    @property
    def manifest(self) -> Path:
        """Manifest of the prepared dataset."""
        return dataset_directory(self.dataset) / "manifest.json"

    @cached_property
    def runs(self) -> list[Run]:
        """Every run of the grid."""
        grid = product(*(self.config[axis] for axis in ("losses", "widths", "epochs", "seeds")))
        return [Run(self, *point) for point in grid]

    @property
    def tuning(self) -> dict | None:
        """Candidates and seeds from which the weight decay is chosen, or None where the config gives a number."""
        weight_decay = self.config["training"]["weight_decay"]
        return weight_decay if isinstance(weight_decay, Mapping) else None

    @cached_property
    def candidates(self) -> list[Run]:
        """Every candidate from which a weight decay is chosen."""
        if self.tuning is None:
            return []
        return [run for seed in self.tuning["seeds"] for choice in self.choices for run in choice.candidates(seed)]

    @property
    def choices(self) -> list[Choice]:
        """Every choice of a weight decay."""
        if self.tuning is None:
            return []
        return [
            Choice(self, *point) for point in product(*(self.config[axis] for axis in ("losses", "widths", "epochs")))
        ]

    @cached_property
    def stacks(self) -> list[Stack]:
        """Losses and seeds whose runs are trained as one, seed by seed; none where every run is trained by itself."""
        size = self.config["stack"]
        members = [(loss, seed) for seed in self.config["seeds"] for loss in self.config["losses"]]
        starts = range(0, len(members), size) if size > 1 else []
        return [
            Stack(self, number, tuple(members[start : start + size])) for number, start in enumerate(starts, start=1)
        ]

    def stack_of(self, loss: str, seed: int) -> Stack | None:
        """The stack with the runs of a loss and seed, if they are trained in one."""
        return next((stack for stack in self.stacks if (loss, seed) in stack.members), None)

    @property
    def adopted(self) -> list[Run]:
        """Runs of the grid that are trained as candidates."""
        return [run for run in self.runs if run.is_adopted]

    @property
    def trained(self) -> list[Run]:
        """Every run that is trained, of the grid and of the candidates."""
        return [*(run for run in self.runs if not run.is_adopted), *self.candidates]

    @property
    def stems(self) -> list[Stem]:
        """Every shared stem."""
        return list(dict.fromkeys(stem for run in self.trained for stem in run.stems))

    @cached_property
    def aligned_runs(self) -> list[Run]:
        """Runs whose features are compared pair by pair: those of the largest network and the longest budget."""
        largest = max(self.config["widths"]), max(self.config["epochs"])
        return [run for run in self.runs if (run.width, run.epochs) == largest]

    def aligned_files(self, name: str) -> list[Path]:
        """The file `name` of every one of these runs."""
        return [run.directory / name for run in self.aligned_runs]

    @property
    def alignments(self) -> list[tuple[str, Model, Model]]:
        """Pairs of models whose features are compared: the name of the comparison and the two.

        - losses: two losses at one seed.
        - losses_other_seed: two losses, each at another seed.
        - seeds: one loss at two seeds.
        - untrained: a run against the untrained network of its seed, which every loss starts from.
        """
        models = [(run.loss, run.seed) for run in self.aligned_runs]
        pairs = []
        for first, second in combinations(models, 2):
            if first[0] == second[0]:
                comparison = "seeds"
            else:
                comparison = "losses" if first[1] == second[1] else "losses_other_seed"
            pairs.append((comparison, first, second))
        return pairs + [("untrained", model, (None, model[1])) for model in models]

    @property
    def alignment_key(self) -> str:
        """Key of `align_features`."""
        code = self.study.codebase.fingerprint("align_features.py")
        return digest([code, self.alignments, [run.train_key for run in self.aligned_runs]])

    def alignment_minutes(self, attempt: int) -> int:
        """Run time of `align_features` to ask a cluster for: a model costs less than an epoch, a pair half a minute."""
        runs = self.aligned_runs
        models = len(runs) + len(self.config["seeds"])
        return _minutes(models, runs[0].width, attempt) + attempt * len(self.alignments)

    def outputs(self, name: str) -> list[Path]:
        """The file `name` of every run."""
        return [run.directory / name for run in self.runs]

    @property
    def figures(self) -> list[Path]:
        """The PDF of each figure."""
        return [RESULTS / "figures" / self.name / f"{figure}.pdf" for figure in self.config["figures"]]

    @cached_property
    def table_key(self) -> str:
        """Key of `collect`."""
        return digest([self.study.codebase.fingerprint("collect.py"), [run.metrics_key for run in self.runs]])

    @cached_property
    def evidence_key(self) -> str:
        """Key of `evidence`."""
        return digest([self.study.codebase.fingerprint("evidence.py"), self.study.comparison, self.table_key])

    def table(self, name: str) -> Path:
        """One of the experiment's tables (see `configuration.TABLES`)."""
        return RESULTS / "tables" / self.name / f"{name}.csv"

    def figure_tables(self, figure: str) -> dict[str, Path]:
        """The tables that a figure is drawn from, by the names of its parameters."""
        return {name: self.table(name) for name in self.study.codebase.arguments("figures", figure)}

    def figure_key(self, figure: str) -> str:
        """Key of a figure."""
        code = self.study.codebase.fingerprint("figure.py", f"figures.{figure}")
        keys = {
            "runs": self.table_key,
            "trajectories": self.table_key,
            "alignment": self.alignment_key,
            "equivalence": self.evidence_key,
            "correlation": self.evidence_key,
        }
        return digest([code, {name: keys[name] for name in self.figure_tables(figure)}])

    @property
    def jobs(self) -> dict[str, int]:
        """Jobs of each rule for the experiment's figures, without the dataset's."""
        kept = [run for run in self.candidates if run.seed in self.config["seeds"]]
        drawn = {table for figure in self.config["figures"] for table in self.figure_tables(figure)}
        tuned_stems = sum(stem.weight_decay is not None for stem in self.stems)
        trained, stems = len(self.trained) - len(self.candidates), len(self.stems) - tuned_stems
        points, stem_points = (
            len(self.config["widths"]) * len(ends) for ends in (self.config["epochs"], self.stem_ends)
        )
        counts = {
            "train_stem": 0 if self.stacks else stems,
            "train_candidate_stem": tuned_stems,
            "train": 0 if self.stacks else trained,
            "train_candidate": len(self.candidates),
            "choose_weight_decay": len(self.choices),
            "adopt_candidate": len(self.adopted),
            "extract_features": 0 if self.stacks else trained,
            "extract_candidate_features": len(kept),
            **{f"train_stem_stack_{stack.name}": stem_points for stack in self.stacks},
            **{f"train_stack_{stack.name}": points for stack in self.stacks},
            **{f"extract_stack_{stack.name}": points for stack in self.stacks},
            "nc_metrics": len(self.runs),
            "collect": 1,
            "evidence": int(bool(drawn & {"equivalence", "correlation"})),
            "align_features": int("alignment" in drawn),
            "figure": len(self.figures),
        }
        return {rule: count for rule, count in counts.items() if count}

    @cached_property
    def stem_ends(self) -> list[int]:
        """Epochs at which runs leave the shared stem, ascending.

        A run may leave at its first decay, if at least one other run goes on beyond that epoch or leaves there too.
        """
        if not self.config["share_stem"]:
            return []
        decays = [first_decay(epochs, self.config["training"]) for epochs in self.config["epochs"]]
        return sorted({end for end in decays if end > 0 and sum(other >= end for other in decays) > 1})


@dataclass(frozen=True)
class Stack:
    """Losses and seeds of an experiment; at each width and budget, their runs are trained as one (see `stacking`).

    Attributes:
        number: counted in the experiment, from 1.
        members: losses and seeds.
    """

    experiment: Experiment
    number: int
    members: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        """What the stack is called in the names of its rules."""
        return f"{self.experiment.name}_{self.number}"

    def files(self, pattern: str, name: str) -> list[str]:
        """The file `name` of every member, in `RUN` or `STEM`, whose wildcards for width and length remain."""
        folders = (
            pattern.replace("{experiment}", self.experiment.name).replace("{loss}", loss).replace("{seed}", f"{seed}")
            for loss, seed in self.members
        )
        return [f"{folder}/{name}" for folder in folders]

    def log(self, pattern: str, name: str) -> str:
        """The log `name` in `STACK_LOGS` or `STACK_STEM_LOGS`, whose wildcards for width and length remain."""
        folder = pattern.replace("{experiment}", self.experiment.name).replace("{number}", f"{self.number}")
        return f"{folder}/{name}"

    def runs(self, width: str, epochs: str) -> list[Run]:
        """The runs of a width and budget, as a rule's wildcards name them."""
        return [Run(self.experiment, loss, _number(width), int(epochs), seed) for loss, seed in self.members]

    def stem_snapshots(self, width: str, epochs: str) -> list[Path]:
        """Folders that hold the runs' snapshots of before they left their stems; stem by stem, those of all members."""
        of_runs = (run.stem_snapshots for run in self.runs(width, epochs))
        return [folder for of_members in zip(*of_runs, strict=True) for folder in of_members]

    def stems(self, width: str, to: str) -> list[Stem]:
        """The stems of a width to an epoch, as a rule's wildcards name them."""
        return [Stem(self.experiment, loss, _number(width), seed, int(to)) for loss, seed in self.members]


@dataclass(frozen=True)
class Stem:
    """What runs of several budgets share: training at the first learning rate, to epoch `to`."""

    experiment: Experiment
    loss: str
    width: float
    seed: int
    to: int
    weight_decay: float | None = None

    @property
    def directory(self) -> Path:
        """Where the stem's state and snapshots are, until the runs that need them are done."""
        return _filled(STEM if self.weight_decay is None else CANDIDATE_STEM, self)

    @property
    def log_directory(self) -> Path:
        """Where the training logs."""
        return _log_directory(self, STACK_STEM_LOGS)

    @property
    def member(self) -> str:
        """What the stem is called among those that are trained as one with it."""
        return _member(self)

    @property
    def own_epochs(self) -> int:
        """Epochs that the stem trains itself, after its parent."""
        return self.to - (self.parent.to if self.parent else 0)

    def minutes(self, attempt: int) -> int:
        """Run time to ask a cluster for, at the first and each further attempt."""
        return _minutes(self.own_epochs, self.width, attempt)

    @property
    def state(self) -> Path:
        """Training state at epoch `to`."""
        return self.directory / "state.safetensors"

    @property
    def snapshots(self) -> Path:
        """Folder of the snapshots taken on the way."""
        return self.directory / "snapshots"

    @property
    def parent(self) -> Stem | None:
        """The stem that this one goes on from."""
        return _last_stem(self, before=self.to)

    @property
    def inputs(self) -> dict[str, Path]:
        """Input files of `train_stem`, but for the stem before it."""
        return {"manifest": self.experiment.manifest}

    @property
    def stem_states(self) -> list[Path]:
        """State of the stem before it, if there is one."""
        return [self.parent.state] if self.parent else []

    @property
    def _runs(self) -> list[Run]:
        config = self.experiment.config
        return [
            Run(self.experiment, self.loss, self.width, epochs, self.seed, self.weight_decay)
            for epochs in config["epochs"]
            if first_decay(epochs, config["training"]) >= self.to
        ]

    @property
    def snapshot_epochs(self) -> list[int]:
        """Epochs up to `to` at which some run through this stem wants a snapshot."""
        return sorted({epoch for run in self._runs for epoch in run.snapshot_epochs if epoch <= self.to})

    @property
    def key(self) -> str:
        """Key of `train_stem`."""
        longest = max(self._runs, key=lambda run: run.epochs)
        return digest([longest.train_key, self.to, self.snapshot_epochs])

    @property
    def scratch(self) -> Path:
        """What survives an interrupted training."""
        return _scratch(self.directory, self.key)

    @property
    def settings(self) -> dict:
        """Settings of the longest run through this stem; up to `to` they mean the same for each."""
        return max(self._runs, key=lambda run: run.epochs).settings


@dataclass(frozen=True)
class Run:
    """One training: (loss, width, epochs, seed) of an experiment; a candidate, if it has a weight decay of its own."""

    experiment: Experiment
    loss: str
    width: float
    epochs: int
    seed: int
    weight_decay: float | None = None

    @property
    def directory(self) -> Path:
        """Where everything of the run is."""
        return _filled(RUN if self.weight_decay is None else CANDIDATE, self)

    @property
    def log_directory(self) -> Path:
        """Where training and extraction log."""
        return _log_directory(self, STACK_LOGS)

    @property
    def member(self) -> str:
        """What the run is called among those that are trained as one with it."""
        return _member(self)

    @property
    def stack(self) -> Stack | None:
        """The stack in which the run is trained, if it is not trained by itself."""
        return self.experiment.stack_of(self.loss, self.seed)

    @property
    def awaits_choice(self) -> bool:
        """Whether the run's weight decay is known only once the candidates are trained."""
        return self.experiment.tuning is not None and self.weight_decay is None

    @property
    def is_adopted(self) -> bool:
        """Whether the run is trained as a candidate, and taken over once the choice is made."""
        return self.awaits_choice and self.seed in self.experiment.tuning["seeds"]

    @property
    def choice(self) -> Choice:
        """The choice of weight decay that this run awaits or takes part in."""
        return Choice(self.experiment, self.loss, self.width, self.epochs)

    @property
    def inputs(self) -> dict[str, Path]:
        """Input files of `train`, but for the stem's."""
        choice = {"choice": self.choice.path} if self.awaits_choice else {}
        return {"manifest": self.experiment.manifest, **choice}

    @property
    def stem_states(self) -> list[Path]:
        """State of the stem that the run goes on from, if there is one and the run is still to be done."""
        return [self.stem.state] if self.stem and not self.is_done else []

    @property
    def adoption_inputs(self) -> dict[str, object]:
        """Input files of `adopt_candidate`: the choice, and of each candidate in order every file that a run keeps."""
        folders = [run.directory for run in self.choice.candidates(self.seed)]
        names = {
            "history": "history.csv",
            "best": "best.safetensors",
            "final": "final.safetensors",
            "run": "run.json",
            "features": "features.npz",
        }
        files = {name: [folder / file for folder in folders] for name, file in names.items()}
        return {"choice": self.choice.path, **files}

    @property
    def stem(self) -> Stem | None:
        """The stem that the run goes on from; none where budgets may come to have different weight decays."""
        if self.awaits_choice:
            return None
        return _last_stem(self, before=first_decay(self.epochs, self.experiment.config["training"]) + 1)

    @property
    def stems(self) -> list[Stem]:
        """All stems on the way of the run, the last first."""
        chain = []
        stem = self.stem
        while stem is not None:
            chain.append(stem)
            stem = stem.parent
        return chain

    @property
    def stem_snapshots(self) -> list[Path]:
        """Folders that hold the run's snapshots of before it left the stem, if the run is still to be done."""
        return [] if self.is_done else [stem.snapshots for stem in self.stems]

    @cached_property
    def is_done(self) -> bool:
        """Whether the run and its features are there, and those of its stack, with the keys of today.

        Then it needs no stem: one that is trained again, for a budget that was added, would make it train again too.
        """
        return all(run._is_there for run in self._together)

    @property
    def _together(self) -> list[Run]:
        """The runs that are trained as one with this one, itself among them."""
        if self.stack is None:
            return [self]
        return [replace(self, loss=loss, seed=seed) for loss, seed in self.stack.members]

    @property
    def _is_there(self) -> bool:
        record, features = self.directory / "run.json", self.directory / "features.npz"
        try:
            if read_json(record)["key"] != self.train_key:
                return False
            if self.seed not in self.experiment.config["seeds"]:
                return True  # a candidate of which nobody takes features
            with np.load(features) as arrays:
                return str(arrays["key"]) == self.features_key
        except (OSError, KeyError, ValueError, BadZipFile):
            return False

    @cached_property
    def snapshot_epochs(self) -> list[int]:
        """Epochs (completed) of the run's snapshots, ascending: 0 is the untrained network, the last is the end."""
        if self.seed not in self.experiment.config["seeds"]:
            return [self.epochs]  # a candidate that no run of the grid will adopt
        snapshots = self.experiment.config["snapshots"]
        if isinstance(snapshots, list):
            return sorted({epoch for epoch in snapshots if epoch < self.epochs} | {self.epochs})
        return sorted({round(self.epochs * part / snapshots) for part in range(snapshots + 1)})

    @property
    def own_epochs(self) -> int:
        """Epochs that the run trains itself, after its stem."""
        return self.epochs - (self.stem.to if self.stem else 0)

    def minutes(self, attempt: int) -> int:
        """Run time of the training to ask a cluster for, at the first and each further attempt."""
        return _minutes(self.own_epochs, self.width, attempt)

    def feature_minutes(self, attempt: int) -> int:
        """The same of the extraction: a snapshot costs less than an epoch."""
        return _minutes(len(self.snapshot_epochs) + 1, self.width, attempt)

    @property
    def identity(self) -> dict:
        """What the run is called in the tables, together with its epochs and seed."""
        experiment = self.experiment
        return {
            "experiment": experiment.name,
            "dataset": experiment.dataset,
            "network": experiment.config["network"]["kind"],
            "loss": self.loss,
            "width": self.width,
        }

    @property
    def settings(self) -> dict:
        """Everything that determines the trained weights, but for the data and the code."""
        config = self.experiment.config
        candidate = {} if self.weight_decay is None else {"weight_decay": self.weight_decay}
        return {
            "loss": self.experiment.study.config["losses"][self.loss],
            "network": {**config["network"], "width": self.width},
            "epochs": self.epochs,
            "seed": self.seed,
            **config["training"],
            **candidate,
        }

    @cached_property
    def train_key(self) -> str:
        """Key of `train`: of the science alone, because how the files are written is no reason to train again.

        The last digits of a run that is trained in a stack depend on the others in it.
        """
        together = self._together
        return self._own_key if len(together) == 1 else digest([self._own_key, [run._own_key for run in together]])

    @property
    def _own_key(self) -> str:
        study, settings = self.experiment.study, self.settings
        code = study.codebase.fingerprint(
            "training.train", f"losses.{settings['loss']['kind']}", f"networks.{settings['network']['kind']}"
        )
        return digest([settings, code, study.dataset_key(self.experiment.dataset), self.snapshot_epochs])

    @property
    def scratch(self) -> Path:
        """What survives an interrupted training; named after the key, so that nothing else can be taken for it."""
        return _scratch(self.directory, self.train_key)

    @property
    def features_key(self) -> str:
        """Key of `extract_features`."""
        code = self.experiment.study.codebase.fingerprint("extract_features.py")
        return digest([self.train_key, code, self.experiment.config["augmented_features"]])

    @property
    def metrics_key(self) -> str:
        """Key of `nc_metrics`."""
        return digest([self.features_key, self.experiment.study.codebase.fingerprint("nc_metrics.py")])


@dataclass(frozen=True)
class Choice:
    """The weight decay of a (loss, width, epochs), chosen among candidates by validation accuracy."""

    experiment: Experiment
    loss: str
    width: float
    epochs: int

    @property
    def path(self) -> Path:
        """The choice with the scores of all candidates."""
        return _filled(CHOICE, self)

    def candidates(self, seed: int) -> list[Run]:
        """The candidates at one seed, in the order of the configuration."""
        decays = self.experiment.tuning["candidates"]
        return [Run(self.experiment, self.loss, self.width, self.epochs, seed, decay) for decay in decays]

    @property
    def records(self) -> list[Path]:
        """The run.json of every candidate at every seed of the tuning."""
        seeds = self.experiment.tuning["seeds"]
        return [run.directory / "run.json" for seed in seeds for run in self.candidates(seed)]

    @property
    def key(self) -> str:
        """Key of `choose_weight_decay`."""
        code = self.experiment.study.codebase.fingerprint("choose_weight_decay.py")
        runs = [run.train_key for seed in self.experiment.tuning["seeds"] for run in self.candidates(seed)]
        return digest([code, runs])


def _member(part: Run | Stem) -> str:
    return f"{part.loss} seed{part.seed}"


def _log_directory(part: Run | Stem, in_stacks: str) -> Path:
    stack = part.experiment.stack_of(part.loss, part.seed)
    if stack is None:
        return part.directory
    return _filled(in_stacks.replace("{number}", f"{stack.number}"), part)


def dataset_directory(dataset: str) -> Path:
    """Folder of a prepared dataset."""
    return RESULTS / "datasets" / dataset


def _minutes(epochs: int, width: float, attempt: int) -> int:
    # The operations of a step grow with the square of the width; half a minute is for what does not.
    return attempt * math.ceil(START_MINUTES + epochs * (0.5 + width**2))


def _scratch(directory: Path, key: str) -> Path:
    # A folder for each training, because two experiments may hold trainings of the same key.
    return RESULTS / "checkpoints" / ".".join(directory.relative_to(RESULTS).parts) / key


def _filled(pattern: str, point: Run | Stem | Choice) -> Path:
    """A path pattern with the values of a point of the grid."""
    values = {**vars(point), "experiment": point.experiment.name}
    return Path(
        pattern.format_map({key: f"{value:g}" if isinstance(value, float) else value for key, value in values.items()})
    )


def _last_stem(point: Run | Stem, *, before: int) -> Stem | None:
    ends = [end for end in point.experiment.stem_ends if end < before]
    if not ends:
        return None
    return Stem(point.experiment, point.loss, point.width, point.seed, ends[-1], point.weight_decay)


_NONE = "(?!)"  # a regular expression that nothing matches


def _at_seeds(seeds: Iterable[int]) -> str:
    return f"/.*/seed(?:{_one_of(map(str, seeds))})/"


def _one_of(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in names)


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value
