"""What would go wrong later although every key of a configuration is right by itself, and what is worth a warning.

Nothing here needs PyTorch, and only `missing` looks at what is there, so that it is found at every start, before
anything runs.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, pairwise
from pathlib import Path

from equal_losses.running import gpus
from equal_losses.schedules.steps import decay_epochs
from equal_losses.study import kinds

# Text that pandas and others take for no text: for a missing value, a truth value or a number.
NO_NAMES = ("na", "nan", "null", "none", "true", "false", "inf", "infinity")
# Numbers closer than this are one, whatever was meant.
CLOSEST = 1e-6


def mistakes(config: Mapping) -> Iterator[str]:
    """A line for each mistake of a completed configuration."""
    for section in ("losses", "datasets", "experiments"):
        yield from _names(section, config[section])
    for name, dataset in config["datasets"].items():
        yield from _test_part(f"datasets.{name}.test_fraction", dataset)
    for name, experiment in config["experiments"].items():
        yield from _experiment(f"experiments.{name}", experiment, config["datasets"][experiment["dataset"]])
        yield from _what_losses_ask_for(f"experiments.{name}", experiment, config["losses"])
    for index, entry in enumerate(config["theory"]["landscape"]):
        for kind in set(entry["kinds"] or ()) - set(kinds.kinds("losses")):
            yield f"theory.landscape[{index}].kinds: {kind!r}; allowed: {', '.join(kinds.kinds('losses'))}"
    if sum(value > 0 for value in config["theory"]["bias_sweep"]["lambda_b"]) < 2:
        yield f"theory.bias_sweep.lambda_b: {config['theory']['bias_sweep']['lambda_b']}; expected two or more above 0"


def missing(
    config: Mapping, listings: Mapping[str, Mapping], directory: Path, *, runs_here: bool = True
) -> Iterator[str]:
    """A line for each thing that a plan does not need and a run does: images, and the GPU where jobs run here."""
    yield from missing_images(config, listings, directory)
    if config["compute"]["device"] == "cuda" and runs_here and not gpus.visible_devices():
        yield "compute.device: cuda; no GPU is here; expected a machine with one, or auto or cpu"


def missing_images(config: Mapping, listings: Mapping[str, Mapping], directory: Path) -> Iterator[str]:
    """A line for each dataset whose local files are not there, or do not have the part that is asked for.

    Args:
        config: a completed configuration.
        listings: of datasets with a `root`, names of their files (see `listing`).
        directory: where the workflow runs.
    """
    used = {experiment["dataset"] for experiment in config["experiments"].values()}
    for name in sorted(used & listings.keys()):
        dataset, files = config["datasets"][name], listings[name]
        if not files:
            folder = directory / Path(dataset["root"]).expanduser()
            what = f"no file of kind {dataset['kind']} in it" if folder.is_dir() else "no such folder"
            yield f"datasets.{name}.root: {dataset['root']}: {what}; expected the folder that has the files"
            continue
        in_folders = all(len(Path(file).parts) > 1 for file in files)
        if in_folders and kinds.constant("datasets", dataset["kind"], "SIZE") is None:
            has_part = any(Path(file).parts[0] == "test" for file in files)
            yield from _fraction(f"datasets.{name}.test_fraction", dataset["test_fraction"], has_part)


def warnings(config: Mapping) -> list[str]:
    """Lines on what is allowed but hardly meant, or outside the paper's assumptions.

    Theorem 1 assumes K < d. Where a dataset or network does not fix K or d beforehand, nothing is said.
    """
    lines = []
    for name, experiment in config["experiments"].items():
        classes = kinds.constant("datasets", config["datasets"][experiment["dataset"]]["kind"], "CLASSES") or 0
        for width in experiment["widths"]:
            d = _feature_dimension(experiment, width)
            if classes >= d:
                lines.append(
                    f"experiments.{name}.widths: {width:g} gives features of dimension {d} for {classes} classes; "
                    f"Theorem 1 assumes fewer classes than dimensions"
                )
        lines += _close(f"experiments.{name}.widths", experiment["widths"])
        for key, value in experiment["training"].items():
            if isinstance(value, Mapping) and "candidates" in value:
                lines += _close(f"experiments.{name}.training.{key}.candidates", value["candidates"])
        schedule = experiment["training"]["schedule"]
        for epochs in experiment["epochs"] if schedule["kind"] == "steps" else []:
            ends = decay_epochs(epochs, schedule["at"], schedule["shift"])
            # A decay at an epoch that another one has, or before the first or after the last epoch, is none.
            if any(end in (0, epochs) for end in ends) or any(a == b for a, b in pairwise(sorted(ends))):
                lines.append(
                    f"experiments.{name}.epochs: {epochs} is too short for its decays, which fall on the ends of the "
                    f"epochs {', '.join(map(str, ends))}; the learning rate is not what the schedule says"
                )
    return lines


def _names(section: str, names: Iterable[str]) -> Iterator[str]:
    by_case: dict[str, str] = {}
    for name in names:
        if name.casefold() in NO_NAMES:
            yield f"{section}: name {name!r}; tables read it as a missing value or a number; expected another name"
        other = by_case.setdefault(name.casefold(), name)
        if other != name:
            yield f"{section}: names {other!r} and {name!r} differ in case alone; expected names that differ otherwise"


def _test_part(place: str, dataset: Mapping) -> Iterator[str]:
    size = kinds.constant("datasets", dataset["kind"], "SIZE")
    if size is not None:
        yield from _fraction(place, dataset["test_fraction"], has_part=size[1] > 0)


def _fraction(place: str, fraction: float | None, has_part: bool) -> Iterator[str]:
    if has_part and fraction is not None:
        yield f"{place}: {fraction}; this dataset has a test part of its own; expected null"
    if not has_part and fraction is None:
        yield f"{place}: missing; this dataset has no test part; expected a share between 0 and 1"


def _experiment(place: str, experiment: Mapping, dataset: Mapping) -> Iterator[str]:
    training = experiment["training"]
    snapshots, longest = experiment["snapshots"], max(experiment["epochs"])
    for epoch in snapshots if isinstance(snapshots, list) else []:
        if epoch > longest:
            yield f"{place}.snapshots: {epoch}; expected epochs of the longest budget, at most {longest}"
    warmup, shortest = training["schedule"].get("warmup", 0), min(experiment["epochs"])
    if warmup >= shortest:
        yield f"{place}.training.schedule.warmup: {warmup}; expected less than the shortest budget, {shortest}"
    optimizer = training["optimizer"]
    if optimizer.get("nesterov") and optimizer.get("momentum") == 0:
        yield f"{place}.training.optimizer.nesterov: True with a momentum of 0; expected false, or a momentum above 0"
    channels, side = _images(dataset)
    for key in ("normalization", "test_normalization"):
        for part, values in (training[key] or {}).items():
            if channels is not None and len(values) not in (1, channels):
                numbers = f"{len(values)} numbers for {channels} channels; expected {channels}"
                yield f"{place}.training.{key}.{part}: {numbers}"
    padding = training["crop_padding"]
    if side is not None and padding >= side:
        yield f"{place}.training.crop_padding: {padding}; expected less than the {side} pixels of an image"


def _what_losses_ask_for(place: str, experiment: Mapping, losses: Mapping) -> Iterator[str]:
    given = {head: ("features", *(kinds.constant("heads", head, "GIVES") or ())) for head in kinds.kinds("heads")}
    head = experiment["head"]["kind"]
    for index, name in enumerate(experiment["losses"]):
        kind = losses[name]["kind"]
        for asked in kinds.asked(kind):
            if asked not in given[head]:
                allowed = ", ".join(other for other in given if asked in given[other])
                what = f"{name!r} (kind {kind}) asks for {asked}, which the head {head} does not give"
                yield f"{place}.losses[{index}]: {what}; allowed with: {allowed}"


def _close(place: str, numbers: Iterable[float]) -> Iterator[str]:
    for first, second in combinations(numbers, 2):
        if math.isclose(first, second, rel_tol=CLOSEST):
            yield f"{place}: {first!r} and {second!r} are as good as equal, and trained one by one"


def _feature_dimension(experiment: Mapping, width: float) -> float:
    """The dimension of the features, infinite where the network does not fix it."""
    known = kinds.constant("networks", experiment["network"]["kind"], "FEATURE_DIMENSION")
    dimension, scales = known or (math.inf, False)
    return max(1, round(dimension * width)) if scales else dimension


def _images(dataset: Mapping) -> tuple[int | None, int | None]:
    """Channels and the shorter side of an image, None where they are not known beforehand."""
    *_, height, width, channels = kinds.constant("datasets", dataset["kind"], "SIZE") or (None, None, None)
    if height is None:
        return kinds.constant("datasets", dataset["kind"], "CHANNELS"), dataset.get("size")
    return channels, dataset.get("size") or min(height, width)
