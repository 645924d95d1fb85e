"""Rule extract_features: the weights of a run's snapshots to what the metrics need."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.devices import lease
from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

params, source = snakemake.params, snakemake.input

with job(snakemake.log[0]), lease(params.compute["device"]):
    import numpy as np
    from neural_collapse import features, runs, training
    from neural_collapse.files import atomic_path
    from neural_collapse.preparation import PreparedDataset

    with training.reproducible(params.compute["threads"]):
        arrays = features.extract(
            params.settings,
            PreparedDataset.open(source.manifest),
            runs.snapshot_files(
                params.snapshot_epochs,
                [source.snapshots, *source.stem_snapshots],
                Path(source.final),
                Path(source.best),
            ),
            device=training.resolve_device(params.compute["device"]),
            augmented=params.augmented,
        )
    with atomic_path(snakemake.output.features) as temporary:
        np.savez(temporary, key=params.key, **arrays)
