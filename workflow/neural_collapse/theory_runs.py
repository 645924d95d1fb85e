"""The computations of the theory study: a function a step, from the settings of a case to the rows of its tables.

Settings are those of `theory.TheoryStudy`: `loss` is a mapping of name, kind and the loss's own parameters; `strength`
and `penalty_ratio` stand for lambda_W and lambda_H. Rows are plain numbers and text; None where a number would be
meaningless.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

import numpy as np

from . import closed_form, contrastive, losses, ufm
from .closed_form import GlobalMinimiser
from .errors import InputError
from .metrics import collapse_metrics
from .theory import penalties
from .ufm import Point, UnconstrainedFeatureModel

METRICS = ("nc1", "nc2", "nc3", "nc2_centered", "nc3_centered")
GLOBAL_TOLERANCE = 1e-9  # relative to 1 + |f|; an end point within it has the global value
FOCAL_REGION = 0.21  # Section 3.2: the focal loss is convex where p is at least this

UNKNOWN = GlobalMinimiser(math.nan, math.nan)  # where nothing is predicted

Rows = list[dict]


def minimise(settings: Mapping) -> Rows:
    """Minima of Eq. (7) with lambda_b = 0 from random starts: a row a penalty and seed, see `measure`."""
    rows = []
    for penalty_ratio in settings["penalty_ratios"]:
        for strength in settings["strengths"]:
            model = build_model({**settings, "strength": strength, "penalty_ratio": penalty_ratio})
            expected = prediction(model, settings["loss"])
            for seed in settings["seeds"]:
                minimum = ufm.minimise(model, model.random_point(seed))
                rows.append(
                    identity(model, settings["loss"]) | {"seed": seed} | measure(model, minimum.point, expected)
                )
    return rows


def descent(settings: Mapping) -> Rows:
    """Gradient descent on Eq. (7): a row a checkpoint, see `measure`. The checkpoints are even in log(iteration)."""
    model = build_model(settings)
    expected = prediction(model, settings["loss"])
    points = ufm.gradient_descent(
        model,
        model.random_point(settings["seed"], settings["start_scale"]),
        settings["step"],
        _checkpoints(settings["iterations"], settings["checkpoints"]),
    )
    fixed = identity(model, settings["loss"]) | {"seed": settings["seed"], "step": settings["step"]}
    return [fixed | {"iteration": iteration} | measure(model, point, expected) for iteration, point in points]


def bias_sweep(settings: Mapping) -> Rows:
    """Minima of Eq. (7) under MSE over a grid of lambda_b: a row a lambda_b, see `measure`; with the predicted NC2."""
    rows = []
    for lambda_b in settings["lambda_b"]:
        model = build_model(settings, lambda_b)
        expected = prediction(model, settings["loss"])
        minimum = ufm.minimise(model, model.random_point(settings["seed"]))
        row = identity(model, settings["loss"]) | {"seed": settings["seed"]}
        row |= measure(model, minimum.point, expected)
        rows.append(row | {"nc2_closed_form": expected.nc2(model.classes)})
    return rows


def landscape(settings: Mapping) -> tuple[Rows, Rows]:
    """Critical points of every rank with their curvature, and where random starts end.

    The first table has a row a critical point of each of the ranks (rank 0 is the origin, rank K-1 a minimum): value,
    gradient norm, certificate, smallest Hessian eigenvalue, the curvature along the escape direction as predicted and
    as measured, and for small models the Hessian's nullity at the minimum with the count it should have. The second
    has a row a random start: its scale and, at the end, value, certificate and classes with vanishing weights; at
    both, the share of samples outside the focal loss's region p >= 0.21.
    """
    model = build_model(settings)
    expected = prediction(model, settings["loss"])
    fixed = identity(model, settings["loss"])
    critical = [fixed | _critical_point(model, expected, rank, settings) for rank in settings["ranks"]]
    starts = []
    for index in range(settings["starts"]):
        seed, scale = settings["seed"] + index, settings["scales"][index % len(settings["scales"])]
        start = model.random_point(seed, scale)
        minimum = ufm.minimise(model, start)
        excess = minimum.value - expected.value
        starts.append(
            fixed
            | {
                "seed": seed,
                "start_scale": scale,
                "start_outside_region": float(np.mean(_true_probability(model, start) < FOCAL_REGION)),
                "value": minimum.value,
                "excess": excess,
                "is_global": bool(excess <= GLOBAL_TOLERANCE * (1 + abs(expected.value))),
                "gradient_norm": minimum.gradient_norm,
                "certificate": ufm.certificate(model, minimum.point),
                "end_outside_region": float(np.mean(_true_probability(model, minimum.point) < FOCAL_REGION)),
                "vanished_classes": _vanished_classes(minimum.point),
            }
        )
    return critical, starts


def check_definition(loss: Mapping, classes: int, samples: int, seed: int) -> dict:
    """What was tried of Definition 1 on a loss, flat (see `contrastive.ContrastiveReport`)."""
    report = contrastive.check_contrastive(build_loss(loss), classes, samples, seed)
    row = {"loss": loss["name"], "kind": loss["kind"]} | asdict(report)
    ties = row.pop("ties")
    row["ties"] = len(ties)
    row["tie_c"] = ties[0]["c"] if ties else None
    row["tie_margin"] = ties[0]["margins"][1] if ties else None
    return row


def contrastive_property(settings: Mapping) -> tuple[Rows, Rows]:
    """Definition 1 for each number of classes, and psi(s) and the optimal margin over c as curves.

    The second table is tidy: curve "psi" has x = margin s and y = psi(s), curve "margin" x = K c and y = the optimal
    margin. y is found from the loss alone; y_closed_form is the closed form, if there is one.
    """
    loss = settings["loss"]
    definition, curves = [], []
    for classes in settings["classes"]:
        definition.append(check_definition(loss, classes, settings["samples"], settings["seed"]))
        reduced = contrastive.ReducedLoss(build_loss(loss), classes)
        fixed = {"loss": loss["name"], "kind": loss["kind"], "classes": classes}
        margins = np.linspace(-4, 16, 201)
        for margin, value in zip(margins, reduced(margins)[0], strict=True):
            closed = _closed_psi(loss, classes, margin)
            curves.append(fixed | {"curve": "psi", "x": float(margin), "y": float(value), "y_closed_form": closed})
        smallest = classes / (classes - 1) * reduced.largest_slope_without_minimiser
        for strength in np.geomspace(1e-3, 100, 26):
            if strength > smallest:
                c = float(strength / classes)
                closed = _closed_margin(loss, classes, c)
                row = {"curve": "margin", "x": float(strength), "y": reduced.optimal_margin(c), "y_closed_form": closed}
                curves.append(fixed | row)
    return definition, curves


def focal_convexity(settings: Mapping) -> Rows:
    """Where the focal loss's Hessian has no negative eigenvalue: a row a gamma and K.

    `threshold` is found by bisection in p, from the eigenvalues at logits whose other entries are random; the closed
    form is beside it.
    """
    generator = np.random.default_rng(settings["seed"])
    rows = []
    for gamma in settings["gammas"]:
        loss = partial(losses.focal, gamma=gamma)
        for classes in settings["classes"]:
            others = generator.standard_normal(classes - 1)
            rows.append(
                {
                    "gamma": gamma,
                    "classes": classes,
                    "threshold": _convexity_threshold(loss, others),
                    "threshold_closed_form": closed_form.focal_convexity_threshold(gamma),
                }
            )
    return rows


def geometry(settings: Mapping) -> Rows:
    """Gradient descent with three classes in three dimensions, in the plane of the classifier that it ends with.

    A row a vector: `what` is feature, class_mean or classifier, (x, y) its coordinates along the two principal
    directions of the last W and `off_plane` the length of the rest. Features come with their iteration; class means
    and classifier are those at the end.
    """
    rows = []
    for loss in settings["losses"]:
        model = build_model({**settings, "loss": loss, "classes": 3, "dim": 3})
        checkpoints = _checkpoints(settings["iterations"], settings["checkpoints"])
        start = model.random_point(settings["seed"], settings["start_scale"])
        path = list(ufm.gradient_descent(model, start, settings["step"], checkpoints))
        last = path[-1][1]
        means = last.H.reshape(3, model.samples, 3).mean(axis=1)
        vectors = [
            ("feature", label, iteration, vector)
            for iteration, point in path
            for label, vector in zip(model.labels, point.H, strict=True)
        ]
        vectors += [("class_mean", label, path[-1][0], means[label]) for label in range(3)]
        vectors += [("classifier", label, path[-1][0], last.W[label]) for label in range(3)]
        plane = np.linalg.svd(last.W)[2][:2]
        for what, label, iteration, vector in vectors:
            x, y = plane @ vector
            off_plane = float(np.linalg.norm(vector - np.array([x, y]) @ plane))
            rows.append(
                {"loss": loss["name"], "what": what, "class": int(label), "iteration": iteration}
                | {"x": float(x), "y": float(y), "off_plane": off_plane}
            )
    return rows


def build_loss(loss: Mapping) -> ufm.Loss:
    """The loss that a mapping of kind and parameters names; the key `name` is the study's."""
    parameters = {key: value for key, value in loss.items() if key not in ("name", "kind")}
    return partial(getattr(losses, loss["kind"]), **parameters)


