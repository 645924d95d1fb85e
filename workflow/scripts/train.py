"""Rule train: a run, or several as one, from the beginning or from a shared stem, to its end."""

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
    members = [dict(settings) for settings in params.settings]
    if "choice" in source.keys():  # noqa: SIM118
        members[0]["weight_decay"] = read_json(source.choice)["weight_decay"]
    epochs = members[0]["epochs"]
    with runs.trained_segment(
        members,
        dataset,
        keys=params.key,
        stems=[Path(stem) for stem in source.stem],
        until=epochs,
        snapshot_epochs=params.snapshot_epochs,
        snapshots=[Path(folder) for folder in output.snapshots],
        scratch=Path(params.scratch),
        report=lambda begin: Progress(epochs, begin, epochs, params.names),
        **compute,
    ) as states:
        for index, (state, settings) in enumerate(zip(states, members, strict=True)):
            runs.write_run(
                state,
                settings,
                dataset,
                key=params.key[index],
                identity=params.identities[index],
                trained_together=len(members),
                device=compute["device"],
                threads=compute["threads"],
                history=Path(output.history[index]),
                best=Path(output.best[index]),
                final=Path(output.final[index]),
                record=Path(output.run[index]),
            )
