"""Heatmaps: drawn and read back at every stride, near borders, in noise, and mirrored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from img2img.vision.heatmaps import (
    DECODERS,
    Maps,
    draw,
    flip_points,
    least_squares,
    softargmax,
    to_cells,
    to_pixels,
)

Floats = NDArray[np.float64]
SIZE = 44, 52
LIMITS_STRIDES = {
    "argmax": 0.5, "quarter": 0.3, "parabola": 0.1, "centroid": 0.1, "softargmax": 0.02,
    "contours": 0.4,
}  # fmt: skip
LIMITS_PX = {"dark": 0.05, "least_squares": 0.05}
ORDER = [1, 0, 2, 4, 3]

shares = st.floats(0, 1)


def _noisy(points: Floats, sigma: float, *, seed: int = 0) -> Maps:
    maps, _ = draw(points, SIZE, sigma)
    noise = np.random.default_rng(seed).standard_normal(maps.shape)
    return (maps + 0.02 * noise).astype(np.float32)


def _inside(n: int, margin: float, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.uniform(margin, np.array(SIZE[::-1]) - 1 - margin, (n, 2))


@settings(deadline=None, max_examples=60)
@given(
    where=st.lists(st.tuples(shares, shares), min_size=1, max_size=6), sigma=st.floats(1.5, 3.5),
    stride=st.sampled_from([1, 2, 4]), name=st.sampled_from(list(DECODERS)),
)  # fmt: skip
def test_a_gaussian_is_found_where_it_was_drawn(
    where: list[tuple[float, float]], sigma: float, stride: int, name: str
) -> None:
    last = np.array(SIZE[::-1]) - 1
    pixels = to_pixels(3 * sigma + np.array(where) * (last - 6 * sigma), stride)
    maps, weights = draw(to_cells(pixels, stride), SIZE, sigma)
    found = DECODERS[name](maps, sigma).in_pixels(stride)
    limit = LIMITS_PX[name] if name in LIMITS_PX else LIMITS_STRIDES[name] * stride
    assert np.abs(found.points - pixels).max() <= limit + 1e-4
    assert weights.all()
    assert found.covariance.shape == (len(pixels), 2, 2)
    variances = np.diagonal(found.covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(variances, (sigma * stride) ** 2, rtol=0.35)


def test_a_cell_of_stride_four_is_the_middle_of_its_pixels() -> None:
    assert to_pixels(np.zeros(1), 4)[0] == np.mean([0, 1, 2, 3])
    np.testing.assert_allclose(to_cells(to_pixels(np.arange(5.0), 4), 4), np.arange(5))


def test_maps_are_gaussians_and_missing_points_leave_nothing() -> None:
    points = np.array([[10.3, 7.8], [np.nan, 3.0], [-2.0, 5.0], [np.nan, np.nan]])
    maps, weights = draw(points, SIZE, 1.7)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    expected = np.exp(-((x - 10.3) ** 2 + (y - 7.8) ** 2) / (2 * 1.7**2))
    np.testing.assert_allclose(maps[0], expected, atol=1e-6)
    np.testing.assert_array_equal(weights, [1, 0, 1, 0])
    assert not maps[[1, 3]].any()
    assert maps[2].max() == pytest.approx(np.exp(-(2**2) / (2 * 1.7**2)))


@pytest.mark.parametrize("name", DECODERS)
def test_confidence_is_the_greatest_value_within_bounds(name: str) -> None:
    maps, _ = draw(_inside(4, 8), SIZE, 2.0)
    factors = np.array([0.3, 1.0, 1.7, 0.02], np.float32)
    maps *= factors[:, None, None]
    found = DECODERS[name](maps, 2.0)
    np.testing.assert_allclose(found.confidence, np.minimum(maps.max(axis=(1, 2)), 1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 2), SIZE])
@pytest.mark.parametrize("name", DECODERS)
def test_every_map_has_an_answer(name: str, shape: tuple[int, int]) -> None:
    height, width = shape
    noise = np.random.default_rng(0).standard_normal((1, height, width)).astype(np.float32)
    odd = np.concatenate([np.zeros_like(noise), np.ones_like(noise), -np.ones_like(noise), noise])
    found = DECODERS[name](odd, 1.5)
    assert all(np.isfinite(part).all() for part in found)
    assert (np.linalg.eigvalsh(found.covariance) >= -1e-5).all()
    assert all(part.dtype == np.float32 for part in found)


@pytest.mark.parametrize("name", ["least_squares", "dark"])
def test_two_percent_of_noise_cost_a_thirtieth_of_a_cell(name: str) -> None:
    points = _inside(300, 6)
    error = DECODERS[name](_noisy(points, 2.0), 2.0).points - points
    assert np.median(np.linalg.norm(error, axis=1)) < 0.035


def test_least_squares_is_as_good_beside_the_border_and_reaches_beyond_it() -> None:
    rng = np.random.default_rng(1)
    for low, high, limit in ((0.0, 3.0, 0.05), (-1.0, 0.0, 0.3)):
        points = _inside(300, 6)
        points[:, 0] = rng.uniform(low, high, len(points))
        error = least_squares(_noisy(points, 2.0), 2.0).points - points
        assert np.median(np.linalg.norm(error, axis=1)) < limit


def test_least_squares_finds_width_and_direction() -> None:
    covariance = np.array([[4.0, 1.2], [1.2, 2.0]])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    gap = np.stack([x - 20.4, y - 15.7], axis=-1)
    exponent = np.einsum("hwi,ij,hwj->hw", gap, np.linalg.inv(covariance), gap) / -2
    found = least_squares(np.exp(exponent)[None].astype(np.float32), 1.7)
    np.testing.assert_allclose(found.points, [[20.4, 15.7]], atol=0.02)
    np.testing.assert_allclose(found.covariance[0], covariance, rtol=0.05, atol=0.05)


def test_softargmax_takes_the_map_as_a_distribution() -> None:
    maps = np.zeros((1, *SIZE), np.float32)
    maps[0, 5, 10], maps[0, 5, 20] = 3, 1
    found = softargmax(maps, 1.5)
    np.testing.assert_allclose(found.points, [[12.5, 5]], atol=1e-4)
    np.testing.assert_allclose(found.covariance[0], [[18.75, 0], [0, 0]], atol=1e-3)


@settings(deadline=None, max_examples=40)
@given(where=st.lists(st.tuples(shares, shares), min_size=5, max_size=5), missing=st.integers(0, 5))
def test_flips_are_their_own_inverse(where: list[tuple[float, float]], missing: int) -> None:
    height, width = SIZE
    points = np.array(where) * [width - 1, height - 1]
    points[missing : missing + 1] = np.nan
    mirrored = flip_points(points, width, ORDER)
    np.testing.assert_allclose(flip_points(mirrored, width, ORDER), points, atol=1e-12)
    maps, weights = draw(points, SIZE, 1.5)
    np.testing.assert_allclose(maps[ORDER][..., ::-1], draw(mirrored, SIZE, 1.5)[0], atol=1e-6)
    np.testing.assert_array_equal(np.isfinite(mirrored[:, 0]), weights[ORDER])
