"""Rule train: one run, from the beginning or from a shared stem, to its end."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.jobs import Progress, job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse import runs
    from neural_collapse.files import read_json
    from neural_collapse.preparation import PreparedDataset

    params, output, source = snakemake.params, snakemake.output, snakemake.input
    dataset = PreparedDataset.open(source.manifest)
    settings = dict(params.settings)
    if "choice" in source.keys():  # noqa: SIM118
        settings["weight_decay"] = read_json(source.choice)["weight_decay"]
    epochs = settings["epochs"]
    compute = {"device": params.device, "threads": snakemake.threads}
    state = runs.train_segment(
        settings,
        dataset,
        stem=Path(source.stem) if "stem" in source.keys() else None,  # noqa: SIM118
        until=epochs,
        snapshot_epochs=params.snapshot_epochs,
        snapshots=Path(output.snapshots),
        scratch=Path(params.scratch),
        report=lambda begin: Progress(epochs, begin, epochs),
        **compute,
    )
    runs.write_run(
        state,
        settings,
        dataset,
        identity=params.identity,
        history=Path(output.history),
        best=Path(output.best),
        final=Path(output.final),
        record=Path(output.run),
        **compute,
    )
