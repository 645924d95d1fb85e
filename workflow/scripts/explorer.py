"""Rule explorer: Snakemake's own report, made by Snakemake on the same study while this workflow waits for it."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

params = snakemake.params

with job(snakemake.log[0]):
    import yaml
    from neural_collapse.files import atomic_path

    with atomic_path(snakemake.output.explorer) as report, TemporaryDirectory(dir=snakemake.resources.tmpdir) as folder:
        config = Path(folder) / "study.yaml"
        config.write_text(yaml.safe_dump(params.config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", *params.targets, "--snakefile", params.snakefile]
        # The folder is locked by the workflow that waits; a report changes nothing in it.
        command += ["--configfile", config, "--cores", "1", "--nolock", "--report", report]
        subprocess.run(command, check=True)
