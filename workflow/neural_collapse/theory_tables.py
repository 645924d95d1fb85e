"""The tables of the theory study: the cases' rows together, the closed forms as curves, and a row a claim.

Nothing here imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from . import closed_form

PAPER_REGION = 0.21  # Section 3.2: the focal loss is convex where p is at least this

# Where the paper says that Eq. (7) has no spurious local minimum.
LANDSCAPE_SOURCE = {
    "cross_entropy": "Theorem 2",
    "label_smoothing": "Corollary 1",
    "focal": "expected in Section 3.2, beyond Corollary 2",
    "mse": "Theorem 2",
}


def joined(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of several files, in their order; an empty table for no files."""
    frames = [pd.read_csv(path) for path in paths]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def closed_forms(settings: Mapping) -> pd.DataFrame:
    """The theory's lines, tidy: curve, loss, classes, x, y.

    - margin: x = K c, y = optimal margin (lambda_b = 0), for each loss with a closed form;
    - bias_nc2: x = lambda_b, y = uncentered NC2 under MSE; bias_boundary: x = the lambda_b where it leaves zero;
    - threshold: x = gamma, y = convexity threshold of the focal loss.
    """
    rows: list[tuple] = []
    for loss in settings["losses"]:
        if loss["kind"] not in closed_form.PHI:
            continue
        for classes in sorted({*settings["classes"], *settings["contrastive_classes"]}):
            for strength in np.geomspace(1e-3, 100, 301):
                minimiser = closed_form.global_minimiser(loss["kind"], classes, strength / classes, **_parameters(loss))
                rows.append(("margin", loss["name"], classes, strength, minimiser.margin))
    for sweep in settings["bias_sweeps"]:
        loss, classes, c = sweep["loss"], sweep["classes"], sweep["strength"] / sweep["classes"]
        positive = [value for value in sweep["lambda_b"] if value > 0]
        for lambda_b in np.geomspace(min(positive), max(positive), 301):
            minimiser = closed_form.global_minimiser("mse", classes, c, lambda_b, **_parameters(loss))
            rows.append(("bias_nc2", loss["name"], classes, lambda_b, minimiser.nc2(classes)))
        boundary = closed_form.mse_bias_boundary(classes, c, **_parameters(loss))
        rows.append(("bias_boundary", loss["name"], classes, boundary, 0.0))
    for gamma in np.linspace(0, max(settings["gammas"]), 201):
        rows.append(("threshold", "", 0, gamma, closed_form.focal_convexity_threshold(gamma)))
    return pd.DataFrame(rows, columns=["curve", "loss", "classes", "x", "y"])


