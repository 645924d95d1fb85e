# Are all losses created equal? Neural collapse across losses, widths, epochs and seeds.
#
#   snakemake --cores 4                                         the default study, config/demo.yaml
#   snakemake --cores 4 --configfile config/paper.yaml          another study
#   snakemake --cores 4 results/figures/demo/nc_evolution.pdf   one figure, and only what it needs
#
# Everything produced is under results/: datasets, runs, tables and figures.

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

# The library that lies beside this workflow, here and in every job, whatever else is installed.
LIBRARY = str(Path(workflow.current_basedir) / "workflow")
sys.path.insert(0, LIBRARY)
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [LIBRARY, os.getenv("PYTHONPATH")])))

from neural_collapse import configuration
from neural_collapse.errors import InputError
from neural_collapse.study import CANDIDATE, CANDIDATE_STEM, CHOICE, RUN, STACK_LOGS, STACK_STEM_LOGS, STEM, Study
from neural_collapse.theory import FIGURES, STEPS, TABLES

# A configfile directive is merged with --configfile, so the default study is named only where no other is given.
if "experiments" not in config:

    configfile: Path(workflow.current_basedir) / "config" / "demo.yaml"


try:
    if workflow.modifier.is_main_snakefile():  # the files of a workflow that uses this one as a module are its own
        configuration.check_files(workflow.configfiles)
    study = Study(config)
except InputError as error:
    print(f"config: {error}", file=sys.stderr)
    sys.exit(2)


SNAKEFILE = str(Path(workflow.current_basedir) / "Snakefile")
# How Snakemake is called on this study, as the page says it before a target, which --configfile would take for a file.
FILES = [os.path.relpath(path) for path in workflow.configfiles]
COMMAND = " ".join(["snakemake", *(["--configfile", *FILES] if FILES else []), "--cores 2"])


wildcard_constraints:
    **study.wildcards,


include: "workflow/rules/datasets.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/stacks.smk"
include: "workflow/rules/tuning.smk"
include: "workflow/rules/metrics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/report.smk"


rule all:
    input:
        study.figures,


rule datasets:
    input:
        study.dataset_manifests,


rule figures:
    input:
        study.figures,


onstart:
    for warning in study.warnings:
        print(f"warning: {warning}", file=sys.stderr)
