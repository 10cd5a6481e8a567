"""LPIPS, with an AlexNet of random weights in the place of the real one."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from img2img.vision import lpips


def test_it_is_there_only_with_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert not lpips.is_available()
    file = tmp_path / "hub" / "checkpoints" / lpips.FILE
    file.parent.mkdir(parents=True)
    file.touch()
    assert lpips.is_available()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "channels"), [((80, 70), 3), ((9, 5), 1)])
def test_equal_pictures_have_no_distance(
    size: tuple[int, int], channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.manual_seed(0)
    state = torchvision.models.alexnet(weights=None).state_dict()
    torch.save(state, tmp_path / "hub" / "checkpoints" / lpips.FILE)
    lpips._network.cache_clear()
    picture = np.random.default_rng(0).integers(0, 256, (*size, channels)).astype(np.uint8)
    assert lpips.lpips(picture, picture) == 0
    assert lpips.lpips(picture, 255 - picture) > 0
    lpips._network.cache_clear()
