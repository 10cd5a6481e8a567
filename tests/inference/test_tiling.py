"""Pictures answered in tiles: equal to the whole where that is promised, close elsewhere."""

from typing import Any

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from img2img.inference.predictor import Predictor
from img2img.inference.tiling import run_blended, run_exact, spans
from img2img.inference.torch_session import TorchSession
from img2img.inference.weights import Card
from img2img.models.network import Network
from img2img.models.registry import build, options_type
from img2img.registry import load_task

torch.set_num_threads(1)

sides = st.integers(1, 90)
TASK = load_task("sobel")(load_task("sobel").Options())


def _picture(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def _network(name: str, **options: Any) -> Network:
    torch.manual_seed(0)
    network = build(name, options_type(name)(**options), TASK.head()).network
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # A pass sets the statistics, as a training would; without, most answers are flat.
            module.momentum = 1.0
            torch.nn.init.uniform_(module.bias)
    with torch.no_grad():
        network(torch.from_numpy(_picture(80, 80)[None]))
    return _spread(network.eval())


@torch.no_grad()
def _spread(network: Network) -> Network:
    """The network with its answers inside 0…1: clipped ones would be equal whatever happens."""
    body: Any = network.body
    maps = network(torch.from_numpy(_picture(80, 80)[None]))
    factor = 0.15 / maps.std()
    last = {"filternet": lambda: (body.signed, body.magnitudes),
            "autoencoder": lambda: (body.decoder[-1],),
            "unet": lambda: (body.last,)}[type(body).__name__.lower()]()  # fmt: skip
    for layer in last:
        layer.weight *= factor
        if layer.bias is not None:
            layer.bias.copy_(layer.bias * factor + 0.5 - maps.mean() * factor)
    maps = network(torch.from_numpy(_picture(60, 60)[None]))
    assert 0.3 < maps.mean() < 0.7
    assert maps.std() > 0.05
    return network


def _predictor(network: Network, *, tile: int, halo: bool = True) -> Predictor:
    card = Card(
        task="sobel", model="", options={}, stride=network.stride,
        halo_px=network.halo_px if halo else None, outputs=["value", "image"], version="",
    )  # fmt: skip
    session = TorchSession(network, torch.device("cpu"), card, name="")
    return Predictor(TASK, session, tile=tile)


FILTERNETS = {size: _network("filternet", kernel_size=size) for size in (1, 3, 4, 5, 7)}
AUTOENCODER = _network("autoencoder", width=4)
UNET = _network("unet", width=2, depth=2)


def _assert_tiled_equals_whole(network: Network, image: np.ndarray, tile: int) -> None:
    whole = _predictor(network, tile=0).run(image)
    tiled = _predictor(network, tile=tile).run(image)
    np.testing.assert_allclose(tiled.value, whole.value, atol=1e-3, rtol=0)
    # A value half-way between two levels may round either way.
    half = np.abs(whole.value % 1 - 0.5) < 2e-3
    np.testing.assert_array_equal(np.where(half, 0, tiled.image), np.where(half, 0, whole.image))


@settings(deadline=None, max_examples=60)
@given(height=sides, width=sides, tile=st.integers(1, 50), size=st.sampled_from([1, 3, 4, 5, 7]))
@example(height=33, width=1, tile=8, size=7)
def test_filternet_answers_the_same_in_tiles(height: int, width: int, tile: int, size: int) -> None:
    _assert_tiled_equals_whole(FILTERNETS[size], _picture(height, width), tile)


@settings(deadline=None, max_examples=60)
@given(height=sides, width=sides, tile=st.integers(1, 50))
@example(height=33, width=35, tile=16)
@example(height=5, width=90, tile=4)
def test_autoencoder_answers_the_same_in_tiles(height: int, width: int, tile: int) -> None:
    _assert_tiled_equals_whole(AUTOENCODER, _picture(height, width), tile)


@settings(deadline=None, max_examples=15)
@given(height=st.integers(1, 120), width=st.integers(1, 120), tile=st.integers(4, 60))
def test_unet_answers_the_same_in_tiles_with_its_halo(height: int, width: int, tile: int) -> None:
    _assert_tiled_equals_whole(UNET, _picture(height, width), tile)


def test_networks_without_a_halo_are_blended_and_the_seam_is_told() -> None:
    image = _picture(150, 131)
    whole = _predictor(UNET, tile=0).run(image)
    predictor = _predictor(UNET, tile=64, halo=False)
    tiled = predictor.run(image)
    assert predictor.seam_difference > 0
    error = np.abs(tiled.value - whole.value)
    assert error.max() <= 255
    assert error.mean() < 0.2 * np.abs(whole.value - whole.value.mean()).mean()
    np.testing.assert_array_equal(tiled.image, np.rint(tiled.value).astype(np.uint8))


def test_small_pictures_are_not_tiled() -> None:
    predictor = _predictor(UNET, tile=64, halo=False)
    image = _picture(64, 50)
    np.testing.assert_array_equal(
        predictor.run(image).value, _predictor(UNET, tile=0).run(image).value
    )
    assert predictor.seam_difference == 0


@given(
    length=st.integers(1, 500), tile=st.integers(1, 200),
    halo=st.integers(0, 40), stride=st.sampled_from([1, 2, 4, 32]),
)  # fmt: skip
def test_spans_cover_an_axis_once_and_start_on_the_stride(
    length: int, tile: int, halo: int, stride: int
) -> None:
    made = spans(length, tile, halo, stride)
    assert [span.first for span in made] == [0, *[span.last for span in made[:-1]]]
    assert made[-1].last == length
    for span in made:
        assert span.start % stride == 0
        assert 0 <= span.start <= span.first < span.last <= span.stop <= length
        assert span.start == 0 or span.first - span.start >= halo
        assert span.stop == length or span.stop - span.last >= halo
        assert span.last - span.first <= max(stride, tile)


@settings(deadline=None, max_examples=40)
@given(height=sides, width=sides, tile=st.integers(1, 50), stride=st.sampled_from([1, 4]))
def test_blending_what_does_not_depend_on_the_tile_gives_it_back(
    height: int, width: int, tile: int, stride: int
) -> None:
    image = _picture(height, width)

    def copy(part: np.ndarray) -> dict[str, np.ndarray]:
        return {"value": part.astype(np.float32), "sum": part.sum(axis=2)}

    blended, worst = run_blended(copy, image, "value", tile=tile, stride=stride)
    np.testing.assert_allclose(blended["value"], image, atol=1e-3)
    assert worst < 1e-3
    exact = run_exact(copy, image, tile=tile, halo_px=2, stride=stride)
    np.testing.assert_array_equal(exact["value"], image)
    np.testing.assert_array_equal(exact["sum"], image.sum(axis=2))


def test_the_halo_is_as_large_as_stated_and_no_larger() -> None:
    for network in (FILTERNETS[5], FILTERNETS[4], AUTOENCODER):
        assert network.halo_px is not None
        network.eval()
        with torch.no_grad():
            image = torch.zeros(1, 3, 64, 64)
            flat = network(image)
            reach = 0
            for y in range(24, 28):
                dotted = image.clone()
                dotted[..., y, y] = 5.0
                changed = torch.nonzero((network(dotted) - flat).abs() > 1e-7)[:, 2:]
                reach = max(reach, int((changed - y).abs().max()))
        assert reach == network.halo_px
