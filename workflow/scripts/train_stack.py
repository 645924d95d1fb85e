"""Rule train_stack: several runs as one, from a trunk or from the beginning, to their end."""

from equal_losses.running.gpus import lease
from equal_losses.running.shell import job

source, compute = snakemake.input, snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.training.stack_job import train_stack

    train_stack(task, PreparedDataset.open(source.dataset[0]), source.get("trunk"), compute)
