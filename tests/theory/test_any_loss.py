"""Eq. (7) under losses that the paper does not have, against reference values."""

import math

import numpy as np
import pytest

from equal_losses import losses
from equal_losses.theory import ufm
from equal_losses.theory.model import measure, prediction
from equal_losses.theory.ufm import UnconstrainedFeatureModel

# Margin and objective with K = 4, n = 5, d = 7, lambda_W = 5e-3, lambda_H = 1e-3, lambda_b = 0.
REFERENCE = [
    ("cross_entropy", {}, 5.283204, 0.094361694),
    ("gce", {"q": 0.7}, 5.272346, 0.094281169),
    ("gce", {"q": 1.0}, 5.267619, 0.094246298),
    ("sce", {"alpha": 0.1, "beta": 1.0, "log_zero": -4.0}, 6.702037, 0.115585161),
    ("sce", {"alpha": 6.0, "beta": 0.1, "log_zero": -4.0}, 7.152122, 0.122300538),
    ("sce", {"alpha": 0.1, "beta": 1.0, "log_zero": math.log(1e-4)}, 7.526230, 0.127917570),
    ("poly1", {"epsilon": 1.0}, 5.980136, 0.104787204),
    ("poly1", {"epsilon": 2.0}, 6.388550, 0.110891214),
    ("poly1", {"epsilon": -1.0}, 3.067816, 0.054191996),
    ("temperature", {"temperature": 2.0}, 9.149422, 0.167700537),
    ("ldam", {"margin": 1.0}, 6.283204, 0.109361694),
    ("bce", {}, 9.477896, 0.172319707),
    ("crammer_singer", {"margin": 1.0}, 1.000000, 0.015000000),
    ("weston_watkins", {"margin": 1.0}, 1.000000, 0.015000000),
    ("weston_watkins_squared", {"margin": 1.0}, 0.997500, 0.014981250),
    ("crammer_singer_squared", {"margin": 1.0}, 0.992500, 0.014943750),
    ("one_vs_all", {"margin": 1.0}, 1.990000, 0.029925000),
    ("entmax", {"alpha": 1.5}, 1.843522, 0.028473004),
    ("entmax", {"alpha": 2.0}, 0.980000, 0.014850000),
    ("bi_tempered", {"t1": 0.8, "t2": 1.2}, 5.751464, 0.112726827),
    ("nce", {}, 3.126128, 0.059419606),
    ("confidence_penalty", {"beta": 0.1}, 4.665768, 0.082234294),
    ("f_divergence", {"divergence": "TV"}, 3.969497, -0.210560627),
    ("f_divergence", {"divergence": "KL"}, 5.095855, -0.382422278),
    ("f_divergence", {"divergence": "Pearson"}, 5.133010, -0.595264610),
    ("f_divergence", {"divergence": "Jeffrey"}, 5.078429, -0.580461885),
    ("f_divergence", {"divergence": "JS"}, 3.683909, -0.154135370),
]
# Margin with K = 10, n = 3, d = 12, lambda_W = 1e-3, lambda_H = 2e-3.
SECOND = [
    ("cross_entropy", {}, 5.989584),
    ("gce", {"q": 0.7}, 5.973366),
    ("gce", {"q": 1.0}, 5.966251),
    ("sce", {"alpha": 0.1, "beta": 1.0, "log_zero": -4.0}, 7.412155),
    ("sce", {"alpha": 6.0, "beta": 0.1, "log_zero": -4.0}, 7.864507),
    ("poly1", {"epsilon": 2.0}, 7.098140),
    ("poly1", {"epsilon": -1.0}, 3.943821),
    ("temperature", {"temperature": 2.0}, 10.547272),
    ("ldam", {"margin": 1.0}, 6.989584),
    ("bce", {}, 9.801782),
    ("one_vs_all", {"margin": 1.0}, 1.987753),
    ("weston_watkins_squared", {"margin": 1.0}, 0.998775),
    ("nce", {}, 2.238375),
    ("confidence_penalty", {"beta": 0.1}, 5.266716),
]


def reference_model(loss, sizes=(4, 5, 7), penalties=(5e-3, 1e-3)):
    return UnconstrainedFeatureModel(losses.build(loss), *sizes, *penalties)


@pytest.mark.parametrize("kind, parameters, margin, objective", REFERENCE)
def test_margin_and_objective_are_predicted_from_the_loss(kind, parameters, margin, objective):
    loss = {"kind": kind, **parameters}
    expected = prediction(reference_model(loss), loss)
    assert expected.margin == pytest.approx(margin, abs=1e-6)
    assert expected.value == pytest.approx(objective, abs=1e-9)
    assert expected.weight_norm_sq(4, 5, 5e-3, 1e-3) == pytest.approx(0.75 * margin, abs=1e-6)


@pytest.mark.parametrize("kind, parameters, margin", SECOND)
def test_margins_of_another_size_are_predicted(kind, parameters, margin):
    loss = {"kind": kind, **parameters}
    expected = prediction(reference_model(loss, (10, 3, 12), (1e-3, 2e-3)), loss)
    assert expected.margin == pytest.approx(margin, abs=1e-6)


@pytest.mark.parametrize(
    "kind", ["gce", "sce", "poly1", "bce", "weston_watkins_squared", "one_vs_all", "entmax", "bi_tempered", "nce"]
)
def test_the_minimum_is_neural_collapse_as_predicted(kind):
    loss = {"kind": kind}
    model = reference_model(loss)
    found = measure(model, ufm.minimise(model, model.random_point(0)), prediction(model, loss))
    assert found["margin_error"] < 1e-6
    assert abs(found["objective"] - found["objective_closed_form"]) < 1e-12
    assert max(found[name] for name in ("weight_norms", "bias", "duality", "etf", "nc1", "nc2", "nc3")) < 1e-6
    assert found["logit_gradient"] < 1e-6
    assert found["certificate"] == pytest.approx(1, abs=1e-6)


def test_top_k_ends_below_neural_collapse():
    loss = {"kind": "top_k"}
    model = reference_model(loss)
    found = measure(model, ufm.minimise(model, model.random_point(0)), prediction(model, loss))
    assert found["objective_closed_form"] == pytest.approx(0.088280, abs=1e-6)
    assert found["objective"] < 0.08
    assert found["nc2"] > 0.1


def test_a_wrong_minimum_of_a_loss_that_is_not_convex_has_the_certificate():
    """GCE near its band gives up a class: a local minimum, above the prediction, with a certificate of 1."""
    loss = {"kind": "gce"}
    c = 0.01796
    model = reference_model(loss, (10, 3, 12), (c / math.sqrt(3), c / math.sqrt(3)))
    minima = [ufm.minimise(model, model.random_point(seed, scale=3.0)) for seed in range(4)]
    excess = [model.value_and_gradient(minimum)[0] - prediction(model, loss).value for minimum in minima]
    assert max(excess) > 0.03
    assert ufm.certificate(model, minima[int(np.argmax(excess))]) == pytest.approx(1, abs=1e-4)


def test_nothing_is_predicted_where_a_penalised_bias_moves_the_logits():
    loss = {"kind": "one_vs_all"}
    model = UnconstrainedFeatureModel(losses.build(loss), 4, 5, 7, 5e-3, 1e-3, lambda_b=0.1)
    assert math.isnan(prediction(model, loss).margin)
