"""Rules extract_features, extract_candidate and extract_stack: the weights of snapshots to what the metrics need."""

from pathlib import Path

from equal_losses.running.gpus import lease
from equal_losses.running.shell import job

compute = snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.metrics import extraction

    dataset, snapshots = PreparedDataset.open(task.inputs["dataset"][0]), Path(task.inputs["snapshots"][0])
    # A run that was trained by itself has its files in the folder of the training, a member of a stack in one below.
    members = task.settings.get("members") or {"": task.settings["run"]}
    written = [task.folder / name / "features.npz" for name in members]
    each = zip(members.items(), map(Path, task.inputs["best"]), written, strict=True)
    for place, ((name, settings), best, path) in enumerate(each):
        extraction.write_features(
            path,
            settings,
            dataset,
            extraction.snapshots_of_run(snapshots, best, task.settings["snapshot_epochs"], name and f"{place}/"),
            augmented=task.settings["augmented"],
            compute=compute,
        )
    task.seal(*(path for path in written if path not in task.outputs))
    if not snakemake.params.keep_snapshots:
        snapshots.unlink()
