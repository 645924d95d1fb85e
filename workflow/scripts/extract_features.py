"""Rule extract_features: the weights of a run's snapshots, or of several runs', to what the metrics need."""

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

    dataset = PreparedDataset.open(source.manifest)
    device = training.resolve_device(params.compute["device"])
    count = len(params.settings)
    for index, path in enumerate(snakemake.output.features):
        with training.reproducible(params.compute["threads"]):
            arrays = features.extract(
                params.settings[index],
                dataset,
                runs.snapshot_files(
                    params.snapshot_epochs,
                    # Of stems there are as many folders of each run, in the order of the runs.
                    [source.snapshots[index], *source.stem_snapshots[index::count]],
                    Path(source.final[index]),
                    Path(source.best[index]),
                ),
                device=device,
                augmented=params.augmented,
            )
        with atomic_path(path) as temporary:
            np.savez(temporary, key=params.key[index], **arrays)
