"""A study: a configuration as a grid of trainings, with the path and the key of everything that comes of it.

Nothing here imports PyTorch or Snakemake, because it is read at every start of the workflow.
"""
