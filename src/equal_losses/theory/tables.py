"""The tables of the theory: the rows of all cases together, and the closed forms as curves. Nothing imports PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from equal_losses.theory import closed_form


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The rows of several tables, in their order; an empty table without any."""
    frames = list(tables)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def closed_forms(settings: Mapping) -> pd.DataFrame:
    """The theory's lines, tidy: curve, loss, classes, x, y.

    - margin: x = K c, y = optimal margin (lambda_b = 0), for each loss with a closed form;
    - bias_nc2: x = lambda_b, y = uncentered NC2 under MSE; bias_boundary: x = the lambda_b where it leaves zero;
    - threshold: x = gamma, y = convexity threshold of the focal loss.

    Args:
        settings: `TheoryCases.closed_form_settings` (see `study.theory`).
    """
    rows = [
        *_margins(settings["losses"], settings["classes"]),
        *_bias_sweeps(settings["bias_sweeps"]),
        *_thresholds(settings["gammas"]),
    ]
    return pd.DataFrame(rows, columns=["curve", "loss", "classes", "x", "y"])


def _margins(losses: Iterable[Mapping], sizes: Iterable[int]) -> Iterator[tuple]:
    for loss in losses:
        if loss["kind"] not in closed_form.PHI:
            continue
        parameters = closed_form.loss_parameters(loss)
        for classes in sizes:
            for strength in np.geomspace(1e-3, 100, 301):
                minimiser = closed_form.global_minimiser(loss["kind"], classes, strength / classes, **parameters)
                yield "margin", loss["name"], classes, strength, minimiser.margin


def _bias_sweeps(sweeps: Iterable[Mapping]) -> Iterator[tuple]:
    for sweep in sweeps:
        name, classes, c = sweep["loss"]["name"], sweep["classes"], sweep["strength"] / sweep["classes"]
        parameters = closed_form.loss_parameters(sweep["loss"])
        positive = [value for value in sweep["lambda_b"] if value > 0]
        for lambda_b in np.geomspace(min(positive), max(positive), 301):
            minimiser = closed_form.global_minimiser("mse", classes, c, lambda_b, **parameters)
            yield "bias_nc2", name, classes, lambda_b, minimiser.nc2(classes)
        yield "bias_boundary", name, classes, closed_form.mse_bias_boundary(classes, c, **parameters), 0.0


def _thresholds(gammas: Iterable[float]) -> Iterator[tuple]:
    for gamma in np.linspace(0, max(gammas), 201):
        yield "threshold", "", 0, gamma, closed_form.focal_convexity_threshold(gamma)
