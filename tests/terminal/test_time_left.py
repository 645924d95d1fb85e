"""The time that is left follows from what was measured."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from equal_losses.terminal.time_left import SMALL_JOB_SECONDS, Work, seconds_left, units, words


def test_nothing_is_said_before_anything_of_its_kind_is_measured():
    assert seconds_left([Work("train", 10), Work("small", 0, 1, 5)], 1) is None


def test_work_of_one_group_takes_its_time_per_unit():
    works = [Work("a", 10, 1, 20), Work("a", 30), Work("b", 10, 1, 5), Work("b", 10)]
    assert seconds_left(works, 1) == 60 + 5


def test_what_is_begun_is_left_in_part():
    assert seconds_left([Work("a", 10, 0.5, 20)], 1) == 20


def test_another_group_is_judged_by_all_that_was_measured():
    assert seconds_left([Work("a", 10, 1, 20), Work("b", 5)], 1) == 10


def test_what_runs_at_a_time_is_done_at_a_time():
    assert seconds_left([Work("a", 10, 1, 20), *(Work("a", 10) for _ in range(4))], 2) == 40


def test_no_more_at_a_time_than_the_longest_of_it_allows():
    assert seconds_left([Work("a", 10, 1, 20), Work("a", 100), Work("a", 10)], 8) == 200


def test_small_jobs_count_as_those_that_are_done_of_their_kind():
    assert seconds_left([Work("figure", 0, 1, 8), Work("figure", 0)], 1) == 8
    assert seconds_left([Work("figure", 0)], 1) == SMALL_JOB_SECONDS


def test_nothing_is_left_of_what_is_done():
    assert seconds_left([Work("a", 10, 1, 20)], 1) == 0


def test_units_grow_with_runs_epochs_and_the_square_of_the_width():
    def of(width, runs, epochs):
        return units(SimpleNamespace(width=width, members=[None] * runs), epochs)

    assert of(2, 3, 7) == 3 * 7 * of(2, 1, 1)
    assert of(2, 1, 1) / of(1, 1, 1) == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "time left not known yet"),
        (0, "about 10 s left"),
        (44, "about 40 s left"),
        (100, "about 2 min left"),
        (3600, "about 60 min left"),
        (7200, "about 2.0 h left"),
        (86_400, "about 24 h left"),
    ],
)
def test_it_is_said_no_more_exactly_than_it_is_known(seconds, text):
    assert words(seconds) == text
