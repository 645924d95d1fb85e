"""Rule figure: one figure of an experiment, as PDF and PNG."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    import pandas as pd
    from neural_collapse import figures, plotstyle, tables

    runs, trajectories = (pd.read_csv(path) for path in (snakemake.input.runs, snakemake.input.trajectories))
    tables.require_complete(runs)
    figure = getattr(figures, snakemake.wildcards.figure)(runs, trajectories)
    plotstyle.save(figure, snakemake.output.pdf)
    plotstyle.save(figure, snakemake.output.png)
