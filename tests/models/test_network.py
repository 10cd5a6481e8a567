"""Network: padding, both kinds of input, and how far a pixel reaches."""

import cv2
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.models.autoencoder import Autoencoder
from img2img.models.filternet import FilterNet
from img2img.models.network import ImageHead, Network, reflect_index, reflect_pad
from img2img.models.unet import UNet

torch.set_num_threads(1)

FAMILIES = {
    "filternet": lambda: FilterNet.network(FilterNet.Options(), ImageHead(2)),
    "filternet-wide": lambda: FilterNet.network(FilterNet.Options(kernel_size=7), ImageHead(2)),
    "autoencoder": lambda: Autoencoder.network(Autoencoder.Options(width=4), ImageHead(2)),
    "unet": lambda: UNet.network(UNet.Options(width=4, depth=2), ImageHead(2)),
    "unet-deep": lambda: UNet.network(UNet.Options(width=2, depth=3), ImageHead(2)),
}


@pytest.fixture(params=FAMILIES)
def network(request: pytest.FixtureRequest) -> Network:
    """A network of our own in which every path carries a signal, in float64."""
    torch.manual_seed(0)
    built = FAMILIES[request.param]()
    for parameter in built.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 1.0)  # positive: no ReLU closes, nothing cancels
    return built.double().eval()


@given(length=st.integers(1, 40), before=st.integers(0, 100), after=st.integers(0, 100))
@settings(max_examples=200, deadline=None)
def test_reflect_index_is_opencvs_reflect_101(length: int, before: int, after: int) -> None:
    expected = [
        cv2.borderInterpolate(position, length, cv2.BORDER_REFLECT_101)
        for position in range(-before, length + after)
    ]
    assert reflect_index(length, before, after).tolist() == expected


@given(
    height=st.integers(1, 9), width=st.integers(1, 9),
    edges=st.tuples(*[st.integers(0, 12)] * 4),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_reflect_pad_is_opencvs_border(height: int, width: int, edges: tuple[int, ...]) -> None:
    picture = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width)
    expected = cv2.copyMakeBorder(picture[0, 0].numpy(), *edges, cv2.BORDER_REFLECT_101)
    assert reflect_pad(picture, *edges)[0, 0].tolist() == expected.tolist()


def test_bytes_and_floats_give_the_same_maps(network: Network) -> None:
    image = torch.randint(0, 256, (2, 13, 9, 3), dtype=torch.uint8)
    floats = image.permute(0, 3, 1, 2).double() / 255
    torch.testing.assert_close(network(image), network(floats), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 3), (7, 16), (17, 5), (1, 40)])
def test_maps_and_answers_have_the_size_of_the_picture(
    network: Network, size: tuple[int, int]
) -> None:
    image = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8)
    assert network(image).shape == (2, 2, *size)
    answer = network.answer(image)
    assert answer["value"].shape == answer["image"].shape == (2, *size, 2)
    assert answer["image"].dtype == torch.uint8


def test_mean_and_deviation_are_applied_to_both_kinds_of_input() -> None:
    network = Network(torch.nn.Identity(), ImageHead(3), mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    white = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    for image in (white, torch.ones(1, 3, 2, 2)):
        assert network(image)[0, :, 0, 0].tolist() == [1.0, 0.75, 0.5]


def test_answer_is_float32_from_a_half_precision_body() -> None:
    network = Network(torch.nn.Identity(), ImageHead(3)).to(torch.bfloat16)
    image = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    assert network(image).dtype == torch.bfloat16
    assert network.answer(image)["value"].dtype == torch.float32


def test_the_halo_is_the_reach(network: Network) -> None:
    """Nothing beyond `halo_px` moves a pixel's answer; at that very distance something does.

    The U-Net may state up to a stride more than its reach, which is 7 * 2^depth - 5.
    """
    assert network.halo_px is not None
    slack_px = network.stride if isinstance(network.body, UNet) else 0
    assert not _is_moved(network, from_px=network.halo_px + 1)
    assert _is_moved(network, from_px=network.halo_px - slack_px)


def _is_moved(network: Network, *, from_px: int) -> bool:
    """Whether pixels at `from_px` or farther, along a row, change the answer of some pixel.

    Strided layers reach differently far from each column of a stride: all are tried.
    """
    stride = network.stride
    start = (from_px // stride + 2) * stride
    dark = torch.rand(1, 3, stride, 2 * start + stride, dtype=torch.float64)
    before = network(dark)
    moved = []
    for column in range(start, start + stride):
        changed = dark.clone()
        # Brighter only: with positive weights every sum and every maximum then grows.
        changed[..., : column - from_px + 1] += 1e3
        changed[..., column + from_px :] += 1e3
        moved.append(not torch.equal(network(changed)[..., column], before[..., column]))
    return any(moved)


def test_the_first_stages_of_an_encoder_that_is_a_list_of_blocks() -> None:
    options = UNet.Options(name="unet", width=4, depth=2)
    network = UNet.network(options, ImageHead(1)).train()
    stages = network.first_stages(0), network.first_stages(1), network.first_stages(2)
    assert [len(layers) for layers in stages] == [0, 8, 12], "convolutions and norms"
    assert network.body.training
