"""Rule train: one run, from the beginning or from a shared stem, to its end."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.devices import lease
from neural_collapse.jobs import Progress, job

if TYPE_CHECKING:
    from snakemake.script import snakemake

params, output, source = snakemake.params, snakemake.output, snakemake.input
compute = params.compute

with job(snakemake.log[0]), lease(compute["device"]):
    from neural_collapse import runs
    from neural_collapse.files import read_json
    from neural_collapse.preparation import PreparedDataset

    dataset = PreparedDataset.open(source.manifest)
    settings = dict(params.settings)
    if "choice" in source.keys():  # noqa: SIM118
        settings["weight_decay"] = read_json(source.choice)["weight_decay"]
    epochs = settings["epochs"]
    with runs.trained_segment(
        settings,
        dataset,
        key=params.key,
        stem=next(map(Path, source.stem), None),
        until=epochs,
        snapshot_epochs=params.snapshot_epochs,
        snapshots=Path(output.snapshots),
        scratch=Path(params.scratch),
        report=lambda begin: Progress(epochs, begin, epochs),
        **compute,
    ) as state:
        runs.write_run(
            state,
            settings,
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
