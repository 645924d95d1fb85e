"""Rule choose_weight_decay: the best candidate on validation data."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse import tuning
    from neural_collapse.files import read_json, write_json

    records = [read_json(path) for path in snakemake.input.records]
    write_json(snakemake.output.choice, tuning.choose_weight_decay(records))
