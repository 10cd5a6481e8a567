"""The networks of pix2pix: sizes, norms, borders, export, and what a discriminator sees."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from img2img.engine.run import make_card, resolve
from img2img.engine.runtime import Runtime
from img2img.errors import UsageError
from img2img.inference.export import export_onnx
from img2img.inference.session import OnnxSession
from img2img.models.discriminator import N_LAYERS, PatchDiscriminator
from img2img.models.network import ImageHead, Network
from img2img.models.pix2pix import Frame, Pix2Pix, draw_weights

torch.set_num_threads(1)

WAYS = [
    {"norm": norm, "padding": padding, "upsampling": upsampling}
    for norm, padding, upsampling in itertools.product(
        ("batch", "instance", "none"), ("zeros", "reflect"), ("transposed", "resize")
    )
]


def _network(n_maps: int = 2, *, seed: int = 0, **options: Any) -> Network:
    torch.manual_seed(seed)
    small = {"width": 4, "depth": 3} | options
    return Pix2Pix.network(Pix2Pix.Options(**small), ImageHead(n_maps))


def _pictures(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=generator)


# ---- generator


def test_the_layers_are_the_papers() -> None:
    with torch.device("meta"):
        body = Pix2Pix(Pix2Pix.Options(depth=8), n_maps=3)
    convolutions = [m for m in body.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [c.out_channels for c in convolutions] == [
        *(64, 128, 256, 512, 512, 512, 512, 512),
        *(512, 512, 512, 512, 256, 128, 64, 3),
    ]
    assert [c.in_channels for c in convolutions[8:]] == [512, *4 * [1024], 512, 256, 128]
    # The authors' unet_256 in PyTorch has as many.
    assert sum(p.numel() for p in body.parameters()) == 54_414_531
    dropped = [any(isinstance(m, nn.Dropout) for m in block) for block in body.decoder]
    assert dropped == [True] * 3 + [False] * 5
    normed = [any(isinstance(m, nn.BatchNorm2d) for m in level) for level in body.encoder]
    assert normed == [False, *6 * [True], False]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way.values()))
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (13, 9), (3, 40)])
def test_maps_have_the_size_of_the_picture(way: dict[str, str], size: tuple[int, int]) -> None:
    network = _network(**way).eval()
    assert network(_pictures(2, *size)).shape == (2, 2, *size)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_any_depth_is_trained_and_answers(depth: int) -> None:
    network = _network(depth=depth, padding="reflect").train()
    network(_pictures(2, 16, 16)).sum().backward()
    assert network.stride == 2**depth
    assert network.eval()(_pictures(1, 5, 3)).shape == (1, 2, 5, 3)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way.values()))
def test_one_picture_at_a_time_still_passes_through_the_single_cell(way: dict[str, str]) -> None:
    """A norm over one value, or over a flat map, would make it zero: the paper's errata."""
    network = _network(**way, dropout=0.0).train()
    picture = _pictures(1, 8, 8)
    # Only what the single cell says can differ: every skip is cut.
    for block in network.body.decoder[1:]:
        convolution = next(m for m in block if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
        n_skipped = convolution.in_channels // 2
        axis = 0 if isinstance(convolution, nn.ConvTranspose2d) else 1
        convolution.weight.data.narrow(axis, 0, n_skipped).zero_()
    before = network(picture)
    network.body.encoder[-1][-1].bias.data += 5 * torch.tensor([1.0, -1.0]).repeat(8)
    assert (network(picture) - before).abs().max() > 1e-4
    network(picture).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.body.decoder.parameters())


