"""The residual U-Net: begins as the identity, answers at any size, reaches as far as it says."""

import numpy as np
import pytest
import torch

from img2img.inference.tiling import run_exact
from img2img.models.network import ImageHead, Network
from img2img.models.resunet import ResUNet

torch.set_num_threads(1)


def network(channels: int = 3, **options: int) -> Network:
    torch.manual_seed(0)
    given = {"width": 4, "depth": 2} | options
    return ResUNet.network(ResUNet.Options(**given), ImageHead(channels)).eval()


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def answer(net: Network, image: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        answers = net.answer(torch.from_numpy(image)[None])
    return {name: one[0].numpy() for name, one in answers.items()}


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (3, 20), (17, 8)])
def test_it_begins_near_the_identity(channels: int, size: tuple[int, int]) -> None:
    image = picture(*size)
    value = answer(network(channels), image)["value"]
    assert value.shape == (*size, channels)
    grey = image @ np.array([0.299, 0.587, 0.114])
    identity = {1: grey[..., None], 2: np.zeros((*size, 2)), 3: image}[channels]
    assert np.abs(value - identity).max() < 5


@pytest.mark.parametrize("options", [{}, {"depth": 1, "blocks": 2}, {"depth": 3}])
def test_tiles_answer_as_the_whole_picture_does(options: dict[str, int]) -> None:
    net, image = network(**options), picture(150, 110)
    torch.nn.init.normal_(net.body.last.weight)  # what is added must be seen
    assert net.halo_px is not None
    tiled = run_exact(
        lambda part: answer(net, part), image, tile=16, halo_px=net.halo_px, stride=net.stride
    )
    np.testing.assert_allclose(tiled["value"], answer(net, image)["value"], atol=1e-3)


def test_the_halo_is_no_larger_than_twice_the_reach() -> None:
    net = network()
    torch.nn.init.normal_(net.body.last.weight)
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    net(image)[0, 0, 64, 64].backward()
    assert image.grad is not None
    rows = np.flatnonzero(image.grad.abs().sum((0, 1, 3)).numpy())
    reach = max(64 - rows[0], rows[-1] - 64)
    assert net.halo_px is not None
    assert reach <= net.halo_px <= 2 * reach
