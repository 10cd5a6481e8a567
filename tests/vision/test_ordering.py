"""Shuffled points of faces, put in order."""

from typing import Any

import numpy as np
import pytest
from faces15 import faces, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.errors import DataError
from img2img.vision import ordering
from img2img.vision.ordering import order
from img2img.vision.shape_model import ShapeModel


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 100_000), angle=st.floats(-60, 60), radius=st.floats(4, 60))
def test_shuffled_faces_are_put_in_order(
    model: ShapeModel, seed: int, angle: float, radius: float
) -> None:
    rng = np.random.default_rng(seed)
    points = turned(model.draw(1, rng)[0], angle, radius, 40)
    points += rng.normal(0, 0.005 * radius, points.shape)
    shuffle = rng.permutation(15)
    found = order(points[shuffle], model)
    np.testing.assert_array_equal(shuffle[found.partner], np.arange(15))
    assert found.cost < 0.01
    np.testing.assert_allclose(found.fit.points, points, atol=0.15 * radius)


@pytest.mark.parametrize("gone", range(15))
def test_a_point_too_few_is_named_and_put_where_the_others_say(
    model: ShapeModel, gone: int
) -> None:
    points = turned(faces(1, 77)[0], 12, 20, 32)
    found = order(np.delete(points, gone, axis=0), model)
    assert found.partner[gone] == -1
    np.testing.assert_array_equal(np.delete(found.partner, gone), np.arange(14))
    assert np.linalg.norm(found.fit.points[gone] - points[gone]) < 0.2 * 20


def test_a_point_too_many_has_no_name(model: ShapeModel) -> None:
    points = turned(faces(1, 78)[0], -20, 20, 32)
    found = order(np.concatenate([[[2.0, 60.0]], points]), model)
    np.testing.assert_array_equal(found.partner, np.arange(1, 16))


def test_points_that_are_no_shape_are_given_up_soon(
    model: ShapeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, starts = ordering._matched, []

    def counted(*arguments: Any) -> ordering.Ordered:
        starts.append(arguments)
        return own(*arguments)

    monkeypatch.setattr(ordering, "_matched", counted)
    for seed in range(8):
        order(np.random.default_rng(seed).uniform(0, 48, (15, 2)), model)
    assert len(starts) < 8 * 9, "of 16 and more"


def test_few_points_are_answered_all_the_same(model: ShapeModel) -> None:
    for n in (1, 2, 3):
        found = order(np.arange(2.0 * n).reshape(n, 2), model)
        assert (found.partner >= 0).sum() <= n
        assert np.isfinite(found.fit.points).all()
    with pytest.raises(DataError, match="no points"):
        order(np.zeros((0, 2)), model)
