"""The grid of a study: which trainings there are, and which of them go together.

A run is trained by itself or as one of a stack; where weight decay or learning rate is tuned it is linked to what was
trained with the chosen one. Runs that differ only in their number of epochs share a trunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product
from typing import ClassVar

from equal_losses.schedules import first_decay
from equal_losses.study import configuration, kinds
from equal_losses.theory.cases import theory_settings

CHOSEN = "_chosen"  # stands for the value of it that is known once the candidates are trained

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
        self.config = configuration.validated(config)
        self.name = self.label = self.config["name"]  # the label is what its claims and page are under
        self.experiments = {name: Experiment(self, name) for name in self.config["experiments"]}
        of_logits = {name: loss for name, loss in self.config["losses"].items() if not kinds.asked(loss["kind"])}
        self.theory = theory_settings({**self.config, "losses": of_logits})

    @property
    def compute(self) -> dict:
        """Device, threads, and how often a training saves its state."""
        return self.config["compute"]

    @property
    def gpus(self) -> int:
        """GPUs that a training job asks the scheduler for."""
        return 0 if self.compute["device"] == "cpu" else 1

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets that an experiment uses."""
        return sorted({experiment.dataset for experiment in self.experiments.values()})

    def dataset_settings(self, dataset: str) -> dict[str, dict]:
        """Of a dataset: `source`, its kind and that kind's options, and `split` (see `prepared.prepare`)."""
        source = dict(self.config["datasets"][dataset])
        split = {key: source.pop(key) for key in configuration.SPLIT_KEYS}
        return {"source": source, "split": split}


@dataclass(frozen=True)
class Experiment:
    """One dataset, one network and a grid over (loss, width, epochs, seed)."""

    study: Study
    name: str

    @property
    def config(self) -> dict:
        """Its resolved configuration."""
        return self.study.config["experiments"][self.name]

    @property
    def label(self) -> str:
        """What its tables and figures are under."""
        return self.name

    @property
    def missing(self) -> str:
        """Which of its runs are missing."""
        return ""

    @property
    def losses_touched(self) -> list[str]:
        """Losses of which a run is missing."""
        return []

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.config["dataset"]

    @property
    def tuned(self) -> str | None:
        """Which key of `training` is tuned, or None where the config gives numbers."""
        return next(iter(configuration.tuned_keys(self.config["training"])), None)

    @property
    def tuning(self) -> dict | None:
        """Candidates and seeds from which its value is chosen."""
        return self.config["training"][self.tuned] if self.tuned else None

    @property
    def points(self) -> list[tuple[str, int]]:
        """(loss, seed) in the order in which stacks take them."""
        return [(loss, seed) for seed in self.config["seeds"] for loss in self.config["losses"]]

    @cached_property
    def grid(self) -> list[Run]:
        """Every run of the grid."""
        grid = product(*(self.config[axis] for axis in ("losses", "widths", "epochs", "seeds")))
        return [Run(self, *point) for point in grid]

    @property
    def runs(self) -> list[Run]:
        """The runs that tables and figures are made of."""
        return self.grid

    @cached_property
    def choices(self) -> list[Choice]:
        """Every choice among candidates."""
        if self.tuning is None:
            return []
        grid = product(*(self.config[axis] for axis in ("losses", "widths", "epochs")))
        return [Choice(self, *point) for point in grid]

    @cached_property
    def trainings(self) -> list[Run | Stack]:
        """Everything that is trained to its end: runs by themselves, or candidates and what is chosen, or stacks."""
        candidates = [run for choice in self.choices for run in choice.candidates]
        sources = [source for run in self.runs for source in (run.sources or [run.training])]
        return list(dict.fromkeys([*candidates, *sources]))

    @cached_property
    def trunks(self) -> list[Trunk]:
        """Every trunk."""
        return list(dict.fromkeys(trunk for training in self.trainings for trunk in training.trunks))

    @cached_property
    def trunk_ends(self) -> list[int]:
        """Epochs at which runs leave the shared trunk, ascending.

        A run may leave at its first decay, if at least one other run goes on beyond that epoch or leaves there too.
        """
        if not self.config["share_trunk"]:
            return []
        decays = [first_decay(epochs, self.config["training"]) for epochs in self.config["epochs"]]
        return sorted({end for end in decays if end > 0 and sum(other >= end for other in decays) > 1})

    @cached_property
    def largest_runs(self) -> list[Run]:
        """Runs of the largest network and the longest budget, whose features are compared pair by pair."""
        largest = max(run.width for run in self.runs), max(run.epochs for run in self.runs)
        return [run for run in self.runs if (run.width, run.epochs) == largest]

    @property
    def model_pairs(self) -> list[tuple[str, Model, Model]]:
        """Pairs of models whose features are compared: the name of the comparison and the two.

        - losses: two losses at one seed.
        - losses_other_seed: two losses, each at another seed.
        - seeds: one loss at two seeds.
        - untrained: a run against the untrained network of its seed, which every loss starts from.
        """
        models = [(run.loss, run.seed) for run in self.largest_runs]
        pairs = []
        for first, second in combinations(models, 2):
            if first[0] == second[0]:
                comparison = "seeds"
            else:
                comparison = "losses" if first[1] == second[1] else "losses_other_seed"
            pairs.append((comparison, first, second))
        return pairs + [("untrained", model, (None, model[1])) for model in models]


