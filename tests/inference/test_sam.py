"""Regions of a Segment Anything network: its masks sifted, its folder checked."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from img2img.errors import UsageError, WeightsError
from img2img.inference.labelling import by_examples, by_rule, examples_of
from img2img.inference.sam import Prompting, by_sam, good_masks, grid_points, without_doubles

SIDE_PX = 64


@pytest.fixture(scope="module")
def network_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SamModel whose masks are bold and whose estimates of them are 0.95."""
    transformers: Any = pytest.importorskip("transformers", reason="the extra `sam` is missing")
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "mlp_dim": 32,
            "num_attention_heads": 2, "image_size": SIDE_PX, "patch_size": 8, "window_size": 2,
            "global_attn_indexes": [1], "num_pos_feats": 8,
        },
        prompt_encoder_config={
            "hidden_size": 16, "image_size": SIDE_PX, "patch_size": 8, "mask_input_channels": 4
        },
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16
        },
    )  # fmt: skip
    network = transformers.SamModel(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5, generator=generator)
        for head in network.mask_decoder.output_hypernetworks_mlps:
            head.proj_out.weight.mul_(100)
        last = network.mask_decoder.iou_prediction_head.proj_out
        last.weight.zero_()
        last.bias.fill_(0.95)
    folder = tmp_path_factory.mktemp("sam")
    network.save_pretrained(folder)
    return folder


