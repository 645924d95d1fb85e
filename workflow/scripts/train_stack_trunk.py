"""Rule train_stack_trunk: the epochs that stacks of several budgets share."""

from equal_losses.running.gpus import lease
from equal_losses.running.shell import job

source, compute = snakemake.input, snakemake.params.compute

with job(snakemake) as task, lease(compute["device"]):
    from equal_losses.datasets.prepared import PreparedDataset
    from equal_losses.training.stack_job import train_stack_trunk

    train_stack_trunk(task, PreparedDataset.open(source.dataset[0]), source.get("trunk"), compute)
