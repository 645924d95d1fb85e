"""Rules train, train_candidate and those of their trunks: one run, from a trunk or from the beginning."""

from equal_losses.running.gpus import lease
from equal_losses.running.shell import job

compute = snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.running.files import read_json
    from equal_losses.training.job import train_run

    settings = task.settings["run"]
    if "choice" in task.inputs:
        settings = {**settings, **read_json(task.inputs["choice"][0])["chosen"]}
    dataset = PreparedDataset.open(task.inputs["dataset"][0])
    train_run(task, dataset, settings, task.inputs.get("trunk"), compute)
