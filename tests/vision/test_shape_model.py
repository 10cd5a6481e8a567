"""Shapes: alignment, principal components, fits with missing points, and what is stored."""

import numpy as np
import pytest
from faces15 import faces, turned
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.errors import DataError, WeightsError
from img2img.vision.shape_model import ShapeModel, Similarity, align, procrustes

angles = st.floats(-3.1, 3.1)
scales = st.floats(0.05, 50)


def _pose(angle: float, scale: float) -> Similarity:
    return Similarity(factor=complex(scale * np.exp(1j * angle)), shift=complex(3.5, -7.25))


@settings(deadline=None, max_examples=60)
@given(angle=angles, scale=scales, seed=st.integers(0, 1000), missing=st.integers(0, 13))
def test_a_similarity_is_found(angle: float, scale: float, seed: int, missing: int) -> None:
    rng = np.random.default_rng(seed)
    source = rng.normal(0, 1, (15, 2))
    pose = _pose(angle, scale)
    target = pose.apply(source)
    target[rng.permutation(15)[:missing]] = np.nan
    found = align(source, target)
    assert found.factor == pytest.approx(pose.factor, rel=1e-6)
    assert found.shift == pytest.approx(pose.shift, abs=1e-6 * max(1, scale))
    assert found.scale == pytest.approx(scale)
    assert found.angle_rad == pytest.approx(angle, abs=1e-6)


def test_weights_decide_between_points_that_disagree() -> None:
    source = np.array([[0.0, 0], [1, 0], [0, 1]])
    target = source + np.array([5, 6])
    target[2] += 100
    found = align(source, target, np.array([1.0, 1, 0]))
    np.testing.assert_allclose(found.apply(source[:2]), target[:2], atol=1e-9)


def test_one_point_gives_a_shift_and_none_is_an_error() -> None:
    source, target = np.zeros((2, 2)), np.array([[4.0, 5], [np.nan, 1]])
    assert align(source, target) == Similarity(factor=1, shift=4 + 5j)
    with pytest.raises(DataError, match="without a common point"):
        align(source, np.full((2, 2), np.nan))


def test_procrustes_brings_moved_copies_of_a_shape_together_and_keeps_it_upright() -> None:
    rng = np.random.default_rng(0)
    shape = faces(1, 0)[0]
    angles_deg = rng.uniform(-20, 20, 30)
    angles_deg -= angles_deg.mean()
    moved = np.stack([turned(shape, a, rng.uniform(5, 50), 80) for a in angles_deg])
    aligned, mean = procrustes(moved)
    np.testing.assert_allclose(aligned, np.broadcast_to(mean, aligned.shape), atol=1e-6)
    np.testing.assert_allclose(mean.mean(axis=0), 0, atol=1e-9)
    assert np.square(mean).sum(axis=1).mean() == pytest.approx(1)
    np.testing.assert_allclose(mean, turned(shape, 0, 1, 0), atol=3e-3)


def test_procrustes_refuses_what_it_cannot_align() -> None:
    shapes = faces(3, 0)
    shapes[1, 4] = np.nan
    with pytest.raises(DataError, match="missing points"):
        procrustes(shapes)
    with pytest.raises(DataError, match="coincide"):
        procrustes(np.zeros((2, 15, 2)))


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return ShapeModel.learn(faces(400, 1), explained=0.99)


def test_components_are_orthonormal_and_explain_what_was_asked(model: ShapeModel) -> None:
    flat = model.components.reshape(len(model.variances), -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-9)
    assert (np.diff(model.variances) <= 0).all()
    everything = ShapeModel.learn(faces(400, 1), explained=1.0)
    total = everything.variances.sum()
    assert model.variances.sum() / total >= 0.99
    assert model.variances[:-1].sum() / total < 0.99
    left = total - model.variances.sum()
    assert model.noise_variance == pytest.approx(left / 30)
    assert len(ShapeModel.learn(faces(400, 1), n_components=4).variances) == 4
    assert len(ShapeModel.learn(faces(5, 1), n_components=12).variances) == 5


def test_coefficients_are_those_of_the_shape(model: ShapeModel) -> None:
    rng = np.random.default_rng(2)
    wanted = rng.normal(0, 1, (7, len(model.variances))) * np.sqrt(model.variances)
    np.testing.assert_allclose(model.coefficients(model.shape(wanted)), wanted, atol=1e-9)
    assert model.coefficients(model.shape(wanted[0])).shape == wanted[0].shape


