"""How long it takes to do what is left, from what was measured since it began.

Work is counted in units of which a network's epochs have as many as it is large, so that what one width takes says
something of another one until that is measured itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

# Seconds of a job that computes little, until one of its kind is measured: mostly the start of Python.
SMALL_JOB_SECONDS = 3.0


class Trained(Protocol):
    """Whatever trains runs of one width: a run, a stack, a trunk."""

    width: float
    members: list


@dataclass
class Work:
    """What one job does.

    Attributes:
        group: jobs of one group take the same time per unit: those of one rule and width.
        units: how much it is; 0 where nothing is known of it.
        share: of it that is done, in 0..1.
        seconds: that were spent on it.
    """

    group: Any
    units: float
    share: float = 0.0
    seconds: float = 0.0


def units(subject: Trained, epochs: float) -> float:
    """Units of so many epochs: operations grow with the square of the width, and something does not grow."""
    return len(subject.members) * epochs * (0.5 + subject.width**2)


def seconds_left(works: Iterable[Work], at_a_time: int) -> float | None:
    """Seconds until all is done, if so many jobs run at a time; None as long as nothing can be said.

    Nothing can be said while there are units left to do and no unit is done.
    """
    works = list(works)
    rates, everywhere = _seconds_per_unit(works), _rate(work for work in works if work.units)
    small = _means(work for work in works if not work.units and work.share == 1)
    longest = total = 0.0
    for work in works:
        if work.share == 1:
            continue
        if work.units:
            rate = rates.get(work.group, everywhere)
            if rate is None:
                return None
            left = work.units * (1 - work.share) * rate
        else:
            left = max(0.5, small.get(work.group, SMALL_JOB_SECONDS) - work.seconds)
        longest, total = max(longest, left), total + left
    return max(longest, total / max(1, at_a_time))


def words(seconds: float | None) -> str:
    """About how long, in words, no more exact than it is known; nothing where it is not known."""
    if seconds is None:
        return "time left not known yet"
    if seconds < 90:
        return f"about {max(10, round(seconds, -1)):.0f} s left"
    minutes = seconds / 60
    if minutes < 90:
        return f"about {minutes:.0f} min left"
    hours = minutes / 60
    return f"about {hours:.1f} h left" if hours < 10 else f"about {hours:.0f} h left"


def _seconds_per_unit(works: Iterable[Work]) -> dict[Any, float]:
    groups: dict[Any, list[Work]] = {}
    for work in works:
        if work.units and work.share and work.seconds:
            groups.setdefault(work.group, []).append(work)
    return {group: rate for group, members in groups.items() if (rate := _rate(members)) is not None}


def _rate(works: Iterable[Work]) -> float | None:
    begun = [work for work in works if work.share and work.seconds]
    done = sum(work.units * work.share for work in begun)
    return sum(work.seconds for work in begun) / done if done else None


def _means(works: Iterable[Work]) -> dict[Any, float]:
    groups: dict[Any, list[float]] = {}
    for work in works:
        groups.setdefault(work.group, []).append(work.seconds)
    return {group: sum(seconds) / len(seconds) for group, seconds in groups.items()}
