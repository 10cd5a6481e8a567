"""What ships is as good as its card says, on pictures that the weights never saw."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from support import img2img

from img2img.inference.weights import shipped_folder

MIB = 1 << 20


def test_sizes_and_cards() -> None:
    folder = shipped_folder()
    onnx = sorted(folder.glob("*.onnx"))
    assert onnx
    for path in onnx:
        assert path.stat().st_size <= 15 * MIB
        assert path.with_suffix(".safetensors").is_file()
        assert "Recipe" in path.with_suffix(".md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) <= 40 * MIB


def test_sobel_has_few_parameters() -> None:
    content = (shipped_folder() / "sobel.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    names = [name for name in header if name.startswith("network.body.")]
    assert sum(int(np.prod(header[name]["shape"])) for name in names) <= 5000


def test_sobel_is_exact_on_unseen_textures(tmp_path: Path) -> None:
    limits = ("--min", "psnr=80", "--min", "equal=0.99", "--min", "border_equal=0.99")
    done = img2img("eval", "sobel", *limits, "--json", "-", "--no-baselines", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["split"] == "test"


def test_segmentation_finds_eggs_and_pans_in_unseen_kitchens(tmp_path: Path) -> None:
    """Thresholds well below what the card states, far above the classical baseline's 0.37."""
    limits = ("miou=0.6", "iou_egg=0.5", "iou_pan=0.4")
    flags = [part for limit in limits for part in ("--min", limit)]
    done = img2img("eval", "segmentation", *flags, "--json", "-", "--no-baselines", cwd=tmp_path)
    assert done.code == 0, done.err
    assert (done.json["split"], done.json["n"]) == ("test", 64)


@pytest.mark.parametrize("flags", [(), ("--find",)])
def test_keypoints_find_drawn_faces_that_no_training_showed(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    """Real faces were learned from alone; drawn ones are harder for these weights."""
    limits = ("--max", "nme=0.08", "--min", "recall=0.85", "--min", "precision=0.9")
    done = img2img(
        "eval", "keypoints", *flags, *limits, "--json", "-", "--no-baselines", cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert (done.json["split"], done.json["n"]) == ("test", 128)


def test_a_picture_without_a_face_has_none(tmp_path: Path) -> None:
    made = img2img("data", "make", "sobel", "--n", 4, "--size", 256, "--out", "t", cwd=tmp_path)
    assert made.code == 0, made.err
    done = img2img("predict", "keypoints", "t/train", cwd=tmp_path)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) == 4
    assert sum(len(line["faces"]) for line in lines) <= 1
    assert {line["error"] for line in lines} == {None}


def test_sobel_is_exact_on_photos(tmp_path: Path) -> None:
    photos = os.environ.get("IMG2IMG_TEST_PHOTOS")
    if not photos:
        pytest.skip("IMG2IMG_TEST_PHOTOS names no folder of photos")
    limits = ("psnr=80", "equal=0.99", "border_psnr=80", "border_equal=0.99")
    flags = [part for limit in limits for part in ("--min", limit)]
    done = img2img(
        "eval", "sobel", "--data", Path(photos) / "val", *flags, "--json", "-", cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert done.json["baselines"]["uint8_stages"]["psnr"] < 50


def test_xwing_tells_poses_of_unseen_frames(tmp_path: Path) -> None:
    """Thresholds well below what the card states, on frames of another seed."""
    made = img2img("data", "make", "xwing", "--n", 400, "--seed", 77, "--out", "t", cwd=tmp_path)
    assert made.code == 0, made.err
    limits = ("--max", "rotation_deg=9", "--min", "add_10=0.5", "--min", "answered=0.8")
    done = img2img(
        "eval", "xwing", "--data", "t", *limits, "--json", "-", "--no-baselines", cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert (done.json["split"], done.json["n"]) == ("test", 50)
