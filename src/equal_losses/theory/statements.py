"""The theory's statements, each against the cases that were computed for it. Nothing imports PyTorch."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from equal_losses.theory.closed_form import objective_tolerance
from equal_losses.theory.paper import FOCAL_REGION

COLUMNS = ("claim", "source", "loss", "cases", "largest_error", "tolerance", "supported", "numbers")
STATIONARY = 1e-7  # largest norm of the gradient of f at a minimum; where a kink stops a descent it is far larger
Statement = tuple  # these without the loss; the numbers may be left out

# Where the paper says that Eq. (7) has no spurious local minimum.
LANDSCAPE_SOURCE = {
    "cross_entropy": "Theorem 2",
    "label_smoothing": "Corollary 1",
    "focal": "expected in Section 3.2, beyond Corollary 2",
    "mse": "Theorem 2",
}


def statements(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per statement and loss: what it says, its source, over how many cases, the largest error, the verdict.

    A statement that counts (starts, points) has the share of cases against it as its error and no tolerance. A
    statement without cases has no row. `numbers` has in words what the ledger repeats of it.

    Args:
        tables: the tables of the steps by name, of all cases (see `steps.tables`).

    Returns:
        A table with the columns `COLUMNS`.
    """
    rows = [
        (claim, source, loss, cases, *verdict)
        for table, state in _STATEMENTS.items()
        for loss, of_loss in _by_loss(tables[table])
        for claim, source, cases, *verdict in state(of_loss)
        if cases
    ]
    return pd.DataFrame([(*row, None)[: len(COLUMNS)] for row in rows], columns=COLUMNS)


def _minima(minima: pd.DataFrame) -> Iterator[Statement]:
    source = "as Theorem 1, which leaves MSE out" if _kind(minima) == "mse" else "Theorem 1"
    landscape_source = _landscape_source(minima)
    # A kink stops a descent short, and a loss that is not convex has wrong minima: neither speaks against the theorem.
    predicted = minima["objective_closed_form"]
    above = minima["objective"] > predicted + objective_tolerance(predicted)
    not_global = (minima["gradient_norm"] > STATIONARY) | (above & ~minima["is_convex"].astype(bool))
    yield _share("a descent ends at a minimum no higher than predicted", "computed in ufm", not_global)
    minima = minima[~not_global]
    is_zero = minima["is_zero_solution"].astype(bool)
    solution, zero = minima[~is_zero], minima[is_zero]
    yield _error("margin as in closed form (relative)", source, solution["margin_error"], 1e-5)
    weights = solution["weight_norm_sq"] / solution["weight_norm_sq_closed_form"] - 1
    yield _error("||w||^2 as in closed form (relative)", source, weights, 1e-5)
    yield _error("objective as in closed form (relative)", source, minima["objective_error"], 1e-9)
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
        yield _error(statement, source, solution[column], 1e-5)
    yield _error("beyond the collapse threshold, W = H = 0", source, zero["size"], 1e-6)
    above_one = (minima["certificate"] - 1).clip(lower=0)
    yield _error("certificate at most 1 at the minimum", landscape_source, above_one, 1e-6)
    statement = "gradient in the logits c, and -(K-1) c in the true one (relative)"
    yield _error(statement, "derived in ufm", solution["logit_gradient"], 1e-5)


def _conjecture(decided: pd.DataFrame) -> Iterator[Statement]:
    numbers = "; ".join(
        f"K = {row.classes}, K c = {row.strength:g}: {row.verdict} ({row.theorem_1}); margin "
        f"{row.margin:.6f}, predicted {row.margin_closed_form:.6f}; ||w||^2 {row.weight_norm_sq:.6f}, predicted "
        f"{row.weight_norm_sq_closed_form:.6f}; objective {row.objective:.9f}, predicted "
        f"{row.objective_closed_form:.9f}; as low from {row.lowest_starts} of {row.starts} starts"
        + (", where the gradient is not zero" if row.gradient_norm > STATIONARY else "")
        for row in decided.itertuples()
    )
    against = ~decided["collapses"].astype(bool)
    yield *_share("the global minimisers are neural collapse", "Section 5, conjecture", against), numbers


