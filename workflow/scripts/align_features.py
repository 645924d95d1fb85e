"""Rule align_features: whether the models of an experiment have the same features up to a rotation and a scale.

A row a pair of models, a split and a part of the features (see `alignment`). Columns: experiment, width and epochs (the
largest), comparison (see `Experiment.alignments`), split (train, test), part (features, class_means, within_class),
first_loss, first_seed, second_loss ("untrained" where no loss was used), second_seed, cka (0..1), procrustes (0..2).
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from neural_collapse.devices import lease
from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

params, source = snakemake.params, snakemake.input

with job(snakemake.log[0]), lease(params.compute["device"]):
    import pandas as pd
    from neural_collapse import alignment, features, tables, training
    from neural_collapse.preparation import PreparedDataset

    dataset = PreparedDataset.open(source.manifest)
    device = training.resolve_device(params.compute["device"])
    models = {}
    for loss, settings, final in zip(params.losses, params.settings, source.final, strict=True):
        models[loss, settings["seed"]] = (settings, final)
        models[None, settings["seed"]] = (settings, None)  # the same for every loss
    largest = {
        "experiment": snakemake.wildcards.experiment,
        "width": params.settings[0]["network"]["width"],
        "epochs": params.settings[0]["epochs"],
    }
    rows = []
    for split in ("train", "test"):
        # The features of one split at a time, because those of all models together are large.
        with TemporaryDirectory(dir=snakemake.resources.tmpdir) as directory:
            with training.reproducible(params.compute["threads"]):
                mapped = features.mapped_features(models, dataset, split, Path(directory), device=device)
            labels = dataset.labels(split)
            compared = {model: alignment.ModelFeatures(array, labels) for model, array in mapped.items()}
            for comparison, first, second in params.pairs:
                for part, measures in alignment.compare(compared[first], compared[second]).items():
                    rows.append(
                        {
                            **largest,
                            "comparison": comparison,
                            "split": split,
                            "part": part,
                            "first_loss": first[0],
                            "first_seed": first[1],
                            "second_loss": second[0] or tables.UNTRAINED,
                            "second_seed": second[1],
                            **measures,
                        }
                    )
    tables.write(snakemake.output.alignment, pd.DataFrame(rows))
