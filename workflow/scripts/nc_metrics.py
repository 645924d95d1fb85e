"""Rule nc_metrics: the metrics of a run, one row per snapshot."""

from equal_losses.running.shell import job

with job(snakemake):
    from equal_losses.statistics import tables

    tables.write(snakemake.output.metrics, tables.metrics_of_snapshots(snakemake.input.features[0]))
