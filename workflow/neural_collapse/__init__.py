"""Neural collapse across losses: the library behind the workflow.

The modules from the ground up: `errors`, `files`; then `losses`, `networks`, `datasets`, `metrics`, `ufm`,
which know nothing of each other; `training` and `features`, which use them; `provenance` and `study`, which
turn a configuration into experiments, runs and paths; `tables` and `figures`, which read tables only.
Nothing here imports Snakemake.
"""

__version__ = "0.1.0"
