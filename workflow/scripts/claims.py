"""Rule claims: the verdict on each claim of the paper."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.claims.evidence import Evidence
    from equal_losses.claims.ledger import ledger, undecided
    from equal_losses.statistics import tables

    paths = zip(*(task.inputs[name] for name in ("runs", "equivalence", "alignment")), strict=True)
    evidence = {
        name: Evidence(*map(tables.read, three), thresholds=task.settings["thresholds"])
        for name, three in zip(task.settings["experiments"], paths, strict=True)
    }
    claims = ledger(evidence, tables.read(task.inputs["theory"][0]))
    for experiment, (missing, losses) in task.settings["missing"].items():
        claims = undecided(claims, experiment, missing, losses)
    tables.write(snakemake.output.claims, claims)
