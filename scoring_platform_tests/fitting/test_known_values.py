"""Values from the literature that need no data: likelihoods and forecasts at given parameters."""

from __future__ import annotations

import numpy as np
import pytest

from scoring_platform.fitting.bg_nbd import BgNbd
from scoring_platform.fitting.gamma_gamma import GammaGamma
from scoring_platform.fitting.histories import Histories
from scoring_platform.fitting.pareto_nbd import ParetoNbd

# Fader, Hardie & Lee 2005, Table 2, to the digits of CLVTools' tests.
BG = BgNbd(0.2425945, 4.4136019, 0.7929199, 2.4258881)
PARETO = ParetoNbd(0.55315, 10.57633, 0.60625, 11.67150)
CUSTOMER_1516 = Histories.of([26], [30.857], [31])


@pytest.mark.parametrize(("modified", "known"), [(False, [-0.59947382, 100.7957]), (True, [-0.41792826, 100.7869])])
def test_the_likelihood_is_stable_for_no_purchase_and_for_two_hundred(modified: bool, known: list[float]) -> None:
    model = BgNbd(0.25, 4.0, 0.8, 2.5, modified)

    assert model.log_likelihoods(Histories.of([0, 200], [0, 38], [40, 40])) == pytest.approx(known, abs=1e-4)


def test_forecasts_of_single_customers() -> None:
    known = Histories.of([2], [30.43], [38.86])

    assert BgNbd(0.243, 4.414, 0.793, 2.426).expected(known, 39) == pytest.approx([1.226], abs=1e-3)
    assert BgNbd(0.243, 4.414, 0.793, 2.426).p_alive(known) == pytest.approx([0.7266], abs=1e-3)
    assert ParetoNbd(0.553, 10.578, 0.606, 11.669).expected(known, 39) == pytest.approx([1.4551], abs=1e-3)
    assert BG.expected(CUSTOMER_1516, 52) == pytest.approx([25.75659], abs=2e-3)
    assert PARETO.expected(CUSTOMER_1516, 52) == pytest.approx([25.45647], abs=4e-3)
    assert BG.p_alive(CUSTOMER_1516) == pytest.approx([0.9688523], abs=1e-5)
    assert PARETO.p_alive(CUSTOMER_1516) == pytest.approx([0.997874], abs=1e-5)


def test_forecasts_of_a_new_customer() -> None:
    weeks = np.array([0.1429, 1, 3, 31.857, 32, 78])

    assert BG.expected_new(weeks) == pytest.approx([0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576], abs=5e-4)
    assert BG.expected_new(np.array([52.0])) == pytest.approx([1.444004], abs=1e-4)
    assert PARETO.expected_new(np.array([52.0])) == pytest.approx([1.473434], abs=2e-3)


def test_the_frequency_paradox() -> None:
    silent = Histories.of([10, 15, 20, 25], [20] * 4, [39] * 4)

    assert BG.expected(silent, 52) == pytest.approx([0.34746, 0.042834, 0.004159, 0.000358], rel=2e-3)
    assert PARETO.expected(silent, 52) == pytest.approx([0.70623, 0.14424, 0.022507, 0.003093], rel=3e-3)


def test_the_chance_of_no_purchase() -> None:
    new = Histories.of([0], [0], [0])

    assert BgNbd(0.243, 4.414, 0.793, 2.426).p_none(new, 39) == pytest.approx([0.5737864], abs=1e-6)
    # Whoever buys at no certain rate and never leaves buys like a gamma-mixed Poisson process.
    stays = ParetoNbd(0.5, 10, 1e-9, 1e3)
    assert stays.p_none(new, 30) == pytest.approx([(10 / 40) ** 0.5], rel=1e-6)


def test_spend_is_drawn_to_everybodys() -> None:
    model = GammaGamma(6.24957, 3.74422, 15.44352)

    assert model.expected_value(np.array([0.0]), np.array([0.0])) == pytest.approx([35.17], abs=1e-2)
    # The first customers of the sample, with their repeat purchases and mean values.
    assert model.expected_value(np.array([2.0, 1.0]), np.array([22.345, 11.77])) == pytest.approx(
        [24.65, 18.91], abs=0.01
    )
    assert np.isnan(GammaGamma(2, 0.9, 5).expected_value(np.array([0.0]), np.array([0.0]))).all()


@pytest.mark.parametrize(
    "wrong", [([1], [5], [4]), ([-1], [0], [4]), ([0], [3], [4]), ([2], [0], [4]), ([1], [1], [float("nan")])]
)
def test_an_impossible_history_is_refused(wrong: tuple[list[float], list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match="histor"):
        Histories.of(*wrong)
