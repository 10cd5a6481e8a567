"""Measures of the ship's pose and of the box corners that it is found from, on plain arrays.

A frame without a pose counts as one whose pose is as wrong as can be: 180° turned and `FARTHEST`
away, beyond every limit. Poses are object-to-world matrices, as in `pose`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.vision.camera import Camera
from img2img.vision.metrics import Floats
from img2img.vision.pose import (
    CORNERS,
    Coordinates,
    add,
    box_diameter,
    rotation_error_deg,
    translation_error,
)
from img2img.vision.rigid import orthonormal

METRICS = (
    "rotation_deg", "rotation_p90_deg", "translation", "translation_p90", "within_5deg_5pct",
    "add_10", "add_05", "pck_5px", "nmae", "corner_px", "corner_inside_px", "corner_outside_px",
    "reprojection_px", "answered", "deviation_ratio", "jitter_deg", "rotation_cut_deg",
    "add_10_cut",
)  # fmt: skip
"""The names that `summarise` gives, in the order of tables."""
FARTHEST = 1.0
"""Units of the world: what a missing pose, or one still farther off, counts as. It is the camera's
distance from the plane of the ships in the stated frame format."""
NEAR_SHARE = 5 / 256
"""Of the frame's longer side: 5 pixels in the original frames."""
CUT_BELOW = 0.5
"""The visible share of the ship below which a frame is also judged among its like."""
FLIGHT_TURN_DEG = 5.0
"""The most between two frames of a flight. Random rotations are as near once in 28,000 times."""
_CHI2_MEDIAN = 2.366
"""Of three degrees of freedom; the mean is 3."""
_ROTATION = tuple(f"rotation_{i}" for i in range(9))
_TRUE_ROTATION = tuple(f"true_rotation_{i}" for i in range(9))


# ---- one frame


def row(
    *,
    points: Coordinates,
    pose: Floats | None,
    rotation_deviation_deg: float,
    truth_points: Coordinates,
    truth_pose: Floats,
    camera: Camera,
    visible: float | None = None,
) -> dict[str, float]:
    """What one frame contributes; what cannot be told is NaN.

    - `answered`: 1 if there is a pose, else 0. `rotation_deg`, `translation`: its errors;
      `translation_share`: over the ship's true distance from the camera; `add_share`: the ADD over
      the box's diameter; `stated_ratio`: the rotation's error over its stated deviation;
      `reprojection_px`: the mean distance of the corners that it projects from the true ones.
    - `corner_inside_px`, `corner_outside_px`: the mean distance of the `n_inside` and `n_outside`
      answered corners whose true places lie in and out of the frame; `pck`: the share of all that
      are within `NEAR_SHARE`; `nmae`: their mean error in x and y over the frame's longer side.
    - `rotation_0` …, `true_rotation_0` …: the rotations of both poses, row by row; `visible`.

    Args:
        points: (8, 2) of `CORNERS` in pixels, NaN where nothing was answered.
        pose: (4, 4), or None.
        rotation_deviation_deg: root of the expected square of the rotation's error, or NaN.
        truth_points: (8, 2) in pixels, also outside of the frame.
        truth_pose: (4, 4).
        camera: of the frame, with its width and height.
        visible: the share of the ship inside the frame, 0…1; None if it is not known.
    """
    return {
        **_pose_errors(pose, truth_pose, rotation_deviation_deg, camera),
        "reprojection_px": _reprojection_px(pose, truth_points, camera),
        **_corner_errors(points, truth_points, camera),
        **_rotation(_ROTATION, pose),
        **_rotation(_TRUE_ROTATION, truth_pose),
        "visible": float("nan") if visible is None else float(visible),
    }


def _pose_errors(
    pose: Floats | None, truth: Floats, deviation_deg: float, camera: Camera
) -> dict[str, float]:
    if pose is None:
        unknown = dict.fromkeys(("translation_share", "add_share", "stated_ratio"), np.nan)
        return {"answered": 0.0, "rotation_deg": 180.0, "translation": FARTHEST, **unknown}
    turned, moved = float(rotation_error_deg(pose, truth)), float(translation_error(pose, truth))
    distance = float(np.linalg.norm((camera.from_world @ truth)[:3, 3]))
    return {
        "answered": 1.0,
        "rotation_deg": turned,
        "translation": min(moved, FARTHEST),
        "translation_share": moved / distance if distance > 0 else np.nan,
        "add_share": float(add(pose, truth)) / box_diameter(),
        "stated_ratio": turned / deviation_deg if deviation_deg > 0 else np.nan,
    }


