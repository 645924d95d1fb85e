"""Rule train_stem: the epochs that runs of several budgets share; of one run of each budget, or of several as one."""

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
        keys=params.key,
        stems=[Path(stem) for stem in snakemake.input.stem],
        until=until,
        snapshot_epochs=params.snapshot_epochs,
        snapshots=[Path(folder) for folder in snakemake.output.snapshots],
        scratch=Path(params.scratch),
        report=lambda begin: Progress(params.settings[0]["epochs"], begin, until, params.names),
        **params.compute,
    ) as states:
        for state, path in zip(states, snakemake.output.state, strict=True):
            state.save(path)
