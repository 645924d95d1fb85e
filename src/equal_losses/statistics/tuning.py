"""The choice of a setting among trained candidates, as the paper makes it for weight decay on CIFAR100 (Section 4)."""

from collections.abc import Iterable, Mapping
from statistics import fmean


def choose_candidate(records: Iterable[Mapping], tuned: str) -> dict:
    """The candidate with the best mean validation accuracy over the seeds; ties go to the first.

    Args:
        records: the run.json of every candidate at every seed, in the order of the configuration.
        tuned: the setting.

    Returns:
        chosen: the setting's name and value; mean_val_accuracy: of each candidate, in 0..1; scores: every single one.
    """
    scores = [
        {
            tuned: record["settings"][tuned],
            "seed": record["settings"]["seed"],
            "best_val_accuracy": record["best_val_accuracy"],
        }
        for record in records
    ]
    means = {
        value: fmean(score["best_val_accuracy"] for score in scores if score[tuned] == value)
        for value in dict.fromkeys(score[tuned] for score in scores)
    }
    return {
        "chosen": {tuned: max(means, key=means.get)},
        "mean_val_accuracy": [{tuned: value, "best_val_accuracy": mean} for value, mean in means.items()],
        "scores": scores,
    }