def build_model(settings: Mapping, lambda_b: float = 0.0) -> UnconstrainedFeatureModel:
    """The model of a case."""
    classes, samples = settings["classes"], settings["samples"]
    lambda_W, lambda_H = penalties(classes, samples, settings["strength"], settings["penalty_ratio"])
    return UnconstrainedFeatureModel(
        build_loss(settings["loss"]), classes, samples, settings["dim"], lambda_W, lambda_H, lambda_b
    )


def prediction(model: UnconstrainedFeatureModel, loss: Mapping) -> GlobalMinimiser:
    """The global minimiser of a model: in closed form, or from the reduced loss where the kind has none.

    The latter holds where Theorem 1 does, for losses of Definition 1 with lambda_b = 0. It is not a number where the
    reduced loss has no minimiser.
    """
    if loss["kind"] in closed_form.PHI:
        return closed_form.global_minimiser(
            loss["kind"], model.classes, model.c, model.lambda_b, **_closed_form_parameters(loss)
        )
    reduced = contrastive.ReducedLoss(model.loss, model.classes)
    try:
        margin = reduced.optimal_margin(model.c)
    except InputError:
        return UNKNOWN
    value = float(reduced(np.array([margin]))[0][0]) + (model.classes - 1) * model.c * margin
    return GlobalMinimiser(margin, value)


