"""Rules nc_metrics and nc_metrics_of_stack: the metrics of a run or of each run of a stack, one row per snapshot."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    import pandas as pd

    from equal_losses.statistics import tables

    each = map(tables.metrics_of_snapshots, task.inputs["features"])
    tables.write(snakemake.output.metrics, pd.concat(table.assign(place=place) for place, table in enumerate(each)))
