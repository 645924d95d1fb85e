"""Rules train, train_candidate and those of their trunks: one run, from a trunk or from the beginning."""

from equal_losses.running.gpus import lease
from equal_losses.running.shell import job

source, compute = snakemake.input, snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.running.files import read_json
    from equal_losses.training.job import train_run

    settings = task.settings["run"]
    if "choice" in source.keys():  # noqa: SIM118
        settings = {**settings, "weight_decay": read_json(source.choice[0])["weight_decay"]}
    train_run(task, PreparedDataset.open(source.dataset[0]), settings, source.get("trunk"), compute)
