"""The pose of a known object from its points in one picture, with what is known of its error.

A pose is an object-to-world matrix (4, 4), right-handed, for column vectors; `camera` documents the
frames of reference and `rigid` the steps (rotation, then translation) that covariances speak of.

Sources: Schweighofer, Pinz: Robust pose estimation from a planar target, PAMI 2006 (the second
minimum); the rest is told where it stands.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.vision.camera import Camera
from img2img.vision.pnp import LEAST_POINTS, Seen, best_pose, information, refined, starts
from img2img.vision.rigid import Floats, rotation_vector

Bools = NDArray[np.bool_]
Coordinates = NDArray[np.floating[Any]]

BOX = np.array([[-0.156, -0.182, -0.032], [0.156, 0.163, 0.034]])
"""(2, 3): the least and greatest x, y, z of the ship in the units of the stated frame format; its
nose is at −y, its canopy towards +z."""
CORNERS = np.array([[x, y, z] for z in BOX[:, 2] for y in BOX[:, 1] for x in BOX[:, 0]])
"""(8, 3): the keypoints. z = −0.032 first, then 0.034; within each, y = −0.182, then 0.163; within
each, x = −0.156, then 0.156."""

LEAST_CONFIDENCE = 0.05
"""Points with less are not looked at."""
AMBIGUOUS_WITHIN = 6.0
"""Difference of squared deviations up to which a second pose fits as well: odds of e³ to 1."""
DISTINCT_DEG = 5.0
"""Poses that differ by less are one."""
WORST_FIT = 0.08
"""Root mean square miss of the points, as a share of the object's size in the picture, beyond which
a pose is none."""
WORST_DEVIATION_DEG = 40.0
"""Deviation of the rotation beyond which the points do not determine a pose."""
_NEAR = 300.0
"""Difference of squared deviations within which, after three steps, a second pose is pursued: where
there is no second minimum, the way back to the first one is long."""
_LEAST_DEVIATION_PX = 1e-3
_MOST_CONDITION = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseFit:
    """What points say of a pose.

    `pose` (4, 4), or None and the `reason` in a sentence. With a pose: `covariance` (6, 6) of a
    step away from it (see `rigid`); `inliers` (P,) bool, the points that it stands on;
    `reprojection_px`, the root mean square miss of these; `second` (4, 4), another pose that comes
    near, if there is one, and `ambiguous`, whether that fits within the noise as well.
    """

    pose: Floats | None = None
    reason: str | None = None
    covariance: Floats = field(default_factory=lambda: np.full((6, 6), np.nan))
    inliers: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))
    reprojection_px: float = float("nan")
    second: Floats | None = None
    ambiguous: bool = False

    @property
    def rotation_deviation_deg(self) -> float:
        """Root of the expected square of the angle that the rotation is wrong by."""
        return float(np.degrees(np.sqrt(np.trace(self.covariance[:3, :3]))))

    @property
    def translation_deviation(self) -> float:
        """Root of the expected square of the distance that the position is wrong by."""
        return float(np.sqrt(np.trace(self.covariance[3:, 3:])))


def solve_pose(
    points: Coordinates,
    camera: Camera,
    *,
    covariance: Coordinates | None = None,
    confidence: Coordinates | None = None,
    model: Floats = CORNERS,
) -> PoseFit:
    """The pose that puts points of a model (P, 3) on pixels (P, 2), in the world of the camera.

    Args:
        points: in pixels, centres at integers; NaN where one is missing. They may lie outside of
            the picture.
        camera: of the picture.
        covariance: (P, 2, 2) of each point's error in pixels²; none: one pixel on each axis. This
            is the error that is expected, not the width of a heatmap. If the points turn out worse,
            the pose's covariance grows with it.
        confidence: (P,) in 0…1: the share of its weight that each point keeps; those below
            `LEAST_CONFIDENCE` are not used. None: 1.
        model: where the points are in the object's frame.
    """
    seen = _seen(points, camera, covariance, confidence, model)
    n_usable = int(seen.usable.sum())
    if n_usable < LEAST_POINTS:
        return PoseFit(reason=f"{n_usable} points can be used; a pose needs {LEAST_POINTS}.")
    found, inliers = best_pose(seen)
    return _judged(seen, found, inliers, camera)


def rough_pose(
    points: Coordinates,
    camera: Camera,
    *,
    covariance: Coordinates | None = None,
    confidence: Coordinates | None = None,
    model: Floats = CORNERS,
) -> Floats | None:
    """A pose (4, 4) in the world near most of the points, told fast and not judged; None where
    there is none. Arguments as of `solve_pose`."""
    seen = _seen(points, camera, covariance, confidence, model)
    if seen.usable.sum() < LEAST_POINTS:
        return None
    poses = refined(seen, starts(seen, seen.usable), seen.usable, robust=True, n_steps=10)
    if not len(poses) or not np.isfinite(seen.squares(poses[:1])[0, seen.usable]).all():
        return None
    return np.asarray(np.linalg.inv(camera.from_world) @ poses[0])


def rotation_error_deg(one: Coordinates, other: Coordinates) -> Floats:
    """(…,) the angle in degrees, 0…180, between the rotations of poses (…, 4, 4)."""
    turn = np.swapaxes(one[..., :3, :3], -1, -2) @ other[..., :3, :3]
    angles = np.linalg.norm(rotation_vector(np.asarray(turn, np.float64)), axis=-1)
    return np.asarray(np.degrees(angles))


def translation_error(one: Coordinates, other: Coordinates) -> Floats:
    """(…,) the distance between the origins of poses (…, 4, 4), in units of the world."""
    return np.asarray(np.linalg.norm(one[..., :3, 3] - other[..., :3, 3], axis=-1), np.float64)


def add(one: Coordinates, other: Coordinates, model: Coordinates = CORNERS) -> Floats:
    """(…,) the mean distance of a model's points (P, 3) under poses (…, 4, 4), in units of the
    world. `box_diameter` is what it is set against.

    Source: Hinterstoisser et al.: Model based training, detection and pose estimation, ACCV 2012.
    """
    gap = one[..., :3, :] - other[..., :3, :]
    moved = model @ np.swapaxes(gap[..., :3], -1, -2) + gap[..., None, :, 3]
    return np.asarray(np.linalg.norm(moved, axis=-1).mean(axis=-1))


def box_diameter(model: Coordinates = CORNERS) -> float:
    """The greatest distance between two points of a model (P, 3)."""
    return float(np.linalg.norm(model[:, None] - model[None], axis=-1).max())


def _seen(
    points: Coordinates,
    camera: Camera,
    covariance: Coordinates | None,
    confidence: Coordinates | None,
    model: Floats,
) -> Seen:
    """The points at depth 1, freed of distortion, with the covariances that they have there."""
    pixels = np.asarray(points, np.float64)
    xy = camera.normalised(np.where(np.isfinite(pixels), pixels, np.nan))
    spread = np.tile(np.eye(2), (len(xy), 1, 1)) if covariance is None else np.asarray(covariance)
    weight = np.ones(len(xy)) if confidence is None else np.asarray(confidence, np.float64)
    weight = np.where(weight >= LEAST_CONFIDENCE, weight, np.nan)[:, None, None]
    slope = camera.normalised_slope(xy)
    # A covariance of 0 would be a point without any error.
    spread = (spread + _LEAST_DEVIATION_PX**2 * np.eye(2)) / weight
    return Seen.of(model, xy, slope @ spread @ np.swapaxes(slope, 1, 2))


def _judged(seen: Seen, found: Floats, inliers: Bools, camera: Camera) -> PoseFit:
    """What is told of the best pose, in the camera's frame, or why it is not believed."""
    if not np.isfinite(found).all():
        return PoseFit(reason="the points determine no pose: they lie on one spot.")
    squares = seen.squares(found[None])[0, inliers]
    if not np.isfinite(squares).all():
        return PoseFit(reason="every pose that would fit the points lies behind the camera.")
    n_points, n_fit = int(seen.usable.sum()), int(inliers.sum())
    if n_fit < LEAST_POINTS or 2 * n_fit <= n_points:
        return PoseFit(reason=f"only {n_fit} of {n_points} points fit one pose.")
    placed = seen.model @ found[:3, :3].T + found[:3, 3]
    xy = placed[:, :2] / placed[:, 2:]
    focal = [camera.fx, camera.fy]
    miss_px = float(np.sqrt(np.square((xy - seen.xy)[inliers] * focal).sum(axis=1).mean()))
    size_px = box_diameter(seen.model) * max(focal) / placed[inliers, 2].mean()
    if miss_px > WORST_FIT * size_px:
        return PoseFit(reason=f"no pose fits: the points miss it by {miss_px:.1f} px.")
    normal = information(seen, found, inliers)
    if np.linalg.cond(normal) > _MOST_CONDITION:
        return PoseFit(reason="the points determine no pose: they lie on a line.")
    cost = float(squares.sum())
    noise = max(1.0, cost / max(1, 2 * n_fit - 6))
    to_world = np.linalg.inv(camera.from_world)
    turn = np.eye(6)
    turn[3:, 3:] = to_world[:3, :3]
    second, cost_of_second = _second(seen, found, inliers, cost + _NEAR * noise)
    fit = PoseFit(
        pose=to_world @ found,
        covariance=noise * turn @ np.linalg.inv(normal) @ turn.T,
        inliers=inliers,
        reprojection_px=miss_px,
        second=None if second is None else to_world @ second,
        ambiguous=cost_of_second - cost < AMBIGUOUS_WITHIN * noise,
    )
    if fit.rotation_deviation_deg > WORST_DEVIATION_DEG:
        return PoseFit(reason="the points leave the rotation open.")
    return fit


def _second(seen: Seen, found: Floats, inliers: Bools, limit: float) -> tuple[Floats | None, float]:
    """(the best pose (4, 4) that is another than `found`, its squared misses), as far as these come
    below a limit: the search starts from the poses that take a flat object's near side for its far
    side, each of the object's axes being taken for the flat one."""
    sight = found[:3, 3] / np.linalg.norm(found[:3, 3])
    mirror = np.eye(3) - 2 * np.outer(sight, sight)
    poses = np.tile(found, (3, 1, 1))
    poses[:, :3, :3] = mirror @ found[:3, :3] @ (np.eye(3) - 2 * np.eye(3)[:, None] * np.eye(3))
    poses = refined(seen, poses, inliers, n_steps=3)
    near = seen.squares(poses)[:, inliers].sum(axis=1) < limit
    others = refined(seen, poses[near], inliers, n_steps=10)
    apart = others[rotation_error_deg(others, found) > DISTINCT_DEG]
    if not len(apart):
        return None, float("inf")
    return apart[0], float(seen.squares(apart[:1])[0, inliers].sum())