class Training:
    """What runs and stacks have in common; `experiment`, `width` and `epochs` are fields of both."""

    candidate: ClassVar[float | str | None] = None
    has_features: ClassVar[bool] = True

    @cached_property
    def trunks(self) -> list[Trunk]:
        """All trunks on the way, the last first; none where budgets may come to differ in what is tuned."""
        if self.candidate == CHOSEN:
            return []
        last = first_decay(self.epochs, self.experiment.config["training"])
        ends = [end for end in self.experiment.trunk_ends if end <= last]
        return [Trunk(replace(self, epochs=max(_budgets_through(self, end))), end) for end in reversed(ends)]

    @property
    def trunk(self) -> Trunk | None:
        """The trunk that this training goes on from, if there is one."""
        return next(iter(self.trunks), None)

    @property
    def own_epochs(self) -> int:
        """Epochs that are trained after the trunk."""
        return self.epochs - (self.trunk.to if self.trunk else 0)

    @cached_property
    def snapshot_epochs(self) -> list[int]:
        """Epochs (completed) of the snapshots, ascending: 0 is the untrained network, the last is the end.

        Of what has no features the end alone.
        """
        snapshots = self.experiment.config["snapshots"] if self.has_features else []
        if isinstance(snapshots, list):
            return sorted({epoch for epoch in snapshots if epoch < self.epochs} | {self.epochs})
        return sorted({round(self.epochs * part / snapshots) for part in range(snapshots + 1)})


