"""Definition 1 on the paper's losses and on losses that break it, each in another way."""

import math
import re
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from equal_losses import losses
from equal_losses.running.errors import InputError
from equal_losses.theory import closed_form
from equal_losses.theory.contrastive import FAILS, HOLDS, HOLDS_AT_C, check_contrastive
from equal_losses.theory.convexity import is_convex, smallest_zero_sum_curvature
from equal_losses.theory.pointwise import bound
from equal_losses.theory.reduced import ReducedLoss

from .paper_losses import LOSSES, PARAMETERS

C = 0.005


@pytest.mark.parametrize("kind", ["cross_entropy", "label_smoothing", "focal"])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_losses_of_the_paper_hold(kind, classes):
    report = check_contrastive(LOSSES[kind], classes, samples=500, c=C)
    assert report["holds"], report["counterexample"]
    assert (report["violations"], report["unequal_ties"], report["ties"]) == (0, 0, 0)
    assert report["equality_error"] < 1e-12
    assert report["theorem_1"] == "any lambda_b"


def test_mse_holds_to_the_letter_but_not_for_a_penalised_bias():
    report = check_contrastive(LOSSES["mse"], 5, samples=200, c=C)
    assert report["holds"]
    assert report["equality_error"] > 1
    assert (report["verdict"], report["theorem_1"]) == (HOLDS, "lambda_b = 0")


def test_the_best_shift_is_found_at_every_margin():
    """Binary cross entropy has its best shift far away, and flat, where the margin is large."""
    reduced = ReducedLoss(losses.build({"kind": "bce"}), 10)
    assert reduced.optimal_margin(math.sqrt(3 * 1e-3 * 2e-3)) == pytest.approx(9.801782, abs=5e-7)
    assert reduced.ties == []


def test_a_loss_that_falls_forever_along_the_shift_is_taken_as_far_as_it_was_followed():
    def positive(logits, labels):
        return F.softplus(-logits.gather(1, labels[:, None])).mean()

    assert ReducedLoss(positive, 3)(np.array([0.0, 5.0]))[0] == pytest.approx([0, 0], abs=1e-12)


def test_focal_loss_of_seventeen_classes_has_no_tie():
    assert ReducedLoss(LOSSES["focal"], 17).ties == []


@pytest.mark.parametrize("classes", [18, 100])
def test_a_tie_is_where_the_closed_form_jumps(classes):
    (tie,) = ReducedLoss(LOSSES["focal"], classes).ties
    below, above = (
        closed_form.global_minimiser("focal", classes, tie.c * factor, gamma=3.0).margin
        for factor in (1 - 1e-9, 1 + 1e-9)
    )
    assert tie.margins == pytest.approx((0.0, below), abs=1e-6)
    assert above == 0


def test_focal_with_many_classes_does_not_hold():
    report = check_contrastive(LOSSES["focal"], 100, samples=200, c=1e-4)
    assert not report["holds"]
    assert (report["verdict"], report["theorem_1"]) == (HOLDS_AT_C, "any lambda_b")
    assert "not unique for c = 0.0117521" in report["counterexample"]