def _photo(height: int, width: int) -> np.ndarray:
    image = np.full((height, width, 3), 60, np.uint8)
    cv2.circle(image, (width // 3, height // 2), max(1, height // 5), (230, 230, 225), -1)
    cv2.circle(image, (3 * width // 4, height // 3), max(1, height // 6), (20, 20, 22), -1)
    return image


def _discs(*discs: tuple[int, int, int], size: tuple[int, int] = (40, 60)) -> torch.Tensor:
    """Logits (N, h, w) of discs (x, y, radius): 8 inside, -8 outside."""
    y, x = np.mgrid[: size[0], : size[1]]
    inside = [(x - cx) ** 2 + (y - cy) ** 2 <= r**2 for cx, cy, r in discs]
    return torch.from_numpy(np.where(inside, 8.0, -8.0).astype(np.float32))


# ---- which masks are kept


def test_the_grid_is_the_centres_of_equal_tiles() -> None:
    points = grid_points(4, 8, 16)
    assert points.shape == (16, 2)
    np.testing.assert_allclose(points[0], (1.5, 0.5))
    np.testing.assert_allclose(points.mean(axis=0), (7.5, 3.5))


def test_masks_that_are_unsure_shaky_empty_or_everything_go() -> None:
    sure = _discs((20, 20, 8))
    shaky = torch.where(_discs((20, 20, 4)) > 0, sure, torch.where(sure > 0, 0.5, -8.0))
    everything, nothing = torch.full_like(sure, 8), torch.full_like(sure, -8)
    logits = torch.cat([sure, sure, shaky, everything, nothing])
    scores = torch.tensor([0.9, 0.5, 0.9, 0.9, 0.9])
    assert good_masks(logits, scores, Prompting()).tolist() == [True, False, False, False, False]


def test_of_doubles_the_best_stays_and_what_lies_in_another_stays_too() -> None:
    logits = _discs((20, 20, 12), (21, 20, 12), (20, 20, 5), (50, 10, 6))
    scores = torch.tensor([0.9, 0.95, 0.8, 0.7])
    assert sorted(without_doubles(logits, scores, 0.7).tolist()) == [1, 2, 3]


def test_no_mask_at_all_is_no_trouble() -> None:
    assert without_doubles(torch.zeros(0, 8, 8), torch.zeros(0), 0.7).tolist() == []


# ---- the whole way, on a network of the real class


def test_pictures_and_points_enter_as_transformers_itself_prepares_them(
    network_folder: Path,
) -> None:
    transformers: Any = pytest.importorskip("transformers")
    from img2img.inference.sam import _canvas

    image = _photo(48, SIDE_PX)
    processor = transformers.SamProcessor(
        transformers.SamImageProcessor(
            size={"longest_edge": SIDE_PX}, pad_size={"height": SIDE_PX, "width": SIDE_PX}
        )
    )
    points = grid_points(3, 48, SIDE_PX)
    theirs = processor(image, input_points=[[[p] for p in points.tolist()]], return_tensors="pt")
    canvas, view = _canvas(image, SIDE_PX)
    assert view.inner == (48, SIDE_PX)
    torch.testing.assert_close(canvas, theirs["pixel_values"], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        torch.from_numpy(points)[None, :, None], theirs["input_points"].float(), atol=1e-4, rtol=0
    )


def test_masks_lie_where_transformers_itself_puts_them(network_folder: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    image = _photo(48, SIDE_PX)
    processor = transformers.SamProcessor(
        transformers.SamImageProcessor(
            size={"longest_edge": SIDE_PX}, pad_size={"height": SIDE_PX, "width": SIDE_PX}
        )
    )
    points = [[grid_points(1, 48, SIDE_PX).tolist()]]
    inputs = processor(image, input_points=points, return_tensors="pt")
    network = transformers.SamModel.from_pretrained(network_folder)
    with torch.inference_mode():
        answer = network(**inputs)
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    (masks,) = processor.post_process_masks(
        answer.pred_masks, *sizes, pad_size={"height": SIDE_PX, "width": SIDE_PX}
    )
    everything = Prompting(n_side=1, least_stability=0, most_overlap=1)
    labels, _ = by_sam(str(network_folder), everything, device="cpu")(image)
    expected = np.zeros_like(labels)
    by_size = sorted(masks[0].numpy(), key=lambda mask: -int(mask.sum()))
    for number, mask in enumerate(by_size, start=1):
        expected[mask] = number
    assert len(np.unique(expected)) > 2
    assert (labels == expected).mean() > 0.995


@pytest.mark.parametrize("size", [(48, 64), (200, 90), (1, 30), (1, 1)])
def test_regions_and_features_are_of_the_whole_picture(
    size: tuple[int, int], network_folder: Path
) -> None:
    labels, features = by_sam(str(network_folder), Prompting(n_side=3))(_photo(*size))
    assert labels.dtype == np.int32
    assert max(labels.shape) == SIDE_PX  # twice as fine as the network's 32 × 32 masks
    for shape in (labels.shape, features.shape):
        assert shape[0] / shape[1] == pytest.approx(size[0] / size[1], rel=0.3, abs=1.0)
    assert labels.max() >= 1
    np.testing.assert_allclose(np.linalg.norm(features, axis=-1), 1, rtol=1e-5)


def test_the_picture_is_encoded_once_and_batches_change_nothing(
    network_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers: Any = pytest.importorskip("transformers")
    encoded, asked = [], []
    encode, decode = transformers.SamModel.get_image_embeddings, transformers.SamModel.forward

    def encoding(self: Any, *args: Any, **kwargs: Any) -> Any:
        encoded.append(1)
        return encode(self, *args, **kwargs)

    def decoding(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["input_points"].shape[1])
        return decode(self, *args, **kwargs)

    monkeypatch.setattr(transformers.SamModel, "get_image_embeddings", encoding)
    monkeypatch.setattr(transformers.SamModel, "forward", decoding)
    image = _photo(48, 64)
    found = [
        by_sam(str(network_folder), Prompting(n_side=4, batch_size=size))(image)[0]
        for size in (6, 16)
    ]
    assert found[0].any()
    assert len(encoded) == 2
    assert asked == [6, 6, 4, 16]
    assert (found[0] == found[1]).mean() > 0.99


def test_a_threshold_that_nothing_reaches_leaves_one_region(network_folder: Path) -> None:
    labels, _ = by_sam(str(network_folder), Prompting(n_side=2, least_iou=0.99))(_photo(48, 64))
    assert not labels.any()


def test_regions_are_named_by_rule_and_by_examples(network_folder: Path, labelled: Path) -> None:
    from img2img.config import DataOptions
    from img2img.data.formats.masks import mask_splits
    from img2img.vision.classes import ClassSet

    segment = by_sam(str(network_folder), Prompting(n_side=3))
    classes = ClassSet.parse(["background:0", "egg:128", "pan:255"])
    options = DataOptions(source=str(labelled), val_share=0, test_share=0)
    samples = list(mask_splits(options, classes).whole)
    examples = examples_of(segment, samples[:2])
    assert len(examples.names) == len(examples.features) >= 2
    assert examples.names.max() < 3
    for propose in (by_rule(segment), by_examples(segment, examples)):
        found = propose(samples[2].image)
        assert found.shape == samples[2].image.shape[:2]
        assert found.max() < 3


# ---- folders that cannot be used


def test_without_weights_the_next_step_is_told() -> None:
    with pytest.raises(UsageError, match="needs --weights"):
        by_sam(None, Prompting())


def test_a_folder_that_is_not_there_or_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"config\.json"):
        by_sam(str(tmp_path / "gone"), Prompting())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam2"}))
    with pytest.raises(WeightsError, match="'sam2'"):
        by_sam(str(tmp_path), Prompting())
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="no JSON"):
        by_sam(str(tmp_path), Prompting())


def test_damaged_weights_are_refused(network_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(network_folder, tmp_path / "sam")
    file = folder / "model.safetensors"
    tensors = load_file(file)
    kept = {name: tensors[name] for name in tensors if "mask_decoder" not in name}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="lack 'mask_decoder"):
        by_sam(str(folder), Prompting())
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="cannot be read"):
        by_sam(str(folder), Prompting())
    file.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        by_sam(str(folder), Prompting())
