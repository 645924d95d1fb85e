"""Rule train_stem: the epochs that runs of several budgets share."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.jobs import Progress, job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse import runs
    from neural_collapse.preparation import PreparedDataset

    params, until = snakemake.params, int(snakemake.wildcards.to)
    state = runs.train_segment(
        params.settings,
        PreparedDataset.open(snakemake.input.manifest),
        stem=Path(snakemake.input.stem) if "stem" in snakemake.input.keys() else None,  # noqa: SIM118
        until=until,
        snapshot_epochs=params.snapshot_epochs,
        snapshots=Path(snakemake.output.snapshots),
        scratch=Path(params.scratch),
        device=params.device,
        threads=snakemake.threads,
        report=lambda begin: Progress(params.settings["epochs"], begin, until),
    )
    state.save(snakemake.output.state)
