"""Perspective-n-point: poses that bring points of a model nearest to where they were seen.

Poses (B, 4, 4) are refined side by side. They take the model to the camera's frame (x right, y
down, z the depth); points stand at depth 1, and a miss is counted in the point's own deviations.

Sources: Terzakis, Lourakis: A consistently fast and globally optimal solution to the
perspective-n-point problem, ECCV 2020 (the start); Marquardt 1963, damped by the diagonal as Moré
did in 1978; Torr, Zisserman: MLESAC, CVIU 2000 (subsets are judged by a robust cost).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.rigid import Floats, pose_of, skew, stepped

Bools = NDArray[np.bool_]

LEAST_POINTS = 4
OUTLIER = 4.0
"""In deviations: points farther from where a pose puts them do not belong to it."""
_N_SUBSETS = 70
"""All sets of four of eight points."""
_N_REFINED = 6
_LEAST_GAIN = 1e-9
"""In squared deviations: a step that gains less ends the search."""
_MOST_DAMPING = 1e6
_N_ROUNDS = 3
"""Of choosing the points that belong to a pose."""
_MEDIAN = 1.386
"""Of the squared length of a vector of two standard normal numbers."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a pose must explain: `model` (P, 3); `xy` (P, 2), the points at depth 1; `whiten`
    (P, 2, 2), which turns misses into deviations; `usable` (P,), which points count at all."""

    model: Floats
    xy: Floats
    whiten: Floats
    usable: Bools

    @classmethod
    def of(cls, model: Floats, xy: Floats, covariance: Floats) -> "Seen":
        """Points (P, 2) with covariances (P, 2, 2), all at depth 1; those that are not finite or
        whose covariance is none count for nothing."""
        usable: Bools = np.isfinite(np.c_[xy, covariance.reshape(-1, 4)]).all(axis=1)
        safe = np.where(usable[:, None, None], covariance, np.eye(2))
        usable &= np.linalg.eigvalsh(safe)[:, 0] > 0
        safe = np.where(usable[:, None, None], covariance, np.eye(2))
        whiten = np.asarray(np.linalg.inv(np.linalg.cholesky(safe)), np.float64)
        return cls(model, np.where(usable[:, None], xy, 0), whiten, usable)

    def misses(self, poses: Floats) -> tuple[Floats, Floats]:
        """(B, P, 2) in deviations, infinite behind the camera, and (B, P, 3), the model's points in
        the camera's frame."""
        placed = self.model @ np.swapaxes(poses[:, :3, :3], 1, 2) + poses[:, None, :3, 3]
        ahead = placed[..., 2:] > 1e-6
        gap = placed[..., :2] / np.where(ahead, placed[..., 2:], 1) - self.xy
        return np.where(ahead, (self.whiten @ gap[..., None])[..., 0], np.inf), placed

    def squares(self, poses: Floats) -> Floats:
        """(B, P): squared misses."""
        return np.asarray(np.square(self.misses(poses)[0]).sum(axis=-1))

    def slopes(self, poses: Floats, placed: Floats) -> Floats:
        """(B, P, 2, 6): how misses change with a step of the pose (see `rigid`)."""
        inverse = 1 / placed[..., 2]
        projection = np.zeros((*placed.shape[:2], 2, 3))
        projection[..., 0, 0] = projection[..., 1, 1] = inverse
        projection[..., 2] = -placed[..., :2] * np.square(inverse)[..., None]
        projection = self.whiten @ projection
        turning = projection @ (poses[:, None, :3, :3] @ -skew(self.model))
        return np.concatenate([turning, projection], axis=-1)


def starts(seen: Seen, used: Bools) -> Floats:
    """(B, 4, 4), B ≥ 0: the poses that SQPnP finds for the points `used` (P,)."""
    try:
        _, turns, shifts, _ = cv2.solvePnPGeneric(
            seen.model[used], seen.xy[used], np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP
        )
    except cv2.error:  # points that coincide
        turns = shifts = ()
    poses = [
        pose_of(cv2.Rodrigues(turn)[0], np.ravel(shift))
        for turn, shift in zip(turns, shifts, strict=True)
    ]
    return np.array(poses).reshape(-1, 4, 4)


