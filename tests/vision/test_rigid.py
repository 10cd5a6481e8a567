"""Rotations and their vectors, steps of poses, and matrices that are no rigid motion."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.errors import DataError
from img2img.vision.rigid import (
    as_matrix,
    orthonormal,
    pose_of,
    rigid_problem,
    rotation,
    rotation_vector,
    skew,
    step_between,
    stepped,
)

vectors = st.tuples(*[st.floats(-2, 2)] * 3).map(np.array)
angles = st.one_of(st.floats(0, np.pi), st.sampled_from([0.0, 1e-12, 1e-7, np.pi - 1e-7, np.pi]))


@settings(deadline=None, max_examples=200)
@given(axis=vectors, angle=angles)
def test_rotation_vectors_come_back(axis: np.ndarray, angle: float) -> None:
    length = np.linalg.norm(axis)
    vector = axis / length * angle if length > 1e-3 else np.zeros(3)
    matrix = rotation(vector)
    np.testing.assert_allclose(matrix, cv2.Rodrigues(vector)[0], atol=1e-12)
    back = rotation_vector(matrix)
    np.testing.assert_allclose(rotation(back), matrix, atol=1e-12)
    assert np.linalg.norm(back) <= np.pi + 1e-9
    if np.linalg.norm(vector) < 3:
        np.testing.assert_allclose(back, vector, atol=1e-9)


def test_no_turn_is_exactly_the_identity() -> None:
    assert (rotation(np.zeros(3)) == np.eye(3)).all()
    assert (rotation_vector(np.eye(3)) == 0).all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_steps_lead_from_one_pose_to_the_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (
        np.stack([pose_of(rotation(rng.normal(0, 2, 3)), rng.normal(0, 1, 3)) for _ in range(4)])
        for _ in range(2)
    )
    np.testing.assert_allclose(stepped(one, step_between(one, other)), other, atol=1e-9)
    np.testing.assert_allclose(skew(one[0, :3, 3]) @ other[0, :3, 3],
                               np.cross(one[0, :3, 3], other[0, :3, 3]))  # fmt: skip


def test_what_keeps_a_matrix_from_being_a_rigid_motion_is_told() -> None:
    good = pose_of(rotation(np.array([0.3, -0.5, 0.7])), [0.1, 0.2, 0.3])
    assert rigid_problem(good) is None
    assert rigid_problem(good.round(5)) is None
    told = {
        "scale of 2": good @ np.diag([2, 2, 2, 1]),
        "mirrors": good @ np.diag([-1, 1, 1, 1]),
        "1 1 3 long": pose_of(np.diag([1, 1, 3]), [0, 0, 0]),
        "not at right angles": pose_of([[1, 0.1, 0], [0, 1, 0], [0, 0, 1]], [0, 0, 0]),
        "column-major, transpose": good.T,
        "ends in the row 0 0 0 2": np.diag([1.0, 1, 1, 2]),
        "0 0 0 long": np.diag([0.0, 0, 0, 1]),
    }
    for words, matrix in told.items():
        assert words in str(rigid_problem(matrix)), words


def test_rounding_is_taken_out_of_a_rotation() -> None:
    good = pose_of(rotation(np.array([0.3, -0.5, 0.7])), [0.1, 0.2, 0.3])
    clean = orthonormal(good.round(3))
    np.testing.assert_allclose(clean[:3, :3].T @ clean[:3, :3], np.eye(3), atol=1e-14)
    np.testing.assert_allclose(clean, good, atol=2e-3)


@pytest.mark.parametrize("values", [None, "x", [1, 2], [[1, 2], [3]], [[np.nan] * 4] * 4, {}])
def test_what_is_no_matrix_is_refused(values: object) -> None:
    with pytest.raises(DataError, match="it is no matrix of 4 × 4 finite numbers"):
        as_matrix(values, "it")
    assert as_matrix(range(16), "it").shape == (4, 4)
