"""A study: the validated configuration as experiments, runs and paths.

The only module that knows what a grid is. It imports neither PyTorch nor Snakemake, because it is read at every start
of the workflow. Every step has a key, a hash of the settings it uses, of the code it uses and of the keys of the steps
before it; the workflow hands keys to the rules as parameters, so a step runs again exactly when its key changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from . import configuration
from .provenance import Codebase, digest
from .schedule import first_decay

RESULTS = Path("results")

# Paths as rules know them; `Run.directory` and `Stem.directory` fill them in.
RUN = f"{RESULTS}/runs/{{experiment}}/{{loss}}/width{{width}}/epochs{{epochs}}/seed{{seed}}"
STEM = f"{RESULTS}/stems/{{experiment}}/{{loss}}/width{{width}}/seed{{seed}}/to{{to}}"


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

    @property
    def compute(self) -> dict:
        """Device and threads."""
        return self.config["compute"]

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
        }

    def run(self, experiment: str, loss: str, width: str, epochs: str, seed: str) -> Run:
        """The run that a rule's wildcards name."""
        return Run(self.experiments[experiment], loss, _number(width), int(epochs), int(seed))

    def stem(self, experiment: str, loss: str, width: str, seed: str, to: str) -> Stem:
        """The stem that a rule's wildcards name."""
        return Stem(self.experiments[experiment], loss, _number(width), int(seed), int(to))

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

    def outputs(self, name: str) -> list[Path]:
        """The file `name` of every run."""
        return [run.directory / name for run in self.runs]

    @property
    def figures(self) -> list[Path]:
        """The PDF of each figure."""
        return [RESULTS / "figures" / self.name / f"{figure}.pdf" for figure in self.config["figures"]]

    @property
    def table_key(self) -> str:
        """Key of `collect`."""
        return digest([self.study.codebase.fingerprint("collect.py"), [run.metrics_key for run in self.runs]])

    def figure_key(self, figure: str) -> str:
        """Key of a figure."""
        return digest([self.study.codebase.fingerprint("figure.py", f"figures.{figure}"), self.table_key])

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
class Stem:
    """What runs of several budgets share: training at the first learning rate, to epoch `to`."""

    experiment: Experiment
    loss: str
    width: float
    seed: int
    to: int

    @property
    def directory(self) -> Path:
        """Where the stem's state and snapshots are, until the runs that need them are done."""
        fields = {"loss": self.loss, "width": f"{self.width:g}", "seed": self.seed, "to": self.to}
        return Path(STEM.format(experiment=self.experiment.name, **fields))

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
        return _last_stem(self.experiment, self.loss, self.width, self.seed, before=self.to)

    @property
    def inputs(self) -> dict[str, Path]:
        """Input files of `train_stem`."""
        return _training_inputs(self.experiment, self.parent)

    @property
    def _runs(self) -> list[Run]:
        config = self.experiment.config
        return [
            Run(self.experiment, self.loss, self.width, epochs, self.seed)
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
        return RESULTS / "checkpoints" / self.key

    @property
    def settings(self) -> dict:
        """Settings of the longest run through this stem; up to `to` they mean the same for each."""
        return max(self._runs, key=lambda run: run.epochs).settings


@dataclass(frozen=True)
class Run:
    """One training: (loss, width, epochs, seed) of an experiment."""

    experiment: Experiment
    loss: str
    width: float
    epochs: int
    seed: int

    @property
    def directory(self) -> Path:
        """Where everything of the run is."""
        fields = {"loss": self.loss, "width": f"{self.width:g}", "epochs": self.epochs, "seed": self.seed}
        return Path(RUN.format(experiment=self.experiment.name, **fields))

    @property
    def inputs(self) -> dict[str, Path]:
        """Input files of `train`."""
        return _training_inputs(self.experiment, self.stem)

    @property
    def stem(self) -> Stem | None:
        """The stem that the run goes on from."""
        config = self.experiment.config
        limit = first_decay(self.epochs, config["training"]) + 1
        return _last_stem(self.experiment, self.loss, self.width, self.seed, before=limit)

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
    def snapshot_folders(self) -> list[Path]:
        """Folders that together hold the run's snapshots."""
        return [self.directory / "snapshots", *(stem.snapshots for stem in self.stems)]

    @cached_property
    def snapshot_epochs(self) -> list[int]:
        """Epochs (completed) of the run's snapshots, ascending: 0 is the untrained network, the last is the end."""
        snapshots = self.experiment.config["snapshots"]
        if isinstance(snapshots, list):
            return sorted({epoch for epoch in snapshots if epoch < self.epochs} | {self.epochs})
        return sorted({round(self.epochs * part / snapshots) for part in range(snapshots + 1)})

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
        return {
            "loss": self.experiment.study.config["losses"][self.loss],
            "network": {**config["network"], "width": self.width},
            "epochs": self.epochs,
            "seed": self.seed,
            **config["training"],
        }

    @property
    def train_key(self) -> str:
        """Key of `train`: of the science alone, because how the files are written is no reason to train again."""
        study, settings = self.experiment.study, self.settings
        code = study.codebase.fingerprint(
            "training.train", f"losses.{settings['loss']['kind']}", f"networks.{settings['network']['kind']}"
        )
        return digest([settings, code, study.dataset_key(self.experiment.dataset), self.snapshot_epochs])

    @property
    def scratch(self) -> Path:
        """What survives an interrupted training; named after the key, so that nothing else can be taken for it."""
        return RESULTS / "checkpoints" / self.train_key

    @property
    def features_key(self) -> str:
        """Key of `extract_features`."""
        code = self.experiment.study.codebase.fingerprint("extract_features.py")
        return digest([self.train_key, code, self.experiment.config["augmented_features"]])

    @property
    def metrics_key(self) -> str:
        """Key of `nc_metrics`."""
        return digest([self.features_key, self.experiment.study.codebase.fingerprint("nc_metrics.py")])


def dataset_directory(dataset: str) -> Path:
    """Folder of a prepared dataset."""
    return RESULTS / "datasets" / dataset


def _training_inputs(experiment: Experiment, stem: Stem | None) -> dict[str, Path]:
    return {"manifest": experiment.manifest} | ({} if stem is None else {"stem": stem.state})


def _last_stem(experiment: Experiment, loss: str, width: float, seed: int, *, before: int) -> Stem | None:
    ends = [end for end in experiment.stem_ends if end < before]
    return Stem(experiment, loss, width, seed, ends[-1]) if ends else None


def _one_of(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in names)


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value
