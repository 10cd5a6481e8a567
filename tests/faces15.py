"""Faces of 15 points in Kaggle's order, drawn by turning and moving a flat layout with depth."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# x, y, and depth towards the camera: eyes' centres, left eye in and out, right eye in and out, left
# brow in and out, right brow in and out, nose, corners of the mouth, upper and lower lip.
LAYOUT = np.array([
    (0.65, -0.35, 0.0), (-0.65, -0.35, 0.0), (0.40, -0.33, 0.0), (0.92, -0.36, -0.2),
    (-0.40, -0.33, 0.0), (-0.92, -0.36, -0.2), (0.38, -0.77, 0.2), (1.20, -0.70, -0.2),
    (-0.38, -0.77, 0.2), (-1.20, -0.70, -0.2), (0.0, 0.45, 0.7), (0.54, 1.12, 0.1),
    (-0.54, 1.12, 0.1), (0.0, 0.97, 0.3), (0.0, 1.40, 0.2),
])  # fmt: skip
ORDER = [1, 0, 4, 5, 2, 3, 8, 9, 6, 7, 10, 12, 11, 13, 14]


def faces(n: int, seed: int) -> Floats:
    """(n, 15, 2) faces, about 1 in radius, upright."""
    rng = np.random.default_rng(seed)
    layout = np.tile(LAYOUT, (n, 1, 1))
    layout[:, :, :2] *= rng.normal(1, 0.06, (n, 1, 2))
    layout[:, 6:10, 1] += rng.normal(0, 0.06, (n, 1))  # brows
    layout[:, 14, 1] += rng.exponential(0.12, n)  # jaw
    layout[:, 11:13, 0] *= rng.normal(1, 0.1, (n, 1))  # smile
    layout += rng.normal(0, 0.01, layout.shape)
    yaw, nod = rng.normal(0, 0.3, (n, 1)), rng.normal(0, 0.15, (n, 1))
    x = layout[..., 0] * np.cos(yaw) + layout[..., 2] * np.sin(yaw)
    depth = layout[..., 2] * np.cos(yaw) - layout[..., 0] * np.sin(yaw)
    y = layout[..., 1] * np.cos(nod) + depth * np.sin(nod)
    return np.stack([x, y], axis=2)


def turned(shape: Floats, angle_deg: float, radius: float, middle: float) -> Floats:
    """A shape (15, 2) turned, scaled, and moved to (middle, middle)."""
    angle = np.deg2rad(angle_deg)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centred = shape - shape.mean(axis=0)
    size = np.sqrt(np.square(centred).sum(axis=1).mean())
    return centred / size @ rotation.T * radius + middle
