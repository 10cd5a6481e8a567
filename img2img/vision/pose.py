"""The pose of a known object from its points in one picture, with what is known of its error.

A pose is an object-to-world matrix (4, 4), right-handed, for column vectors; `camera` documents the
frames of reference and `rigid` the steps (rotation, then translation) that covariances speak of.

Perspective-n-point: SQPnP starts, Levenberg–Marquardt ends, with residuals in units of each point's
own deviation. Sources: Terzakis, Lourakis: A consistently fast and globally optimal solution to the
perspective-n-point problem, ECCV 2020; Marquardt 1963, damped by the diagonal as in Moré 1978;
Torr, Zisserman: MLESAC, CVIU 2000 (subsets judged by a robust cost); Schweighofer, Pinz: Robust
pose estimation from a planar target, PAMI 2006 (the second minimum).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.camera import Camera
from img2img.vision.rigid import Floats, rotation_vector, skew, stepped

Coordinates = NDArray[np.floating[Any]]

BOX = np.array([[-0.156, -0.182, -0.032], [0.156, 0.163, 0.034]])
"""(2, 3): the least and greatest x, y, z of the ship, nose at −y, canopy towards +z, in the units of
the stated frame format."""
CORNERS = np.array([[x, y, z] for z in BOX[:, 2] for y in BOX[:, 1] for x in BOX[:, 0]])
"""(8, 3): the keypoints. z = −0.032 first, then 0.034; within each, y = −0.182, then 0.163; within
each, x = −0.156, then 0.156."""

LEAST_POINTS = 4
LEAST_CONFIDENCE = 0.05
"""Points with less are not looked at."""
OUTLIER = 4.0
"""In deviations: points farther from where a pose puts them do not belong to it."""
AMBIGUOUS_WITHIN = 6.0
"""Difference of squared deviations up to which a second pose fits as well: odds of e³ to 1."""
DISTINCT_DEG = 5.0
"""Poses that differ by less are one."""
WORST_FIT = 0.08
"""Root mean square miss of the points, as a share of the object's size in the picture, beyond which
a pose is none."""
WORST_DEVIATION_DEG = 40.0
"""Deviation of the rotation beyond which the points do not determine a pose."""
_N_SUBSETS = 70
_N_REFINED = 6
_N_STEPS = 30
_MEDIAN = 1.386
"""Of the squared length of a vector of two standard normal numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseFit:
    """What points say of a pose.

    `pose` (4, 4), or None and the `reason` in a sentence. With a pose: `covariance` (6, 6) of a
    step away from it; `inliers` (P,) bool, the points that it stands on; `reprojection_px`, the root
    mean square miss of these; `second` (4, 4), the next best pose, if there is one, and `ambiguous`,
    whether that fits within the noise as well.
    """

    pose: Floats | None = None
    reason: str | None = None
    covariance: Floats = field(default_factory=lambda: np.full((6, 6), np.nan))
    inliers: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
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
    weight = np.ones(len(points)) if confidence is None else np.asarray(confidence, np.float64)
    spread = np.tile(np.eye(2), (len(points), 1, 1)) if covariance is None else covariance
    seen = _Seen.of(np.asarray(points, np.float64), camera, np.asarray(spread), weight, model)
    n_usable = int(seen.usable.sum())
    if n_usable < LEAST_POINTS:
        return PoseFit(reason=f"{n_usable} points can be used; a pose needs {LEAST_POINTS}.")
    poses = _refined(seen, _starts(seen, seen.usable), seen.usable)
    squares = _squares(seen, poses)
    inliers = seen.usable
    if not (squares[0][seen.usable] < OUTLIER**2).all():
        poses, inliers = _robust(seen, poses)
        squares = _squares(seen, poses)
    if not np.isfinite(squares[0][inliers]).all():
        return PoseFit(reason="every pose that fits the points lies behind the camera.")
    return _judged(seen, poses[0], inliers, camera, points)


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


# ---- inside: B poses are refined side by side, in the camera's frame; points stand at depth 1


@dataclass(frozen=True, slots=True)
class _Seen:
    """Model (P, 3), points (P, 2) at depth 1, the roots (P, 2, 2) of their precisions, which turn
    residuals into deviations, and which points are usable (P,)."""

    model: Floats
    xy: Floats
    whiten: Floats
    usable: NDArray[np.bool_]

    @classmethod
    def of(
        cls, points: Floats, camera: Camera, spread: Floats, weight: Floats, model: Floats
    ) -> "_Seen":
        xy = camera.normalised(points)
        usable = np.isfinite(xy).all(axis=1) & (weight >= LEAST_CONFIDENCE)
        usable &= np.isfinite(spread).all(axis=(1, 2))
        slope = camera.normalised_slope(np.where(usable[:, None], xy, 0))
        safe = np.where(usable[:, None, None], spread, np.eye(2)) + 1e-6 * np.eye(2)
        covariance = slope @ safe @ np.swapaxes(slope, 1, 2)
        covariance /= np.where(usable, weight, 1.0)[:, None, None]
        whiten = np.linalg.inv(np.linalg.cholesky(covariance))
        return cls(model, np.where(usable[:, None], xy, 0), whiten, usable)


