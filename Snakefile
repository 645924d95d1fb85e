# Are all losses created equal? Neural collapse across losses, widths, epochs and seeds.
#
#   snakemake --cores 4                                         the default study, config/demo.yaml
#   snakemake --cores 4 --configfile config/paper.yaml          another study
#   snakemake --cores 4 results/figures/demo/nc_evolution.pdf   one figure, and only what it needs
#
# Everything produced is under results/; what is expensive is in folders that are named by all that determined it.

import os
import sys
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.27")

# The library that lies beside this workflow, here and in every job, whatever else is installed.
LIBRARY = str(Path(workflow.current_basedir) / "src")
sys.path.insert(0, LIBRARY)
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [LIBRARY, os.getenv("PYTHONPATH")])))

from equal_losses.running.errors import InputError
from equal_losses.study import checks, configuration, listing
from equal_losses.study.fingerprints import Codebase
from equal_losses.study.grid import Study
from equal_losses.study.keys import Steps
from equal_losses.terminal.terminal import Terminal

# A configfile directive is merged with --configfile, so the default study is named only where no other is given.
if "experiments" not in config:

    configfile: Path(workflow.current_basedir) / "config" / "demo.yaml"


# Where results/ is: below a prefix, if another workflow uses this one as a module and says so.
ROOT = Path(workflow.modifier.path_modifier.prefix or "")

try:
    if workflow.modifier.is_main_snakefile():  # the files of a workflow that uses this one as a module are its own
        configuration.load(workflow.configfiles)
    study = Study(config)
    if workflow.is_main_process:
        listings = listing.found(study)
        listing.save(study, ROOT, listings)
    steps = Steps(study, Codebase(), ROOT, listing.saved(study, ROOT))
except (InputError, OSError, SyntaxError) as error:
    for line in getattr(error, "lines", [error]):
        print(f"config: {line}", file=sys.stderr)
    sys.exit(2)


include: "workflow/rules/common.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/tuning.smk"
include: "workflow/rules/stacks.smk"
include: "workflow/rules/linking.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/report.smk"


rule all:
    input:
        rules.tables.input,
        rules.figures.input,
        rules.theory.input,
        f"{STUDY}/claims.csv".format(study=study.name),
        f"{STUDY}/report.html".format(study=study.name),


if workflow.is_main_process:
    mark(steps)
    terminal = Terminal(steps, f"{STUDY}/report.html".format(study=study.name), [each.name for each in workflow.rules])
    logger.info("", extra={"terminal": terminal})


onstart:
    for warning in checks.warnings(study.config):
        print(f"warning: {warning}", file=sys.stderr)
    missing = [*checks.missing(study.config, listings, Path(), runs_here=workflow.local_exec)]
    for line in missing:
        print(f"config: {line}", file=sys.stderr)
    if missing:
        sys.exit(2)
    terminal.plan(workflow.dag.needrun_jobs())
