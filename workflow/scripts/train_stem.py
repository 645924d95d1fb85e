"""Rule train_stem: the epochs that runs of several budgets share."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.devices import lease
from neural_collapse.jobs import Progress, job

if TYPE_CHECKING:
    from snakemake.script import snakemake

params, until = snakemake.params, int(snakemake.wildcards.to)

with job(snakemake.log[0]), lease(params.compute["device"]):
    from neural_collapse import runs
    from neural_collapse.preparation import PreparedDataset

    with runs.trained_segment(
        params.settings,
        PreparedDataset.open(snakemake.input.manifest),
        key=params.key,
        stem=next(map(Path, snakemake.input.stem), None),
        until=until,
        snapshot_epochs=params.snapshot_epochs,
        snapshots=Path(snakemake.output.snapshots),
        scratch=Path(params.scratch),
        report=lambda begin: Progress(params.settings["epochs"], begin, until),
        **params.compute,
    ) as state:
        state.save(snakemake.output.state)
