"""Deviations told from widths of heatmaps."""

import numpy as np
import pytest

from img2img.vision.deviation import expected_covariance, fit_deviation, rotation_scale


@pytest.mark.parametrize(("least", "factor"), [(0.8, 0.0), (0.0, 1.5), (0.5, 0.7)])
def test_the_deviation_is_found_again(least: float, factor: float) -> None:
    rng = np.random.default_rng(0)
    widths = rng.uniform(0.3, 3, 4000)
    sigma = np.hypot(least, factor * widths)
    errors = rng.normal(size=(4000, 2)) * sigma[:, None]
    told = np.hypot(
        *[(a * b) for a, b in zip(fit_deviation(errors, widths), (1, widths), strict=True)]
    )
    # Student's tails shrink what normal errors give, by a tenth.
    assert np.median(told / sigma) == pytest.approx(1, abs=0.25)
    assert np.corrcoef(told + 1e-9 * widths, sigma + 1e-9 * widths)[0, 1] > 0.9


def test_mixed_up_corners_do_not_count() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(1000, 2))
    errors[:50] += 60
    least, factor = fit_deviation(errors, np.ones(1000))
    assert np.hypot(least, factor) < 1.5


def test_covariance_follows_the_deviation() -> None:
    own = np.tile(np.diag([4.0, 1.0]), (8, 1, 1))
    assert expected_covariance(own, ()) is own
    np.testing.assert_allclose(expected_covariance(own, (2.0, 3.0, 1.0))[0], np.diag([40.0, 13.0]))


def test_stated_rotations_are_scaled_to_their_errors() -> None:
    rng = np.random.default_rng(0)
    stated = rng.uniform(0.5, 4, 20_000)
    steps = rng.normal(size=(20_000, 3)) * (2 * stated / np.sqrt(3))[:, None]
    assert rotation_scale(np.linalg.norm(steps, axis=1), stated) == pytest.approx(2, rel=0.03)