def test_drawn_shapes_have_the_model_s_variances_within_bounds(model: ShapeModel) -> None:
    drawn = model.coefficients(model.draw(4000, np.random.default_rng(0), most=2.0))
    deviations = drawn / np.sqrt(model.variances)
    assert np.abs(deviations).max() <= 2 + 1e-9
    np.testing.assert_allclose(deviations.std(axis=0), 0.96, atol=0.05)


@settings(deadline=None, max_examples=40)
@given(angle=angles, scale=st.floats(1, 80), seed=st.integers(0, 500), missing=st.integers(0, 4))
def test_a_fit_finds_pose_and_missing_points_of_unseen_faces(
    model: ShapeModel, angle: float, scale: float, seed: int, missing: int
) -> None:
    face = faces(1, 10_000 + seed)[0]
    points = _pose(angle, scale).apply(face)
    seen = points.copy()
    seen[np.random.default_rng(seed).permutation(15)[:missing]] = np.nan
    fit = model.fit(seen)
    error = np.linalg.norm(fit.points - points, axis=1) / fit.pose.scale
    known = np.isfinite(seen[:, 0])
    assert error[known].max() < 0.15
    assert error.max() < 0.35
    np.testing.assert_allclose(
        fit.pose.apply(model.shape(fit.coefficients)), fit.points, atol=1e-6 * scale
    )


def test_a_fit_is_the_model_s_own_shape_where_there_is_one(model: ShapeModel) -> None:
    shape = model.draw(1, np.random.default_rng(3))[0]
    fit = model.fit(_pose(0.4, 20).apply(shape))
    assert fit.pose.scale == pytest.approx(20, rel=0.02)
    np.testing.assert_allclose(fit.points, _pose(0.4, 20).apply(shape), atol=0.2)


def test_few_points_give_the_mean_shape_s_places(model: ShapeModel) -> None:
    points = _pose(0.2, 30).apply(model.mean)
    points[2:] = np.nan
    fit = model.fit(points, noise_px=1.0)
    np.testing.assert_allclose(fit.points, _pose(0.2, 30).apply(model.mean), atol=0.1)
    one = np.full((15, 2), np.nan)
    one[4] = 7, 8
    assert np.isfinite(model.fit(one).points).all()
    with pytest.raises(DataError):
        model.fit(np.full((15, 2), np.nan))


def test_shapes_with_missing_points_are_left_out_of_a_model() -> None:
    shapes = faces(40, 4)
    holed = shapes.copy()
    holed[30:, 3] = np.nan
    ours, theirs = ShapeModel.learn(holed), ShapeModel.learn(shapes[:30])
    np.testing.assert_array_equal(ours.components, theirs.components)
    holed[1:] = np.nan
    with pytest.raises(DataError, match="1 of 40 shapes"):
        ShapeModel.learn(holed)


def test_a_model_without_alignment_keeps_the_shapes_frame() -> None:
    shapes = np.stack([turned(face, 0, 20 + i % 5, 40 + i % 7)
                       for i, face in enumerate(faces(60, 5))])  # fmt: skip
    model = ShapeModel.learn(shapes, explained=0.999, aligned=False)
    np.testing.assert_allclose(model.mean, shapes.mean(axis=0))
    again = model.shape(model.coefficients(shapes))
    assert np.sqrt(np.square(again - shapes).mean()) < 0.3


def test_arrays_make_the_model_again(model: ShapeModel) -> None:
    arrays = model.to_arrays()
    assert all(array.dtype == np.float32 for array in arrays.values())
    again = ShapeModel.from_arrays(arrays)
    np.testing.assert_allclose(again.components, model.components, atol=1e-6)
    np.testing.assert_allclose(
        again.shape(again.variances), model.shape(model.variances), atol=1e-5
    )
    with pytest.raises(WeightsError, match="has no 'variances'"):
        ShapeModel.from_arrays({"mean": arrays["mean"], "components": arrays["components"]})
    with pytest.raises(WeightsError, match="components of"):
        ShapeModel.from_arrays(arrays | {"components": arrays["components"][:, 1:]})
