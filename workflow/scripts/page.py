"""Rules page and report: the page for readers, the latter with Snakemake's own report in it."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

params, source = snakemake.params, snakemake.input

with job(snakemake.log[0]):
    import pandas as pd
    from neural_collapse import page

    def images(figures):
        return [page.FigureImage(each["name"], Path(each["path"]), each["caption"]) for each in figures]

    sections = [
        page.Section.read(section["name"], section["tables"], images(section["figures"]), section["records"])
        for section in params.sections
    ]
    explorer = source.get("explorer")
    page.write(
        snakemake.output.page,
        sections=sections,
        ledger=pd.read_csv(source.claims),
        theory=images(params.theory),
        command=params.command,
        explorer=None if explorer is None else Path(explorer).read_text(encoding="utf-8"),
    )