def _theorem_1_bias(minima: pd.DataFrame) -> Iterator[Statement]:
    no_bias, bound = np.isinf(minima["lambda_b"]), minima["bound"].astype(bool)
    lower = ~minima["collapses"].astype(bool)
    for statement, source, of in (
        ("no minimum is below collapse", "Theorem 1 with a bias", ~no_bias & ~bound),
        ("no minimum is below collapse, without a bias", "Theorem 1 repaired", no_bias),
        ("no minimum is below collapse, t* <= 0 the only minimiser of phi(t) - c t", "Theorem 1 repaired", bound),
    ):
        numbers = "; ".join(
            f"K = {row.classes}, c = {row.c:g}, lambda_b = {row.lambda_b:g}: lowest {row.objective:.6f}, "
            f"collapse {row.objective_collapse:.6f}"
            for row in minima[of].itertuples()
        )
        yield *_share(statement, source, lower[of]), numbers


def _spheres(minima: pd.DataFrame) -> Iterator[Statement]:
    row = minima.iloc[0]
    yield _error("minimum as predicted", "derived in spheres", minima["objective_error"], row["tolerance"])
    numbers = (
        f"objective {row['objective']:.9f}, predicted {row['objective_closed_form']:.9f}, from {row['at_predicted']} "
        f"of {row['starts']} starts; variance within classes {row['within']:.2g}, cosines {row['cosine_low']:.4f} to "
        f"{row['cosine_high']:.4f}"
    )
    collapses = minima["collapses"].astype(bool)
    if row["is_exception"]:
        yield *_share("the global minimisers are not neural collapse", "Section 5, exceptions", collapses), numbers
    else:
        yield *_share("the global minimisers are neural collapse", "Section 5, conjecture", ~collapses), numbers


def _descent(path: pd.DataFrame) -> Iterator[Statement]:
    last = path[path["iteration"] == path["iteration"].max()]
    yield _share("gradient descent does not end at W = H = 0", "Section 3.2", last["nc1"].isna())
    last = last.dropna(subset="nc1")
    for metric in ("nc1", "nc2", "nc3"):
        yield _error(f"{metric.upper()} = 0 at the end of gradient descent", "Section 3.2", last[metric], 1e-5)


def _bias_sweep(sweep: pd.DataFrame) -> Iterator[Statement]:
    source = "derived in closed_form"
    yield _error("NC2 under a penalised bias", source, sweep["nc2"] - sweep["nc2_closed_form"], 1e-5)
    yield _error("centered NC2 = 0 under a penalised bias", source, sweep["nc2_centered"], 1e-5)
    yield _error("NC2 = 0 for any lambda_b", f"Theorem 1, if it covered {_BIASED[_kind(sweep)]}", sweep["nc2"], 1e-5)


def _critical_points(points: pd.DataFrame) -> Iterator[Statement]:
    flat = points["smallest_eigenvalue"] > -1e-9
    not_global = points["excess"] > objective_tolerance(points["value"])
    for size, group in _by_size(points[not_global]):
        statement = f"critical points that are not global are strict saddles, {size}"
        yield _share(statement, _landscape_source(points), flat.loc[group.index])
    source = "derived in landscape"
    is_certified = points["certificate"] > 1 + 1e-6
    yield _share("a certificate above 1 means negative curvature", source, flat[is_certified])
    curvatures = (points["escape_curvature"] / points["escape_curvature_closed_form"] - 1)[is_certified]
    yield _error("curvature of the escape direction (relative)", source, curvatures, 1e-6)
    surplus = (points["nullity"] - points["nullity_closed_form"]).dropna()
    yield _error("Hessian nullity at the minimum", source, surplus, 0)


def _starts(starts: pd.DataFrame) -> Iterator[Statement]:
    not_global = ~starts["is_global"].astype(bool)
    for size, group in _by_size(starts):
        statement = f"random starts end at the global value, {size}"
        yield _share(statement, _landscape_source(starts), not_global.loc[group.index])
    if _kind(starts) == "focal":
        within = starts["end_outside_region"] == 0
        yield _share(f"end points with all p >= {FOCAL_REGION} are global", "Corollary 2", not_global[within])


