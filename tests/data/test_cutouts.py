"""Objects that are cut out of labelled pictures and pasted into others."""

import dataclasses

import cv2
import numpy as np
import pytest
from scenes import Scenes, frozen, scene

from img2img.data.cutouts import Cutouts
from img2img.data.sample import Image, Record
from img2img.vision.classes import IGNORE


@pytest.fixture(scope="module")
def cutouts() -> Cutouts:
    return Cutouts(Scenes([scene(120, 160, seed) for seed in range(3)]))


def test_cutouts_hold_whole_objects_of_every_class() -> None:
    image, classes = scene(120, 160)
    cut = classes.copy()
    cut[50:70, :10] = 1  # reaches the border
    cut[5:7, 100:101] = 2  # tiny
    found = Cutouts(Scenes([(image, cut), (image, None)]))
    assert {main: len(kind) for main, kind in found.by_class.items()} == {1: 1, 2: 1}
    for main, (cutout,) in found.by_class.items():
        assert set(np.unique(cutout.classes).tolist()) == {0, main}
        assert (cutout.classes == main).sum() == (classes == main).sum()
        assert (cutout.pixels[..., 3] > 127)[cutout.classes == main].mean() > 0.8
        assert not (cutout.pixels[..., 3] > 127)[cutout.classes == 0].any()


def test_an_egg_in_a_pan_comes_along() -> None:
    image, classes = np.full((100, 100, 3), 128, np.uint8), np.zeros((100, 100), np.uint8)
    classes[20:80, 20:80], classes[40:50, 40:50] = 2, 1
    (pan,) = Cutouts(Scenes([(image, classes)])).by_class[2]
    assert set(np.unique(pan.classes).tolist()) == {0, 1, 2}
    assert (pan.classes == 1).sum() == 100


def test_cutouts_are_bounded() -> None:
    image, classes = np.zeros((800, 900, 3), np.uint8), np.zeros((800, 900), np.uint8)
    classes[10:700, 10:600] = 1
    found = Cutouts(Scenes([(image, classes)] * 5), most=3)
    assert len(found) == 3
    assert all(max(c.classes.shape) == Cutouts.LONGEST_PX for c in found.by_class[1])
    assert all(c.classes.shape == c.pixels.shape[:2] for c in found.by_class[1])


def test_every_class_keeps_an_object() -> None:
    image, classes = scene(120, 160)
    found = Cutouts(Scenes([(image, classes)]), most=1)
    assert [len(kind) for kind in found.by_class.values()] == [1, 1]


def _visited(scenes: Scenes, **limits: int) -> list[str]:
    """The groups of the samples that are read, in their order."""
    visited = []

    def pixels(record: Record) -> Image:
        visited.append(record.group)
        return scenes.pairs[record.index][0]

    scenes.pixels = pixels  # type: ignore[method-assign]
    Cutouts(scenes, **limits)
    return visited


def test_every_group_gives_objects() -> None:
    """A film of 90 frames does not crowd out single pictures."""
    scenes = Scenes([scene(60, 80)] * 100)
    scenes.records = tuple(
        dataclasses.replace(record, group="film" if record.index < 90 else f"{record.index}")
        for record in scenes.records
    )
    visited = _visited(scenes, n_pictures=11)
    assert sorted(visited) == sorted(["film", *map(str, range(90, 100))])


def test_pictures_without_labels_do_not_count() -> None:
    image, classes = scene(60, 80)
    labelled, blank = (image, classes), (image, np.full_like(classes, IGNORE))
    scenes = Scenes([labelled, blank, (image, None)] * 4)
    assert len(Cutouts(scenes, n_pictures=4).by_class[1]) == 4
    assert len(_visited(Scenes([blank] * 50), n_pictures=3)) == 12


def test_pasted_pixels_and_classes_agree(cutouts: Cutouts) -> None:
    image, classes = frozen(np.full((128, 128, 3), 128, np.uint8)), frozen(
        np.zeros((128, 128), np.uint8)
    )  # fmt: skip
    n_pasted = 0
    for seed in range(20):
        pasted, marks = cutouts.paste(image, classes, np.random.default_rng(seed))
        again, _ = cutouts.paste(image, classes, np.random.default_rng(seed))
        np.testing.assert_array_equal(pasted, again)
        changed = np.abs(pasted.astype(int) - 128).max(-1) > 12
        near = cv2.dilate((marks > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert not changed[~near].any(), "nothing changes but the object and its soft edge"
        assert changed[marks > 0].mean() > 0.9 or not marks.any()
        n_pasted += bool(marks.any())
    assert n_pasted == 20
    assert (image == 128).all()


def test_half_opaque_pixels_belong_to_the_object() -> None:
    classes = np.zeros((90, 90), np.uint8)
    cv2.circle(classes, (45, 45), 30, 1, -1)
    found = Cutouts(Scenes([(np.full((90, 90, 3), 255, np.uint8), classes)]))
    black, empty = np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.uint8)
    ones = [seed for seed in range(60) if np.random.default_rng(seed).integers(1, 4) == 1]
    for seed in ones:
        pasted, marks = found.paste(black, empty, np.random.default_rng(seed))
        plane = pasted[..., 0].astype(float)
        np.testing.assert_array_equal(
            marks[np.abs(plane - plane.max() / 2) > 2] == 1,
            plane[np.abs(plane - plane.max() / 2) > 2] > plane.max() / 2,
        )


def test_a_pasted_object_hides_what_was_there(cutouts: Cutouts) -> None:
    image, classes = np.full((64, 64, 3), 128, np.uint8), np.full((64, 64), 7, np.uint8)
    _, marks = cutouts.paste(image, classes, np.random.default_rng(1))
    assert set(np.unique(marks).tolist()) <= {1, 2, 7}
    assert (marks == 7).mean() > 0.2
    assert (marks != 7).any()


def test_no_objects_paste_nothing() -> None:
    image, classes = scene(30, 40)
    empty = Cutouts(Scenes([(image, np.zeros_like(classes))]))
    assert len(empty) == 0
    pasted, marks = empty.paste(image, classes, np.random.default_rng(0))
    np.testing.assert_array_equal(pasted, image)
    np.testing.assert_array_equal(marks, classes)
