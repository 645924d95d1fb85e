"""What the losses become at the ends of their parameters, and what they do not see."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from .shipped import built

LOGIT_ROWS = st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=1, max_size=5)
SHIFT_INVARIANT = (
    *("cross_entropy", "focal", "label_smoothing", "gce", "sce", "poly1", "temperature", "ldam", "logit_adjustment"),
    *("crammer_singer", "crammer_singer_squared", "weston_watkins", "weston_watkins_squared", "entmax", "bi_tempered"),
    *("nce", "confidence_penalty", "f_divergence", "top_k"),
)


def batch(rows: list[list[float]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(rows, dtype=torch.float64), torch.arange(len(rows)) % 4


CROSS_ENTROPY = [
    ("focal", {"gamma": 0}),
    ("label_smoothing", {"smoothing": 0.0}),
    ("gce", {"q": 1e-9}),
    ("sce", {"alpha": 1, "beta": 0}),
    ("poly1", {"epsilon": 0}),
    ("temperature", {"temperature": 1}),
    ("ldam", {"margin": 0}),
    ("logit_adjustment", {"tau": 0, "prior": (4, 3, 2, 1)}),
    ("logit_adjustment", {"prior": (2, 2, 2, 2)}),
    ("entmax", {"alpha": 1}),
    ("bi_tempered", {"t1": 1, "t2": 1}),
    ("confidence_penalty", {"beta": 0}),
    ("top_k", {"k": 1}),
]


@pytest.mark.parametrize(("kind", "options"), CROSS_ENTROPY)
@given(rows=LOGIT_ROWS)
def test_it_is_cross_entropy(kind, options, rows):
    logits, labels = batch(rows)
    expected = built("cross_entropy")(logits, labels)
    torch.testing.assert_close(built(kind, **options)(logits, labels), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options"), [("entmax", {"alpha": 1.0001}), ("bi_tempered", {"t1": 0.9999, "t2": 1.0001})]
)
@given(rows=LOGIT_ROWS)
def test_it_comes_near_cross_entropy(kind, options, rows):
    logits, labels = batch(rows)
    difference = built(kind, **options)(logits, labels) - built("cross_entropy")(logits, labels)
    assert difference.abs() < 3e-4 * (1 + (logits.amax() - logits.amin()) ** 2)


@given(LOGIT_ROWS, st.floats(0.01, 5), st.floats(0, 5), st.floats(-9, -1))
def test_sce_is_poly1_with_another_scale(rows, alpha, beta, log_zero):
    logits, labels = batch(rows)
    sce = built("sce", alpha=alpha, beta=beta, log_zero=log_zero)(logits, labels)
    torch.testing.assert_close(sce, alpha * built("poly1", epsilon=-beta * log_zero / alpha)(logits, labels))


@given(LOGIT_ROWS)
def test_gce_at_1_is_half_the_mean_absolute_error(rows):
    logits, labels = batch(rows)
    targets = torch.nn.functional.one_hot(labels, 4)
    mae = (logits.softmax(dim=1) - targets).abs().sum(dim=1).mean()
    torch.testing.assert_close(built("gce", q=1)(logits, labels), mae / 2)


@given(LOGIT_ROWS)
def test_the_two_hinges_and_the_entmax_of_two_classes_are_one(rows):
    logits, labels = batch([row[:2] for row in rows])
    labels = labels % 2
    for square in ("", "_squared"):
        losses = [built(f"{name}{square}")(logits, labels) for name in ("crammer_singer", "weston_watkins")]
        torch.testing.assert_close(*losses)


@given(LOGIT_ROWS, st.sampled_from([1.01, 1.3, 1.5, 2.0, 3.0]))
def test_entmax_is_never_negative_and_its_gradient_sums_to_zero(rows, alpha):
    logits, labels = batch(rows)
    logits.requires_grad_()
    loss = built("entmax", alpha=alpha)(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss > -1e-12
    torch.testing.assert_close(gradient.sum(dim=1), torch.zeros(len(rows), dtype=torch.float64), atol=1e-9, rtol=0)


@given(st.floats(1.0001, 1.9), st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_the_entmax_by_bisection_is_continuous_at_the_alphas_that_are_sorted(alpha, row):
    logits, labels = batch([row])
    for exact in (1.5, 2.0):
        near = built("entmax", alpha=exact - 1e-7)(logits, labels)
        torch.testing.assert_close(built("entmax", alpha=exact)(logits, labels), near, atol=1e-5, rtol=0)


@given(LOGIT_ROWS)
def test_nce_is_between_0_and_1_and_over_all_labels_it_sums_to_1(rows):
    logits, _ = batch(rows)
    shares = [built("nce")(logits, torch.full((len(rows),), label)) for label in range(4)]
    assert all(0 <= share <= 1 for share in shares)
    torch.testing.assert_close(sum(shares).item(), 1.0)


@pytest.mark.parametrize("kind", SHIFT_INVARIANT)
@given(rows=LOGIT_ROWS, shift=st.floats(-10, 10))
def test_a_shift_of_all_logits_is_not_seen(kind, rows, shift):
    logits, labels = batch(rows)
    torch.testing.assert_close(built(kind)(logits + shift, labels), built(kind)(logits, labels), atol=1e-7, rtol=1e-7)


@given(LOGIT_ROWS, st.floats(0.1, 10))
def test_logit_norm_does_not_see_a_factor_of_all_logits(rows, factor):
    logits, labels = batch(rows)
    logits = logits + 0.1 * torch.arange(4)  # not zero
    torch.testing.assert_close(built("logit_norm")(factor * logits, labels), built("logit_norm")(logits, labels))


@pytest.mark.parametrize("kind", ["crammer_singer", "weston_watkins"])
def test_hinges_fall_as_a_subgradient_says(kind):
    """At the kink of three equal others each has its share."""
    logits = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(built(kind)(logits, torch.tensor([1])), logits)
    share = 1 / 3 if kind == "crammer_singer" else 1.0
    torch.testing.assert_close(gradient[0], torch.tensor([share, -3 * share, share, share], dtype=torch.float64))
