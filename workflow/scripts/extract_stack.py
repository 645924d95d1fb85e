"""Rule extract_stack: the weights of the snapshots of runs that were trained as one to what the metrics need."""

from pathlib import Path

from equal_losses.running.gpus import lease
from equal_losses.running.records import check
from equal_losses.running.shell import job

compute = snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.metrics import extraction

    dataset = PreparedDataset.open(snakemake.input.dataset[0])
    snapshots, record = map(Path, snakemake.input.weights)
    written = []
    for place, (name, settings) in enumerate(task.settings["members"].items()):
        best = record.parent / name / "best.safetensors"
        check(best, task.ingredients["inputs"]["weights"])
        written.append(task.folder / name / "features.npz")
        extraction.write_features(
            written[-1],
            settings,
            dataset,
            extraction.snapshots_of_run(snapshots, best, task.settings["snapshot_epochs"], f"{place}/"),
            augmented=task.settings["augmented"],
            compute=compute,
        )
    task.seal(*written)
    if not snakemake.params.keep_snapshots:
        snapshots.unlink()
