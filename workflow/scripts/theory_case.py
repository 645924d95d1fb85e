"""Rules theory_*: one case of a step of the theory, to its tables."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    import pandas as pd
    import torch
    from neural_collapse import tables, theory_runs

    torch.set_num_threads(snakemake.threads)
    results = getattr(theory_runs, snakemake.params.step)(snakemake.params.settings)
    for path, rows in zip(snakemake.output, results if isinstance(results, tuple) else [results], strict=True):
        tables.write(path, pd.DataFrame(rows))
