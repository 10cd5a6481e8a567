"""One heatmap for all points: taken apart, and put in order."""

from typing import Any

import numpy as np
import pytest
from faces15 import faces, turned
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from img2img.vision.heatmaps import draw
from img2img.vision.mixture import grouped_points, ordered_points, separate
from img2img.vision.shape_model import ShapeModel, procrustes

SIZE, SIGMA = 64, 1.5


def _heatmap(points: NDArray[np.floating[Any]], *, noise: float = 0.0) -> NDArray[np.float32]:
    shared = draw(points, (SIZE, SIZE), SIGMA)[0].max(axis=0)
    return shared + np.float32(noise) * np.random.default_rng(0).standard_normal(
        shared.shape
    ).astype(np.float32)


def _nearest(points: NDArray[Any], found: NDArray[Any]) -> NDArray[Any]:
    return np.linalg.norm(points[:, None] - found, axis=2).min(axis=1)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 100_000), angle=st.floats(-30, 30), radius=st.floats(13, 17))
def test_one_map_of_a_face_gives_back_its_points_in_order(
    model: ShapeModel, seed: int, angle: float, radius: float
) -> None:
    shape = model.draw(1, np.random.default_rng(seed), most=2.0)[0]
    points = turned(shape, angle, radius, 31.5)
    found = ordered_points(_heatmap(points), model, SIGMA)
    assert np.linalg.norm(found.points - points, axis=1).max() < SIGMA
    assert np.median(np.linalg.norm(found.points - points, axis=1)) < 0.2


def test_single_points_are_where_they_were_drawn() -> None:
    points = np.array([[10.3, 12.8], [40.1, 20.6], [30.5, 50.5]])
    found = separate(_heatmap(points), 3, SIGMA)
    assert _nearest(points, found.points).max() < 0.03
    np.testing.assert_allclose(found.covariance, np.tile(SIGMA**2 * np.eye(2), (3, 1, 1)), atol=0.3)
    assert (found.confidence > 0.85).all()


@pytest.mark.parametrize("gap", [1.0, 1.5, 2.0, 3.0])
def test_two_points_in_one_hill_are_told_apart(gap: float) -> None:
    points = np.array([[20.2, 30.4], [20.2 + gap * SIGMA, 30.9], [50.0, 12.0]])
    added = draw(points, (SIZE, SIZE), SIGMA)[0].sum(axis=0)
    for heatmap, limit in ((_heatmap(points), 0.6), (added, 0.6)):
        found = separate(heatmap, 3, SIGMA)
        assert _nearest(points, found.points).max() < limit * SIGMA


def test_fewer_points_than_asked_for_are_not_made_up() -> None:
    points = np.array([[10.3, 12.8], [40.1, 20.6]])
    assert len(separate(_heatmap(points, noise=0.02), 5, SIGMA).points) == 2
    assert separate(np.zeros((SIZE, SIZE), np.float32), 5, SIGMA).points.shape == (0, 2)


def test_a_point_that_the_map_does_not_show_is_where_the_shape_has_it(model: ShapeModel) -> None:
    for gone in range(15):
        points = turned(faces(1, 90 + gone)[0], 2 * gone - 15, 18, 31.5)
        shown = points.copy()
        shown[gone] = np.nan
        found = ordered_points(_heatmap(shown, noise=0.02), model, SIGMA)
        error = np.linalg.norm(found.points - points, axis=1)
        assert np.delete(error, gone).max() < SIGMA
        assert error[gone] < 0.25 * 18
        assert found.confidence[gone] < 0.8
        assert found.covariance[gone].trace() > found.covariance[(gone + 1) % 15].trace()


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("groups", [(range(15),), (range(6), range(6, 15))])
def test_maps_that_show_nothing_have_the_mean_shape_in_their_middle(
    model: ShapeModel, value: float, groups: tuple[range, ...]
) -> None:
    maps = np.full((len(groups), SIZE, SIZE + 20), value, np.float32)
    if len(groups) == 1:
        found = ordered_points(maps[0], model, SIGMA)
    else:
        found = grouped_points(maps, groups, model, SIGMA)
    assert not found.confidence.any()
    box = np.stack([found.points.min(axis=0), found.points.max(axis=0)])
    np.testing.assert_allclose(box.mean(axis=0), [(SIZE + 19) / 2, (SIZE - 1) / 2], atol=1e-4)
    assert np.ptp(box, axis=0).max() == pytest.approx(SIZE / 2)
    np.testing.assert_allclose(
        procrustes(np.stack([found.points, model.mean]))[0][0], model.mean, atol=1e-4
    )
    assert (np.linalg.det(found.covariance) > SIGMA**4).all()


def test_a_broken_cell_hides_no_face(model: ShapeModel) -> None:
    points = turned(faces(1, 3)[0], 5, 15, 31.5)
    heatmap = _heatmap(points)
    heatmap[0, :3] = np.nan, np.inf, -np.inf
    found = ordered_points(heatmap, model, SIGMA)
    assert np.linalg.norm(found.points - points, axis=1).max() < SIGMA
