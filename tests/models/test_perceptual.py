"""Features of a network that knows photos."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import Tensor

from img2img.errors import WeightsError
from img2img.models.perceptual import PerceptualLoss


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "encoder.safetensors"
    encoder = smp.encoders.get_encoder("resnet18", weights=None)
    save_file({key: value.contiguous() for key, value in encoder.state_dict().items()}, file)
    return file


def batch(channels: int) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {"target": 255 * torch.rand(2, 21, 30, channels)}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_truth_costs_nothing_and_anything_else_does(weights: Path, channels: int) -> None:
    loss = PerceptualLoss("target", "resnet18", str(weights))
    pictures = batch(channels)
    truth = (pictures["target"] / 255).permute(0, 3, 1, 2)
    assert float(loss(truth, pictures)) == pytest.approx(0, abs=1e-9)
    answer = truth.flip(3).requires_grad_()
    cost = loss(answer, pictures)
    cost.backward()
    assert answer.grad is not None
    assert float(cost.detach()) > 0.01
    assert all(not p.requires_grad for p in loss.parameters())
    assert not any(module.training for module in loss.encoder.modules())


def test_missing_weights_are_named(tmp_path: Path) -> None:
    file = tmp_path / "none.pth"
    with pytest.raises(WeightsError) as caught:
        PerceptualLoss("target", "resnet18", str(file))
    told = f"perceptual.weights={file} does not exist: give a .safetensors or .pth file."
    assert str(caught.value) == told
    file.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=f"^encoder weights {file} cannot be read"):
        PerceptualLoss("target", "resnet18", str(file))


def test_weights_that_are_not_cached_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("img2img.models.pretrained._find_local", lambda name: None)
    with pytest.raises(WeightsError, match=r"perceptual\.weights=FILE"):
        PerceptualLoss("target", "resnet18", "imagenet")
