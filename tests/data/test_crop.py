"""The square cut out of a picture: its geometry, exactly invertible."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from img2img.data.crop import FILL, Crop, fitted, upright_angle
from img2img.data.synth.faces import Faces
from img2img.errors import UsageError
from img2img.vision.schemas import IBUG68, IMM58, KAGGLE15, NOSE, Schema, schema_of

crops = st.builds(
    Crop,
    x=st.floats(-50, 500),
    y=st.floats(-50, 500),
    side=st.floats(4, 600),
    angle_rad=st.floats(-math.pi, math.pi),
)


@given(crops, st.integers(8, 200))
def test_points_come_back_exactly(crop: Crop, size: int) -> None:
    points = np.array([[0.0, 0.0], [crop.x, crop.y], [123.4, -56.7]])
    back = crop.to_picture(crop.to_canvas(points, size), size)
    np.testing.assert_allclose(back, points, atol=1e-6)


@given(crops)
def test_the_centre_is_the_middle_and_the_side_is_the_canvas(crop: Crop) -> None:
    middle = crop.to_canvas(np.array([crop.x, crop.y]), 96)
    np.testing.assert_allclose(middle, [47.5, 47.5], atol=1e-9)
    right = np.array([math.cos(crop.angle_rad), math.sin(crop.angle_rad)]) * crop.side / 2
    edge = crop.to_canvas(np.array([crop.x, crop.y]) + right, 96)
    np.testing.assert_allclose(edge, [95.5, 47.5], atol=1e-6)


@pytest.mark.parametrize("angle_deg", [-150, -30, 0, 75])
def test_a_turned_face_lies_upright_in_its_crop(angle_deg: float) -> None:
    faces = Faces(3, seed=5, size=200)
    labels = faces.sample(faces.records[0], np.empty((0, 0, 3), np.uint8)).labels
    points = np.asarray(labels["points"], np.float64)
    start = upright_angle(points, IBUG68)
    turn = math.radians(angle_deg)
    cos, sin = math.cos(turn), math.sin(turn)
    turned = points @ np.array([[cos, sin], [-sin, cos]])
    crop = Crop.of_points(turned, IBUG68)
    assert crop is not None
    assert math.remainder(crop.angle_rad - start - turn, 2 * math.pi) == pytest.approx(0, abs=1e-9)
    laid = crop.to_canvas(turned, 100)
    assert upright_angle(laid, IBUG68) == pytest.approx(0, abs=1e-9)
    assert np.ptp(laid, axis=0).max() == pytest.approx(100 * FILL)
    np.testing.assert_allclose((laid.min(axis=0) + laid.max(axis=0)) / 2, 49.5, atol=1e-6)


def test_missing_points_count_for_nothing() -> None:
    points = np.full((68, 2), np.nan)
    assert Crop.of_points(points, IBUG68) is None
    points[36], points[45] = (10, 20), (30, 20)
    crop = Crop.of_points(points, IBUG68)
    assert crop is not None
    assert (crop.x, crop.y, crop.angle_rad) == (20.0, 20.0, 0.0)
    assert crop.side == pytest.approx(20 / FILL)
    assert Crop.of_points(np.array([[3.0, 4.0]]), NOSE) is None


def test_the_picture_follows_the_points() -> None:
    """A white dot is found where its point is said to be, in a part of a large picture."""
    image = np.zeros((900, 1200, 3), np.uint8)
    dots = np.array([[700.0, 400.0], [760.0, 470.0]])
    for x, y in dots.astype(int):
        image[y - 3 : y + 4, x - 3 : x + 4] = 255
    crop = Crop(x=720.0, y=430.0, side=192.0, angle_rad=0.4)
    canvas = crop.apply(image, 96).astype(float).mean(axis=2)
    for x, y in crop.to_canvas(dots, 96):
        rows, columns = np.mgrid[:96, :96]
        near = np.hypot(columns - x, rows - y) < 6
        mass = canvas * near
        found = [(columns * mass).sum() / mass.sum(), (rows * mass).sum() / mass.sum()]
        np.testing.assert_allclose(found, [x, y], atol=0.05)


def test_beyond_the_picture_it_is_black() -> None:
    image = np.full((40, 40, 3), 255, np.uint8)
    assert not Crop(x=500.0, y=500.0, side=20.0).apply(image, 16).any()
    half = Crop(x=-0.5, y=19.5, side=40.0).apply(image, 20)
    assert not half[:, :9].any()
    assert (half[1:-1, 11:] == 255).all()


def test_the_whole_picture_is_its_smallest_square() -> None:
    crop = Crop.whole(40, 100)
    assert (crop.x, crop.y, crop.side) == (49.5, 19.5, 100)


OWN = "points = ['a', 'b', 'c']\npairs = [['a', 'b']]\n"
RULES = "a = ['left_eye_0']\nb = ['right_eye_0']\nc = ['nose_bridge_3']\n"


def own_schema(folder: Path, text: str) -> Schema:
    (folder / "mine.toml").write_text(text)
    return schema_of(str(folder / "mine.toml"))


def _off(crop: Crop, wanted: Crop) -> tuple[float, float]:
    """How far a crop's middle lies from another's, in its sides, and how far the sides differ."""
    away = math.hypot(crop.x - wanted.x, crop.y - wanted.y) / wanted.side
    return away, abs(math.log(crop.side / wanted.side))


@pytest.mark.parametrize("schema", ["kaggle15", "mine"])
def test_a_crop_for_other_points_lies_where_theirs_lies(schema: str, tmp_path: Path) -> None:
    """By faces that the mean face was not made of."""
    other = own_schema(tmp_path, f"{OWN}[from.ibug68]\n{RULES}") if schema == "mine" else KAGGLE15
    faces = Faces(12, seed=3, size=256)
    off, unchanged = [], []
    for record in faces.records:
        points = np.asarray(faces.sample(record, np.empty((0, 0, 3), np.uint8)).labels["points"])
        whole = Crop.of_points(points, IBUG68)
        part = Crop.of_points(other.derived(points, IBUG68), other)
        assert whole is not None
        assert part is not None
        off.append(_off(fitted(whole, of=IBUG68, to=other), part))
        off.append(_off(fitted(part, of=other, to=IBUG68), whole))
        unchanged.append(_off(whole, part))
    away, larger = np.median(off, axis=0)
    away_before, larger_before = np.median(unchanged, axis=0)
    assert larger < 0.2 < larger_before
    assert away < away_before


def test_a_crop_stays_where_nothing_is_to_be_changed(tmp_path: Path) -> None:
    crop = Crop(x=30.0, y=40.0, side=50.0, angle_rad=0.3)
    mine = own_schema(tmp_path, OWN)
    for of, to in ((IBUG68, IBUG68), (IBUG68, NOSE), (NOSE, KAGGLE15), (mine, mine), (mine, NOSE)):
        assert fitted(crop, of=of, to=to) == crop
    assert fitted(crop, of=IBUG68, to=IMM58) == crop
    smaller = fitted(crop, of=IMM58, to=KAGGLE15)
    assert smaller.side == pytest.approx(0.766 * 50, abs=0.1)
    back = fitted(smaller, of=KAGGLE15, to=IMM58)
    assert (back.x, back.y, back.side) == pytest.approx((crop.x, crop.y, crop.side))
    for of, to in ((IBUG68, mine), (mine, IBUG68)):
        with pytest.raises(UsageError, match=rf"a face of {to.name} .* those of {of.name}.*finder"):
            fitted(crop, of=of, to=to)


def test_moving_goes_along_the_crop() -> None:
    crop = Crop(x=10.0, y=20.0, side=8.0, angle_rad=math.pi / 2)
    moved = crop.moved(shift=(0.5, 0.0), scale=2.0, angle_rad=0.1)
    assert (moved.x, moved.y) == pytest.approx((10.0, 24.0))
    assert (moved.side, moved.angle_rad) == pytest.approx((16.0, math.pi / 2 + 0.1))
