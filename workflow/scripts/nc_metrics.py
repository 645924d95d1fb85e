"""Rule nc_metrics: the metrics of a run, a row a snapshot."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse import tables

    tables.write(snakemake.output.metrics, tables.metrics_of_snapshots(snakemake.input.features))
