"""Where the ship is and how a camera sees it.

The model frame is that of the blueprint: x across the wings, the nose towards −y, canopy and droid
towards +z; a ship is about 0.35 long. A pose (4, 4) takes model points to the world. The camera
stands in the world at z = +1 and looks along −z, x to the right and y up. Intrinsics (3, 3) are for
pixels whose centres are integers, y down.
"""

from math import pi

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Matrix = NDArray[np.float64]
"""A pose (4, 4), intrinsics (3, 3), or a rotation (3, 3)."""

EYE_Z = 1.0
_REACH = 0.47
"""The original's largest translation along either side of its square frames."""


def to_camera(points: Matrix, pose: Matrix) -> Matrix:
    """(N, 3) of model points (N, 3): x right, y down, and the depth along the view."""
    world = points @ pose[:3, :3].T + pose[:3, 3]
    seen: Matrix = world * (1, -1, -1) + (0, 0, EYE_Z)
    return seen


def random_pose(rng: Rng, size: tuple[int, int]) -> Matrix:
    """(4, 4): all rotations alike; the origin in the plane z = 0, anywhere in a frame (H, W) but
    near its border."""
    pose = np.eye(4)
    pose[:3, :3] = rotation(rng.standard_normal(4))
    pose[:2, 3] = rng.uniform(-1, 1, 2) * reach(size)
    return pose


def reach(size: tuple[int, int]) -> Matrix:
    """The largest |tx| and |ty| (2,) in a frame (H, W): 0.47 in a square one."""
    return _REACH * np.array([size[1], size[0]]) / max(size)


def rotation(quaternion: Matrix) -> Matrix:
    """(3, 3) of a quaternion w, x, y, z of any length but 0."""
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def flight_poses(rng: Rng, n: int, size: tuple[int, int]) -> Matrix:
    """(n, 4, 4) of a smooth flight in a frame (H, W): the ship turns by 1° to 1.5° from frame to
    frame about an axis that wanders, and drifts in the plane z = 0."""
    poses = np.tile(np.eye(4), (n, 1, 1))
    turn = rotation(rng.standard_normal(4))
    axes, speeds = _waves(rng, n, 3, frames=150), _waves(rng, n, 1, frames=60)[:, 0]
    axes += rng.standard_normal(3)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles_deg = 1.25 + 0.25 * speeds
    for frame in range(n):
        poses[frame, :3, :3] = turn
        half = np.radians(angles_deg[frame]) / 2
        turn = rotation(np.r_[np.cos(half), np.sin(half) * axes[frame]]) @ turn
    poses[:, :2, 3] = _waves(rng, n, 2, frames=220) * reach(size) * rng.uniform(0.5, 1)
    return poses


def _waves(rng: Rng, n: int, channels: int, *, frames: float) -> Matrix:
    """(n, channels) in −1…1: sums of three waves, the longest of about that many frames."""
    periods = frames * np.array([1.0, 0.61, 0.43])[:, None] * rng.uniform(0.8, 1.25, (3, channels))
    phases = rng.uniform(0, 2 * pi, (3, channels))
    shares = np.array([0.6, 0.28, 0.12])[:, None]
    turns = 2 * pi * np.arange(n)[:, None, None] / periods + phases
    summed: Matrix = (np.sin(turns) * shares).sum(1)
    return summed
