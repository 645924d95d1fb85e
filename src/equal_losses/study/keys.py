"""Every step of a study, and so every key.

A step's key is the digest of its ingredients: the settings that it uses, the code that it uses (see `fingerprints`) and
the keys of the steps before it. A job is given the settings of its step and nothing else that could change what it
computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from equal_losses.running import records
from equal_losses.study import kinds, paths
from equal_losses.study.configuration import TABLES
from equal_losses.study.fingerprints import Codebase
from equal_losses.study.grid import CHOSEN, Choice, Experiment, Run, Stack, Study, Trunk
from equal_losses.study.step import Input, Step, keys_of
from equal_losses.study.theory import TABLES as CASE_TABLES
from equal_losses.study.theory import loss_kinds

SCRIPTS = "workflow/scripts"
PAGE_TABLES = ("runs", "equivalence", "correlation")
PAGE_TEMPLATE = "workflow/report/page.html.jinja"
RECORD = records.RECORD

TRUNK_FILES = ("state.safetensors", "snapshots.safetensors", RECORD)
DATASET_FILES = (
    "manifest.json",
    *(f"{kind}_{split}.npy" for kind in ("images", "labels") for split in ("train", "val", "test")),
)
THEORY_TABLES = (*CASE_TABLES, "closed_forms", "statements")


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
        for name in ("dataset", "trunk", "training", "choice", "run", "features", "metrics", "table", "theory_case"):
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

    def dataset(self, name: str) -> Step:
        """A prepared dataset; its settings say where the images come from and how they are split."""
        source = self.study.dataset_source(name)
        settings = {"source": source, "split": self.study.dataset_split(name), "files": self._listings.get(name)}
        place = paths.DATASET.format(dataset=name, key="{key}")
        return self._step(place, "prepare_dataset.py", [("datasets", source["kind"])], settings, {}, name)

    def trunk(self, trunk: Trunk) -> Step:
        """The shared epochs of several budgets."""
        kind = _pattern(trunk.longest, paths.TRUNK, paths.CANDIDATE_TRUNK, paths.STACK_TRUNK)
        settings = {**_trained(trunk.longest), "to": trunk.to, "snapshot_epochs": trunk.snapshot_epochs}
        script = "train_stack_trunk.py" if isinstance(trunk.longest, Stack) else "train_trunk.py"
        step = self._training(trunk.longest, _filled(kind, trunk), script, settings, trunk)
        return self._from_trunk(step, trunk.parent)

    def training(self, training: Run | Stack) -> Step:
        """What is trained to its end: a run by itself, a candidate, what is chosen, or a stack."""
        kind = _pattern(training, paths.RUN, paths.CANDIDATE, paths.STACK)
        settings = {**_trained(training), "snapshot_epochs": training.snapshot_epochs}
        script = "train_stack.py" if isinstance(training, Stack) else "train.py"
        step = self._training(training, _filled(kind, training), script, settings, training)
        if isinstance(training, Run) and training.decay == CHOSEN:
            return self._with(step, choice=self.choice(training.choice).files("weight_decay.json"))
        return step if self._is_finished(step, training) else self._from_trunk(step, training.trunk)

    def choice(self, choice: Choice) -> Step:
        """A weight decay, chosen among the candidates."""
        records = [self.training(run).files("run.json") for run in choice.candidates]
        place = _filled(paths.CHOICE, choice)
        return self._step(place, "choose_weight_decay.py", [], {}, {"records": records}, choice)

    def run(self, run: Run) -> Step:
        """A run of the grid: trained by itself, or linked to where it was trained."""
        if not run.sources:
            return self.training(run)
        sources = [self.training(source) for source in run.sources]
        return self._link(_filled(paths.RUN, run), run, sources, {})

    def features(self, training: Run | Stack) -> Step:
        """The features of what was trained, or of a run of the grid that is linked, linked."""
        if isinstance(training, Run) and training.sources:
            run = self.run(training)
            sources = [self.features(source) for source in training.sources]
            return self._link(f"{run.path}/features/{{key}}", training, sources, {"run": run.files(RECORD)})
        return self._features(self.training(training), training)

    def metrics(self, run: Run) -> Step:
        """The NC metrics of a run's snapshots."""
        place = f"{self.run(run).path}/nc_metrics/{{key}}"
        inputs = {"features": self.features(run).files("features.npz")}
        return self._step(place, "nc_metrics.py", [], {}, inputs, run)

    def table(self, experiment: Experiment, name: str) -> Step:
        """A table of an experiment: of its runs, of their features, or made from other tables."""
        place = f"{paths.TABLES.format(experiment=experiment.name)}/{name}"
        if name in kinds.kinds("statistics"):
            return self._derived(place, experiment, name)
        return self._step(place, *(self._aligned if name == "alignment" else self._collected)(experiment), experiment)

    def figure(self, experiment: Experiment, name: str) -> Step:
        """A figure of an experiment."""
        tables = kinds.arguments("figures.experiment", name)
        inputs = {table: self.table(experiment, table).files(".csv") for table in tables}
        place = f"{paths.FIGURES.format(experiment=experiment.name)}/{name}"
        return self._figure(place, "figures.experiment", name, inputs, experiment)

    def theory_case(self, table: str, case: str) -> Step:
        """A case of a table of the theory."""
        settings = self.study.theory.cases[table][case]
        losses = [("losses", kind) for kind in loss_kinds(settings)]
        place = paths.THEORY_CASE.format(table=table, case=case, key="{key}")
        return self._step(place, "theory_case.py", [("theory.steps", table), *losses], settings, {}, (table, case))

    def theory_table(self, name: str) -> Step:
        """A table of the theory: the cases together, the closed forms, or the statements."""
        theory = self.study.theory
        inputs = {
            table: [self.theory_case(table, case).files(".csv") for case in cases]
            for table, cases in theory.cases.items()
        }
        place = f"{paths.THEORY_TABLES.format(study=self.study.name)}/{name}"
        settings = {"tables": list(CASE_TABLES), "closed_forms": theory.closed_form_settings}
        return self._step(
            place, "theory_tables.py", [], settings, {name: files for name, files in inputs.items() if files}
        )

    def theory_figure(self, name: str) -> Step:
        """A figure of the theory."""
        inputs = {table: self.theory_table(table).files(".csv") for table in kinds.arguments("figures.theory", name)}
        place = f"{paths.THEORY_FIGURES.format(study=self.study.name)}/{name}"
        return self._figure(place, "figures.theory", name, inputs, None)

    @cached_property
    def tables(self) -> list[Step]:
        """Every table of the experiments."""
        return [self.table(experiment, name) for experiment in self.study.experiments.values() for name in TABLES]

    @cached_property
    def figures(self) -> list[Step]:
        """Every figure of the experiments."""
        each = self.study.experiments.values()
        return [self.figure(experiment, name) for experiment in each for name in experiment.config["figures"]]

    @cached_property
    def theory_figures(self) -> list[Step]:
        """Every figure of the theory but those of which a table is empty, as that of MSE is in a study without MSE."""
        cases = self.study.theory.cases
        return [
            self.theory_figure(name)
            for name in kinds.kinds("figures.theory")
            if all(cases.get(table, True) for table in kinds.arguments("figures.theory", name))
        ]

    @cached_property
    def claims(self) -> Step:
        """The ledger of claims."""
        each = self.study.experiments.values()
        inputs = {
            **{
                name: [self.table(experiment, name).files(".csv") for experiment in each]
                for name in ("runs", "equivalence", "alignment")
            },
            "theory": self.theory_table("statements").files(".csv"),
        }
        settings = {"experiments": list(self.study.experiments), "thresholds": self.study.config["evidence"]}
        return self._step(f"{paths.STUDY.format(study=self.study.name)}/claims", "claims.py", [], settings, inputs)

    def page(self, content: dict) -> Step:
        """The page for readers.

        Args:
            content: what is on it beside tables and figures (see `page.content`).
        """
        each = self.study.experiments.values()
        inputs = {
            "claims": self.claims.files(".csv"),
            "tables": [self.table(experiment, name).files(".csv") for experiment in each for name in PAGE_TABLES],
            "figures": [step.files(".png") for step in self.figures],
            "records": [self.run(run).files("run.json") for experiment in each for run in experiment.runs],
            "theory": [step.files(".png") for step in self.theory_figures],
        }
        place = f"{paths.STUDY.format(study=self.study.name)}/report"
        return self._step(place, "page.py", [], content, inputs, None, PAGE_TEMPLATE)

    # How steps are made

    def _step(self, place, script, kind_names, settings, inputs, subject=None, *files) -> Step:
        roots = [f"{SCRIPTS}/{script}", *(kinds.source(*kind) for kind in sorted(set(kind_names))), *files]
        keys = {name: keys_of(each) for name, each in inputs.items()}
        ingredients = {"settings": settings, "code": self._codebase.code(*roots), "inputs": keys}
        return Step(place, ingredients, inputs, subject)

    def _with(self, step: Step, **inputs: Input) -> Step:
        """The step with inputs that count."""
        keys = step.ingredients["inputs"] | {name: keys_of(each) for name, each in inputs.items()}
        return Step(step.place, {**step.ingredients, "inputs": keys}, {**step.inputs, **inputs}, step.subject)

    def _from_trunk(self, step: Step, trunk: Trunk | None) -> Step:
        """The step with its trunk, which does not count, because it changes no bit of what comes of it."""
        if trunk is None:
            return step
        inputs = {**step.inputs, "trunk": self.trunk(trunk).files(*TRUNK_FILES)}
        return Step(step.place, step.ingredients, inputs, step.subject)

    def _training(self, training: Run | Stack, place: str, script: str, settings: dict, subject: Any) -> Step:
        runs = training.members if isinstance(training, Stack) else [training]
        used = [run.settings for run in runs]
        kind_names = [(package, each[option]["kind"]) for each in used for package, option in _TRAINED_KINDS]
        return self._step(place, script, kind_names, settings, self._images(training), subject)

    def _images(self, training: Run | Stack) -> dict[str, Input]:
        return {"dataset": self.dataset(training.experiment.dataset).files(*DATASET_FILES)}

    def _is_finished(self, step: Step, training: Run | Stack) -> bool:
        """Whether a training need not be done again, not even for its snapshots."""
        if not self.is_there(step.file(RECORD)):
            return False
        has_features = not isinstance(training, Run) or training.has_features
        snapshots = step.file("snapshots.safetensors")
        return (
            not has_features or self.is_there(snapshots) or self.is_there(self._features(step, training).file(RECORD))
        )

    def _features(self, step: Step, training: Run | Stack) -> Step:
        is_stack = isinstance(training, Stack)
        runs = {run.name: run.measured_settings for run in training.members} if is_stack else training.measured_settings
        settings = {
            "members" if is_stack else "run": runs,
            "snapshot_epochs": training.snapshot_epochs,
            "augmented": training.experiment.config["augmented_features"],
        }
        weights = ("snapshots.safetensors", RECORD) if is_stack else ("snapshots.safetensors", "best.safetensors")
        inputs = {**self._images(training), "weights": step.files(*weights)}
        script = "extract_stack.py" if is_stack else "extract_features.py"
        networks = [("networks", training.experiment.config["network"]["kind"])]
        return self._step(f"{step.path}/features/{{key}}", script, networks, settings, inputs, training)

    def _link(self, place: str, run: Run, sources: list[Step], inputs: dict[str, Input]) -> Step:
        inputs = {**inputs, "sources": [source.files(RECORD) for source in sources]}
        if run.choice and len(sources) > 1:
            inputs["choice"] = self.choice(run.choice).files("weight_decay.json")
        member = run.name if isinstance(run.sources[0], Stack) else None
        candidates = [source.decay for source in run.sources] if "choice" in inputs else None
        return self._step(place, "link.py", [], {"member": member, "candidates": candidates}, inputs, run)

    def _collected(self, experiment: Experiment) -> tuple[str, list, object, dict[str, Input]]:
        runs = experiment.runs
        settings = {
            "identities": [run.identity for run in runs],
            "folders": [self.run(run).path for run in runs],
        }
        inputs = {
            "records": [self.run(run).files("run.json") for run in runs],
            "metrics": [self.metrics(run).files(".csv") for run in runs],
        }
        return "collect.py", [], settings, inputs

    def _derived(self, place: str, experiment: Experiment, name: str) -> Step:
        evidence = self.study.config["evidence"]
        settings = {"table": name, "options": {key: evidence[key] for key in kinds.parameters("statistics", name)}}
        inputs = {each: self.table(experiment, each).files(".csv") for each in kinds.arguments("statistics", name)}
        return self._step(place, "table.py", [("statistics", name)], settings, inputs, experiment)

    def _aligned(self, experiment: Experiment) -> tuple[str, list, object, dict[str, Input]]:
        runs = experiment.largest_runs
        settings = {
            "experiment": experiment.name,
            "runs": [run.measured_settings for run in runs],
            "losses": [run.loss for run in runs],
            "pairs": experiment.model_pairs,
        }
        inputs = {**self._images(runs[0]), "final": [self.run(run).files("final.safetensors") for run in runs]}
        return "align_features.py", [("networks", experiment.config["network"]["kind"])], settings, inputs

    def _figure(self, place: str, package: str, name: str, inputs: dict[str, Input], subject: Any) -> Step:
        settings = {"package": package, "figure": name}
        return self._step(place, "figure.py", [(package, name)], settings, inputs, subject)

    def _all(self) -> Iterator[Step]:
        study = self.study
        yield from map(self.dataset, study.datasets)
        for experiment in study.experiments.values():
            yield from map(self.trunk, experiment.trunks)
            yield from map(self.training, experiment.trainings)
            yield from map(self.choice, experiment.choices)
            measured = (each for each in experiment.trainings if not isinstance(each, Run) or each.has_features)
            yield from map(self.features, measured)
            for run in experiment.runs:
                yield from (self.run(run), self.features(run), self.metrics(run))
        yield from self.tables
        yield from self.figures
        yield from (self.theory_case(table, case) for table, cases in study.theory.cases.items() for case in cases)
        yield from map(self.theory_table, THEORY_TABLES)
        yield from self.theory_figures
        yield self.claims


_TRAINED_KINDS = (("losses", "loss"), ("networks", "network"))


def _trained(training: Run | Stack) -> dict:
    """Settings of what is trained."""
    if isinstance(training, Stack):
        return {"members": {run.name: run.settings for run in training.members}}
    return {"run": training.settings}


def _pattern(training: Run | Stack, run: str, candidate: str, stack: str) -> str:
    """The pattern for a training of this sort."""
    if isinstance(training, Stack):
        return stack
    return run if training.decay is None else candidate


def _filled(pattern: str, subject: Run | Stack | Trunk | Choice) -> str:
    """A path with what the subject is called in it, and the place of its key."""
    if isinstance(subject, Trunk):
        return _filled(pattern.replace("{to}", str(subject.to)), subject.longest)
    named = {field.name: getattr(subject, field.name) for field in fields(subject)}
    named |= {"experiment": subject.experiment.name, "width": paths.number(subject.width), "key": "{key}"}
    if isinstance(named.get("decay"), int | float):
        named["decay"] = f"decay{paths.number(subject.decay)}"
    return pattern.format_map(named)
