"""Rule train: one run, from the beginning or from a shared stem, to its end."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.jobs import Progress, job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse import runs
    from neural_collapse.preparation import PreparedDataset

    params, output = snakemake.params, snakemake.output
    dataset = PreparedDataset.open(snakemake.input.manifest)
    epochs = params.settings["epochs"]
    compute = {"device": params.device, "threads": snakemake.threads}
    state = runs.train_segment(
        params.settings,
        dataset,
        stem=Path(snakemake.input.stem) if "stem" in snakemake.input.keys() else None,  # noqa: SIM118
        until=epochs,
        snapshot_epochs=params.snapshot_epochs,
        snapshots=Path(output.snapshots),
        scratch=Path(params.scratch),
        report=lambda begin: Progress(epochs, begin, epochs),
        **compute,
    )
    runs.write_run(
        state,
        params.settings,
        dataset,
        identity=params.identity,
        history=Path(output.history),
        best=Path(output.best),
        final=Path(output.final),
        record=Path(output.run),
        **compute,
    )
