"""Networks that end in numbers, and bodies that end in coarse maps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from img2img.engine.run import make_card, resolve
from img2img.engine.runtime import Runtime
from img2img.errors import UsageError
from img2img.inference.export import export_onnx
from img2img.inference.session import OnnxSession
from img2img.models.network import Head, Network
from img2img.models.point_heads import CoordinateHead, HeatmapHead
from img2img.models.registry import build, options_type
from img2img.tasks.keypoints import Keypoints

torch.set_num_threads(1)


def _built(name: str, head: Head, **options: object) -> Network:
    torch.manual_seed(0)
    return build(name, options_type(name)(name=name, **options), head).network


@pytest.mark.parametrize("name", ["regressor", "regressor:resnet18"])
@pytest.mark.parametrize("size", [(96, 96), (50, 70)])
def test_a_regressor_ends_in_numbers_whatever_the_size(name: str, size: tuple[int, int]) -> None:
    network = _built(name, CoordinateHead(5, size_px=96)).eval()
    image = torch.zeros((2, *size, 3), dtype=torch.uint8)
    assert network(image).shape == (2, 10, 1, 1)
    assert network.answer(image)["points"].shape == (2, 5, 2)
    assert network.encoder is not None
    assert network.first_stages(1)


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet", {"width": 4, "depth": 2}),
        ("unet:resnet18", {}),
        ("unet:tu-tf_efficientnet_lite0", {"decoder": "half", "encoder_depth": 4}),
        ("fpn:resnet18", {}),
        ("filternet", {}),
    ],
)
def test_maps_have_the_stride_that_the_head_wants(
    name: str, options: dict[str, object], stride: int
) -> None:
    head = HeatmapHead(3, sigma=1.0, activation="linear", stride=stride)
    network = _built(name, head, **options).eval()
    for height, width in ((64, 64), (50, 75), (1, 1)):
        image = torch.zeros((1, height, width, 3), dtype=torch.uint8)
        assert network(image).shape == (1, 3, -(-height // stride), -(-width // stride))


def test_coarser_maps_are_cheaper_not_averaged() -> None:
    fine, coarse = (
        _built("unet:resnet18", HeatmapHead(3, sigma=1.0, activation="linear", stride=stride))
        for stride in (1, 8)
    )
    assert len(coarse.body.decoder.blocks) == len(fine.body.decoder.blocks) - 3  # type: ignore[union-attr, arg-type]
    n_fine, n_coarse = (sum(p.numel() for p in n.parameters()) for n in (fine, coarse))
    assert n_coarse < n_fine


def test_a_short_encoder_leaves_its_last_stages_out() -> None:
    head = HeatmapHead(1, sigma=1.0, activation="linear")
    name = "unet:tu-tf_efficientnet_lite0"
    whole, short = (_built(name, head, encoder_depth=depth) for depth in (5, 4))
    counts = [sum(p.numel() for p in network.parameters()) for network in (whole, short)]
    assert counts[1] < counts[0] / 3
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    assert short.eval()(image).shape == (1, 1, 64, 64)


@pytest.mark.parametrize(
    ("name", "way", "hint"),
    [("regressor", "heatmaps", "wants maps"), ("unet", "coordinates", "choose regressor")],
)
def test_a_model_that_ends_in_something_else_is_refused(name: str, way: str, hint: str) -> None:
    config = resolve("keypoints", [("flag", {"model": {"name": name}, "task": {"way": way}})])
    task = Keypoints.configured(config)
    with pytest.raises(UsageError, match=hint):
        build(name, config.model, task.head())


@pytest.mark.parametrize("way", ["heatmaps", "groups", "mixture", "coordinates", "shape"])
def test_every_way_answers_in_onnx_as_in_torch(way: str, tmp_path: Path) -> None:
    model = "regressor" if way in ("coordinates", "shape") else "unet"
    small = {} if model == "regressor" else {"width": 4, "depth": 2}
    options = {
        "model": {"name": model, **small},
        "task": {"way": way, "image_size": 48, "components": 3, "decoder": "contours"},
    }
    config = resolve("keypoints", [("flag", options)])
    task = Keypoints.configured(config)
    if task.coding.needs_shapes:
        rng = np.random.default_rng(0)
        task.coding.learn_shapes(rng.normal(24, 8, (6, 68, 2)))
    torch.manual_seed(0)
    network = build(model, config.model, task.head()).network.eval()
    card = make_card(config, network, Runtime(device=torch.device("cpu")))
    export_onnx(network, card, tmp_path / "w.onnx")
    session = OnnxSession(tmp_path / "w.onnx", name="w")
    images = np.random.default_rng(1).integers(0, 256, (3, 48, 48, 3), np.uint8)
    with torch.inference_mode():
        expected = network.answer(torch.from_numpy(images))
    for name, answer in session(images).items():
        np.testing.assert_allclose(answer, expected[name].numpy(), atol=2e-3)
        assert len(answer) == 3
    other = session(np.zeros((1, 64, 40, 3), np.uint8))
    assert {len(answer) for answer in other.values()} == {1}
