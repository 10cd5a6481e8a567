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


@pytest.mark.parametrize(("size", "sigma"), [((192, 224), 20), ((181, 177), 80), ((60, 45), 20)])
def test_ms_ssim_is_that_of_the_loss(size: tuple[int, int], sigma: float) -> None:
    """Which is held against torchmetrics."""
    import torch

    from img2img.vision.image_losses import MsSsimLoss

    answer, target = (torch.from_numpy(one)[None] for one in pair(*size, sigma=sigma))
    loss = MsSsimLoss("target")(answer.permute(0, 3, 1, 2) / 255, {"target": target})
    found = similarities(answer[0].numpy(), target[0].numpy())[1]
    assert found == pytest.approx(1 - float(loss), abs=1e-9)


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
