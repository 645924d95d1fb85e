"""The margin s at which loss + (K-1) c s is least, with all other logits equal and the best shift of all of them.

That is where the unconstrained feature model, Eq. (7), ends under a loss that collapses, with lambda_b = 0.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize

from .shipped import built

SMALL = (4, 0.005)  # K and c
LARGE = (10, math.sqrt(3 * 1e-3 * 2e-3))
SEES_SHIFTS = ("bce", "one_vs_all", "mse")


def best_margin(kind: str, options: dict, classes: int, c: float) -> tuple[float, float]:
    """s and the least value, by Newton's method from the best of a coarse grid."""
    loss, label = built(kind, **options), torch.tensor([0])

    def value(variables) -> torch.Tensor:
        true = torch.eye(classes, dtype=torch.float64)[0]
        return loss((variables[0] * true + variables[1])[None], label) + (classes - 1) * c * variables[0]

    def derivatives(x):
        variables = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        result = value(variables)
        return result.item(), torch.autograd.grad(result, variables)[0].numpy()

    shifts = [-4.0, -1.0, 0.0] if kind in SEES_SHIFTS else [0.0]
    grid = [(s / 4 + 0.1, shift) for s in range(60) for shift in shifts]
    start = min(grid, key=lambda point: value(torch.tensor(point, dtype=torch.float64)).item())
    found = minimize(derivatives, start, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-11})
    x = torch.tensor(found.x, dtype=torch.float64)
    free = [0, 1] if kind in SEES_SHIFTS else [0]
    for _ in range(5):
        hessian = torch.autograd.functional.hessian(value, x)[free][:, free]
        gradient = torch.autograd.functional.jacobian(value, x)[free]
        x[free] -= torch.linalg.solve(hessian, gradient)
    return x[0].item(), value(x).item()


@pytest.mark.parametrize(
    ("kind", "options", "margin", "value"),
    [
        ("cross_entropy", {}, 5.283204, 0.094361694),
        ("gce", {}, 5.272346, 0.094281169),
        ("gce", {"q": 1}, 5.267619, 0.094246298),
        ("sce", {}, 6.702037, 0.115585161),
        ("sce", {"alpha": 6, "beta": 0.1}, 7.152122, 0.122300538),
        ("sce", {"log_zero": math.log(1e-4)}, 7.526230, 0.127917570),
        ("poly1", {"epsilon": 1}, 5.980136, 0.104787204),
        ("poly1", {}, 6.388550, 0.110891214),
        ("poly1", {"epsilon": -1}, 3.067816, 0.054191996),
        ("temperature", {}, 9.149422, 0.167700537),
        ("ldam", {}, 6.283204, 0.109361694),
        ("bce", {}, 9.477896, 0.172319707),
        ("weston_watkins_squared", {}, 0.997500, 0.014981250),
        ("crammer_singer_squared", {}, 0.992500, 0.014943750),
        ("one_vs_all", {}, 1.990000, 0.029925000),
        ("entmax", {}, 1.843522, 0.028473004),
        ("entmax", {"alpha": 2}, 0.980000, 0.014850000),
        ("bi_tempered", {}, 5.751464, 0.112726827),
        ("nce", {}, 3.126128, 0.059419606),
        ("confidence_penalty", {}, 4.665768, 0.082234294),
        ("f_divergence", {}, 3.969497, -0.210560627),
        ("f_divergence", {"divergence": "KL"}, 5.095855, -0.382422278),
        ("f_divergence", {"divergence": "Pearson"}, 5.133010, -0.595264610),
        ("f_divergence", {"divergence": "Jeffrey"}, 5.078429, -0.580461885),
        ("f_divergence", {"divergence": "JS"}, 3.683909, -0.154135370),
        ("top_k", {}, 4.877739, 0.088280),
    ],
)
def test_the_margin_and_value_of_four_classes(kind, options, margin, value):
    found = best_margin(kind, options, *SMALL)
    assert found[0] == pytest.approx(margin, abs=1e-6)
    assert found[1] == pytest.approx(value, abs=1e-9 if kind != "top_k" else 1e-6)


@pytest.mark.parametrize(
    ("kind", "options", "margin"),
    [
        ("cross_entropy", {}, 5.989584),
        ("gce", {}, 5.973366),
        ("gce", {"q": 1}, 5.966251),
        ("sce", {}, 7.412155),
        ("sce", {"alpha": 6, "beta": 0.1}, 7.864507),
        ("poly1", {}, 7.098140),
        ("poly1", {"epsilon": -1}, 3.943821),
        ("temperature", {}, 10.547272),
        ("ldam", {}, 6.989584),
        ("bce", {}, 9.801782),
        ("one_vs_all", {}, 1.987753),
        ("weston_watkins_squared", {}, 0.998775),
        ("nce", {}, 2.238375),
        ("confidence_penalty", {}, 5.266716),
    ],
)
def test_the_margin_of_ten_classes(kind, options, margin):
    assert best_margin(kind, options, *LARGE)[0] == pytest.approx(margin, abs=1e-6)


@pytest.mark.parametrize(
    ("alpha", "margin"),
    # [(1-(K-1)c)^(alpha-1) - c^(alpha-1)]/(alpha-1), derived from p_k = 1 - (K-1) c and p_j = c.
    [(alpha, ((1 - 0.015) ** (alpha - 1) - 0.005 ** (alpha - 1)) / (alpha - 1)) for alpha in (1.2, 1.5, 1.8, 2, 3)],
)
def test_the_margin_of_entmax(alpha, margin):
    assert best_margin("entmax", {"alpha": alpha}, *SMALL)[0] == pytest.approx(margin, abs=1e-6)


@pytest.mark.parametrize("kind", ["crammer_singer", "weston_watkins"])
def test_the_hinges_end_at_the_kink(kind):
    """Their value falls by more than (K-1) c per unit of margin below m, and is 0 beyond."""
    for margin, expected in ((0.999, 0.001 * (1 if kind == "crammer_singer" else 3)), (1.0, 0), (1.001, 0)):
        logits = torch.tensor([[margin, 0, 0, 0]], dtype=torch.float64)
        assert built(kind)(logits, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-12)
