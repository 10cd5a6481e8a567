"""Measures of pictures against other implementations and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.vision.metrics import (
    PSNR_CAP_DB,
    bootstrap_weights,
    frame_mask,
    percentile_intervals,
    psnr_db,
    structural_similarity,
)


def _means(rows: object, weights: np.ndarray) -> dict[str, float]:
    return {key: float(weights @ col / weights.sum()) for key, col in rows.items()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("noise", [1.0, 20.0, 300.0])
@pytest.mark.filterwarnings("ignore")
def test_ssim_equals_torchmetrics_on_the_interior(noise: float) -> None:
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure as reference

    rng = np.random.default_rng(0)
    a = rng.uniform(0, 255, (40, 53))
    b = np.clip(a + rng.normal(0, noise, a.shape), 0, 255)
    tensors = (torch.from_numpy(x)[None, None] for x in (a, b))
    _, full = reference(*tensors, sigma=1.5, data_range=255.0, return_full_image=True)
    ours = structural_similarity(a, b)
    assert ours.shape == a.shape
    inside = (slice(5, -5), slice(5, -5))
    np.testing.assert_allclose(ours[inside], full.numpy()[0, 0][inside], atol=1e-9)


def test_ssim_of_equal_planes_is_one_everywhere() -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (3, 1))
    np.testing.assert_allclose(structural_similarity(plane, plane), 1, atol=1e-12)


@given(error=st.floats(0, 255))
def test_psnr_is_its_formula_and_capped(error: float) -> None:
    value = psnr_db(np.full((4, 4), error**2))
    exact = 20 * np.log10(255 / error) if error > 1e-100 else np.inf
    assert value == pytest.approx(min(exact, PSNR_CAP_DB))
    assert psnr_db(np.zeros(3)) == PSNR_CAP_DB == 100


@given(height=st.integers(1, 20), width=st.integers(1, 20), frame=st.integers(1, 6))
def test_the_frame_is_what_lies_near_the_border(height: int, width: int, frame: int) -> None:
    mask = frame_mask((height, width), frame)
    y, x = np.mgrid[:height, :width]
    near = np.minimum(np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x)) < frame
    np.testing.assert_array_equal(mask, near)


def test_bootstrap_draws_whole_groups() -> None:
    groups = ["a", "b", "a", "c", "b", "a"]
    weights = np.array(list(bootstrap_weights(groups, replicates=200)))
    assert weights.shape == (200, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.2)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        rows = {"x": rng.normal(3, 1, 40)}
        interval = percentile_intervals(rows, [str(i) for i in range(40)], _means)["x"]
        assert interval is not None
        assert interval[0] < rows["x"].mean() < interval[1]
        covered += interval[0] <= 3 <= interval[1]
    assert 50 <= covered <= 60


@settings(max_examples=10, deadline=None)
@given(repeats=st.integers(2, 6))
def test_repeating_pictures_of_a_group_narrows_nothing(repeats: int) -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    names = ["a", "b", "c", "d"]
    once = percentile_intervals({"x": values}, names, _means)
    often = percentile_intervals({"x": values.repeat(repeats)}, np.repeat(names, repeats), _means)
    assert once["x"] == pytest.approx(often["x"])


def test_one_group_has_no_interval_and_numbers_that_are_none_are_left_out() -> None:
    assert percentile_intervals({"x": np.ones(3)}, ["a"] * 3, _means) == {"x": None}

    def sometimes(rows: object, weights: np.ndarray) -> dict[str, float]:
        return {"x": float("nan") if weights[0] == 0 else 2.0, "y": float("nan")}

    intervals = percentile_intervals({"x": np.ones(2)}, ["a", "b"], sometimes)
    assert intervals == {"x": (2.0, 2.0), "y": None}