def identity(model: UnconstrainedFeatureModel, loss: Mapping) -> dict:
    """What a row is about."""
    return {
        "loss": loss["name"],
        "kind": loss["kind"],
        "classes": model.classes,
        "samples": model.samples,
        "dim": model.dim,
        "lambda_W": model.lambda_W,
        "lambda_H": model.lambda_H,
        "lambda_b": model.lambda_b,
        "strength": model.classes * model.c,
    }


def measure(model: UnconstrainedFeatureModel, point: Point, expected: GlobalMinimiser) -> dict:
    """A point against the prediction and against Theorem 1.

    - objective, margin (mean over samples and other classes, in logit units), weight_norm_sq (mean of ||w^k||^2), each
      with its closed form; margin_error is the largest deviation of any single margin and objective_error that of the
      objective, relative where the closed form is not zero;
    - the deviations of `ufm.theorem_1_deviations` and the NC metrics, None where the prediction or, without one, the
      point is the zero solution; then size, the largest entry of W and H, is to vanish;
    - certificate and gradient_norm.

    Without a prediction (`UNKNOWN`), the closed forms and the errors are not a number.
    """
    objective, _ = model.value_and_gradient(point)
    margins = ufm.margins(model, point)
    size = float(max(np.abs(point.W).max(), np.abs(point.H).max()))
    collapsed = size < 1e-9 if math.isnan(expected.margin) else expected.margin == 0 and expected.shared == 0
    weight_norm_sq = expected.weight_norm_sq(model.classes, model.samples, model.lambda_W, model.lambda_H)
    if collapsed:
        deviations = dict.fromkeys(("weight_norms", "bias", "duality", "feature_mean", "etf", *METRICS))
    else:
        metrics = collapse_metrics(point.H, model.labels, point.W, point.b)
        deviations = ufm.theorem_1_deviations(model, point) | {name: metrics[name] for name in METRICS}
    return {
        "objective": objective,
        "objective_closed_form": expected.value,
        "objective_error": abs(objective - expected.value) / (abs(expected.value) or 1),
        "margin": float(margins.mean()),
        "margin_closed_form": expected.margin,
        "margin_error": float(np.abs(margins - expected.margin).max() / (expected.margin or 1)),
        "weight_norm_sq": float(np.mean(np.sum(point.W**2, axis=1))),
        "weight_norm_sq_closed_form": weight_norm_sq,
        "is_zero_solution": collapsed,
        "size": size,
        **deviations,
        "certificate": ufm.certificate(model, point),
        "gradient_norm": model.gradient_norm(point),
    }