@dataclass(frozen=True)
class Run(Training):
    """One training: (loss, width, epochs, seed) of an experiment.

    Attributes:
        candidate: None for a run of the grid; otherwise what is trained for a tuned one: a candidate for the value of
            what is tuned, or `CHOSEN` for a seed that has no candidates.
    """

    experiment: Experiment
    loss: str
    width: float
    epochs: int
    seed: int
    candidate: float | str | None = None

    @property
    def identity(self) -> dict:
        """What the run is called in the tables."""
        experiment = self.experiment
        return {
            "experiment": experiment.name,
            "dataset": experiment.dataset,
            "network": experiment.config["network"]["kind"],
            "loss": self.loss,
            "width": self.width,
            "epochs": self.epochs,
            "seed": self.seed,
        }

    @property
    def point(self) -> tuple[str, float, int, int]:
        """Where it is in the grid."""
        return self.loss, self.width, self.epochs, self.seed

    @property
    def members(self) -> list[Run]:
        """The run itself, as if it were a stack of one."""
        return [self]

    @property
    def name(self) -> str:
        """What the run is called in its stack."""
        return f"{self.loss}/seed{self.seed}"

    @cached_property
    def sources(self) -> list[Run]:
        """What a tuned run may be linked to: candidates in order, or what is trained with the chosen one."""
        tuning = self.experiment.tuning
        if tuning is None or self.candidate is not None:
            return []
        if self.seed not in tuning["seeds"]:
            return [replace(self, candidate=CHOSEN)]
        return [replace(self, candidate=candidate) for candidate in tuning["candidates"]]

    @cached_property
    def training(self) -> Run | Stack:
        """The run itself, or the stack in which it is trained."""
        size = self.experiment.config["stack"]
        if size == 1:
            return self
        place = self.experiment.points.index((self.loss, self.seed)) // size
        return Stack(self.experiment, place + 1, self.width, self.epochs)

    @property
    def choice(self) -> Choice | None:
        """The choice among candidates that the run awaits or takes part in."""
        tuned = self.experiment.tuning is not None
        return Choice(self.experiment, self.loss, self.width, self.epochs) if tuned else None

    @property
    def has_features(self) -> bool:
        """Whether features are taken: not of candidates at seeds that no run of the grid has."""
        return self.seed in self.experiment.config["seeds"]

    @property
    def settings(self) -> dict:
        """Everything that determines the trained weights, but for the data and the code."""
        config = self.experiment.config
        training = {key: value for key, value in config["training"].items() if key != "test_normalization"}
        if self.candidate not in (None, CHOSEN):
            training[self.experiment.tuned] = self.candidate
        return {
            "loss": self.experiment.study.config["losses"][self.loss],
            "network": {**config["network"], "width": self.width},
            "head": config["head"],
            "epochs": self.epochs,
            "seed": self.seed,
            **training,
        }

    @property
    def measured_settings(self) -> dict:
        """What features depend on beside the weights: the same, and how test images are normalised."""
        return {**self.settings, "test_normalization": self.experiment.config["training"]["test_normalization"]}


@dataclass(frozen=True)
class Stack(Training):
    """Runs of one width and budget, of several losses and seeds, that are trained as one.

    Attributes:
        number: counted in the experiment, from 1; losses of the first seed, then those of the next.
    """

    experiment: Experiment
    number: int
    width: float
    epochs: int

    @cached_property
    def members(self) -> list[Run]:
        """The runs, in order."""
        size = self.experiment.config["stack"]
        points = self.experiment.points[(self.number - 1) * size : self.number * size]
        return [Run(self.experiment, loss, self.width, self.epochs, seed) for loss, seed in points]


@dataclass(frozen=True)
class Trunk:
    """What trainings of several budgets share: epochs before the first decay, to epoch `to`.

    Attributes:
        longest: the training of the longest budget through it; up to `to` its settings mean the same for each.
    """

    longest: Run | Stack
    to: int

    @property
    def experiment(self) -> Experiment:
        """The experiment."""
        return self.longest.experiment

    @property
    def width(self) -> float:
        """The width."""
        return self.longest.width

    @property
    def members(self) -> list[Run]:
        """The runs that are trained as one."""
        return self.longest.members

    @property
    def parent(self) -> Trunk | None:
        """The trunk that this one goes on from."""
        return next((trunk for trunk in self.longest.trunks if trunk.to < self.to), None)

    @property
    def own_epochs(self) -> int:
        """Epochs that the trunk trains itself, after its parent."""
        return self.to - (self.parent.to if self.parent else 0)

    @property
    def snapshot_epochs(self) -> list[int]:
        """Epochs up to `to` at which some training through this trunk wants a snapshot."""
        through = (replace(self.longest, epochs=epochs) for epochs in _budgets_through(self.longest, self.to))
        return sorted({epoch for training in through for epoch in training.snapshot_epochs if epoch <= self.to})


@dataclass(frozen=True)
class Choice:
    """The value of what is tuned for a (loss, width, epochs), chosen among candidates by validation accuracy."""

    experiment: Experiment
    loss: str
    width: float
    epochs: int

    @property
    def candidates(self) -> list[Run]:
        """Every candidate at every seed of the tuning, in the order of the configuration."""
        tuning = self.experiment.tuning
        return [
            Run(self.experiment, self.loss, self.width, self.epochs, seed, candidate)
            for seed in tuning["seeds"]
            for candidate in tuning["candidates"]
        ]


def _budgets_through(training: Training, to: int) -> list[int]:
    """Budgets that have their first decay at epoch `to` or later."""
    config = training.experiment.config
    return [epochs for epochs in config["epochs"] if first_decay(epochs, config["training"]) >= to]
