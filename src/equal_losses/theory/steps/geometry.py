from collections.abc import Mapping

import numpy as np

from equal_losses.theory.model import build_model, descended


def geometry(settings: Mapping) -> list[dict]:
    """Gradient descent with three classes in three dimensions, in the plane of the classifier that it ends with.

    One row per vector: `what` is feature, class_mean or classifier, (x, y) its coordinates along the two principal
    directions of the last W and `off_plane` the length of the rest. Features are given with their iteration; class
    means and classifier are those at the end.
    """
    model = build_model(settings)
    path = list(descended(model, settings))
    end, last = path[-1]
    means = last.H.reshape(3, model.samples, 3).mean(axis=1)
    vectors = [("feature", model.labels, iteration, point.H) for iteration, point in path]
    vectors += [("class_mean", range(3), end, means), ("classifier", range(3), end, last.W)]
    plane = np.linalg.svd(last.W)[2][:2]
    return [
        {
            "loss": settings["loss"]["name"],
            "what": what,
            "class": int(label),
            "iteration": iteration,
            "x": float(x),
            "y": float(y),
            "off_plane": float(np.linalg.norm(vector - np.array([x, y]) @ plane)),
        }
        for what, labels, iteration, rows in vectors
        for label, vector, (x, y) in zip(labels, rows, rows @ plane.T, strict=True)
    ]
