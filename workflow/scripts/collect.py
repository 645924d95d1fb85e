"""Rule collect: the tables of an experiment."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse import tables

    runs, trajectories = tables.collect(snakemake.input.runs, snakemake.input.metrics)
    tables.write(snakemake.output.runs, runs)
    tables.write(snakemake.output.trajectories, trajectories)