def claims(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row a claim and loss: what it says, where it stands, over how many cases, the largest error, the verdict.

    Columns: claim, source, loss, cases, largest_error, tolerance, supported. A claim that counts (starts, points) has
    the share of cases against it as its error and no tolerance.
    """
    claims = _Claims()
    for loss, minima in _by_loss(tables["minima"]):
        source = "Theorem 1" if minima["kind"].iloc[0] != "mse" else "as Theorem 1, which leaves MSE out"
        solution = minima[~minima["is_zero_solution"].astype(bool)]
        zero = minima[minima["is_zero_solution"].astype(bool)]
        claims.error("margin as in closed form (relative)", source, loss, solution["margin_error"], 1e-5)
        weights = solution["weight_norm_sq"] / solution["weight_norm_sq_closed_form"] - 1
        claims.error("||w||^2 as in closed form (relative)", source, loss, weights, 1e-5)
        claims.error("objective as in closed form (relative)", source, loss, minima["objective_error"], 1e-9)
        for column, statement in (
            ("weight_norms", "all ||w^k|| equal (relative)"),
            ("bias", "b = b* 1 (logit units)"),
            ("duality", "h_{k,i} = sqrt(lambda_W / (lambda_H n)) w^k (relative)"),
            ("feature_mean", "mean over the classes of h_{k,i} = 0 (relative)"),
            ("etf", "W W^T a simplex ETF (relative)"),
            ("nc1", "NC1 = 0"),
            ("nc2", "NC2 = 0"),
            ("nc3", "NC3 = 0"),
        ):
            claims.error(statement, source, loss, solution[column], 1e-5)
        claims.error("beyond the collapse threshold, W = H = 0", source, loss, zero["size"], 1e-6)
        claims.error(
            "certificate at most 1 at the minimum", "Theorem 2", loss, (minima["certificate"] - 1).clip(lower=0), 1e-6
        )
    for loss, path in _by_loss(tables["descent"]):
        last = path[path["iteration"] == path["iteration"].max()]
        for metric in ("nc1", "nc2", "nc3"):
            claims.error(
                f"{metric.upper()} = 0 at the end of gradient descent", "Section 3.2", loss, last[metric], 1e-5
            )
    for loss, sweep in _by_loss(tables["bias_sweep"]):
        source = "derived in closed_form"
        claims.error("NC2 under a penalised bias", source, loss, sweep["nc2"] - sweep["nc2_closed_form"], 1e-5)
        claims.error("centered NC2 = 0 under a penalised bias", source, loss, sweep["nc2_centered"], 1e-5)
        uncentered = sweep["nc2"]
        claims.error("NC2 = 0 for any lambda_b", "Theorem 1, if it covered MSE", loss, uncentered, 1e-5)
    for loss, points in _by_loss(tables["critical_points"]):
        source = LANDSCAPE_SOURCE.get(points["kind"].iloc[0], "Theorem 2, if the loss is convex")
        for size, group in _by_size(points):
            above = group[group["excess"] > 1e-9 * (1 + group["value"].abs())]
            flat = above["smallest_eigenvalue"] > -1e-9
            claims.share(f"critical points that are not global are strict saddles, {size}", source, loss, flat)
        certified = points[points["certificate"] > 1 + 1e-6]
        flat = certified["smallest_eigenvalue"] > -1e-9
        claims.share("a certificate above 1 means negative curvature", "derived in ufm", loss, flat)
        curvatures = certified["escape_curvature"] / certified["escape_curvature_closed_form"] - 1
        claims.error("curvature of the escape direction (relative)", "derived in ufm", loss, curvatures, 1e-6)
        counted = points.dropna(subset=["nullity"])
        surplus = counted["nullity"] - counted["nullity_closed_form"]
        claims.error("Hessian nullity at the minimum", "derived in theory_runs", loss, surplus, 0)
    for loss, starts in _by_loss(tables["starts"]):
        source = LANDSCAPE_SOURCE.get(starts["kind"].iloc[0], "Theorem 2, if the loss is convex")
        for size, group in _by_size(starts):
            not_global = ~group["is_global"].astype(bool)
            claims.share(f"random starts end at the global value, {size}", source, loss, not_global)
        if starts["kind"].iloc[0] == "focal":
            within = starts[starts["end_outside_region"] == 0]
            not_global = ~within["is_global"].astype(bool)
            claims.share("end points with all p >= 0.21 are global", "Corollary 2", loss, not_global)
    for loss, tried in _by_loss(tables["definition"]):
        source = "Definition 1" if tried["kind"].iloc[0] != "mse" else "as Definition 1, which leaves MSE out"
        claims.share("loss >= phi(t)", source, loss, tried["violations"] > 0)
        claims.share("loss = phi(t) for equal other logits only", source, loss, tried["unequal_ties"] > 0)
        unequal = tried["equality_error"] > 1e-6
        claims.share("loss = phi(t) for equal other logits, whatever their shift", source, loss, unequal)
        claims.share("t* unique for every c", source, loss, tried["ties"] > 0)
        claims.share("t* <= 0", source, loss, tried["positive_t_at"].notna())
    for loss, curves in _by_loss(tables["curves"].dropna(subset=["y_closed_form"])):
        for curve, statement in (
            ("psi", "phi(t) as in closed form (relative)"),
            ("margin", "t* over c as in closed form"),
        ):
            group = curves[curves["curve"] == curve]
            errors = (group["y"] - group["y_closed_form"]) / (1 + group["y_closed_form"].abs())
            claims.error(statement, "derived in closed_form", loss, errors, 1e-6)
    convexity = tables["focal_convexity"]
    if len(convexity):
        relative = convexity["threshold"] / convexity["threshold_closed_form"] - 1
        claims.error(
            "threshold of convexity as in closed form (relative)", "derived in closed_form", "", relative, 1e-6
        )
        claims.share("convex where p >= 0.21", "Section 3.2", "", convexity["threshold"] > PAPER_REGION)
    return pd.DataFrame(claims.rows)


class _Claims:
    """Rows of the table of claims."""

    def __init__(self):
        self.rows: list[dict] = []

    def error(self, claim: str, source: str, loss: str, errors: pd.Series, tolerance: float) -> None:
        """A claim that no error is above the tolerance; without cases there is no row."""
        if len(errors):
            largest = float(errors.abs().max())
            self._add(claim, source, loss, len(errors), largest, tolerance, largest <= tolerance)

    def share(self, claim: str, source: str, loss: str, against: pd.Series) -> None:
        """A claim that no case speaks against it; without cases there is no row."""
        if len(against):
            share = float(against.astype(bool).mean())
            self._add(claim, source, loss, len(against), share, None, share == 0)

    def _add(self, claim, source, loss, cases, largest_error, tolerance, supported) -> None:
        self.rows.append(
            {
                "claim": claim,
                "source": source,
                "loss": loss,
                "cases": cases,
                "largest_error": largest_error,
                "tolerance": tolerance,
                "supported": bool(supported),
            }
        )


def _by_loss(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    return iter(table.groupby("loss", sort=False)) if len(table) else iter(())


def _by_size(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (classes, strength), group in table.groupby(["classes", "strength"], sort=False):
        yield f"K = {classes}, K c = {strength:g}", group


def _parameters(loss: Mapping) -> dict:
    return {key: value for key, value in loss.items() if key not in ("name", "kind", "reduction")}
