"""Rules link_run and link_features: files of a run that was trained as chosen, linked."""

from pathlib import Path

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.running.files import link_or_copy, read_json
    from equal_losses.running.records import check

    place = 0
    if "choice" in task.inputs:
        place = task.settings["candidates"].index(read_json(task.inputs["choice"][0])["chosen"])
    folder = Path(task.inputs["sources"][place]).parent
    for target in map(Path, snakemake.output):
        if target != task.record:
            check(folder / target.name, task.ingredients["inputs"]["sources"][place])
            link_or_copy(folder / target.name, target)