def _residuals(seen: _Seen, poses: Floats) -> tuple[Floats, Floats]:
    """(B, P, 2) misses of poses (B, 4, 4) in deviations, infinite behind the camera, and (B, P, 3)
    the model's points in the camera's frame."""
    placed = seen.model @ np.swapaxes(poses[:, :3, :3], 1, 2) + poses[:, None, :3, 3]
    depth = np.where(placed[..., 2:] > 1e-6, placed[..., 2:], np.nan)
    miss = np.einsum("pij,bpj->bpi", seen.whiten, placed[..., :2] / depth - seen.xy)
    return np.nan_to_num(miss, nan=np.inf), placed


def _squares(seen: _Seen, poses: Floats) -> Floats:
    """(B, P): squared misses in deviations."""
    with np.errstate(over="ignore"):
        return np.asarray(np.square(_residuals(seen, poses)[0]).sum(axis=-1))


def _slopes(seen: _Seen, poses: Floats, placed: Floats) -> Floats:
    """(B, P, 2, 6): how the misses change with a step of the pose."""
    x, y, z = np.moveaxis(placed, -1, 0)
    none = np.zeros_like(z)
    rows = [[1 / z, none, -x / z**2], [none, 1 / z, -y / z**2]]
    projection = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    turning = poses[:, None, :3, :3] @ -skew(seen.model)
    by_step = np.concatenate([projection @ turning, projection], axis=-1)
    return np.asarray(seen.whiten @ by_step)


def _refined(
    seen: _Seen, poses: Floats, used: NDArray[np.bool_], *, robust: bool = False
) -> Floats:
    """Poses (B, 4, 4) at the minima below them of the squared misses of the points `used` or, if
    `robust`, of Cauchy's log(1 + square); the best first."""
    damping = np.full(len(poses), 1e-3)
    misses, placed = _residuals(seen, poses)
    costs = _costs(misses, used, robust=robust)
    for _ in range(_N_STEPS):
        with np.errstate(all="ignore"):
            weights = used / (1 + np.square(misses).sum(axis=-1)) if robust else 1.0 * used
            slopes = _slopes(seen, poses, placed)
            weighted = slopes * np.broadcast_to(weights, misses.shape[:2])[..., None, None]
            normal = np.nan_to_num(np.einsum("bpij,bpik->bjk", weighted, slopes), posinf=0)
            pull = np.nan_to_num(np.einsum("bpij,bpi->bj", weighted, misses), posinf=0, neginf=0)
        ridge = damping[:, None] * np.diagonal(normal, axis1=1, axis2=2) + 1e-12
        steps = -np.linalg.solve(normal + ridge[..., None] * np.eye(6), pull[..., None])[..., 0]
        tried = stepped(poses, steps)
        new_misses, new_placed = _residuals(seen, tried)
        new_costs = _costs(new_misses, used, robust=robust)
        better = new_costs < costs
        damping = np.where(better, damping / 10, damping * 10).clip(1e-9, 1e9)
        poses = np.where(better[:, None, None], tried, poses)
        misses = np.where(better[:, None, None], new_misses, misses)
        placed = np.where(better[:, None, None], new_placed, placed)
        gained = np.where(better, costs - new_costs, 0)
        costs = np.where(better, new_costs, costs)
        settled = (np.abs(steps).max(axis=1) < 1e-9) | ((gained < 1e-10 * costs) & better)
        if (settled | (damping > 1e6)).all():
            break
    return poses[np.argsort(costs, kind="stable")]


def _costs(misses: Floats, used: NDArray[np.bool_], *, robust: bool) -> Floats:
    """(B,) of misses (B, P, 2)."""
    squares = np.square(misses[:, used]).sum(axis=-1)
    return np.asarray((np.log1p(squares) if robust else squares).sum(axis=-1))


def _starts(seen: _Seen, used: NDArray[np.bool_]) -> Floats:
    """(B, 4, 4): SQPnP's poses of the points `used`; one ahead of the camera where it has none."""
    found = cv2.solvePnPGeneric(
        seen.model[used], seen.xy[used], np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP
    )
    poses = []
    for turn, shift in zip(found[1], found[2], strict=True):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(turn)[0], np.ravel(shift)
        poses.append(pose)
    if not poses:
        poses = [np.eye(4)]
        poses[0][2, 3] = 2 * box_diameter(seen.model)
    return np.stack(poses)


