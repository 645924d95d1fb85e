"""A small experiment as its runs leave it: 2 losses x 2 widths x 2 budgets x 2 seeds."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import pandas as pd

from equal_losses.metrics.alignment import UNTRAINED
from equal_losses.running.files import write_json
from equal_losses.statistics import tables

METRICS = ("nc1", "nc2", "nc3", "nc2_centered", "nc3_centered", "nc4")


def runs_on_disk(folder: Path, losses: tuple[str, str] = ("CE", "MSE")) -> dict[str, list]:
    """Write what every run leaves, and return the arguments of `tables.collect`."""
    arguments = {"identities": [], "records": [], "metrics": [], "places": [], "folders": []}
    grid = product(losses, (0.5, 1), (4, 8), (1, 2))
    for number, (loss, width, epochs, seed) in enumerate(grid, start=1):
        run = folder / str(number)
        write_json(run / "run.json", {"settings": {"weight_decay": 5e-4, "learning_rate": 0.1}, "train_seconds": 10.0})
        rows = [
            {"snapshot": str(epoch), "epoch": epoch, "accuracy_train": 1.0, "accuracy_val": 0.9}
            | {"accuracy_test": 0.8 + epoch / 100 + number / 1000}
            | dict.fromkeys(METRICS, 1 / (1 + epoch))
            for epoch in (0, epochs // 2, epochs)
        ]
        snapshots = pd.DataFrame([*rows, {**rows[1], "snapshot": tables.BEST}])
        tables.write(run / "nc_metrics.csv", snapshots.assign(place=0))
        identity = {"experiment": "toy", "dataset": "digits", "network": "small_resnet"}
        identity |= {"loss": loss, "width": width, "epochs": epochs, "seed": seed}
        arguments["identities"].append(identity)
        arguments["records"].append(run / "run.json")
        arguments["metrics"].append(run / "nc_metrics.csv")
        arguments["places"].append(0)
        arguments["folders"].append(str(run))
    return arguments


def alignment_of(runs: pd.DataFrame) -> pd.DataFrame:
    """A table `alignment` of the runs' largest configuration."""
    largest = runs[(runs["width"] == runs["width"].max()) & (runs["epochs"] == runs["epochs"].max())]
    models = list(largest[["loss", "seed"]].itertuples(index=False, name=None))
    pairs = [("untrained", *model, UNTRAINED, model[1]) for model in models]
    for (first, one), (second, other) in combinations(models, 2):
        comparison = "seeds" if first == second else "losses" if one == other else "losses_other_seed"
        pairs.append((comparison, first, one, second, other))
    rows = [
        ("toy", "digits", "small_resnet", 1, 8, split, part, *pair, 0.5 + 0.01 * number, 1.0)
        for split in ("train", "test")
        for part in ("features", "class_means", "within_class")
        for number, pair in enumerate(pairs)
    ]
    names = "experiment dataset network width epochs split part comparison "
    names += "first_loss first_seed second_loss second_seed cka procrustes"
    return pd.DataFrame(rows, columns=names.split())
