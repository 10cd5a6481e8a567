"""Models by name: what is known, what is built, and that it exports."""

import copy
import io
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from img2img.config import ModelOptions, parse_option
from img2img.errors import UsageError
from img2img.models import registry
from img2img.models.network import ImageHead, Network
from img2img.models.point_heads import CoordinateHead
from img2img.models.smp import ARCHITECTURES, EncoderDecoder, GridMean

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def _build(name: str, **values: str) -> Network:
    kind = registry.options_type(name)
    parsed = {key: parse_option(kind, "model", key, value) for key, value in values.items()}
    return registry.build(name, kind(**parsed), ImageHead(1)).network


@pytest.mark.parametrize("row", registry.RECOMMENDED, ids=lambda row: row.name)
def test_recommended_models_have_the_parameters_they_state(row: registry.Row) -> None:
    if row.name == "regressor":
        options = registry.options_type(row.name)(name=row.name)
        network = registry.build(row.name, options, CoordinateHead(1, size_px=96)).network
    else:
        network = _build(row.name)
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert row.parameters_m == pytest.approx(millions, abs=0.006, rel=0.02)
    assert row.summary


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("autoencodr", "autoencoder"),
        ("unett:resnet18", "unet"),
        ("unet:resnet81", "resnet18"),
        ("unet:mobilenetv4_conv_small", "tu-mobilenetv4_conv_small"),
        ("unet:", ""),
        ("unet:tu-qqqq", ""),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        registry.build(wrong, EncoderDecoder.Options(name=wrong), ImageHead(1))
    assert nearest in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_encoder_that_does_not_fit_is_a_usage_error() -> None:
    for name in ("unetplusplus:mit_b0", "unet:tu-vit_tiny_patch16_224", "unet:tu-resnet18.nope"):
        with pytest.raises(UsageError, match=name.partition(":")[2]):
            _build(name)


def test_linknet_has_no_half_decoder() -> None:
    with pytest.raises(UsageError, match="half"):
        _build("linknet:resnet18", decoder="half")


def test_the_half_decoder_has_half_the_channels() -> None:
    half = _build("unet:mobilenet_v2", decoder="half").body
    widths = [block.conv2[0].out_channels for block in half.decoder.blocks]
    assert widths == [128, 64, 32, 16, 8]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_answers_at_every_size(architecture: str) -> None:
    network = _build(f"{architecture}:resnet18").eval()
    with torch.no_grad():
        for size in ((1, 1), (33, 70)):
            image = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8)
            assert network.answer(image)["value"].shape == (1, *size, 1)
    assert isinstance(network.encoder, nn.Module)
    assert network.halo_px is None


@pytest.mark.parametrize(
    ("encoder", "mean"),
    [
        ("mobilenet_v2", (0.485, 0.456, 0.406)),
        ("tu-tf_efficientnet_lite0", (0.5, 0.5, 0.5)),
        ("timm-tf_efficientnet_lite0", (0.5, 0.5, 0.5)),
    ],
)
def test_pictures_are_normalised_as_the_encoder_expects(
    encoder: str, mean: tuple[float, ...]
) -> None:
    network = _build(f"unet:{encoder}", decoder="half")
    assert network.mean.flatten().tolist() == pytest.approx(mean)
    assert "mean" in network.state_dict()


def test_all_names_hold_our_own_smp_and_timm() -> None:
    names = registry.all_names()
    assert {"autoencoder", "unet:resnet18", "fpn:tu-mobilenetv4_conv_small"} <= set(names)
    assert len(names) == len(set(names))
    assert {row.name for row in registry.RECOMMENDED} <= set(names)


def test_encoder_weights_are_looked_for_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str, bool]] = []

    def load_encoder(_: nn.Module, name: str, choice: str, *, download: bool) -> str:
        calls.append((name, choice, download))
        return "a note"

    monkeypatch.setattr("img2img.models.pretrained.load_encoder", load_encoder)
    options = EncoderDecoder.Options(encoder_weights="imagenet")
    registry.build("unet:mobilenet_v2", options, ImageHead(1))
    assert calls == []
    built = registry.build(
        "unet:mobilenet_v2", options, ImageHead(1), pretrained=True, download=True
    )
    assert calls == [("mobilenet_v2", "imagenet", True)]
    assert built.note == "a note"


def test_own_families_start_from_scratch_and_say_so() -> None:
    options = registry.options_type("autoencoder")()
    built = registry.build("autoencoder", options, ImageHead(1), pretrained=True)
    assert "from random parameters" in built.note
    assert isinstance(options, ModelOptions)


@pytest.mark.parametrize("side", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(1, 1), (6, 12), (7, 4), (13, 9)])
def test_grid_mean_is_adaptive_average_pooling(side: int, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    expected = nn.AdaptiveAvgPool2d(side)(x)
    torch.testing.assert_close(GridMean(side)(x), expected, rtol=1e-12, atol=1e-12)


class _Levels(nn.Module):
    """Maps in levels of 255, not clipped, so that a saturated picture hides nothing."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image) * 255


@pytest.mark.parametrize(
    "name", ["unet:resnet18", "unet:mobilenet_v2", "pspnet:resnet18", "pan:resnet18"]
)
def test_the_exported_graph_is_as_exact_as_torch_at_any_size(name: str) -> None:
    torch.manual_seed(0)
    model = _Levels(_settled(_build(name))).eval()
    exact = copy.deepcopy(model).double()
    session = _export(model)
    generator = np.random.default_rng(0)
    for shape in ((1, 1, 1), (2, 33, 70), (1, 5, 130), (1, 160, 32)):
        image = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
        with torch.no_grad():
            expected = exact(torch.from_numpy(image))
            rounding = (model(torch.from_numpy(image)) - expected).abs().max().item()
        (maps,) = session.run(None, {"image": image})
        # Untrained networks magnify float32 rounding to 0.01 levels, in torch as well.
        np.testing.assert_allclose(maps, expected.numpy(), atol=max(1e-3, 2 * rounding), rtol=0)
        assert rounding < 0.05


def _settled(network: Network) -> Network:
    """As after training: normalisation layers know their statistics, maps are around 0…1."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        image = torch.randint(0, 256, (4, 96, 96, 3), dtype=torch.uint8)
        maps = network.train()(image)
        last = network.body.segmentation_head[0]
        last.weight /= 4 * maps.std()
        last.bias.copy_(0.5 + (last.bias - maps.mean()) / (4 * maps.std()))
    return network


def _export(model: nn.Module) -> onnxruntime.InferenceSession:
    graph = io.BytesIO()
    axes = {"image": {0: "batch", 1: "height", 2: "width"}}
    example = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (example,), graph, dynamo=False, dynamic_axes=axes, input_names=["image"]
        )
    return onnxruntime.InferenceSession(graph.getvalue(), providers=["CPUExecutionProvider"])