def _reprojection_px(pose: Floats | None, truth_points: Coordinates, camera: Camera) -> float:
    if pose is None:
        return float("nan")
    offset = camera.project(CORNERS, pose) - truth_points
    return _mean(np.hypot(offset[:, 0], offset[:, 1]))


def _corner_errors(points: Coordinates, truth: Coordinates, camera: Camera) -> dict[str, float]:
    offset = np.asarray(points - truth, np.float64)
    errors, sides = np.hypot(offset[:, 0], offset[:, 1]), np.array([camera.width, camera.height])
    is_inside = ((truth >= -0.5) & (truth <= sides - 0.5)).all(axis=1)
    inside, outside = errors[is_inside], errors[~is_inside]
    return {
        "corner_inside_px": _mean(inside),
        "corner_outside_px": _mean(outside),
        "n_inside": float(np.isfinite(inside).sum()),
        "n_outside": float(np.isfinite(outside).sum()),
        "pck": float(np.mean(errors <= NEAR_SHARE * sides.max())),
        "nmae": _mean(np.abs(offset).ravel()) / float(sides.max()),
    }


def _rotation(names: tuple[str, ...], pose: Floats | None) -> dict[str, float]:
    # The small angles between frames do not bear the rounding of files.
    matrix = np.full((3, 3), np.nan) if pose is None else orthonormal(pose)[:3, :3]
    return dict(zip(names, matrix.ravel().tolist(), strict=True))


# ---- many frames


def summarise(rows: Mapping[str, Floats], weights: Floats) -> dict[str, float]:
    """The metrics of weighted frames, each NaN where there is nothing to tell it from.

    `rows` are (N,) columns of what `row` gave, the frames of a flight in their order.

    Over all frames, a missing pose being as wrong as can be:

    - `rotation_deg`, `rotation_p90_deg`: median and 90th percentile of the rotation's error.
    - `translation`, `translation_p90`: of the distance of the origins, in units of the world.
    - `within_5deg_5pct`: the share of frames less than 5° and 5 % of the camera's distance off:
      what "5 cm, 5°" is at a metre. Errors of position grow with that distance in one picture; ADD
      is what sets them against the object.
    - `add_10`, `add_05`: the share of frames whose ADD is below 10 % and 5 % of the box's diameter.
    - `rotation_cut_deg`, `add_10_cut`: of the frames that show less than half of the ship.
    - `answered`: the share of frames with a pose.
    - `pck_5px`: the share of corners, missing ones included, within 5 pixels, were the frame's
      longer side 256 pixels long.

    Over what was answered:

    - `corner_px`, `corner_inside_px`, `corner_outside_px`: the mean distance of corners, in pixels
      of the original frames, from the true ones: of all, and of those in and out of the frame.
    - `nmae`: the mean absolute error of corner coordinates as a share of the longer side.
    - `reprojection_px`: the mean distance of the corners that the pose projects from the true
      ones; not from the found ones, which are wrong as well.
    - `deviation_ratio`: the rotation's error over its stated deviation; 1 is right, more is too
      sure. Wild poses do not rule it: it is the median over the root of that of χ²/3 with three
      degrees of freedom. That is exact for errors that are alike about all axes; of errors about
      one axis alone, right deviations give 0.76.
    - `jitter_deg`: the mean second difference of rotation over three successive frames of a flight
      less that of the truth, weighted as the middle one. A flight is where the truth turns by at
      most `FLIGHT_TURN_DEG` from each frame to the next.

    Sources: Shotton et al.: Scene coordinate regression forests, CVPR 2013 (5 cm, 5°); Kisantal et
    al.: Satellite pose estimation challenge, IEEE TAES 2020 (position over distance); ADD: `add`.
    """
    turned, turned_p90 = _quantiles(rows["rotation_deg"], weights, 0.5, 0.9)
    moved, moved_p90 = _quantiles(rows["translation"], weights, 0.5, 0.9)
    # The shares of a missing pose are NaN, which is below nothing.
    is_near = (rows["rotation_deg"] < 5) & (rows["translation_share"] < 0.05)
    is_add_10, is_add_05 = rows["add_share"] < 0.10, rows["add_share"] < 0.05
    inside, outside = weights * rows["n_inside"], weights * rows["n_outside"]
    corners = np.concatenate([rows["corner_inside_px"], rows["corner_outside_px"]])
    (ratio,) = _quantiles(rows["stated_ratio"], weights, 0.5)
    cut = weights * (rows["visible"] < CUT_BELOW)
    return {
        "rotation_deg": turned,
        "rotation_p90_deg": turned_p90,
        "translation": moved,
        "translation_p90": moved_p90,
        "within_5deg_5pct": _mean(is_near, weights),
        "add_10": _mean(is_add_10, weights),
        "add_05": _mean(is_add_05, weights),
        "pck_5px": _mean(rows["pck"], weights),
        "nmae": _mean(rows["nmae"], inside + outside),
        "corner_px": _mean(corners, np.concatenate([inside, outside])),
        "corner_inside_px": _mean(rows["corner_inside_px"], inside),
        "corner_outside_px": _mean(rows["corner_outside_px"], outside),
        "reprojection_px": _mean(rows["reprojection_px"], weights),
        "answered": _mean(rows["answered"], weights),
        "deviation_ratio": ratio / float(np.sqrt(_CHI2_MEDIAN / 3)),
        "jitter_deg": _jitter_deg(rows, weights),
        "rotation_cut_deg": _quantiles(rows["rotation_deg"], cut, 0.5)[0],
        "add_10_cut": _mean(is_add_10, cut),
    }


