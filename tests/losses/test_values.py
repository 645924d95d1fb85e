"""The losses against values by hand, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch

from equal_losses.running.errors import InputError

from .shipped import built

# Softmax of (0, log 2, log 3): 1/6, 1/3, 1/2.
LOGITS = torch.tensor([[0.0, math.log(2), math.log(3)]], dtype=torch.float64)
SIMPLE = torch.tensor([[0.0, 0.5, 2.0]], dtype=torch.float64)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def half_tanh(p: float) -> float:
    return math.tanh(p) / 2


def js(p: float) -> float:
    return math.log(2) - math.log1p(math.exp(-p))


P = (1 / 6, 1 / 3, 1 / 2)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("cross_entropy", {}, math.log(3)),
        ("focal", {"gamma": 3}, (2 / 3) ** 3 * math.log(3)),
        ("label_smoothing", {"smoothing": 0.3}, 0.1 * math.log(6) + 0.8 * math.log(3) + 0.1 * math.log(2)),
        ("mse", {"kappa": 2, "beta": 5}, 2 * (math.log(2) - 5) ** 2 + math.log(3) ** 2),
        (
            "mse",
            {"kappa": 2, "beta": 5, "class_reduction": "mean"},  # as the released code does
            (2 * (math.log(2) - 5) ** 2 + math.log(3) ** 2) / 3,
        ),
        ("gce", {}, (1 - 3**-0.7) / 0.7),
        ("gce", {"q": 0.5}, 2 * (1 - 3**-0.5)),
        ("gce", {"q": 1}, 2 / 3),
        ("sce", {}, 0.1 * math.log(3) + 4 * 2 / 3),
        ("sce", {"alpha": 6, "beta": 0.1, "log_zero": -6}, 6 * math.log(3) + 0.6 * 2 / 3),
        ("poly1", {}, math.log(3) + 2 * 2 / 3),
        ("poly1", {"epsilon": -1}, math.log(3) - 2 / 3),
        ("bce", {}, softplus(0) + softplus(-math.log(2)) + softplus(math.log(3))),
        ("temperature", {}, math.log(1 + math.sqrt(2) + math.sqrt(3)) - math.log(2) / 2),
        ("ldam", {}, math.log(4 + 2 / math.e) - math.log(2 / math.e)),
        ("logit_adjustment", {}, math.log(3)),
        ("logit_adjustment", {"prior": (1, 2, 3)}, math.log(1 + 4 + 9) - math.log(4)),
        ("logit_adjustment", {"prior": (10, 20, 30), "tau": 2}, math.log(1 + 8 + 27) - math.log(8)),
        ("nce", {}, math.log(3) / math.log(36)),
        ("confidence_penalty", {}, math.log(3) - 0.1 * (math.log(6) / 6 + math.log(3) / 3 + math.log(2) / 2)),
        ("f_divergence", {}, sum(map(half_tanh, P)) / 3 - half_tanh(1 / 3)),
        ("f_divergence", {"divergence": "KL"}, sum(math.exp(p - 1) for p in P) / 3 - 1 / 3),
        ("f_divergence", {"divergence": "Pearson"}, sum(p * p / 4 for p in P) / 3),
        ("f_divergence", {"divergence": "Jeffrey"}, sum(p * p / 4 + p**3 / 16 for p in P) / 3),
        ("f_divergence", {"divergence": "JS"}, sum(p - js(p) for p in P) / 3 - js(1 / 3)),
        ("top_k", {}, math.log(1 + 1 / 2)),
        ("bi_tempered", {"t1": 0.5, "t2": 1}, -2 * (3**-0.5 - 1) - (1 - sum(p**1.5 for p in P)) / 1.5),
        ("bi_tempered", {"t1": 0, "t2": 1}, 2 / 3 - (1 - sum(p * p for p in P)) / 2),
    ],
)
def test_losses_of_softmax_by_hand(kind, options, expected):
    assert built(kind, **options)(LOGITS, torch.tensor([1])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("crammer_singer", {}, 2.5),
        ("crammer_singer_squared", {}, 6.25),
        ("weston_watkins", {}, 2.5 + 0.5),
        ("weston_watkins", {"margin": 0.25}, 1.75),
        ("weston_watkins_squared", {}, 6.25 + 0.25),
        ("one_vs_all", {}, 0.25 + 1 + 9),
        ("logit_norm", {}, math.log(sum(math.exp(z / math.sqrt(4.25) / 0.04) for z in (-0.5, 0, 1.5)))),
        # Sparsemax of (0, 0.5, 2) is (0, 0, 1), and the loss the difference of the logits.
        ("entmax", {"alpha": 2}, 1.5),
    ],
)
def test_losses_of_margins_by_hand(kind, options, expected):
    assert built(kind, **options)(SIMPLE, torch.tensor([1])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("true", "expected"),
    # Sparsemax of (0, 0, 1) is (0, 0, 1); of (0, 0, 1/2) it is (1/6, 1/6, 2/3), with entropy (1 - 1/2)/2 = 1/4.
    [(2, 1 / 3 + 1 / 4 - 1 / 2), (0, 1 / 3 + 1 / 4)],
)
def test_the_sparsemax_loss_by_hand(true, expected):
    logits = torch.tensor([[0.0, 0.0, 0.5]], dtype=torch.float64)
    assert built("entmax", alpha=2)(logits, torch.tensor([true])).item() == pytest.approx(expected)


def test_the_entmax_loss_by_hand():
    """sqrt(p) = max(0, z/2 - tau): with z = (0, 0, 0, 1.2) and tau = -0.2, p = (0.04, 0.04, 0.04, 0.64)/0.76 ... in
    general the sum of (z/2 - tau)^2 is 1, here 3 x^2 + (x + 0.6)^2 = 1."""
    x = (-1.2 + math.sqrt(1.44 + 16 * 0.64)) / 8
    p = [x * x, x * x, x * x, (x + 0.6) ** 2]
    assert sum(p) == pytest.approx(1)
    entropy = (1 - sum(each**1.5 for each in p)) / 0.75
    logits = torch.tensor([[0.0, 0.0, 0.0, 1.2]], dtype=torch.float64)
    found = [built("entmax")(logits, torch.tensor([true])).item() for true in (0, 3)]
    assert found == pytest.approx([1.2 * p[3] + entropy, 1.2 * p[3] + entropy - 1.2])


def test_the_bi_tempered_loss_by_hand():
    """exp_2(x) = 1/(1 - x): with equal logits p = 1/4 for each of four, and lambda = 3."""
    logits = torch.zeros(1, 4, dtype=torch.float64)
    found = built("bi_tempered", t1=0.5, t2=2)(logits, torch.tensor([2])).item()
    assert found == pytest.approx(-2 * (0.25**0.5 - 1) - (1 - 4 * 0.25**1.5) / 1.5)
    # With z = (0, -2) and lambda = 1 + u: 1/(2 + u) + 1/(4 + u) = 1 at u = sqrt(2) - 2.
    p = 1 / math.sqrt(2), 1 / (2 + math.sqrt(2))
    assert sum(p) == pytest.approx(1)
    found = built("bi_tempered", t1=0.5, t2=2)(torch.tensor([[0.0, -2.0]], dtype=torch.float64), torch.tensor([1]))
    assert found.item() == pytest.approx(-2 * (p[1] ** 0.5 - 1) - (1 - p[0] ** 1.5 - p[1] ** 1.5) / 1.5)


def test_top_k_leaves_out_the_largest_of_the_others():
    logits = torch.tensor([[1.0, 4.0, 2.0, 3.0]], dtype=torch.float64)
    for k, left in ((1, (4, 2, 3)), (2, (2, 3)), (3, (2,))):
        expected = math.log1p(sum(math.exp(z - 1) for z in left))
        assert built("top_k", k=k)(logits, torch.tensor([0])).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("top_k", {"k": 3}, "k is 3 with 3 classes; allowed: a whole number from 1 to 2"),
        ("logit_adjustment", {"prior": (0.5, 0.5)}, "prior has 2 numbers; expected one for each of the 3 classes"),
    ],
)
def test_what_does_not_fit_the_number_of_classes_is_named(kind, options, message):
    with pytest.raises(InputError) as error:
        built(kind, **options)(LOGITS, torch.tensor([1]))
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("mse", {"kappa": 1, "beta": 5, "class_reduction": "max"}, "class_reduction is 'max'; allowed: sum, mean"),
        ("f_divergence", {"divergence": "tv"}, "divergence is 'tv'; allowed: TV, KL, Pearson, Jeffrey, JS"),
    ],
)
def test_an_unknown_word_is_named(kind, options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        built(kind, **options)(LOGITS, torch.tensor([1]))