def test_dropout_is_off_in_answers_and_seeded_in_training() -> None:
    network, picture = _network(), _pictures(2, 16, 16)
    network.train()
    torch.manual_seed(1)
    first = network(picture)
    assert not torch.equal(network(picture), first)
    torch.manual_seed(1)
    assert torch.equal(network(picture), first)
    assert torch.equal(network.eval()(picture), network.eval()(picture))
    none = _network(dropout=0.0).train()
    assert not any(isinstance(module, nn.Dropout) for module in none.modules())
    assert torch.equal(none(picture), none(picture))


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_halo_is_the_reach(upsampling: str, depth: int) -> None:
    network = _network(norm="batch", upsampling=upsampling, depth=depth).double().eval()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.01, 1.0)  # positive: no ReLU closes, nothing cancels
    halo_px, stride = network.halo_px, network.stride
    assert halo_px is not None
    start = (halo_px // stride + 2) * stride
    picture = torch.rand(1, 3, stride, 2 * start + stride, dtype=torch.float64)
    before = network(picture)
    moved = {halo_px: False, halo_px + 1: False}
    for px, column in itertools.product(moved, range(start, start + stride)):
        changed = picture.clone()
        changed[..., : column - px + 1] += 1e3
        changed[..., column + px :] += 1e3
        moved[px] |= not torch.equal(network(changed)[..., column], before[..., column])
    assert moved == {halo_px: True, halo_px + 1: False}


def test_instance_norm_sees_the_whole_picture() -> None:
    assert _network(norm="instance").halo_px is None


def test_a_mirrored_border_keeps_a_flat_picture_flat() -> None:
    """But for the coarsest block, which mirrors nothing; here its answer is cut."""
    white = torch.full((1, 24, 24, 3), 200, dtype=torch.uint8)
    spreads = {}
    for padding in ("zeros", "reflect"):
        network = _network(1, padding=padding, upsampling="resize", norm="none").eval()
        for parameter in network.body.decoder[0].parameters():
            nn.init.zeros_(parameter)
        spreads[padding] = network(white).std().item()
    assert spreads["reflect"] < 1e-6 < 1e-3 < spreads["zeros"]


def test_the_frame_is_a_reflection() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    for inset, mode in ((0, "replicate"), (1, "reflect")):
        expected = nn.functional.pad(x, (1, 1, 1, 1), mode=mode)
        assert torch.equal(Frame(inset)(x), expected)
    assert Frame(0)(torch.ones(1, 1, 1, 1)).shape == (1, 1, 3, 3)


def test_weights_are_drawn_as_in_the_paper_or_keep_the_maps_size() -> None:
    layers = nn.Sequential(nn.Conv2d(16, 64, 4), nn.BatchNorm2d(64), nn.Conv2d(64, 16, 4))
    draw_weights(layers, "batch")
    first, norm, last = layers
    assert first.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert not first.bias.any()
    draw_weights(layers, "none")
    assert first.weight.std().item() == pytest.approx((2 / 1.04 / 256) ** 0.5, rel=0.03)
    assert last.weight.std().item() == pytest.approx(0.02, rel=0.03)
    deep = _network(depth=7, width=8, norm="none").train()
    assert deep.body.decoder[0](deep.body.encoder(torch.rand(2, 3, 128, 128))).std() > 0.01


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way.values()))
def test_the_exported_file_answers_as_torch(way: dict[str, str], tmp_path: Path) -> None:
    options = {"name": "pix2pix", "width": 4, "depth": 3, **way}
    config = resolve("sobel", [("flag", {"model": options})])
    network = _network(1, **way)
    network.train()(_pictures(4, 32, 32))  # norms know some statistics
    network.body.decoder[-1][-1].bias.data += 0.5  # values that are not clipped
    card = make_card(config, network.eval(), Runtime(device=torch.device("cpu")))
    export_onnx(network, card, tmp_path / "w.onnx")
    session = OnnxSession(tmp_path / "w.onnx", name="w")
    for size in ((1, 1), (8, 8), (21, 70), (64, 5)):
        pictures = _pictures(2, *size)
        with torch.inference_mode():
            expected = network.answer(pictures)["value"].numpy()
        np.testing.assert_allclose(session(pictures.numpy())["value"], expected, atol=5e-3)


# ---- discriminator


@pytest.mark.parametrize(("side", "n_layers"), N_LAYERS.items())
def test_a_logit_sees_a_patch_of_the_stated_side(side: int, n_layers: int) -> None:
    opponent = PatchDiscriminator(1, width=1, n_layers=n_layers, norm="none", n_conditions=0)
    opponent.double()
    for parameter in opponent.parameters():
        nn.init.constant_(parameter, 0.1)
    picture = torch.rand(1, 1, 2 * side + 64, 2 * side + 64, dtype=torch.float64)
    picture.requires_grad_()
    logits = opponent(None, picture).logits
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    assert picture.grad is not None
    rows, columns = picture.grad[0, 0].nonzero().unbind(1)
    assert opponent.patch_px == side
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == side


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("n_layers", N_LAYERS.values())
def test_a_picture_is_judged_beside_its_condition(norm: Any, n_layers: int) -> None:
    torch.manual_seed(0)
    opponent = PatchDiscriminator(2, width=2, n_layers=n_layers, norm=norm)
    side = opponent.least_px
    condition, picture = _pictures(1, side, side), torch.rand(1, 2, side, side)
    logits, features = opponent(condition, picture)
    assert logits.shape[:2] == (1, 1)
    assert [len(f) for f in features] == [1] * (max(n_layers, 1) + 1)
    as_float = condition.permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(opponent(as_float, picture).logits, logits)
    assert not torch.equal(opponent(1 - as_float, picture).logits, logits)
    assert not list(opponent.buffers())
    logits.sum().backward()
    assert all(p.grad is not None for p in opponent.parameters())


def test_channels_are_the_papers() -> None:
    with torch.device("meta"):
        opponent = PatchDiscriminator(3)
    # The authors' basic discriminator has as many.
    assert sum(p.numel() for p in opponent.parameters()) == 2_768_705


def test_too_small_a_picture_is_refused_by_name() -> None:
    opponent = PatchDiscriminator(1, width=2, n_layers=5)
    with pytest.raises(UsageError, match=r"286 pixels need .* at least 96 a side, not 95×200"):
        opponent(_pictures(1, 95, 200), torch.rand(1, 1, 95, 200))
