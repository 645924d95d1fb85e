"""Neural collapse across losses: the library behind the workflow. Nothing here imports Snakemake."""

from equal_losses.running.version import __version__

__all__ = ["__version__"]
