"""Rule prepare_dataset: a source of images to arrays and a manifest."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from pathlib import Path

    from equal_losses import datasets
    from equal_losses.datasets.prepared import prepare

    source = dict(task.settings["source"])
    images = datasets.load(source.pop("kind"))(**source)
    files = [Path(source["root"]).expanduser() / name for name in task.settings["files"] or ()]
    prepare(task.folder, images, sources=files, **task.settings["split"])
