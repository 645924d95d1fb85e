"""How many seeds decide, against simulated trainings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from equal_losses.statistics.power import equivalence_power, seeds_needed, trend_power

DRAWS = 20_000


def _differences(seeds, spread, mean):
    return np.random.default_rng(seeds).normal(mean, spread, (DRAWS, seeds))


@pytest.mark.parametrize("seeds", [3, 5, 12])
@pytest.mark.parametrize("spread", [0.005, 0.02])
def test_the_power_of_equivalence_is_how_often_simulated_equal_losses_are_found_equivalent(seeds, spread):
    drawn = _differences(seeds, spread, 0)
    above = stats.ttest_1samp(drawn, -0.01, axis=1, alternative="greater").pvalue
    below = stats.ttest_1samp(drawn, 0.01, axis=1, alternative="less").pvalue
    found = np.mean(np.maximum(above, below) < 0.05)
    assert equivalence_power(seeds, spread, margin=0.01, level=0.05) == pytest.approx(found, abs=0.015)


@pytest.mark.parametrize("seeds", [3, 5, 12])
def test_the_power_of_a_trend_is_how_often_a_simulated_one_is_found(seeds):
    drawn = stats.ttest_1samp(_differences(seeds, 0.008, 0.01), 0, axis=1)
    found = np.mean((drawn.pvalue < 0.05) & (drawn.statistic > 0))
    assert trend_power(seeds, 0.008, margin=0.01, level=0.05) == pytest.approx(found, abs=0.015)


@given(
    power=st.sampled_from([equivalence_power, trend_power]),
    spread=st.floats(0.001, 0.05),
    level=st.floats(0.005, 0.1),
)
def test_one_seed_fewer_than_needed_is_too_few(power, spread, level):
    needed = seeds_needed(power, spread, margin=0.01, level=level)
    if np.isfinite(needed):
        assert power(needed, spread, margin=0.01, level=level) >= 0.8
        assert needed == 2 or power(needed - 1, spread, margin=0.01, level=level) < 0.8


@pytest.mark.parametrize("power", [equivalence_power, trend_power])
def test_a_spread_far_beyond_the_margin_needs_more_seeds_than_anybody_trains(power):
    assert seeds_needed(power, 10.0, margin=0.01, level=0.05) == np.inf


@pytest.mark.parametrize("spread", [0.0, 1e-17, np.nan])
def test_without_a_spread_nothing_is_said(spread):
    assert np.isnan(seeds_needed(equivalence_power, spread, margin=0.01, level=0.05))
