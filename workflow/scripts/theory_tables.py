"""Rule theory_tables: the tables of all steps of the theory, and one row per statement."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    import torch

    from equal_losses.statistics import tables
    from equal_losses.theory import steps

    torch.set_num_threads(snakemake.threads)
    computed = steps.tables(task.settings)
    for path in task.outputs:
        tables.write(path, computed[path.stem])
