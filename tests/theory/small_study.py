"""A study whose theory is computed in seconds."""

import copy
from functools import cache

import pandas as pd
import yaml

from equal_losses.theory import steps
from equal_losses.theory.cases import theory_settings

_CONFIG = yaml.safe_load("""
losses:
  CE: {kind: cross_entropy}
  FL: {kind: focal, gamma: 3}
  MSE: {kind: mse, kappa: 1, beta: 15, class_reduction: sum}
theory:
  losses: null
  minimise:
    sizes: [{classes: 3, samples: 2, dim: 5}, {classes: 4, samples: 1, dim: 5}]
    strengths: [0.1, 40]
    penalty_ratios: [5]
    seeds: [0]
  conjecture:
    {sizes: [{classes: 4, samples: 5, dim: 7}], strength: 0.02, penalty_ratio: 5, starts: 2, seed: 0}
  spheres: {starts: 3, seed: 0}
  descent:
    {classes: 3, samples: 2, dim: 4, strength: 0.3, penalty_ratio: 1, seed: 0, start_scale: 0.1, step: 0.1,
     iterations: 4000, checkpoints: 20}
  bias_sweep:
    {sizes: [{classes: 3, samples: 2, dim: 5}], strength: 0.02, penalty_ratio: 5, seed: 0, lambda_b: [0, 0.001, 0.1]}
  landscape:
    - {kinds: null, classes: 3, samples: 2, dim: 5, strength: 0.1, penalty_ratio: 5, ranks: null, starts: 4,
       scales: [0.1, 10], seed: 0}
    - {kinds: [focal], classes: 30, samples: 1, dim: 31, strength: 1.23, penalty_ratio: 1, ranks: [0], starts: 2,
       scales: [0.1], seed: 0}
  contrastive_property: {classes: [10, 18], samples: 100, strength: 0.02, seed: 0}
  focal_convexity: {gammas: [1, 3], classes: [3], seed: 0}
  geometry:
    {samples: 2, strength: 0.3, penalty_ratio: 1, seed: 0, start_scale: 0.3, step: 0.05, iterations: 2000,
     checkpoints: 10}
""")


def config() -> dict:
    """The configuration, which the caller may change."""
    return copy.deepcopy(_CONFIG)


@cache
def tables() -> dict[str, pd.DataFrame]:
    """All tables; not to be changed."""
    return steps.tables(theory_settings(config()))
