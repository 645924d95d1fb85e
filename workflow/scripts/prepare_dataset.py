"""Rule prepare_dataset: a source of images to arrays and a manifest."""

from pathlib import Path
from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse import datasets, preparation

    source = dict(snakemake.params.source)
    images = getattr(datasets, source.pop("kind"))(**source)
    preparation.prepare(Path(snakemake.output.manifest).parent, images, **snakemake.params.split)
