"""Rule align_features: whether the models of an experiment have the same features up to a rotation and a scale."""

from pathlib import Path
from tempfile import TemporaryDirectory

from equal_losses.running.gpus import lease
from equal_losses.running.shell import job

compute = snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    import pandas as pd

    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.metrics import alignment, extraction
    from equal_losses.statistics import tables
    from equal_losses.training.numerics import reproducible, resolve_device

    dataset = PreparedDataset.open(task.inputs["dataset"][0])
    device = resolve_device(compute["device"])
    runs = task.settings["runs"]
    largest = {
        "experiment": task.settings["experiment"],
        "dataset": task.settings["dataset"],
        "network": runs[0]["network"]["kind"],
        "width": runs[0]["network"]["width"],
        "epochs": runs[0]["epochs"],
    }
    models = {}
    for loss, settings, final in zip(task.settings["losses"], runs, task.inputs["final"], strict=True):
        models[loss, settings["seed"]] = (settings, final)
        models[None, settings["seed"]] = (settings, None)  # the same for every loss
    pairs = [(comparison, tuple(first), tuple(second)) for comparison, first, second in task.settings["pairs"]]
    rows = []
    for split in ("train", "test"):
        # The features of one split at a time, because those of all models together are large.
        with TemporaryDirectory(dir=snakemake.resources.tmpdir) as folder:
            with reproducible(compute["threads"]):
                features = extraction.mapped_features(models, dataset, split, Path(folder), device=device)
            compared = alignment.compare_models(features, dataset.labels(split), pairs)
            rows += [{**largest, "split": split, **row} for row in compared]
    tables.write(snakemake.output.alignment, pd.DataFrame(rows, columns=tables.COLUMNS["alignment"]))
