"""The choice of a weight decay among trained candidates, as the paper makes it for CIFAR100 (Section 4)."""

from collections.abc import Iterable, Mapping
from statistics import fmean


def choose_weight_decay(records: Iterable[Mapping]) -> dict:
    """The candidate with the best mean validation accuracy over the seeds; ties go to the first.

    Args:
        records: the run.json of every candidate at every seed, in the order of the configuration.

    Returns:
        weight_decay: the choice; mean_val_accuracy: of each candidate, in 0..1; scores: every single one.
    """
    scores = [
        {
            "weight_decay": record["settings"]["weight_decay"],
            "seed": record["settings"]["seed"],
            "best_val_accuracy": record["best_val_accuracy"],
        }
        for record in records
    ]
    means = {
        decay: fmean(score["best_val_accuracy"] for score in scores if score["weight_decay"] == decay)
        for decay in dict.fromkeys(score["weight_decay"] for score in scores)
    }
    return {
        "weight_decay": max(means, key=means.get),
        "mean_val_accuracy": [{"weight_decay": decay, "best_val_accuracy": mean} for decay, mean in means.items()],
        "scores": scores,
    }
