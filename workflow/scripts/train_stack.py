"""Rules train_stack and train_stack_trunk: several runs as one, from a trunk or from the beginning."""

from equal_losses.running.gpus import lease
from equal_losses.running.shell import job

compute = snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    from functools import partial

    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.training.job import train_runs
    from equal_losses.training.together import train_together

    dataset, members = PreparedDataset.open(task.inputs["dataset"][0]), task.settings["members"]
    train_runs(task, partial(train_together, members, dataset), dataset, members, task.inputs.get("trunk"), compute)
