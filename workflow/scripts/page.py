"""Rule page: the page for readers."""

from itertools import islice

from equal_losses.running.shell import job

source = snakemake.input

with job(snakemake) as task:
    from equal_losses.page import page
    from equal_losses.running.sources import ROOT

    def at(paths, figures):
        return [{**figure, "path": path} for figure, path in zip(figures, paths, strict=False)]

    tables, figures, records = (iter(source.get(name, ())) for name in ("tables", "figures", "records"))
    sections = [
        {
            "name": section["name"],
            "tables": dict(zip(section["tables"], tables, strict=False)),
            "figures": at(figures, section["figures"]),
            "records": list(islice(records, section["runs"])),
        }
        for section in task.settings["sections"]
    ]
    page.write(
        snakemake.output.page,
        template=ROOT / task.settings["template"],
        sections=sections,
        claims=source.claims[0],
        theory=at(source.get("theory", ()), task.settings["theory"]),
        command=snakemake.params.command,
    )