def _robust(seen: _Seen, poses: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """(poses (B, 4, 4), the best first, and the points that belong to it), where some points are
    wrong: poses of four points each are judged by Cauchy's cost over all."""
    subsets = [_starts(seen, used) for used in _subsets(seen.usable)]
    poses = np.concatenate([poses, *subsets])
    costs = np.log1p(_squares(seen, poses)[:, seen.usable]).sum(axis=1)
    best = np.argsort(costs, kind="stable")[:_N_REFINED]
    poses = _refined(seen, poses[best], seen.usable, robust=True)
    inliers = seen.usable
    for _ in range(3):
        squares = _squares(seen, poses[:1])[0]
        # Points may be worse than they say, all of them: that makes no outliers.
        noise = max(1.0, float(np.median(squares[seen.usable])) / _MEDIAN)
        chosen = seen.usable & (squares < OUTLIER**2 * noise)
        if chosen.sum() < LEAST_POINTS or (chosen == inliers).all():
            break
        inliers = chosen
        poses = _refined(seen, poses[:1], inliers)
    return poses, inliers


def _subsets(usable: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """All sets of four points, or `_N_SUBSETS` random ones where there are more."""
    indices = np.flatnonzero(usable)
    every = combinations(indices.tolist(), LEAST_POINTS)
    if len(indices) > 8:
        rng = np.random.default_rng(0)
        every = iter([tuple(rng.choice(indices, 4, replace=False)) for _ in range(_N_SUBSETS)])
    for chosen in islice(every, _N_SUBSETS):
        used = np.zeros(len(usable), np.bool_)
        used[list(chosen)] = True
        yield used


def _judged(
    seen: _Seen,
    pose: Floats,
    inliers: NDArray[np.bool_],
    camera: Camera,
    points: Coordinates,
) -> PoseFit:
    """What is told of the best pose, or why it is not believed."""
    misses, placed = _residuals(seen, pose[None])
    slopes = _slopes(seen, pose[None], placed)[0, inliers].reshape(-1, 6)
    cost = float(np.square(misses[0, inliers]).sum())
    noise = max(1.0, cost / max(1, 2 * int(inliers.sum()) - 6))
    to_world = np.linalg.inv(camera.from_world)
    found = to_world @ pose
    pixels = camera.project(seen.model, found)
    miss_px = float(np.sqrt(np.square(pixels - points)[inliers].sum(axis=1).mean()))
    size_px = float(np.nan_to_num(np.ptp(pixels, axis=0)).max())
    if 2 * int(inliers.sum()) <= int(seen.usable.sum()):
        told = f"{int(inliers.sum())} of {int(seen.usable.sum())}"
        return PoseFit(reason=f"the points contradict each other: only {told} fit one pose.")
    if miss_px > WORST_FIT * size_px:
        return PoseFit(reason=f"no pose fits: the points are {miss_px:.1f} px off on average.")
    normal = slopes.T @ slopes
    if np.linalg.cond(normal) > 1e12:
        return PoseFit(reason="the points determine no pose: they lie on a line or a spot.")
    covariance = noise * np.linalg.inv(normal)
    into = np.eye(6)
    into[3:, 3:] = to_world[:3, :3]
    covariance = into @ covariance @ into.T
    second, cost_of_second = _second(seen, pose, inliers)
    fit = PoseFit(
        pose=found,
        covariance=covariance,
        inliers=inliers,
        reprojection_px=miss_px,
        second=None if second is None else to_world @ second,
        ambiguous=cost_of_second - cost < AMBIGUOUS_WITHIN * noise,
    )
    if fit.rotation_deviation_deg > WORST_DEVIATION_DEG:
        told = f"{fit.rotation_deviation_deg:.0f}°"
        return PoseFit(reason=f"the points leave the rotation open, to {told}.")
    return fit


def _second(seen: _Seen, pose: Floats, inliers: NDArray[np.bool_]) -> tuple[Floats | None, float]:
    """(the best pose (4, 4) that is another than `pose`, its squared misses): below the poses that
    a flat object's depths would be mistaken for, each of its axes taken for the flat one."""
    sight = pose[:3, 3] / np.linalg.norm(pose[:3, 3])
    mirror = np.eye(3) - 2 * np.outer(sight, sight)
    starts = np.tile(pose, (3, 1, 1))
    for axis in range(3):
        starts[axis, :3, :3] = mirror @ pose[:3, :3] @ np.diag(1.0 - 2 * (np.arange(3) == axis))
    others = _refined(seen, starts, inliers)
    apart = rotation_error_deg(others, pose) > DISTINCT_DEG
    costs = _squares(seen, others)[:, inliers].sum(axis=1)
    return next(
        ((other, float(cost)) for other, cost, is_other in zip(others, costs, apart, strict=True)
         if is_other and np.isfinite(cost)),
        (None, float("inf")),
    )  # fmt: skip