@pytest.mark.parametrize("kind", PARAMETERS)
def test_reduced_loss_is_phi(kind):
    margins = np.linspace(-3, 9, 13)
    values, slopes = ReducedLoss(LOSSES[kind], 6)(margins)
    phi = partial(closed_form.PHI[kind], classes=6, **PARAMETERS[kind])
    np.testing.assert_allclose(values, phi(-5 * margins), rtol=1e-9, atol=1e-12)
    numeric = (phi(-5 * (margins + 1e-5)) - phi(-5 * (margins - 1e-5))) / 2e-5
    np.testing.assert_allclose(slopes, numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", PARAMETERS)
@given(log_c=st.floats(-7, 0))
@settings(max_examples=15, deadline=None)
def test_optimal_margin_is_the_closed_form(kind, log_c):
    reduced = REDUCED[kind]
    c = math.exp(log_c)
    closed = closed_form.global_minimiser(kind, 10, c, **PARAMETERS[kind]).margin
    assert reduced.optimal_margin(c) == pytest.approx(closed, rel=1e-7, abs=1e-7)


REDUCED = {kind: ReducedLoss(loss, 10) for kind, loss in LOSSES.items()}  # they keep their grids


def hinge(logits, labels):
    return F.multi_margin_loss(logits, labels)


def wrong_way(logits, labels):
    return F.cross_entropy(-logits, labels)


def concave(logits, labels):
    return -F.cross_entropy(logits, labels)


def linear_in_margin(logits, labels):
    true = logits.gather(1, labels[:, None]).squeeze(1)
    return (logits.mean(dim=1) - true).mean()


def weighted_classes(logits, labels):
    weight = torch.arange(1, logits.shape[1] + 1, dtype=torch.float64)
    return (weight[labels] * F.cross_entropy(logits, labels, reduction="none")).mean()


@pytest.mark.parametrize(
    "loss, reason",
    [
        (wrong_way, "t\\* > 0"),
        (concave, "loss < phi"),
        (linear_in_margin, "unequal logits"),  # of these, only their mean counts
        (weighted_classes, "has another loss than label 0"),
    ],
)
def test_losses_that_break_the_definition(loss, reason):
    report = check_contrastive(loss, 3, samples=200, c=C)
    assert not report["holds"]
    assert report["theorem_1"] == "nowhere"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(report["counterexample"])


@pytest.mark.parametrize(
    "loss, verdict, theorem_1",
    [
        ({"kind": "poly1", "epsilon": -1.0}, HOLDS, "any lambda_b"),
        ({"kind": "bce"}, HOLDS, "lambda_b = 0"),
        ({"kind": "sce"}, HOLDS_AT_C, "any lambda_b"),  # its tie is at another c
        ({"kind": "weston_watkins"}, HOLDS_AT_C, "any lambda_b"),  # it has equality where all hinges are active
        ({"kind": "confidence_penalty"}, HOLDS_AT_C, "any lambda_b"),  # it violates (9) beyond its optimum
        ({"kind": "gce"}, HOLDS_AT_C, "no bias"),  # it is bounded
        ({"kind": "nce"}, HOLDS_AT_C, "no bias"),
        ({"kind": "poly1", "epsilon": -6.0}, FAILS, "nowhere"),  # it is least at p = 1/6, below 1/K
        ({"kind": "top_k"}, FAILS, "nowhere"),
        ({"kind": "logit_norm"}, FAILS, "nowhere"),
    ],
)
def test_a_loss_holds_where_it_matters_or_fails(loss, verdict, theorem_1):
    report = check_contrastive(losses.build(loss), 4, samples=500, c=C)
    assert (report["verdict"], report["theorem_1"]) == (verdict, theorem_1)


def test_a_loss_of_definition_1_may_be_decided_without_a_bias_only():
    """Bounded, so that a bias may give up a class; t* = log c is unique for every c below 1."""

    def bounded(logits, labels, e=0.05):
        t = (logits.sum(dim=1) - 2 * logits.gather(1, labels[:, None]).squeeze(1)).double()
        return torch.where(t <= 0, t.clamp(max=0).exp(), 1 + e * (1 - torch.exp(-t.clamp(min=0) / e))).mean()

    report = check_contrastive(bounded, 2, samples=200, c=0.5)
    assert (report["verdict"], report["theorem_1"]) == (HOLDS, "no bias")
    assert report["margin"] == pytest.approx(math.log(2), abs=1e-9)
    assert report["counterexample_at_c"].startswith("loss - c t falls from 0.846574")


def test_logits_below_neural_collapse_are_named():
    found = check_contrastive(losses.build({"kind": "top_k"}), 4, samples=50, c=C)["counterexample_at_c"]
    assert re.search(r"is \d.* at label \d, logits \[.*\]; 0.0882797 where all margins are 4.87774", found)


@pytest.mark.parametrize(
    "kind, convex",
    [("cross_entropy", True), ("mse", True), ("focal", False)],
)
def test_convexity_is_refuted_by_a_segment(kind, convex):
    assert is_convex(LOSSES[kind], 4) is convex


def test_a_loss_with_kinks_may_be_convex():
    assert is_convex(losses.build({"kind": "crammer_singer"}), 4)
    assert not is_convex(losses.build({"kind": "gce"}), 4)


def test_a_loss_may_choose_by_values_what_it_does():
    def chosen(logits, labels):
        return F.cross_entropy(logits, labels) if logits.isfinite().all() else logits.sum()

    margins = np.array([-1.0, 2.0])
    np.testing.assert_array_equal(ReducedLoss(chosen, 3)(margins)[0], ReducedLoss(F.cross_entropy, 3)(margins)[0])


def test_hinge_with_two_classes_has_a_tie_of_a_whole_segment():
    (tie,) = ReducedLoss(hinge, 2).ties
    assert tie.c == pytest.approx(0.5)
    assert tie.margins == pytest.approx((0.0, 1.0), abs=0.02)


def test_margins_that_are_as_good_decide_nothing():
    assert bound(ReducedLoss(hinge, 2), 0.49).with_bias
    tied = bound(ReducedLoss(hinge, 2), 0.5)
    assert not tied.with_bias and not tied.without_bias


def test_a_loss_without_minimiser_is_reported():
    reduced = ReducedLoss(linear_in_margin, 2)
    assert reduced.largest_slope_without_minimiser == pytest.approx(0.5)
    with pytest.raises(InputError, match="no minimiser"):
        reduced.optimal_margin(0.1)


def test_curvature_of_cross_entropy_is_its_hessian():
    logits = np.array([0.3, -1.0, 2.0])
    q = np.exp(logits) / np.exp(logits).sum()
    eigenvalues = np.linalg.eigvalsh(np.diag(q) - np.outer(q, q))  # the first is 0, along the shift
    basis = np.linalg.svd(np.ones((1, 3)))[2][1:]
    expected = np.linalg.eigvalsh(basis @ (np.diag(q) - np.outer(q, q)) @ basis.T)[0]
    assert abs(eigenvalues[0]) < 1e-15
    found = smallest_zero_sum_curvature(LOSSES["cross_entropy"], logits, 1)
    assert found == pytest.approx(expected, rel=1e-12)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="classes is 1"):
        ReducedLoss(LOSSES["cross_entropy"], 1)
    with pytest.raises(InputError, match=r"\(K-1\) c is"):
        REDUCED["cross_entropy"].optimal_margin(1e-9)
