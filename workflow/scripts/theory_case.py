"""Rule theory_case: one case of a table of the theory."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    import pandas as pd
    import torch

    from equal_losses.statistics import tables
    from equal_losses.theory import steps

    torch.set_num_threads(snakemake.threads)
    rows = steps.load(snakemake.wildcards.table)(task.settings)
    tables.write(snakemake.output.rows, pd.DataFrame(rows))
