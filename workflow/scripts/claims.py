"""Rule claims: the verdict on each claim of the paper."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

source = snakemake.input

with job(snakemake.log[0]):
    import pandas as pd
    from neural_collapse import tables
    from neural_collapse.claims import Evidence, ledger

    paths = zip(source.runs, source.equivalence, source.alignment, strict=True)
    evidence = {
        name: Evidence(*map(pd.read_csv, three), thresholds=snakemake.params.thresholds)
        for name, three in zip(snakemake.params.experiments, paths, strict=True)
    }
    tables.write(snakemake.output.claims, ledger(evidence, pd.read_csv(source.theory)))
