"""Rule compare: how sure the equality of the accuracies is, and whether collapse predicts them."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.statistics import tables
    from equal_losses.statistics.correlation import collapse_and_accuracy
    from equal_losses.statistics.equivalence import pairwise_equivalence

    runs = tables.read(snakemake.input.runs[0], tables.COLUMNS["runs"])
    tables.require_complete(runs)
    chosen = task.settings
    pairs = pairwise_equivalence(runs, margin=chosen["margin"], significance=chosen["significance"])
    correlation = collapse_and_accuracy(
        runs, significance=chosen["significance"], resamples=chosen["resamples"], seed=chosen["seed"]
    )
    tables.write(snakemake.output.equivalence, pairs)
    tables.write(snakemake.output.correlation, correlation)
