"""Every step of a study, and so every key.

A step's key is the digest of its ingredients: the settings that it uses, the code that it uses (see `fingerprints`) and
the keys of the steps before it. A job is given the settings of its step and nothing else that could change what it
computes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from equal_losses.running import records
from equal_losses.study import kinds, paths
from equal_losses.study.configuration import TABLES
from equal_losses.study.fingerprints import Codebase
from equal_losses.study.grid import CHOSEN, Choice, Experiment, Run, Stack, Study, Trunk
from equal_losses.study.step import Files, Step
from equal_losses.theory.cases import cases

SCRIPTS = "workflow/scripts"
PAGE_TABLES = ("runs", "trajectories", "equivalence", "correlation")
PAGE_TEMPLATES = "workflow/report"
PAGE_FILES = ("page.html.jinja", "index.html.jinja", "shared.jinja", "page.css", "page.js")
RECORD = records.RECORD

TRUNK_FILES = ("state.safetensors", "snapshots.safetensors", RECORD)
DATASET_FILES = (
    "manifest.json",
    *(f"{kind}_{split}.npy" for kind in ("images", "labels") for split in ("train", "val", "test")),
)
THEORY_TABLES = (*kinds.kinds("theory.steps"), "statements")


class Steps:
    """The steps of a study.

    Args:
        study: the study.
        codebase: the code.
        root: the folder that `results` is in.
        listings: of datasets from local files, names and sizes of the files, as `listing.of_study` finds them.
    """

    def __init__(self, study: Study, codebase: Codebase, root: Path, listings: Mapping[str, Mapping[str, int] | None]):
        self.study, self.root = study, root
        self._codebase, self._listings = codebase, listings
        self._experiments = list(study.experiments.values())
        for name in ("dataset", "trunk", "training", "choice", "run", "features", "metrics", "table"):
            setattr(self, name, cache(getattr(self, name)))

    @cached_property
    def by_path(self) -> dict[str, Step]:
        """Every step by the path of its result."""
        return {step.path: step for step in self._all()}

    @cached_property
    def by_key(self) -> dict[str, Step]:
        """Every step by its key; of several that make the same thing at different places, one."""
        return {step.key: step for step in self.by_path.values()}

    def is_there(self, path: str) -> bool:
        """Whether a file of the results is there."""
        return (self.root / path).exists()

    def is_made(self, step: Step) -> bool:
        """Whether a result is whole: its record is there, and has the key where the path does not."""
        if step.is_keyed:
            return self.is_there(step.output(RECORD)) or self.is_there(step.file(".json"))
        return records.is_made(self.root / step.file(".json"), step.key)

    def is_measured(self, run: Run) -> bool:
        """Whether a run of the grid is finished and its metrics are taken."""
        return self.is_made(self.run(run)) and self.is_made(self.metrics(run.training))

    def making(self, file: Path) -> Step | None:
        """The step that makes a file of the results, if one of the study does."""
        return self.by_path.get(str(file.parent)) or self.by_path.get(str(file.with_suffix("")))

    def dataset(self, name: str) -> Step:
        """A prepared dataset; its settings say where the images come from and how they are split."""
        settings = self.study.dataset_settings(name) | {"files": self._listings.get(name)}
        place = paths.DATASET.format(dataset=name, key="{key}")
        return self._step(place, "prepare_dataset.py", settings, {}, name, ("datasets", settings["source"]["kind"]))

    def trunk(self, trunk: Trunk) -> Step:
        """The shared epochs of several budgets."""
        settings = {**_trained(trunk.longest), "to": trunk.to, "snapshot_epochs": trunk.snapshot_epochs}
        _, pattern, script = _sort(trunk.longest)
        step = self._step(
            place_of(pattern, trunk), script, settings, self._images(trunk), trunk, *_trained_kinds(trunk)
        )
        return self._from_trunk(step, trunk.parent)

    def training(self, training: Run | Stack) -> Step:
        """What is trained to its end: a run by itself, a candidate, what is chosen, or a stack."""
        pattern, _, script = _sort(training)
        settings = {**_trained(training), "snapshot_epochs": training.snapshot_epochs}
        inputs = self._images(training)
        if training.candidate == CHOSEN:
            inputs["choice"] = Files(self.choice(training.choice), "choice.json")
        step = self._step(place_of(pattern, training), script, settings, inputs, training, *_trained_kinds(training))
        return step if self._is_finished(step) else self._from_trunk(step, training.trunk)

    def choice(self, choice: Choice) -> Step:
        """What is chosen among the candidates."""
        inputs = {"records": Files([self.training(run) for run in choice.candidates], "run.json")}
        return self._step(
            place_of(paths.CHOICE, choice), "choose_candidate.py", {"tuned": choice.experiment.tuned}, inputs, choice
        )

    def run(self, run: Run) -> Step:
        """A run of the grid: trained by itself or in a stack, or linked to what was trained as chosen."""
        if run.sources:
            return self._link(place_of(paths.RUN, run), run, [self.training(source) for source in run.sources], {})
        return _of_run(self.training(run.training), run)

    def features(self, training: Run | Stack) -> Step:
        """The features of what was trained, or of a run of the grid that is linked, linked."""
        if isinstance(training, Run) and training.sources:
            run = self.run(training)
            sources = [self.features(source) for source in training.sources]
            return self._link(f"{run.path}/features/{{key}}", training, sources, {"run": Files(run, RECORD)})
        return self._features(self.training(training))

    def metrics(self, training: Run | Stack) -> Step:
        """The NC metrics of the snapshots of a run of the grid, or of all runs of a stack."""
        features = self.features(training)
        inputs = {"features": Files([_of_run(features, run) for run in training.members], "features.npz")}
        path = self.run(training).path if isinstance(training, Run) else self.training(training).path
        return self._step(f"{path}/nc_metrics/{{key}}", "nc_metrics.py", {}, inputs, training)

    def table(self, experiment: Experiment, name: str) -> Step:
        """A table of an experiment: of its runs, of their features, or made from other tables."""
        place = f"{paths.TABLES}/{name}".format(experiment=experiment.label)
        if name == "trajectories":  # made in one job with that of the runs
            return replace(self.table(experiment, "runs"), place=place)
        if name == "runs":
            return self._collected(place, experiment)
        return self._aligned(place, experiment) if name == "alignment" else self._derived(place, experiment, name)

    def figure(self, experiment: Experiment, name: str) -> Step:
        """A figure of an experiment."""
        place = f"{paths.FIGURES}/{name}".format(experiment=experiment.label)
        return self._figure(place, "figures.experiment", name, partial(self.table, experiment), experiment)

    def theory_table(self, name: str) -> Step:
        """A table of the theory; one job makes them all."""
        theory = self.study.theory
        used = [("losses", loss["kind"]) for loss in theory["losses"]]
        used += [("theory.steps", step) for step in kinds.kinds("theory.steps")]
        place = f"{paths.THEORY_TABLES}/{name}".format(study=self.study.name)
        return self._step(place, "theory_tables.py", theory, {}, None, *used)

    def theory_figure(self, name: str) -> Step:
        """A figure of the theory."""
        place = f"{paths.THEORY_FIGURES}/{name}".format(study=self.study.name)
        return self._figure(place, "figures.theory", name, self.theory_table)

    @cached_property
    def tables(self) -> list[Step]:
        """Every table of the experiments."""
        return [self.table(experiment, name) for experiment in self._experiments for name in TABLES]

    @cached_property
    def figures(self) -> list[Step]:
        """Every figure of the experiments."""
        each = self._experiments
        return [self.figure(experiment, name) for experiment in each for name in experiment.config["figures"]]

    @cached_property
    def theory_figures(self) -> list[Step]:
        """Every figure of the theory but those of which a table is empty, as that of MSE is in a study without MSE."""
        of_step = cases(self.study.theory)
        return [
            self.theory_figure(name)
            for name in kinds.kinds("figures.theory")
            if all(of_step[table] for table in kinds.arguments("figures.theory", name))
        ]

    @cached_property
    def claims(self) -> Step:
        """The ledger of claims."""
        inputs = {
            name: Files([self.table(experiment, name) for experiment in self._experiments], ".csv")
            for name in ("runs", "equivalence", "alignment")
        }
        inputs["theory"] = Files(self.theory_table("statements"), ".csv")
        settings = {
            "experiments": list(self.study.experiments),
            "thresholds": self.study.config["evidence"],
            "missing": {each.name: [each.missing, each.losses_touched] for each in self._experiments if each.missing},
        }
        return self._step(f"{paths.STUDY}/claims".format(study=self.study.label), "claims.py", settings, inputs)

    def page(self, content: dict) -> Step:
        """The page for readers.

        Args:
            content: what is on it beside tables and figures (see `page.content`).
        """
        each = self._experiments
        datasets = [self.dataset(experiment.dataset) for experiment in each]
        inputs = {
            "claims": Files(self.claims, ".csv"),
            "tables": Files([self.table(experiment, name) for experiment in each for name in PAGE_TABLES], ".csv"),
            "figures": Files(self.figures, ".png"),
            "figures_pdf": Files(self.figures, ".pdf"),
            "records": Files([self.run(run) for experiment in each for run in experiment.runs], "run.json"),
            "datasets": Files(datasets, "manifest.json"),
            "images": Files(datasets, "images_train.npy"),
            "labels": Files(datasets, "labels_train.npy"),
            "theory": Files(self.theory_figures, ".png"),
            "theory_pdf": Files(self.theory_figures, ".pdf"),
        }
        place = f"{paths.STUDY}/report".format(study=self.study.label)
        templates = [f"{PAGE_TEMPLATES}/{name}" for name in PAGE_FILES]
        return self._step(place, "page.py", content, inputs, files=templates)

    # How steps are made

    def _step(self, place, script, settings, inputs, subject=None, *kind_names, files=()) -> Step:
        roots = [f"{SCRIPTS}/{script}", *(kinds.source(*kind) for kind in sorted(set(kind_names))), *files]
        keys = {name: each.keys for name, each in inputs.items()}
        ingredients = {"settings": settings, "code": self._codebase.code(*roots), "inputs": keys}
        return Step(place, ingredients, inputs, subject)

    def _from_trunk(self, step: Step, trunk: Trunk | None) -> Step:
        """The step with its trunk, which does not count, because it changes no bit of what comes of it."""
        if trunk is None:
            return step
        return replace(step, inputs={**step.inputs, "trunk": Files(self.trunk(trunk), *TRUNK_FILES)})

    def _images(self, training: Run | Stack | Trunk) -> dict[str, Files]:
        return {"dataset": Files(self.dataset(training.experiment.dataset), *DATASET_FILES)}

    def _is_finished(self, step: Step) -> bool:
        """Whether a training need not be done again, not even for its snapshots."""
        return self.is_there(step.file(RECORD)) and (
            not step.subject.has_features
            or self.is_there(step.file("snapshots.safetensors"))
            or self.is_there(self._features(step).file(RECORD))
        )

    def _features(self, step: Step) -> Step:
        training = step.subject
        settings = {
            **_trained(training, "measured_settings"),
            "snapshot_epochs": training.snapshot_epochs,
            "augmented": training.experiment.config["augmented_features"],
        }
        inputs = {
            **self._images(training),
            "snapshots": Files(step, "snapshots.safetensors"),
            "best": Files([_of_run(step, run) for run in training.members], "best.safetensors"),
        }
        used = _network_kinds(training.experiment)
        return self._step(f"{step.path}/features/{{key}}", "extract_features.py", settings, inputs, training, *used)

    def _link(self, place: str, run: Run, sources: list[Step], inputs: dict[str, Files]) -> Step:
        inputs = {**inputs, "sources": Files(sources, RECORD)}
        if len(sources) > 1:
            inputs["choice"] = Files(self.choice(run.choice), "choice.json")
        settings = {"candidates": [{run.experiment.tuned: source.candidate} for source in run.sources]}
        return self._step(place, "link.py", settings, inputs, run)

    def _collected(self, place: str, experiment: Experiment) -> Step:
        runs = [self.run(run) for run in experiment.runs]
        settings = {
            "identities": [run.identity for run in experiment.runs],
            "places": [run.training.members.index(run) for run in experiment.runs],
            "folders": [run.path for run in runs],
        }
        inputs = {
            "records": Files(runs, "run.json"),
            "metrics": Files([self.metrics(run.training) for run in experiment.runs], ".csv"),
        }
        return self._step(place, "collect.py", settings, inputs, experiment)

    def _derived(self, place: str, experiment: Experiment, name: str) -> Step:
        evidence = self.study.config["evidence"]
        settings = {"table": name, "options": {key: evidence[key] for key in kinds.parameters("statistics", name)}}
        inputs = {each: Files(self.table(experiment, each), ".csv") for each in kinds.arguments("statistics", name)}
        return self._step(place, "table.py", settings, inputs, experiment, ("statistics", name))

    def _aligned(self, place: str, experiment: Experiment) -> Step:
        runs = experiment.largest_runs
        settings = {
            "experiment": experiment.name,
            "dataset": experiment.dataset,
            "runs": [run.measured_settings for run in runs],
            "losses": [run.loss for run in runs],
            "pairs": experiment.model_pairs,
        }
        inputs = {**self._images(runs[0]), "final": Files([self.run(run) for run in runs], "final.safetensors")}
        used = _network_kinds(experiment)
        return self._step(place, "align_features.py", settings, inputs, experiment, *used)

    def _figure(self, place: str, package: str, name: str, table: Callable[[str], Step], subject: Any = None) -> Step:
        settings = {"package": package, "figure": name}
        inputs = {each: Files(table(each), ".csv") for each in kinds.arguments(package, name)}
        return self._step(place, "figure.py", settings, inputs, subject, (package, name))

    def _all(self) -> Iterator[Step]:
        study = self.study
        yield from map(self.dataset, study.datasets)
        for experiment in self._experiments:
            yield from map(self.trunk, experiment.trunks)
            yield from map(self.training, experiment.trainings)
            yield from map(self.choice, experiment.choices)
            yield from (self.features(each) for each in experiment.trainings if each.has_features)
            for training in dict.fromkeys(run.training for run in experiment.runs):
                yield self.metrics(training)
                if isinstance(training, Run):
                    yield from (self.run(training), self.features(training))
        yield from self.tables
        yield from self.figures
        yield from map(self.theory_table, THEORY_TABLES)
        yield from self.theory_figures
        yield self.claims


def _sort(training: Run | Stack) -> tuple[str, str, str]:
    """Where a training of this sort is and where its trunks are, and the script that does both."""
    if isinstance(training, Stack):
        return paths.STACK, paths.STACK_TRUNK, "train_stack.py"
    if training.candidate is None:
        return paths.RUN, paths.TRUNK, "train.py"
    return paths.CANDIDATE, paths.CANDIDATE_TRUNK, "train.py"


def _of_run(step: Step, run: Run) -> Step:
    """What a step makes for a run: all, or in a stack its part."""
    return step.of_member(run.name) if isinstance(step.subject, Stack) else step


def _trained(training: Run | Stack, settings: str = "settings") -> dict:
    """These settings of the run, or of each run of a stack."""
    if isinstance(training, Stack):
        return {"members": {run.name: getattr(run, settings) for run in training.members}}
    return {"run": getattr(training, settings)}


def _trained_kinds(training: Run | Stack | Trunk) -> Iterator[tuple[str, str]]:
    """The losses, the network and what else trains it."""
    yield from (("losses", run.settings["loss"]["kind"]) for run in training.members)
    yield from _network_kinds(training.experiment)
    yield from (
        (f"{part}s", training.experiment.config["training"][part]["kind"]) for part in ("optimizer", "schedule")
    )


def _network_kinds(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """The network and its head."""
    yield from ((f"{part}s", experiment.config[part]["kind"]) for part in ("network", "head"))


def place_of(pattern: str, subject: Run | Stack | Trunk | Choice) -> str:
    """A path with what the subject is called in it, and the place of its key."""
    names = {**vars(getattr(subject, "longest", subject)), **vars(subject)}
    experiment = subject.experiment
    return pattern.format_map({**names, "experiment": experiment.name, "tuned": experiment.tuned, "key": "{key}"})