def refined(
    seen: Seen, poses: Floats, used: Bools, *, robust: bool = False, n_steps: int = 30
) -> Floats:
    """The poses (B, 4, 4) at the minima below the given ones, the best first.

    What is least there is the sum of squared misses of the points `used` (P,) or, if `robust`, of
    Cauchy's log(1 + square), to which points far off add little. It takes three or four steps from
    SQPnP's poses, and `n_steps` at most.
    """
    poses, damping = poses.copy(), np.full(len(poses), 1e-3)
    costs = _costs(seen.misses(poses)[0][:, used], robust=robust)
    going = np.isfinite(costs)
    for _ in range(n_steps):
        if not going.any():
            break
        normal, pull = _equations(seen, poses[going], used, robust=robust)
        ridge = damping[going, None] * np.diagonal(normal, axis1=1, axis2=2) + 1e-12
        steps = np.linalg.solve(normal + ridge[..., None] * np.eye(6), -pull[..., None])
        tried = poses.copy()
        tried[going] = stepped(poses[going], np.asarray(steps[..., 0], np.float64))
        new_costs = _costs(seen.misses(tried)[0][:, used], robust=robust)
        better = going & (new_costs < costs)
        gain = np.where(better, costs - new_costs, 0)
        poses[better], costs[better] = tried[better], new_costs[better]
        damping = np.where(better, damping / 10, damping * 10)
        going &= np.where(better, gain > _LEAST_GAIN, damping < _MOST_DAMPING)
    return poses[np.argsort(costs, kind="stable")]


def best_pose(seen: Seen) -> tuple[Floats, Bools]:
    """(pose (4, 4), the points (P,) that belong to it). Points that are far off are found out: if
    not all fit one pose, those of four points each are judged by Cauchy's cost over all."""
    poses = refined(seen, starts(seen, seen.usable), seen.usable)
    if len(poses) and (seen.squares(poses[:1])[0, seen.usable] < OUTLIER**2).all():
        return poses[0], seen.usable
    subsets = [starts(seen, used) for used in _subsets(seen.usable)]
    poses = np.concatenate([poses, *subsets])
    if not len(poses):
        return np.full((4, 4), np.nan), seen.usable
    costs = _costs(seen.misses(poses)[0][:, seen.usable], robust=True)
    best = poses[np.argsort(costs, kind="stable")[:_N_REFINED]]
    pose = refined(seen, best, seen.usable, robust=True)[0]
    inliers = seen.usable
    # The chosen pose goes through some points almost exactly (Rousseeuw, Leroy 1987, section 5.1).
    few = (1 + 5 / max(1, 2 * int(inliers.sum()) - 6)) ** 2
    for _ in range(_N_ROUNDS):
        squares = seen.squares(pose[None])[0]
        # Points may be worse than they say, all of them: that makes no outliers.
        noise = max(1.0, few * float(np.median(squares[seen.usable])) / _MEDIAN)
        chosen = seen.usable & (squares < OUTLIER**2 * noise)
        if chosen.sum() < LEAST_POINTS or (chosen == inliers).all():
            break
        inliers = chosen
        pose = refined(seen, pose[None], inliers)[0]
    return pose, inliers


def information(seen: Seen, pose: Floats, used: Bools) -> Floats:
    """(6, 6): the inverse covariance of a step away from a pose (4, 4), by Gauss and Newton."""
    return np.asarray(_equations(seen, pose[None], used, robust=False)[0][0])


def _costs(misses: Floats, *, robust: bool) -> Floats:
    """(B,) of misses (B, P, 2)."""
    squares = np.square(misses).sum(axis=-1)
    return np.asarray((np.log1p(squares) if robust else squares).sum(axis=-1))


def _equations(seen: Seen, poses: Floats, used: Bools, *, robust: bool) -> tuple[Floats, Floats]:
    """Normal matrices (B, 6, 6) and gradients (B, 6) of half the cost."""
    misses, placed = seen.misses(poses)
    weights = 1 / (1 + np.square(misses).sum(axis=-1)) if robust else np.ones(misses.shape[:2])
    roots = np.sqrt(weights * used)[..., None, None]
    slopes = (roots * seen.slopes(poses, placed)).reshape(len(poses), -1, 6)
    misses = (roots[..., 0] * misses).reshape(len(poses), -1, 1)
    turned = np.swapaxes(slopes, 1, 2)
    return turned @ slopes, (turned @ misses)[..., 0]


def _subsets(usable: Bools) -> Iterator[Bools]:
    """Sets of four points: all, or `_N_SUBSETS` random ones where there are more."""
    indices = np.flatnonzero(usable)
    every = list(combinations(indices, LEAST_POINTS)) if len(indices) <= 8 else [
        tuple(np.random.default_rng(seed).choice(indices, LEAST_POINTS, replace=False))
        for seed in range(_N_SUBSETS)
    ]  # fmt: skip
    for chosen in every:
        used = np.zeros(len(usable), np.bool_)
        used[list(chosen)] = True
        yield used
