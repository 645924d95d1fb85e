"""Rule table: a table of an experiment that is made from its other tables."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses import statistics
    from equal_losses.statistics import tables

    parts = {name: tables.read(path) for name, (path,) in task.inputs.items()}
    for name in parts.keys() & {"runs", "trajectories"}:
        tables.require_complete(parts[name])
    table = statistics.load(task.settings["table"])(**parts, **task.settings["options"])
    tables.write(snakemake.output.table, table)
