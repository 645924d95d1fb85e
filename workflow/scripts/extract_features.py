"""Rules extract_features and extract_candidate: the weights of a run's snapshots to what the metrics need."""

from pathlib import Path

from equal_losses.running.gpus import lease
from equal_losses.running.shell import job

compute = snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.metrics import extraction

    snapshots, best = map(Path, snakemake.input.weights)
    extraction.write_features(
        Path(snakemake.output.features),
        task.settings["run"],
        PreparedDataset.open(snakemake.input.dataset[0]),
        extraction.snapshots_of_run(snapshots, best, task.settings["snapshot_epochs"]),
        augmented=task.settings["augmented"],
        compute=compute,
    )
    task.seal()
    if not snakemake.params.keep_snapshots:
        snapshots.unlink()
