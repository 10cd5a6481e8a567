"""Rigid motions: matrices (…, 4, 4) for column vectors, and small steps away from them.

A step (…, 6) is a rotation vector in the moved frame (radians; the object's own axes), followed by
a shift in the frame that it is moved to (the world's units). It takes a pose (R, t) to
(R · exp(rotation), t + shift). Covariances (6, 6) of poses are those of such a step.

Sources: Rodrigues' formula; Solà, Deray, Atchuthan: A micro Lie theory for state estimation in
robotics, 2018, equations 132–144, for SO(3) × R³.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from img2img.errors import DataError

Floats = NDArray[np.float64]

RIGID_WITHIN = 1e-3
"""How far a rotation in a file may be from orthonormal: files round."""


def skew(vectors: Floats) -> Floats:
    """(…, 3, 3) whose product with w is the cross product of vectors (…, 3) and w."""
    matrices = np.zeros((*vectors.shape, 3))
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        matrices[..., k, j] = vectors[..., i]
        matrices[..., j, k] = -vectors[..., i]
    return matrices


def rotation(vectors: Floats) -> Floats:
    """(…, 3, 3): the turn about each of vectors (…, 3) by its length in radians."""
    squares = np.square(vectors).sum(axis=-1)[..., None, None]
    # Where there is no angle the factors are finite, and `cross` is 0.
    angle, cross = np.sqrt(np.maximum(squares, 1e-16)), skew(vectors)
    turned = np.sin(angle) / angle * cross
    turned += 2 * np.square(np.sin(angle / 2) / angle) * (cross @ cross)
    return np.asarray(turned + np.eye(3))


def quaternion(matrices: Floats) -> Floats:
    """(…, 4): w, x, y, z with w ≥ 0 of rotations (…, 3, 3)."""
    m = matrices
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    # 4 q qᵀ, of which the row with the greatest diagonal is taken.
    table = np.empty((*m.shape[:-2], 4, 4))
    table[..., 0, 0] = 1 + trace
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        table[..., i + 1, i + 1] = 1 + 2 * m[..., i, i] - trace
        table[..., 0, i + 1] = table[..., i + 1, 0] = m[..., k, j] - m[..., j, k]
        table[..., j + 1, k + 1] = table[..., k + 1, j + 1] = m[..., j, k] + m[..., k, j]
    best = np.diagonal(table, axis1=-2, axis2=-1).argmax(axis=-1)
    row = np.take_along_axis(table, best[..., None, None], axis=-2)[..., 0, :]
    q = row / np.linalg.norm(row, axis=-1, keepdims=True)
    return np.asarray(np.where(q[..., :1] < 0, -q, q))


def rotation_vector(matrices: Floats) -> Floats:
    """(…, 3) of length 0…π whose `rotation` are matrices (…, 3, 3); through quaternions, which
    neither small angles nor half turns trouble."""
    q = quaternion(matrices)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return np.asarray(q[..., 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0))


def pose_of(turn: ArrayLike, shift: ArrayLike) -> Floats:
    """(4, 4) of a rotation (3, 3) and a translation (3,)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, shift
    return pose


def stepped(poses: Floats, steps: Floats) -> Floats:
    """(…, 4, 4): poses (…, 4, 4) after steps (…, 6)."""
    moved = poses.copy()
    moved[..., :3, :3] = poses[..., :3, :3] @ rotation(steps[..., :3])
    moved[..., :3, 3] = poses[..., :3, 3] + steps[..., 3:]
    return moved


def step_between(one: Floats, other: Floats) -> Floats:
    """(…, 6): the step that takes poses `one` (…, 4, 4) to `other`."""
    turn = np.swapaxes(one[..., :3, :3], -1, -2) @ other[..., :3, :3]
    return np.concatenate([rotation_vector(turn), other[..., :3, 3] - one[..., :3, 3]], axis=-1)


def orthonormal(pose: Floats) -> Floats:
    """(4, 4): the nearest exact rotation, with the same translation."""
    left, _, right = np.linalg.svd(pose[:3, :3])
    return pose_of(left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right, pose[:3, 3])


def as_matrix(values: ArrayLike, what: str, size: int = 4) -> Floats:
    """(size, size) of rows, or of all numbers row by row.

    Raises:
        DataError: there are other numbers, or none.
    """
    try:
        matrix = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if matrix.shape == (size**2,):
        matrix = matrix.reshape(size, size)
    if matrix.shape != (size, size) or not np.isfinite(matrix).all():
        raise DataError(f"{what} is no matrix of {size} × {size} finite numbers.")
    return matrix


def rigid_problem(matrix: Floats) -> str | None:
    """What keeps a matrix (4, 4) from being a rigid motion for column vectors, as the end of a
    sentence; None if it is one."""
    last, square = np.array([0, 0, 0, 1]), matrix[:3, :3].T @ matrix[:3, :3]
    if np.abs(matrix[3] - last).max() > RIGID_WITHIN:
        is_turned = np.abs(matrix[:, 3] - last).max() <= RIGID_WITHIN
        hint = ": it is column-major, transpose it" if is_turned else ""
        return f"ends in the row {in_words(matrix[3])}, where a rigid motion has 0 0 0 1{hint}"
    lengths = np.sqrt(np.diag(square))
    scale = float(lengths.mean())
    if not scale > 0 or np.abs(square / scale**2 - np.eye(3)).max() > RIGID_WITHIN:
        return f"is no rigid motion: its axes are {in_words(lengths)} long, or not at right angles"
    if abs(scale - 1) > RIGID_WITHIN:
        return f"has a scale of {scale:.4g}, where a rigid motion has 1"
    return None if np.linalg.det(matrix[:3, :3]) > 0 else "mirrors: its determinant is −1"


def in_words(numbers: Floats) -> str:
    """Numbers in a sentence."""
    return " ".join(f"{number:.4g}" for number in numbers)
