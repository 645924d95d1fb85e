"""Minima of losses on spheres and of features alone, against values computed by hand."""

import math

import pytest

from equal_losses.theory import spheres as models
from equal_losses.theory.steps.spheres import MODELS

from .small_study import tables


@pytest.mark.parametrize(
    "model, value",
    [
        (models.margin_softmax("normface", 1), math.log(1 + 3 * math.exp(-4 / 3))),
        (models.margin_softmax("cosface", 1), math.log(1 + 3 * math.exp(0.35 - 4 / 3))),
        (models.margin_softmax("arcface", 1), math.log(1 + 3 * math.exp(-1 / 3 - math.cos(0.5)))),
        (models.margin_softmax("sphereface", 10), math.log(1 + 3 * math.exp(-40 / 3))),
        (models.supcon(0.1), 1.386300435),
        (models.supcon(0.5), 1.617852762),
        (models.supcon(1), 2.073669550),
        (models.easy_positive(0.5), math.log(1 + 15 * math.exp(-8 / 3))),
        (models.mcr2(0.5), -3.60453831),
        (models.mcr2(0.1), -12.46652064),
        (models.soft_triple(20, 0.1, 2), math.log(1 + 3 * math.exp(-20 * (4 / 3 - 0.01)))),
    ],
)
def test_the_predicted_minima(model, value):
    assert model.value == pytest.approx(value, abs=1e-8)


@pytest.mark.parametrize(
    "model",
    [models.above_cross_entropy("l_softmax", margin=margin) for margin in (2, 3)]
    + [models.above_cross_entropy("center", penalty=penalty) for penalty in (0.003, 1)],
)
def test_l_softmax_and_center_loss_end_where_cross_entropy_does(model):
    assert model.value == pytest.approx(0.094361694, abs=1e-9)
    lowest, H, W = min((model.minimise(seed) for seed in range(3)), key=lambda end: end[0])
    assert lowest == pytest.approx(model.value, abs=1e-11)
    logits = H @ W.T
    assert logits[0, 0] - logits[0, 1:] == pytest.approx(5.283204, abs=1e-4)


@pytest.mark.parametrize("penalty, margin", [(0.01, 4.574711), (0.05, 2.833213), (0.2, 0.693147)])
def test_n_pair_has_the_margin_of_cross_entropy_with_one_sample_per_class(penalty, margin):
    _, H, W = models.n_pair(penalty).minimise(seed=0)
    logits = H @ W.T
    assert logits[0, 0] - logits[0, 1:] == pytest.approx(margin, abs=1e-6)


@pytest.mark.parametrize("loss", sorted(MODELS.keys() - {"ArcFace", "L-Softmax"}))
def test_every_start_ends_at_the_predicted_minimum(loss):
    row = tables()["spheres"].set_index("loss").loc[loss]
    assert (row["at_predicted"], abs(row["objective_error"]) < 1e-11) == (row["starts"], True)


def test_l_softmax_is_stuck_from_some_starts():
    row = tables()["spheres"].set_index("loss").loc["L-Softmax"]
    assert 0 < row["at_predicted"] < row["starts"]
    assert abs(row["objective_error"]) < 1e-11 and row["collapses"]


def test_the_kink_of_arcface_stops_a_descent_close_to_the_minimum_and_never_below_it():
    row = tables()["spheres"].set_index("loss").loc["ArcFace"]
    assert 0 < row["objective_error"] < 1e-4


@pytest.mark.parametrize("loss, collapses", [("SupCon", True), ("easy positive", True), ("SoftTriple", True),
    ("triplet", False), ("MCR^2", False), ("spread-out", False)])  # fmt: skip
def test_what_collapses_and_what_does_not(loss, collapses):
    assert tables()["spheres"].set_index("loss").loc[loss, "collapses"] == collapses


def test_coding_rate_reduction_gives_orthogonal_subspaces():
    row = tables()["spheres"].set_index("loss").loc["MCR^2"]
    assert (row["cosine_low"], row["cosine_high"]) == pytest.approx((0, 0), abs=1e-6)
    assert row["within"] > 0.5


@pytest.mark.parametrize("scale, weight, cosine", [(1, 1, -0.12730), (5, 1, -0.01278), (5, 0.1, -0.09706)])
def test_spread_out_collapses_each_class_at_other_cosines(scale, weight, cosine):
    model = models.spread_out(scale, weight)
    value, H, _ = model.minimise(seed=0)
    found = models.collapse(model, H)
    assert value == pytest.approx(model.value, abs=1e-11)
    assert found["within"] < 1e-9
    assert (found["cosine_low"], found["cosine_high"]) == pytest.approx((cosine, cosine), abs=2e-5)


@pytest.mark.parametrize("margin, uncollapsed", [(2.6, True), (8 / 3, False)])
def test_the_triplet_loss_forces_collapse_at_margin_2_k_over_k_minus_1_alone(margin, uncollapsed):
    model = models.triplet(margin)
    value, H, _ = model.minimise(seed=0)
    assert value < 1e-6
    assert (models.collapse(model, H)["within"] > 1e-3) == uncollapsed
