"""Measures of pictures against references."""

import numpy as np
import pytest

from img2img.data.synth.textures import draw_texture
from img2img.vision.metrics import structural_similarity
from img2img.vision.picture_metrics import METRICS, row, similarities, similarity_maps


def pair(height: int, width: int, channels: int = 3, sigma: float = 20) -> tuple:
    rng = np.random.default_rng(0)
    target = draw_texture(rng, height, width)[..., :channels].astype(np.float64)
    return np.clip(target + rng.normal(0, sigma, target.shape), 0, 255), target


def test_ssim_is_that_of_planes() -> None:
    answer, target = pair(60, 83)
    luminance, structure = similarity_maps(answer, target)
    planes = [structural_similarity(answer[..., c], target[..., c]) for c in range(3)]
    np.testing.assert_allclose(luminance * structure, np.stack(planes, axis=-1), atol=1e-10)
    assert row(answer, target)["ssim"] == pytest.approx(np.mean(planes))


def test_ms_ssim_is_that_of_torchmetrics() -> None:
    """But for the borders, which torchmetrics leaves out: a frame of flat grey has none."""
    import torch
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as reference,
    )

    answer, target = (np.pad(one, ((96, 96), (96, 96), (0, 0)), constant_values=128)
                      for one in pair(192, 224))  # fmt: skip
    planes = [torch.from_numpy(one).permute(2, 0, 1)[None] for one in (answer, target)]
    # Without a border torchmetrics' means are of fewer pixels, all others being 1.
    theirs = float(reference(*planes, data_range=255.0))
    assert similarities(answer, target)[1] == pytest.approx(theirs, abs=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (5, 7), (11, 11), (21, 400), (177, 180)])
def test_any_size(size: tuple[int, int]) -> None:
    answer, target = pair(*size)
    found = row(answer, target)
    assert tuple(found) == METRICS
    assert all(np.isfinite(value) for value in found.values())
    assert row(target, target) == pytest.approx({"psnr": 100, "ssim": 1, "ms_ssim": 1, "mae": 0})
    if min(size) < 22:
        assert found["ms_ssim"] == pytest.approx(max(found["ssim"], 0))


def test_worse_pictures_measure_worse() -> None:
    better, worse = (row(*pair(180, 180, 1, sigma)) for sigma in (5, 40))
    for name in ("psnr", "ssim", "ms_ssim"):
        assert better[name] > worse[name]
    assert better["mae"] < worse["mae"]


def test_opposite_pictures_have_a_similarity() -> None:
    _, target = pair(180, 180)
    found = row(255 - target, target)
    assert 0 <= found["ms_ssim"] < 0.2
