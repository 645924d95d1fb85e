"""The section `theory` of a study as cases: settings that the steps are called with, one case after the other.

Penalties are given by two dimensionless numbers: `strength`, K c = K sqrt(n lambda_W lambda_H), which is 1 where cross
entropy collapses to the zero solution, and `penalty_ratio`, lambda_W / lambda_H. Nothing here imports NumPy, because it
is read at every start of the workflow.
"""

from collections.abc import Mapping

from equal_losses.running.errors import InputError


def theory_settings(config: Mapping) -> dict:
    """The section `theory` of a validated configuration, with the losses themselves in place of their names.

    Raises:
        InputError: for an unknown loss, a dimension that is not above the number of classes, or a rank above the
            dimension.
    """
    section, losses = config["theory"], config["losses"]
    for name in section["losses"] or ():
        if name not in losses:
            raise InputError(f"theory.losses: {name!r}; allowed, of logits alone: {', '.join(losses)}")
    lists = {f"theory.{part}.sizes": section[part]["sizes"] for part in ("minimise", "bias_sweep", "conjecture")}
    lists["theory.landscape"] = section["landscape"]
    sizes = {f"{place}[{index}]": size for place, entries in lists.items() for index, size in enumerate(entries)}
    for place, size in {**sizes, "theory.descent": section["descent"]}.items():
        classes, dim = size["classes"], size["dim"]
        if dim <= classes:
            raise InputError(
                f"{place}.dim: {dim}; allowed: above {classes}, the number of classes, as Theorem 1 assumes"
            )
        for rank in size.get("ranks") or ():
            if rank > dim:
                raise InputError(f"{place}.ranks: {rank}; allowed: 0 to {dim}, the feature dimension")
    return {**section, "losses": [{"name": name, **losses[name]} for name in section["losses"] or losses]}


def cases(settings: Mapping) -> dict[str, list[dict]]:
    """The cases of each step (see `theory.steps`), by the step's name; none for a step that does nothing here.

    Args:
        settings: as `theory_settings` returns them.
    """
    losses, minimise, bias_sweep, conjecture = (
        settings[part] for part in ("losses", "minimise", "bias_sweep", "conjecture")
    )
    contrastive = [{"loss": loss, **settings["contrastive_property"]} for loss in losses]
    landscape = [
        {"loss": loss, **entry}
        for entry in settings["landscape"]
        for loss in losses
        if entry["kinds"] is None or loss["kind"] in entry["kinds"]
    ]
    bias_sweeps = [
        {"loss": loss, **size, **bias_sweep}
        for size in bias_sweep["sizes"]
        for loss in losses
        if loss["kind"] in ("mse", "bce")  # a common shift of the logits changes them: the bias matters
    ]
    drawn_classes = {*settings["contrastive_property"]["classes"], *(size["classes"] for size in minimise["sizes"])}
    lines = {
        "losses": losses,
        "classes": sorted(drawn_classes),
        "bias_sweeps": bias_sweeps,
        "gammas": settings["focal_convexity"]["gammas"],
    }
    return {
        "minima": [{"loss": loss, **size, **minimise} for size in minimise["sizes"] for loss in losses],
        "conjecture": [{"loss": loss, **conjecture, **size} for loss in losses for size in conjecture["sizes"]],
        "theorem_1_bias": [{}],
        "spheres": [settings["spheres"]],
        "descent": [{"loss": loss, **settings["descent"]} for loss in losses],
        "bias_sweep": bias_sweeps,
        "critical_points": landscape,
        "starts": landscape,
        "definition": contrastive,
        "curves": contrastive,
        "bands": [case for case in contrastive if case["loss"]["kind"] in ("focal", "gce", "poly1", "sce")],
        "focal_convexity": [settings["focal_convexity"]],
        "geometry": [{"loss": loss, "classes": 3, "dim": 3, **settings["geometry"]} for loss in losses],
        "closed_forms": [lines],
    }