def _definition(tried: pd.DataFrame) -> Iterator[Statement]:
    source = "as Definition 1, which leaves MSE out" if _kind(tried) == "mse" else "Definition 1"
    yield _share("loss >= phi(t)", source, tried["violations"] > 0)
    yield _share("loss = phi(t) for equal other logits only", source, tried["unequal_ties"] > 0)
    unequal = tried["equality_error"] > 1e-6
    yield _share("loss = phi(t) for equal other logits, whatever their shift", source, unequal)
    yield _share("t* unique for every c", source, tried["ties"] > 0)
    yield _share("t* <= 0", source, tried["positive_t_at"].notna())


def _curves(curves: pd.DataFrame) -> Iterator[Statement]:
    known = curves.dropna(subset=["y_closed_form"])
    errors = (known["y"] - known["y_closed_form"]) / (1 + known["y_closed_form"].abs())
    for curve, statement in (
        ("psi", "phi(t) as in closed form (relative)"),
        ("margin", "t* over c as in closed form"),
    ):
        yield _error(statement, "derived in closed_form", errors[known["curve"] == curve], 1e-6)


def _bands(bands: pd.DataFrame) -> Iterator[Statement]:
    for column, claim in (
        ("origin", "K c up to which the origin has a way down"),
        ("tie", "K c at which two margins are as low"),
        ("fold", "K c beyond which the origin alone is left"),
    ):
        relative = bands[column] / bands[f"{column}_closed_form"] - 1
        found = zip(bands["classes"], bands[column], strict=True)
        numbers = f"{column} at K c = " + ", ".join(f"{value:.6f} (K = {classes})" for classes, value in found)
        yield *_error(f"{claim}, as in closed form (relative)", "derived in bands", relative, 1e-5), numbers


def _focal_convexity(convexity: pd.DataFrame) -> Iterator[Statement]:
    relative = convexity["threshold"] / convexity["threshold_closed_form"] - 1
    yield _error("threshold of convexity as in closed form (relative)", "derived in closed_form", relative, 1e-6)
    yield _share(f"convex where p >= {FOCAL_REGION}", "Section 3.2", convexity["threshold"] > FOCAL_REGION)


# Losses that a common shift of the logits changes, in words.
_BIASED = {"mse": "MSE", "bce": "binary cross entropy"}

# The statements about the rows of one loss, by the table that they are computed from.
_STATEMENTS = {
    "minima": _minima,
    "conjecture": _conjecture,
    "theorem_1_bias": _theorem_1_bias,
    "spheres": _spheres,
    "descent": _descent,
    "bias_sweep": _bias_sweep,
    "critical_points": _critical_points,
    "starts": _starts,
    "definition": _definition,
    "curves": _curves,
    "bands": _bands,
    "focal_convexity": _focal_convexity,
}


def _error(claim: str, source: str, errors: pd.Series, tolerance: float) -> Statement:
    """The statement that no error is above the tolerance."""
    largest = float(errors.abs().max())
    return claim, source, len(errors), largest, tolerance, largest <= tolerance


def _share(claim: str, source: str, against: pd.Series) -> Statement:
    """The statement that no case is against it."""
    share = float(against.astype(bool).mean())
    return claim, source, len(against), share, None, share == 0


def _by_loss(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each loss with its rows; all rows under no name where the table does not tell losses apart."""
    if "loss" in table:
        yield from table.groupby("loss", sort=False)
    elif len(table):
        yield "", table


def _by_size(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for (classes, strength), group in table.groupby(["classes", "strength"], sort=False):
        yield f"K = {classes}, K c = {strength:g}", group


def _kind(rows: pd.DataFrame) -> str:
    return rows["kind"].iloc[0]


def _landscape_source(rows: pd.DataFrame) -> str:
    other = "Theorem 2" if rows["is_convex"].all() else "beyond Theorem 2, for a loss that is not convex"
    return LANDSCAPE_SOURCE.get(_kind(rows), other)
