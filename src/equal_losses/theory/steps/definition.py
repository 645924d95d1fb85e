from collections.abc import Mapping

from equal_losses import losses
from equal_losses.theory.contrastive import check_contrastive


def definition(settings: Mapping) -> list[dict]:
    """What was tried of Definition 1: one row per number of classes, see `check_contrastive`."""
    loss, strength = settings["loss"], settings["strength"]
    return [
        {"loss": loss["name"], "kind": loss["kind"]}
        | check_contrastive(losses.build(loss), classes, settings["samples"], strength / classes, settings["seed"])
        for classes in settings["classes"]
    ]
