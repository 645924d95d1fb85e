"""Features around class means."""

from __future__ import annotations

import numpy as np


def clustered(classes, dimension, per_class, seed=0, noise=0.3, dtype=np.float32):
    """Features around class means, labels in mixed order, a classifier near the means, a bias."""
    random = np.random.default_rng(seed)
    counts = per_class if isinstance(per_class, list) else [per_class] * classes
    labels = random.permutation(np.repeat(np.arange(classes), counts))
    means = random.normal(size=(classes, dimension)) + 1.5
    features = (means[labels] + noise * random.normal(size=(len(labels), dimension))).astype(dtype)
    weight = (means + 0.2 * random.normal(size=means.shape)).astype(dtype)
    return features, labels, weight, random.normal(size=classes).astype(dtype)
