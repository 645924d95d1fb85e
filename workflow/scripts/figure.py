"""Rule figure: one figure of an experiment, as PDF and PNG."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    import pandas as pd
    from neural_collapse import figures, plotstyle, tables

    parts = {name: pd.read_csv(path) for name, path in snakemake.input.items()}
    for name in parts.keys() & {"runs", "trajectories"}:
        tables.require_complete(parts[name])
    figure = getattr(figures, snakemake.wildcards.figure)(**parts)
    plotstyle.save(figure, snakemake.output.pdf, snakemake.output.png)
