"""Confidence against what it is worth."""

import numpy as np
import pytest

from img2img.vision.calibration import calibrated, fit_calibration, log_odds


def test_a_known_bend_is_found_again() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.02, 0.98, 40000)
    truth = 1 / (1 + np.exp(-(-1.2 + 1.7 * log_odds(confidence))))
    offset, slope = fit_calibration(confidence, rng.random(40000) < truth)
    assert (offset, slope) == pytest.approx((-1.2, 1.7), abs=0.06)
    np.testing.assert_allclose(calibrated(confidence, (offset, slope)), truth, atol=0.02)


def test_confidences_that_say_too_much_are_brought_down() -> None:
    """All near 1 and right in seven of ten cases: a whole Newton step overshoots here."""
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.75, 0.999, 3000)
    hit = rng.random(3000) < 0.3 + 0.5 * confidence
    values = calibrated(confidence, fit_calibration(confidence, hit))
    assert values.mean() == pytest.approx(hit.mean(), abs=0.01)
    for low, high in ((0.75, 0.85), (0.95, 0.999)):
        within = (confidence > low) & (confidence < high)
        assert values[within].mean() == pytest.approx(hit[within].mean(), abs=0.06)


def test_confidences_that_are_all_one_become_the_share_of_hits() -> None:
    hit = np.arange(1000) % 10 < 7
    fitted = fit_calibration(np.ones(1000), hit)
    np.testing.assert_allclose(calibrated(np.ones(3), fitted), 0.7, atol=0.01)


@pytest.mark.parametrize("hit", [True, False])
def test_one_sided_hits_stay_finite(hit: bool) -> None:
    fitted = fit_calibration(np.linspace(0.1, 0.9, 50), np.full(50, hit))
    values = calibrated(np.array([0.0, 0.5, 1.0]), fitted)
    assert np.isfinite(values).all()
    assert ((values > 0.5) == hit).all()


def test_without_a_calibration_confidence_is_what_it_is() -> None:
    np.testing.assert_array_equal(calibrated(np.array([-0.1, 0.3, 1.2]), ()), [0.0, 0.3, 1.0])
