"""Faces and heatmaps drawn over pictures."""

import numpy as np
import pytest
from faces15 import LAYOUT

from img2img.vision.draw_points import COLOURS, draw_faces, draw_heatmaps
from img2img.vision.keypoints import Face, Heat
from img2img.vision.schemas import KAGGLE15, NOSE, Schema

GREY = 100
NOSE_TIP = KAGGLE15.points.index("nose_tip")


def _image(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def _face(middle: float, radius: float, *, sure: float = 1.0, score: float = 1.0) -> Face:
    return Face(LAYOUT[:, :2] * radius + middle, np.full(15, sure), score)


def _changed(image: np.ndarray, faces: list[Face], schema: Schema = KAGGLE15) -> np.ndarray:
    return (draw_faces(image, faces, schema) != image).any(axis=2)


@pytest.mark.parametrize(("side", "radius"), [(96, 25), (300, 40), (2400, 700)])
def test_every_point_is_there_in_a_colour_of_its_own_and_nothing_is_far_away(
    side: int, radius: float
) -> None:
    image, face = _image(side, side), _face(side / 2, radius)
    drawn = draw_faces(image, [face], KAGGLE15)
    assert (image == GREY).all(), "the picture stays what it was"
    columns, rows = np.rint(face.points).astype(int).T
    assert (drawn[rows, columns] != GREY).any(axis=1).all()
    seen = drawn[rows[NOSE_TIP], columns[NOSE_TIP]].astype(int)
    nearest = np.abs(np.array(COLOURS) - seen).sum(axis=1).argmin()
    assert nearest == list(KAGGLE15.regions).index("nose")
    y, x = np.nonzero((drawn != image).any(axis=2))
    margin = 0.1 * radius + 2
    assert x.min() > face.box[0] - margin
    assert y.max() < face.box[3] + margin


@pytest.mark.parametrize(("side", "radius"), [(96, 25), (1200, 400)])
def test_points_grow_with_their_confidence(side: int, radius: float) -> None:
    image = _image(side, side)
    areas = [_changed(image, [_face(side / 2, radius, sure=sure)]).sum() for sure in (0, 0.5, 1)]
    assert areas[0] < areas[1] < areas[2]


def test_points_lie_where_they_should_to_a_tenth_of_a_pixel() -> None:
    for x, y in ((30.0, 40.0), (30.5, 40.25), (31.3, 39.8)):
        drawn = draw_faces(_image(80, 70), [Face(np.array([[x, y]]), np.ones(1))], NOSE)
        weight = np.abs(drawn.astype(float) - GREY).sum(axis=2)
        rows, columns = np.indices(weight.shape)
        centre = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
        assert centre == pytest.approx((x, y), abs=0.1)


def test_missing_points_and_their_lines_are_left_out() -> None:
    image, face = _image(200, 200), _face(100, 50)
    face.points[NOSE_TIP] = np.nan
    assert not _changed(image, [face])[100 + 15 : 100 + 30, 90:110].any()
    whole = _changed(image, [face])
    face.points[KAGGLE15.points.index("mouth_left_corner")] = np.nan
    part = _changed(image, [face])
    assert part.sum() < whole.sum()
    assert not (part & ~whole).any()
    face.points[:] = np.nan
    assert not _changed(image, [face]).any()


def test_only_a_score_below_one_is_written() -> None:
    image = _image(400, 400)
    plain, scored = (_changed(image, [_face(200, 80, score=score)]) for score in (1.0, 0.5))
    more = scored & ~plain
    assert more.any()
    assert np.nonzero(more)[0].max() < _face(200, 80).box[1], "above the box"
    plain, scored = (_changed(image, [_face(64, 80, score=score)]) for score in (1.0, 0.5))
    assert np.nonzero(scored & ~plain)[0].max() > 4, "in the box, where there is no room above"


def test_faces_over_the_border_and_far_outside_are_no_trouble() -> None:
    image = _image(60, 90)
    assert _changed(image, [_face(0, 30)]).any()
    assert not _changed(image, [_face(-4000, 30)]).any()
    for far in (1e12, -1e12):
        face = _face(30, 10)
        face.points[NOSE_TIP] = far
        draw_faces(image, [face], KAGGLE15)
    alone = Face(np.full((15, 2), 20.0), np.ones(15))
    assert _changed(image, [alone]).any(), "all points in one place"


def test_a_schema_without_lines_and_regions_is_drawn() -> None:
    bare = Schema(name="bare", points=("a", "b"))
    face = Face(np.array([[20.0, 20.0], [60.0, 50.0]]), np.ones(2))
    drawn = draw_faces(_image(80, 80), [face], bare)
    assert (drawn[50, 60] > 200).all()


def test_heat_lies_where_the_maps_are_high() -> None:
    maps = np.zeros((2, 20, 30), np.float32)
    maps[0, 5, 6] = 1
    maps[1, 15, 25] = 0.5
    image = _image(80, 120)
    matrix = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])
    heats = [Heat(values=values, matrix=matrix) for values in maps]
    assert (draw_heatmaps(image, []) == image).all()
    change = np.abs(draw_heatmaps(image, heats).astype(int) - GREY).sum(axis=2)
    assert change[:40, 60:].max() == 0
    assert change[22, 26] > change[62, 102] > 0
    assert np.unravel_index(change.argmax(), change.shape)[0] in range(20, 25)
