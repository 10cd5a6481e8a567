"""Labels that are not as those of the other faces."""

import numpy as np
import pytest
from faces15 import faces, turned

from img2img.data.crop import upright_angle
from img2img.vision.schemas import KAGGLE15, Schema
from img2img.vision.shape_check import compare_shapes, mirrored_sides


@pytest.fixture
def points() -> np.ndarray:
    """(60, 15, 2) faces of several sizes and places, turned by up to 40 degrees."""
    rng = np.random.default_rng(1)
    return np.stack([
        turned(shape, rng.uniform(-40, 40), rng.uniform(20, 90), 100) for shape in faces(60, 0)
    ])  # fmt: skip


def test_faces_in_order(points: np.ndarray) -> None:
    found = compare_shapes(points, KAGGLE15)
    assert found is not None
    assert not found.swapped.any()
    assert not found.turned.any()
    assert found.outliers.size == 0
    assert np.isfinite(found.misses).all()
    assert np.median(found.misses) < 0.08
    assert mirrored_sides(found.mean[None], KAGGLE15)[0] == 1


def test_exchanged_sides_and_turned_faces(points: np.ndarray) -> None:
    swapped, upside_down = [3, 17, 40], [8, 25]
    points[swapped] = points[swapped][:, KAGGLE15.flip_order]
    points[upside_down] = 200 - points[upside_down]
    found = compare_shapes(points, KAGGLE15)
    assert found is not None
    assert np.flatnonzero(found.swapped).tolist() == swapped
    assert np.flatnonzero(found.turned).tolist() == upside_down
    assert np.isnan(found.misses[[*swapped, *upside_down]]).all()


def test_exchanged_sides_are_seen_where_points_are_missing(points: np.ndarray) -> None:
    points[30:, [2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13]] = np.nan  # eyes, nose and lip are left
    points[[35, 50]] = points[[35, 50]][:, KAGGLE15.flip_order]
    found = compare_shapes(points, KAGGLE15)
    assert found is not None
    assert np.flatnonzero(found.swapped).tolist() == [35, 50]


def test_a_point_that_lies_elsewhere_is_told_with_its_distance(points: np.ndarray) -> None:
    diagonal = np.hypot(*np.ptp(points[12], axis=0))
    points[12, 7] += 0.4 * diagonal * np.array([0.6, -0.8])
    points[31, 10] += 0.2 * np.hypot(*np.ptp(points[31], axis=0))
    found = compare_shapes(points, KAGGLE15)
    assert found is not None
    assert found.outliers[:2].tolist() == [12, 31]
    assert found.farthest[[12, 31]].tolist() == [7, 10]
    assert found.misses[12] == pytest.approx(0.4, abs=0.08)


def test_one_unlike_face_hides_no_other_group(points: np.ndarray) -> None:
    """Faces of few points fit badly, all of them; a whole one that is off stands out still."""
    points[20:, [2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13]] = np.nan
    points[4, 0] += 0.3 * np.hypot(*np.ptp(points[4], axis=0))
    found = compare_shapes(points, KAGGLE15)
    assert found is not None
    assert found.outliers[0] == 4


def test_too_few_faces_tell_nothing(points: np.ndarray) -> None:
    assert compare_shapes(points[:9], KAGGLE15) is None
    points[5:] = np.nan
    assert compare_shapes(points, KAGGLE15) is None
    points[:] = 7.0
    assert compare_shapes(points, KAGGLE15) is None


def test_sides_are_those_that_crops_go_by() -> None:
    right, left = (10.0, 0.0), (50.0, 0.0)
    pair = np.array([[left, right]])
    own = Schema(name="eyes", points=("a", "b"), pairs=((1, 0),))
    assert mirrored_sides(pair, own).tolist() == [1]
    assert mirrored_sides(pair[:, ::-1], own).tolist() == [-1]
    turned = Schema(name="eyes", points=("left_eye", "right_eye"), pairs=((0, 1),))
    assert mirrored_sides(pair, turned).tolist() == [-1]
    assert abs(upright_angle(pair[0], turned)) == pytest.approx(np.pi)
    assert mirrored_sides(np.full((1, 2, 2), np.nan), own).tolist() == [0]
