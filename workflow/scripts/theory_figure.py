"""Rules theory_figure_*: one figure of the theory, as PDF and PNG."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    import pandas as pd
    from neural_collapse import plotstyle, theory_figures

    draw = getattr(theory_figures, snakemake.params.figure)
    figure = draw(*(pd.read_csv(path) for path in snakemake.input))
    plotstyle.save(figure, snakemake.output.pdf, snakemake.output.png)
