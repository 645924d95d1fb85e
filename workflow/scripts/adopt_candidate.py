"""Rule adopt_candidate: a run of the grid that was trained already, as the candidate that was chosen."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse.files import link_or_copy, read_json

    chosen = read_json(snakemake.input.choice)["weight_decay"]
    index = list(snakemake.params.candidates).index(chosen)
    for name, target in snakemake.output.items():
        link_or_copy(snakemake.input[name][index], target)
