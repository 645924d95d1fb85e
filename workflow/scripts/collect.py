"""Rule collect: the tables of an experiment."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.statistics import tables

    runs, trajectories = tables.collect(**task.settings, **task.inputs)
    tables.write(snakemake.output.runs, runs)
    tables.write(snakemake.output.trajectories, trajectories)
