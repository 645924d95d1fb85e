"""Three classes in the plane, under each loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from equal_losses.theory import ufm
from equal_losses.theory.model import build_model
from equal_losses.theory.steps._checkpoints import checkpoints


def geometry(settings: Mapping) -> list[dict]:
    """Gradient descent with three classes in three dimensions, in the plane of the classifier that it ends with.

    One row per vector: `what` is feature, class_mean or classifier, (x, y) its coordinates along the two principal
    directions of the last W and `off_plane` the length of the rest. Features are given with their iteration; class
    means and classifier are those at the end.
    """
    rows = []
    for loss in settings["losses"]:
        model = build_model({**settings, "loss": loss, "classes": 3, "dim": 3})
        start = model.random_point(settings["seed"], settings["start_scale"])
        iterations = checkpoints(settings["iterations"], settings["checkpoints"])
        path = list(ufm.gradient_descent(model, start, settings["step"], iterations))
        plane = np.linalg.svd(path[-1][1].W)[2][:2]
        for what, label, iteration, vector in _vectors(model, path):
            x, y = plane @ vector
            off_plane = float(np.linalg.norm(vector - np.array([x, y]) @ plane))
            rows.append(
                {"loss": loss["name"], "what": what, "class": int(label), "iteration": iteration}
                | {"x": float(x), "y": float(y), "off_plane": off_plane}
            )
    return rows


def _vectors(
    model: ufm.UnconstrainedFeatureModel, path: list[tuple[int, ufm.Point]]
) -> Iterator[tuple[str, int, int, np.ndarray]]:
    """What a vector is, its class, iteration and three coordinates."""
    for iteration, point in path:
        for label, vector in zip(model.labels, point.H, strict=True):
            yield "feature", label, iteration, vector
    iteration, last = path[-1]
    means = last.H.reshape(3, model.samples, 3).mean(axis=1)
    for what, vectors in (("class_mean", means), ("classifier", last.W)):
        for label in range(3):
            yield what, label, iteration, vectors[label]
