"""The answer of a study in sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from equal_losses.page.answer import answers, sentence

GEOMETRY, FEATURES, ACCURACY = (
    "Do all losses end in the same geometry?",
    "Are the features equal up to rotation and scale?",
    "Is test accuracy the same?",
)


def pairs_of(*verdicts: str) -> pd.DataFrame:
    """Pairs of the largest configuration, and one of a smaller one, about which nothing is said."""
    rows = [(1, 8, verdict, 0.01) for verdict in verdicts] + [(0.5, 8, "different", 0.01)]
    return pd.DataFrame(rows, columns=["width", "epochs", "verdict", "margin"])


def ledger_of(
    collapse: dict[str, str] | None = None,
    features: str = "supported",
    accuracy: str = "not decided",
    **more: object,
) -> pd.DataFrame:
    collapse = collapse or dict.fromkeys(("CE", "FL", "LS", "MSE"), "supported")
    rows = [("collapse", loss, verdict) for loss, verdict in collapse.items()]
    rows += [("equal_features", "all losses", features), ("equal_accuracy", "all losses", accuracy)]
    rows += [("wider_is_better", "CE", "not supported")]
    return pd.DataFrame(rows, columns=["name", "subject", "verdict"]).assign(experiment="toy", **more)


def answered(question: str, *verdicts: str, **ledger: object):
    (answer,) = answers(ledger_of(**ledger), {"toy": pairs_of(*(verdicts or ["undecided"]))})[question]
    return answer


def test_the_sentence_has_the_images_and_every_answer():
    found = answers(ledger_of(), {"toy": pairs_of("equivalent", "equivalent", "undecided")})
    assert sentence("toy", "On 1,400 images of digits", found) == (
        "On 1,400 images of digits: the same geometry under all four losses; the same features up to rotation and "
        "scale; test accuracy equal within 1 point for 2 of 3 pairs, not decided for 1."
    )


def test_each_question_is_answered_once():
    found = answers(ledger_of(), {"toy": pairs_of("undecided")})
    assert {question: len(each) for question, each in found.items()} == {GEOMETRY: 1, FEATURES: 1, ACCURACY: 1}


@pytest.mark.parametrize(
    ("collapse", "short", "words"),
    [
        ({"CE": "supported", "FL": "supported"}, "Yes", "the same geometry under both losses"),
        ({"CE": "supported"}, "Yes", "neural collapse under CE"),
        ({"CE": "not supported", "FL": "not supported"}, "No", "no collapse under CE and FL"),
        (
            {"CE": "not decided", "FL": "not decided"},
            "Not decided",
            "whether the geometry is the same is not decided",
        ),
        (
            {"CE": "supported", "FL": "not decided", "LS": "supported", "MSE": "not supported"},
            "In part",
            "no collapse under MSE",
        ),
        ({f"L{number}": "supported" for number in range(14)}, "Yes", "the same geometry under all 14 losses"),
    ],
)
def test_the_geometry_is_answered_for_the_losses(collapse, short, words):
    answer = answered(GEOMETRY, collapse=collapse)
    assert answer.short == short
    assert words in answer.words


@pytest.mark.parametrize(
    ("verdicts", "accuracy", "words"),
    [
        (["equivalent"] * 3, "supported", "test accuracy equal within 1 point for all 3 pairs"),
        (["equivalent"], "supported", "test accuracy equal within 1 point for the one pair"),
        (["different"] * 2, "not supported", "test accuracy different for all 2 pairs"),
        (["undecided"] * 6, "not decided", "test accuracy is not decided for any of 6 pairs of losses"),
        (["different", "undecided"], "not supported", "test accuracy different for 1 of 2 pairs, not decided for 1"),
        # Every pair is equal, but the networks do not fit their training data, so the ledger decides nothing.
        (["equivalent"] * 2, "not decided", "test accuracy is not decided for any of 2 pairs of losses"),
        (["different", "equivalent"], "not decided", "test accuracy is not decided for any of 2 pairs of losses"),
    ],
)
def test_the_accuracy_is_answered_for_the_pairs_of_the_largest_configuration(verdicts, accuracy, words):
    assert answered(ACCURACY, *verdicts, accuracy=accuracy).words == words


def test_what_is_not_decided_says_how_many_seeds_would_decide():
    assert answered(ACCURACY, "undecided", seeds_needed=9.0).words.endswith(", which 9 seeds would decide")
    for unknown in (np.nan, np.inf):
        assert answered(ACCURACY, "undecided", seeds_needed=unknown).words.endswith("pair of losses")


def test_one_loss_alone_has_no_accuracies_to_compare():
    (answer,) = answers(ledger_of(), {"toy": pairs_of().iloc[:0]})[ACCURACY]
    assert answer.words == "no test accuracies to compare"
