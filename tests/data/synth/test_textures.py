"""The generated textures: rich enough to learn a filter on."""

import numpy as np
import pytest

from img2img.data.sample import Image
from img2img.data.synth.textures import Textures


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    textures = Textures(120, seed=5, size=128)
    return [textures.pixels(record) for record in textures.records]


def test_power_falls_like_that_of_photographs(pictures: list[Image]) -> None:
    assert -2.9 < _slope(_mean_power(pictures)) < -1.8


def _mean_power(pictures: list[Image]) -> np.ndarray:
    """Mean power at 2…49 periods a picture."""
    size = pictures[0].shape[0]
    window = np.outer(np.hanning(size), np.hanning(size))[..., None]
    stack = np.stack(pictures) / 255
    spectra = np.fft.fft2((stack - stack.mean(axis=(1, 2), keepdims=True)) * window, axes=(1, 2))
    power = (np.abs(spectra) ** 2).mean(axis=(0, 3))
    frequency = np.fft.fftfreq(size, 1 / size)
    ring = np.rint(np.hypot(*np.meshgrid(frequency, frequency))).astype(int)
    return (np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel()))[2:50]


def _slope(power: np.ndarray) -> float:
    return float(np.polyfit(np.log(np.arange(2, 2 + len(power))), np.log(power), 1)[0])


def test_channels_vary_on_their_own_in_many_pictures(pictures: list[Image]) -> None:
    correlations = [_edge_correlation(picture) for picture in pictures]
    assert np.mean([value < 0.3 for value in correlations]) > 0.25
    assert np.mean([value > 0.8 for value in correlations]) > 0.1


def _edge_correlation(picture: Image) -> float:
    """Mean absolute correlation of the horizontal differences of R, G and B."""
    edges = np.diff(picture.astype(float), axis=1).reshape(-1, 3)
    edges += np.random.default_rng(0).normal(0, 1e-3, edges.shape)
    return float(np.abs(np.corrcoef(edges.T))[[0, 0, 1], [1, 2, 2]].mean())


def test_every_shift_of_a_window_can_be_told_apart(pictures: list[Image]) -> None:
    """A 5×5 filter can be solved for: no direction of its 75 inputs is silent."""
    windows = np.lib.stride_tricks.sliding_window_view(np.stack(pictures), (5, 5), axis=(1, 2))
    rows = windows[:, ::16, ::16].reshape(-1, 75).astype(float)
    strengths = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) / np.sqrt(len(rows))
    assert strengths[-1] > 3


def test_contrast_reaches_black_and_white(pictures: list[Image]) -> None:
    stack = np.stack(pictures)
    assert 0.02 < (stack == 0).mean() < 0.25
    assert 0.02 < (stack == 255).mean() < 0.25
    assert 90 < stack.mean() < 150
    saturated = [(np.ptp(picture, axis=-1) > 200).mean() > 0.1 for picture in pictures]
    assert np.mean(saturated) > 0.1


def test_pictures_differ_in_sharpness(pictures: list[Image]) -> None:
    steps = [np.abs(np.diff(picture.astype(int), axis=1)).mean() for picture in pictures]
    smooth, rough = np.percentile(steps, [5, 95])
    assert smooth < 5
    assert rough > 20
