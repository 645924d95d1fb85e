"""Rule collect: the tables of an experiment."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.statistics import tables

    runs, trajectories = tables.collect(
        task.settings["identities"], snakemake.input.records, snakemake.input.metrics, task.settings["folders"]
    )
    tables.write(snakemake.output.runs, runs)
    tables.write(snakemake.output.trajectories, trajectories)
