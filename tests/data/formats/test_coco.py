"""COCO files: outlines drawn as classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.masks import mask_splits
from img2img.errors import DataError
from img2img.vision.classes import Classes, ClassSet

CLASSES = ClassSet.parse(["background:0", "egg:128", "pan:255"])
CATEGORIES = [{"id": 7, "name": "egg"}, {"id": 3, "name": "Pan"}, {"id": 0, "name": "kitchen"}]


def square(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def coco(*annotations: tuple[int, Any], names: tuple[str, ...] = ("a.png",)) -> dict[str, Any]:
    """Of (category, segmentation) of the first picture, 12 x 10 pixels."""
    return {
        "images": [
            {"id": 100 + at, "file_name": name, "width": 12, "height": 10}
            for at, name in enumerate(names)
        ],
        "categories": CATEGORIES,
        "annotations": [
            {"id": at, "image_id": 100, "category_id": category, "segmentation": outline}
            for at, (category, outline) in enumerate(annotations)
        ],
    }


def write(folder: Path, content: Any, name: str = "labels.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))
    for entry in content["images"]:
        path = folder / entry["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write(path, np.zeros((10, 12, 3), np.uint8))
    return folder / name


def drawn(folder: Path, *annotations: tuple[int, Any]) -> Classes:
    path = write(folder, coco(*annotations))
    return mask_splits(DataOptions(source=str(path)), CLASSES).whole[0].labels["classes"]  # type: ignore[return-value]


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        mask_splits(DataOptions(source=str(path)), CLASSES)
    return str(caught.value)


def expected(*boxes: tuple[int, int, int, int, int]) -> Classes:
    plane = np.zeros((10, 12), np.uint8)
    for x0, y0, x1, y1, index in boxes:
        plane[y0:y1, x0:x1] = index
    return plane


def test_a_polygon_covers_the_pixels_whose_centres_lie_inside(tmp_path: Path) -> None:
    for corners in (square(2, 1, 7, 4), square(1.6, 0.7, 6.6, 3.7), square(7, 4, 2, 1)):
        found = drawn(tmp_path, (7, [corners]))
        np.testing.assert_array_equal(found, expected((2, 1, 7, 4, 1)))


def test_a_triangle_has_the_area_that_its_corners_say(tmp_path: Path) -> None:
    found = drawn(tmp_path, (7, [[0, 0, 10, 0, 0, 10]]))
    assert found.sum() == 45  # of 50: ten centres lie on the slope, which is left out
    assert (found[0] == [1] * 9 + [0] * 3).all()


def test_outlines_beyond_the_picture_are_cut(tmp_path: Path) -> None:
    found = drawn(tmp_path, (7, [square(-5, -5, 3, 2)]), (3, [square(10, 8, 40, 40)]))
    np.testing.assert_array_equal(found, expected((0, 0, 3, 2, 1), (10, 8, 12, 10, 2)))
    assert not drawn(tmp_path, (7, [square(20, 20, 30, 30)])).any()


def test_an_object_of_several_polygons_and_later_ones_above(tmp_path: Path) -> None:
    found = drawn(
        tmp_path,
        (3, [square(0, 0, 4, 4), square(6, 0, 10, 4)]),
        (7, [square(3, 2, 7, 6)]),
    )
    boxes = (0, 0, 4, 4, 2), (6, 0, 10, 4, 2), (3, 2, 7, 6, 1)
    np.testing.assert_array_equal(found, expected(*boxes))


def test_runs_go_down_the_columns(tmp_path: Path) -> None:
    plane = expected((2, 1, 7, 4, 1))
    flat = plane.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends, flat.size]).tolist()
    found = drawn(tmp_path, (7, {"counts": runs, "size": [10, 12]}))
    np.testing.assert_array_equal(found, plane)


def compressed(runs: list[int]) -> str:
    """`rleToString` of pycocotools."""
    letters = []
    for at, run in enumerate(runs):
        value = run - (runs[at - 2] if at > 2 else 0)
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            letters.append(chr((bits | (32 if more else 0)) + 48))
            if not more:
                break
    return "".join(letters)


def test_compressed_runs_are_read(tmp_path: Path) -> None:
    assert compressed([6, 1, 40, 4, 5, 4, 5, 4, 21]) == "61X13mN000`0"
    plane = np.random.default_rng(0).integers(0, 2, (10, 12)).astype(np.uint8)
    plane[3:8, 2:9] = 0  # a long run
    flat = np.concatenate([[0], plane.T.ravel()])
    ends = np.flatnonzero(np.diff(flat))
    runs = np.diff([0, *ends, plane.size]).tolist()
    found = drawn(tmp_path, (7, {"counts": compressed(runs), "size": [10, 12]}))
    np.testing.assert_array_equal(found, plane)


def test_categories_are_matched_by_name_and_unused_ones_do_not_matter(tmp_path: Path) -> None:
    found = drawn(tmp_path, (3, [square(0, 0, 12, 10)]))  # Pan; kitchen has no object
    assert (found == 2).all()
    told = refusal(write(tmp_path, coco((0, [square(0, 0, 9, 9)]), (7, [square(0, 0, 5, 5)]))))
    assert "categories egg, kitchen, but the classes are background, egg, pan" in told
    assert "--set task.classes=background:0,egg:127,kitchen:255" in told
    # What the sentence advises works.
    advised = ClassSet.parse(["background:0", "egg:127", "kitchen:255"])
    options = DataOptions(source=str(tmp_path / "labels.json"))
    assert mask_splits(options, advised).whole[0].labels["classes"].max() == 2


def test_pictures_lie_beside_the_file_or_in_images(tmp_path: Path) -> None:
    content = coco((7, [square(0, 0, 5, 5)]), names=("a.png", "deep/b.png", "c.png", "d.png"))
    path = write(tmp_path / "annotations", content)
    for name, place in (("c.png", path.parent / "images"), ("d.png", tmp_path / "images")):
        place.mkdir()
        (path.parent / name).rename(place / name)
    whole = mask_splits(DataOptions(source=str(path)), CLASSES).whole
    assert {record.id for record in whole.records} == {"a.png", "deep/b.png", "c.png", "d.png"}
    # A picture without objects is background.
    by_id = {sample.id: sample.labels["classes"] for sample in whole}
    assert not by_id["c.png"].any()
    assert by_id["a.png"].any()
    (path.parent / "a.png").unlink()
    told = refusal(path)
    assert told.startswith("1 of 4 samples")
    assert "names a.png, which lies neither beside it nor in images" in told


def test_a_folder_with_one_file_is_enough(tmp_path: Path) -> None:
    write(tmp_path, coco((7, [square(0, 0, 5, 5)]), names=("images/a.png",)))
    (tmp_path / "info.json").write_text('{"year": 2020}')
    assert len(mask_splits(DataOptions(source=str(tmp_path)), CLASSES).whole) == 1
    write(tmp_path, coco(), name="more.json")
    assert "several COCO files, labels.json and more.json" in refusal(tmp_path)


def test_parts_with_a_file_each(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        write(tmp_path / part, coco((7, [square(0, 0, 5, 5)])), name="_annotations.coco.json")
    splits = mask_splits(DataOptions(source=str(tmp_path)), CLASSES)
    ids = {part: [record.id for record in found.records] for part, found in splits.parts.items()}
    assert ids == {"train": ["train/a.png"], "val": ["valid/a.png"], "test": ["test/a.png"]}


def test_objects_without_an_outline(tmp_path: Path) -> None:
    for outline in ([], None, [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]]):
        told = refusal(write(tmp_path, coco((7, outline))))
        assert "labels.json: annotation 0 has no outline" in told
    told = refusal(write(tmp_path, coco((7, {"counts": [5, 5], "size": [10, 12]}))))
    assert "annotation 0 has a mask that is not of its picture's size" in told


def test_a_picture_of_another_size_than_the_file_says(tmp_path: Path) -> None:
    path = write(tmp_path, coco((7, [square(0, 0, 5, 5)])))
    images.write(tmp_path / "a.png", np.zeros((20, 24, 3), np.uint8))
    assert "a.png has 24x20 pixels, but its mask" in refusal(path)


def test_files_that_are_no_coco_files(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    for text in ("", "[1]", '{"images": []}', '{"images": 1, "annotations": 2, "categories": 3}'):
        path.write_text(text)
        assert "is no COCO file" in refusal(path)
    content = coco((7, [square(0, 0, 5, 5)]))
    for part, key in (("images", "file_name"), ("annotations", "image_id"), ("categories", "name")):
        broken = json.loads(json.dumps(content))
        del broken[part][0][key]
        path.write_text(json.dumps(broken))
        told = refusal(path)
        assert f"is not as COCO files are ('{key}' is missing)" in told
    path.write_text(json.dumps(content | {"annotations": [5]}))
    assert "is not as COCO files are" in refusal(path)


def test_digests_follow_the_outlines(tmp_path: Path) -> None:
    def digest(*annotations: tuple[int, Any]) -> str:
        path = write(tmp_path, coco(*annotations))
        return mask_splits(DataOptions(source=str(path)), CLASSES).whole.records[0].digest

    assert digest((7, [square(0, 0, 5, 5)])) == digest((7, [square(0, 0, 5, 5)]))
    assert digest((7, [square(0, 0, 5, 5)])) != digest((3, [square(0, 0, 5, 5)]))


@pytest.mark.parametrize("height", [None, "10", 0, 9.5, -10])
def test_a_size_that_is_none_is_refused_by_name(height: object, tmp_path: Path) -> None:
    content = coco((7, [square(2, 1, 7, 4)]), names=("a.png", "b.png"))
    content["images"][1]["height"] = height
    told = refusal(write(tmp_path, content))
    assert "labels.json" in told
    assert "b.png" in told
    assert "height" in told


def test_a_size_may_be_a_whole_float(tmp_path: Path) -> None:
    content = coco((7, [square(2, 1, 7, 4)]))
    content["images"][0]["height"] = 10.0
    path = write(tmp_path, content)
    (sample,) = mask_splits(DataOptions(source=str(path)), CLASSES).whole
    np.testing.assert_array_equal(sample.labels["classes"], expected((2, 1, 7, 4, 1)))
