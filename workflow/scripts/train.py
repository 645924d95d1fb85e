"""Rule train: one run, from the beginning or from a shared stem, to its end."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.devices import lease
from neural_collapse.jobs import Progress, job

if TYPE_CHECKING:
    from snakemake.script import snakemake

params, output = snakemake.params, snakemake.output
compute = params.compute

with job(snakemake.log[0]), lease(compute["device"]):
    from neural_collapse import runs
    from neural_collapse.preparation import PreparedDataset

    dataset = PreparedDataset.open(snakemake.input.manifest)
    epochs = params.settings["epochs"]
    with runs.trained_segment(
        params.settings,
        dataset,
        key=params.key,
        stem=Path(snakemake.input.stem) if "stem" in snakemake.input.keys() else None,  # noqa: SIM118
        until=epochs,
        snapshot_epochs=params.snapshot_epochs,
        snapshots=Path(output.snapshots),
        scratch=Path(params.scratch),
        report=lambda begin: Progress(epochs, begin, epochs),
        **compute,
    ) as state:
        runs.write_run(
            state,
            params.settings,
            dataset,
            key=params.key,
            identity=params.identity,
            device=compute["device"],
            threads=compute["threads"],
            history=Path(output.history),
            best=Path(output.best),
            final=Path(output.final),
            record=Path(output.run),
        )