def cumulative(
    rows: Mapping[str, Floats], weights: Floats, limit_deg: float = 20.0, n: int = 101
) -> tuple[Floats, Floats]:
    """(n,) rotation errors in degrees from 0 to `limit_deg`, and (n,) shares of the weighted frames
    whose error is at most that; a frame without a pose never is, below 180°."""
    limits = np.linspace(0, limit_deg, n)
    shares = [_mean(rows["rotation_deg"] <= limit, weights) for limit in limits]
    return limits, np.array(shares)


def _jitter_deg(rows: Mapping[str, Floats], weights: Floats) -> float:
    found, true = (_turns(rows, names) for names in (_ROTATION, _TRUE_ROTATION))
    # The trace of Aᵀ B is the sum of their products; this runs a thousand times for an interval.
    is_flown = _angles_deg(np.trace(true, axis1=1, axis2=2)) <= FLIGHT_TURN_DEG
    bends, true_bends = (_angles_deg((turns[:-1] * turns[1:]).sum(axis=(1, 2)))
                         for turns in (found, true))  # fmt: skip
    counted = np.where(is_flown[:-1] & is_flown[1:], weights[1:-1], 0.0)
    return _mean(bends - true_bends, counted)


def _turns(rows: Mapping[str, Floats], names: tuple[str, ...]) -> Floats:
    """(N - 1, 3, 3): the turns from each frame to the next, NaN where a pose is missing."""
    rotations = np.stack([rows[name] for name in names], axis=-1).reshape(-1, 3, 3)
    return np.asarray(np.einsum("nji,njk->nik", rotations[:-1], rotations[1:]))


def _angles_deg(traces: Floats) -> Floats:
    return np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))


def _quantiles(values: Floats, weights: Floats, *shares: float) -> list[float]:
    """Those that as many repetitions as the weights say would have; where two values are as right,
    their mean. NaN if nothing that has a weight is left."""
    order = np.argsort(values)  # NaN comes last
    ordered = values[order]
    counts = np.cumsum(np.where(np.isnan(ordered), 0, weights[order]))
    if not counts.size or not counts[-1] > 0:
        return [float("nan")] * len(shares)
    at = np.multiply(shares, counts[-1])
    # A value of weight 0 adds nothing to the counts: neither side ever stops at one.
    low, high = (ordered[np.searchsorted(counts, at, side=side)] for side in ("left", "right"))
    return [float(value) for value in (low + high) / 2]


def _mean(values: NDArray[Any], weights: Floats | None = None) -> float:
    """The weighted mean of what is not NaN; NaN if nothing that has a weight is left."""
    known = ~np.isnan(values)
    counted = np.ones(known.sum()) if weights is None else weights[known]
    total = counted.sum()
    return float(counted @ values[known] / total) if total > 0 else float("nan")
