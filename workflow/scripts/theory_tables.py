"""Rule theory_tables: the rows of all cases together, the closed forms, and one row per statement."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.statistics import tables
    from equal_losses.theory.statements import statements
    from equal_losses.theory.tables import closed_forms, joined

    results = {name: joined(map(tables.read, snakemake.input.get(name, []))) for name in task.settings["tables"]}
    results["closed_forms"] = closed_forms(task.settings["closed_forms"])
    results["statements"] = statements(results)
    for path in task.outputs:
        tables.write(path, results[path.stem])
