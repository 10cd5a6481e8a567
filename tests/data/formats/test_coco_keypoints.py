"""COCO keypoints: several faces a picture, each with its box and visible points."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from img2img.data import images
from img2img.data.formats.coco_keypoints import is_coco_keypoints, read_coco_keypoints
from img2img.errors import DataError


def content() -> dict[str, Any]:
    return {
        "images": [{"id": 5, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}],
        "categories": [
            {"id": 1, "name": "face", "keypoints": ["eye", "nose"], "skeleton": [[1, 2]]},
            {"id": 2, "name": "house"},
        ],
        "annotations": [
            {"id": 7, "image_id": 5, "category_id": 1, "bbox": [1, 2, 10, 20],
             "keypoints": [3, 4.5, 2, 0, 0, 0], "num_keypoints": 1},
            {"id": 8, "image_id": 5, "category_id": 1, "keypoints": [1, 2, 1, -3, 4, 2]},
            {"id": 9, "image_id": 3, "category_id": 1, "keypoints": [0] * 6, "num_keypoints": 0},
            {"id": 10, "image_id": 3, "category_id": 1, "keypoints": [1] * 6, "iscrowd": 1},
            {"id": 11, "image_id": 3, "category_id": 2, "bbox": [1, 2, 3, 4]},
        ],
    }  # fmt: skip


def write(folder: Path, value: Any) -> Path:
    path = folder / "annotations" / "faces.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    (folder / "images").mkdir(exist_ok=True)
    images.write(folder / "images" / "a.jpg", np.zeros((30, 40, 3), np.uint8))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_coco_keypoints(path)
    return str(caught.value)


def test_every_object_with_a_point_is_a_face(tmp_path: Path) -> None:
    found = read_coco_keypoints(write(tmp_path, content()))
    assert found.format == "COCO keypoints"
    assert found.names == ("eye", "nose")
    one, two = found.faces
    assert one.name == two.name == "a.jpg"
    assert one.picture.resolve() == tmp_path.resolve() / "images" / "a.jpg"
    assert one.points[0].tolist() == [3, 4.5]
    assert np.isnan(one.points[1]).all()
    assert two.points.tolist() == [[1, 2], [-3, 4]]
    assert one.box.tolist() == [1, 2, 10, 21]
    assert two.box is None


def break_points(value: dict[str, Any], numbers: Any) -> dict[str, Any]:
    value["annotations"][0]["keypoints"] = numbers
    return value


def test_what_is_broken_is_named_with_file_and_annotation(tmp_path: Path) -> None:
    broken = {
        "annotation 7: its 5 numbers are not x, y": [3, 4, 2, 0, 0],
        "annotation 7: its 3 numbers are not x, y": [3, 4, 2],
        "annotation 7: 'x' is no number": ["x", 4, 2, 0, 0, 0],
        "annotation 7: 'None' is no number": [3, None, 2, 0, 0, 0],
        "annotation 7: 'nan' is no number": [3, float("nan"), 2, 0, 0, 0],
        "is not as COCO files are": 3,
    }
    for told, numbers in broken.items():
        message = refusal(write(tmp_path, break_points(content(), numbers)))
        assert told in message
        assert "faces.json" in message


def test_lists_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    value = content()
    value["images"][0]["file_name"] = "c.jpg"
    assert "annotation 7: the picture 'c.jpg' lies neither" in refusal(write(tmp_path, value))
    value = content()
    del value["images"][0]["file_name"]
    assert "'file_name' is missing" in refusal(write(tmp_path, value))
    value = content()
    value["annotations"] = value["annotations"][2:]
    assert "no object with a labelled point" in refusal(write(tmp_path, value))
    value = content()
    value["categories"][1]["keypoints"] = ["roof", "door"]
    value["annotations"][1]["category_id"] = 2
    assert "several categories" in refusal(write(tmp_path, value))
    assert "is no COCO file with keypoints" in refusal(write(tmp_path, "{"))


def test_outlines_are_not_taken_for_points() -> None:
    value = content()
    assert is_coco_keypoints(value)
    for entry in value["annotations"]:
        entry.pop("keypoints", None)
    assert not is_coco_keypoints(value)
    assert not is_coco_keypoints([])
    assert not is_coco_keypoints(None)
