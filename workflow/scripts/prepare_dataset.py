"""Rule prepare_dataset: a source of images to arrays and a manifest."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from pathlib import Path

    from equal_losses import datasets
    from equal_losses.datasets.prepared import prepare
    from equal_losses.running.errors import InputError

    source, files = dict(task.settings["source"]), task.settings["files"]
    kind = source.pop("kind")
    images = datasets.load(kind)(**source)
    root = Path(source.get("root") or "").expanduser()
    if files is not None and datasets.sizes(kind, root) != files:
        raise InputError(f"{root}: its files changed since the workflow was started; run the same command again")
    prepare(task.folder, images, sources=[root / name for name in files or ()], **task.settings["split"])