def _closed_form_parameters(loss: Mapping) -> dict:
    return {key: value for key, value in loss.items() if key not in ("name", "kind", "reduction")}


def _closed_psi(loss: Mapping, classes: int, margin: float) -> float | None:
    if loss["kind"] not in closed_form.PHI:
        return None
    phi = closed_form.PHI[loss["kind"]]
    return float(phi(-(classes - 1) * margin, classes, **_closed_form_parameters(loss)))


def _closed_margin(loss: Mapping, classes: int, c: float) -> float | None:
    if loss["kind"] not in closed_form.PHI:
        return None
    return closed_form.global_minimiser(loss["kind"], classes, c, **_closed_form_parameters(loss)).margin


def _critical_point(model: UnconstrainedFeatureModel, expected: GlobalMinimiser, rank: int, settings: Mapping) -> dict:
    point = ufm.critical_point_of_rank(model, rank, settings["seed"]).point
    value = model.value_and_gradient(point)[0]
    direction, predicted = ufm.escape_direction(model, point)
    measured = ufm.curvature(model, point, direction)
    vector = model.flatten(direction)
    is_minimum = rank == model.classes - 1 and expected.margin > 0
    small = model.size <= ufm.DENSE_SIZE
    return {
        "rank": rank,
        "value": value,
        "excess": value - expected.value,
        "gradient_norm": model.gradient_norm(point),
        "certificate": ufm.certificate(model, point),
        "smallest_eigenvalue": ufm.smallest_hessian_eigenvalue(model, point),
        "escape_curvature_closed_form": predicted,
        "escape_curvature": measured,
        "escape_rayleigh_quotient": measured / float(vector @ vector),
        "nullity": ufm.hessian_nullity(model, point) if is_minimum and small else None,
        "nullity_closed_form": _nullity(model) if is_minimum and small else None,
    }


def _nullity(model: UnconstrainedFeatureModel) -> int:
    """Rotations of a rank K-1 minimum in d dimensions, plus the shift of the logits if nothing else fixes it."""
    rotations = model.dim * (model.classes - 1) - model.classes * (model.classes - 1) // 2
    shifted = Point(np.zeros((model.classes, 1)), np.zeros((len(model.labels), 1)), np.ones(model.classes))
    origin = shifted._replace(b=np.zeros(model.classes))
    small = UnconstrainedFeatureModel(model.loss, model.classes, model.samples, 1, 1.0, 1.0)
    free = math.isclose(small.value_and_gradient(shifted)[0], small.value_and_gradient(origin)[0])
    return rotations + int(free and model.lambda_b == 0)


def _true_probability(model: UnconstrainedFeatureModel, point: Point) -> np.ndarray:
    logits = model.logits(point)
    logits = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities[np.arange(len(logits)), model.labels]


def _vanished_classes(point: Point) -> int:
    """Classes whose row of W is below a thousandth of the longest; all if W = 0."""
    norms = np.linalg.norm(point.W, axis=1)
    return int(np.sum(norms < 1e-3 * max(norms.max(), 1e-3)))


def _checkpoints(iterations: int, count: int) -> list[int]:
    return [0, *np.unique(np.geomspace(1, iterations, count).round().astype(int)).tolist()]


def _convexity_threshold(loss: ufm.Loss, others: np.ndarray) -> float:
    """The p at which the smallest eigenvalue of the loss's Hessian turns positive, by bisection in log(p/(1-p))."""
    log_sum = np.log(np.exp(others).sum())

    def curvature(log_odds: float) -> float:
        return contrastive.smallest_zero_sum_curvature(loss, np.concatenate([[log_odds + log_sum], others]), 0)

    low, high = -40.0, 0.0
    while high - low > 1e-10:
        middle = (low + high) / 2
        low, high = (middle, high) if curvature(middle) < 0 else (low, middle)
    return 1 / (1 + math.exp(-high))
