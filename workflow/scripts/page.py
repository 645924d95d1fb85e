"""Rule page: the page for readers."""

from itertools import islice
from pathlib import Path

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.page import page
    from equal_losses.running.sources import ROOT

    def at(paths, figures):
        return [{**figure, "path": path} for figure, path in zip(figures, paths, strict=False)]

    templates = ROOT / task.settings["templates"]
    names = ("tables", "figures", "records", "datasets")
    tables, figures, records, datasets = (iter(task.inputs[name]) for name in names)
    sections = [
        {
            "name": section["name"],
            "paths": dict(zip(section["tables"], tables, strict=False)),
            "figures": at(figures, section["figures"]),
            "records": list(islice(records, section["runs"])),
            "dataset": next(datasets),
            "missing": section["missing"],
        }
        for section in task.settings["sections"]
    ]
    page.write(
        snakemake.output.page,
        templates=templates,
        sections=sections,
        claims=task.inputs["claims"][0],
        theory=at(task.inputs["theory"], task.settings["theory"]),
        command=snakemake.params.command,
    )
    # The page that compares the studies belongs to none of them, and is made again with that of each.
    page.write_index(Path(snakemake.output.page).parents[1], templates=templates)
