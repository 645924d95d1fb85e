"""Rule evidence: how sure the equality of the accuracies is, and whether collapse predicts them."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

comparison = snakemake.params.comparison

with job(snakemake.log[0]):
    import pandas as pd
    from neural_collapse import equivalence, tables

    runs = pd.read_csv(snakemake.input.runs)
    tables.require_complete(runs)
    significance = comparison["significance"]
    pairs = equivalence.pairwise_equivalence(runs, margin=comparison["margin"], significance=significance)
    correlation = equivalence.collapse_and_accuracy(
        runs, significance=significance, resamples=comparison["resamples"], seed=comparison["seed"]
    )
    tables.write(snakemake.output.equivalence, pairs)
    tables.write(snakemake.output.correlation, correlation)
