"""Measures of poses against numbers worked out by hand, simulations, and laws that they keep."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.vision.camera import Camera
from img2img.vision.pose import CORNERS, box_diameter, rotation_error_deg
from img2img.vision.pose_metrics import FARTHEST, METRICS, cumulative, row, summarise
from img2img.vision.rigid import pose_of, rotation, stepped
from img2img.vision.tracking import jitter_deg

CAMERA = Camera.default(256, 256)
TRUTH = pose_of(rotation(np.array([0.3, -0.2, 0.5])), [0.1, 0.2, 0])
NOTHING = np.full((8, 2), np.nan)
NOT_TOLD_WITHOUT_ANSWER = {
    "nmae", "corner_px", "corner_inside_px", "corner_outside_px", "reprojection_px",
    "deviation_ratio", "jitter_deg", "rotation_cut_deg", "add_10_cut",
}  # fmt: skip


def _row(
    pose: np.ndarray | None,
    *,
    truth: np.ndarray = TRUTH,
    moved: object = 0.0,
    camera: Camera = CAMERA,
    deviation_deg: float = 1.0,
    visible: float | None = None,
) -> dict[str, float]:
    """Of a frame whose corners were found `moved` pixels from the true ones."""
    corners = camera.project(CORNERS, truth)
    return row(
        points=corners + np.asarray(moved), pose=pose, rotation_deviation_deg=deviation_deg,
        truth_points=corners, truth_pose=truth, camera=camera, visible=visible,
    )  # fmt: skip


def _off(degrees: float = 0.0, shift: Sequence[float] = (0, 0, 0)) -> np.ndarray:
    """(4, 4): the truth turned about its z axis, and moved."""
    return stepped(TRUTH, np.array([0, 0, np.radians(degrees), *shift]))


def _missed(**options: object) -> dict[str, float]:
    return _row(None, moved=NOTHING, **options)  # type: ignore[arg-type]


def _table(*rows: dict[str, float]) -> dict[str, np.ndarray]:
    return {name: np.array([one[name] for one in rows]) for name in rows[0]}


def _metrics(*rows: dict[str, float], weights: Sequence[float] | None = None) -> dict[str, float]:
    return summarise(_table(*rows), np.array(weights or [1.0] * len(rows)))


def test_truth_is_perfect() -> None:
    metrics = _metrics(_row(TRUTH, visible=0.3))
    perfect = dict.fromkeys(("within_5deg_5pct", "add_10", "add_05", "pck_5px", "answered",
                             "add_10_cut"), 1)  # fmt: skip
    unknown = {"corner_outside_px": np.nan, "jitter_deg": np.nan}
    assert tuple(metrics) == METRICS
    expected = {name: {**perfect, **unknown}.get(name, 0) for name in METRICS}
    assert metrics == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_rotation_and_translation_by_hand() -> None:
    errors = ((1, 0.01), (2, 0.02), (4, 0.03), (6, 0.04), (170, 0.5))
    rows = [_row(_off(degrees, (0, 0, shift))) for degrees, shift in errors]
    metrics = _metrics(*rows)
    assert metrics["rotation_deg"] == pytest.approx(4)
    assert metrics["rotation_p90_deg"] == pytest.approx(170)
    assert metrics["translation"] == pytest.approx(0.03)
    assert metrics["translation_p90"] == pytest.approx(0.5)
    assert metrics["within_5deg_5pct"] == pytest.approx(3 / 5)
    assert _metrics(*rows[:4])["rotation_deg"] == pytest.approx(3), "between 2 and 4"
    assert _metrics(*rows * 2)["rotation_p90_deg"] == pytest.approx(170), "the 9th of 10"


def test_the_limit_of_translation_goes_with_the_distance_of_the_camera() -> None:
    # The camera stands at z = 1: the ship is √(0.1² + 0.2² + 1) = 1.0247 away.
    far = 1.0247 * 0.05
    near, beyond = (_metrics(_row(_off(4.9, (0, 0, far + gap)))) for gap in (-1e-3, 1e-3))
    assert (near["within_5deg_5pct"], beyond["within_5deg_5pct"]) == (1, 0)
    assert _metrics(_row(_off(5.1)))["within_5deg_5pct"] == 0


def test_add_is_set_against_the_diameter_of_the_box() -> None:
    shares = [_metrics(_row(_off(0, (share * box_diameter(), 0, 0))))
              for share in (0.049, 0.051, 0.099, 0.101)]  # fmt: skip
    assert [one["add_05"] for one in shares] == [1, 0, 0, 0]
    assert [one["add_10"] for one in shares] == [1, 1, 1, 0]


def test_corners_by_hand() -> None:
    camera = Camera.default(512, 256)
    truth = pose_of(np.eye(3), [0, 0.3, 0])
    y = camera.project(CORNERS, truth)[:, 1]
    is_out = y < -0.5
    assert is_out.sum() == 4
    # 10 px is the limit where the longer side is 512: three corners inside keep it, one does not.
    moved = np.where(is_out, 30.0, 10.0)[:, None] * [0.6, -0.8]
    moved[np.flatnonzero(~is_out)[0]] = (0, 11)
    metrics = _metrics(_row(truth, truth=truth, moved=moved * (1 - 1e-9), camera=camera))
    assert metrics["pck_5px"] == pytest.approx(3 / 8)
    assert metrics["corner_inside_px"] == pytest.approx((3 * 10 + 11) / 4)
    assert metrics["corner_outside_px"] == pytest.approx(30)
    assert metrics["corner_px"] == pytest.approx((3 * 10 + 11 + 4 * 30) / 8)
    assert metrics["nmae"] == pytest.approx((3 * 14 + 11 + 4 * 42) / 16 / 512)
    assert metrics["reprojection_px"] == pytest.approx(0, abs=1e-9), "the pose is right"


def test_missing_corners_are_misses_and_count_nowhere_else() -> None:
    moved = np.tile([3.0, 4.0], (8, 1))
    moved[:6] = np.nan
    metrics = _metrics(_row(TRUTH, moved=moved), _row(TRUTH, moved=1.0))
    assert metrics["pck_5px"] == pytest.approx((2 / 8 + 1) / 2)
    assert metrics["corner_px"] == pytest.approx((2 * 5 + 8 * np.sqrt(2)) / 10)
    assert metrics["nmae"] == pytest.approx((2 * 3.5 + 8) / 10 / 256)


def test_reprojection_is_against_the_true_corners() -> None:
    truth = pose_of(np.eye(3), [0, 0, 0.5])
    corners = CAMERA.project(CORNERS, truth)
    aside = pose_of(np.eye(3), [0.01, 0, 0.5])
    expected = np.linalg.norm(CAMERA.project(CORNERS, aside) - corners, axis=1).mean()
    found = _metrics(_row(aside, truth=truth, moved=7.0))
    assert found["reprojection_px"] == pytest.approx(expected)
    assert found["reprojection_px"] == pytest.approx(0.01 * CAMERA.fx / 0.5, rel=0.01)


def test_a_missing_pose_is_as_wrong_as_can_be() -> None:
    alone = _metrics(_missed())
    assert {name for name, value in alone.items() if np.isnan(value)} == NOT_TOLD_WITHOUT_ANSWER
    assert (alone["rotation_deg"], alone["translation"]) == (180, FARTHEST)
    shares = ("within_5deg_5pct", "add_10", "add_05", "pck_5px", "answered")
    assert [alone[name] for name in shares] == [0] * 5
    beside = _metrics(_missed(), _row(_off(2)), _row(_off(1)))
    assert beside["rotation_deg"] == pytest.approx(2)
    assert beside["rotation_p90_deg"] == 180
    assert beside["answered"] == beside["add_10"] == pytest.approx(2 / 3)
    assert _metrics(_row(_off(0, (9, 0, 0))))["translation"] == FARTHEST, "no farther than missing"
    assert _metrics(_row(None))["corner_px"] == 0, "corners may be found where no pose is"


def test_cut_frames_are_also_told_by_themselves() -> None:
    rows = (_row(_off(1), visible=1), _row(_off(10), visible=0.49), _row(_off(3), visible=0.5))
    metrics = _metrics(*rows, _row(_off(1)), _missed(visible=0.1))
    assert metrics["rotation_deg"] == pytest.approx(3)
    assert metrics["rotation_cut_deg"] == pytest.approx(95), "10 and 180"
    assert metrics["add_10_cut"] == pytest.approx(0.5)
    assert np.isnan(_metrics(rows[0])["rotation_cut_deg"])


def _ratio(axes_deg: Sequence[float], *, stated: float = 1.0, n_wild: int = 0) -> float:
    """Of 20,000 rotations with Gaussian errors of these deviations, `stated` times which is told:
    through columns, since as many rows take half a minute."""
    steps = np.zeros((20_000, 6))
    steps[:, :3] = np.radians(np.random.default_rng(0).normal(0, axes_deg, (len(steps), 3)))
    steps[:n_wild, :3] = (0, 0, np.pi)
    errors = rotation_error_deg(stepped(np.tile(TRUTH, (len(steps), 1, 1)), steps), TRUTH)
    columns = {name: np.full(len(steps), value) for name, value in _row(TRUTH).items()}
    columns["stated_ratio"] = errors / (stated * np.linalg.norm(axes_deg))
    return summarise(columns, np.ones(len(steps)))["deviation_ratio"]


def test_right_deviations_have_a_ratio_of_1() -> None:
    assert _row(_off(3), deviation_deg=1.5)["stated_ratio"] == pytest.approx(2)
    assert _ratio([2, 2, 2]) == pytest.approx(1, abs=0.01)
    assert _ratio([2, 2, 2], stated=0.5) == pytest.approx(2, abs=0.02), "too sure"
    assert _ratio([2, 2, 2], n_wild=600) == pytest.approx(1.02, abs=0.02), "flips do not rule"
    assert _ratio([4, 0, 0]) == pytest.approx(0.76, abs=0.01)


@pytest.mark.parametrize("deviation_deg", [np.nan, 0.0])
def test_a_deviation_that_is_none_tells_nothing(deviation_deg: float) -> None:
    assert np.isnan(_metrics(_row(_off(1), deviation_deg=deviation_deg))["deviation_ratio"])


# ---- flights


def _flight(n: int = 40, step_deg: float = 1.3, seed: int = 0) -> np.ndarray:
    """(n, 4, 4): turns by `step_deg` a frame about an axis that wanders."""
    rng = np.random.default_rng(seed)
    poses = [pose_of(rotation(rng.normal(size=3)), [0, 0, 0])]
    for k in range(1, n):
        axis = np.array([np.cos(k / 9), np.sin(k / 9), 0.2]) / np.hypot(1, 0.2)
        poses.append(stepped(poses[-1], np.r_[np.radians(step_deg) * axis, 0, 0, 0]))
    return np.array(poses)


def _shaken(poses: np.ndarray, noise_deg: float = 0.5) -> np.ndarray:
    steps = np.zeros((len(poses), 6))
    steps[:, :3] = np.random.default_rng(1).normal(0, np.radians(noise_deg), (len(poses), 3))
    return stepped(poses, steps)


def _rows_of(found: Iterable[np.ndarray | None], truth: np.ndarray) -> list[dict[str, float]]:
    return [_row(pose, truth=true) for pose, true in zip(found, truth, strict=True)]


def test_jitter_is_that_of_trackers() -> None:
    truth = _flight()
    found = _shaken(truth)
    metrics = _metrics(*_rows_of(found, truth))
    assert metrics["jitter_deg"] == pytest.approx(jitter_deg(list(found), list(truth)), abs=1e-4)
    assert metrics["jitter_deg"] > 0.5
    assert _metrics(*_rows_of(truth, truth))["jitter_deg"] == pytest.approx(0, abs=1e-5)
    assert _metrics(*_rows_of([TRUTH] * 40, truth))["jitter_deg"] < 0, "smoother than the truth"


def test_rotations_that_files_rounded_do_not_jitter() -> None:
    truth = _flight()
    assert abs(_metrics(*_rows_of(truth.round(5), truth))["jitter_deg"]) < 1e-3


def test_jitter_is_of_flights_alone() -> None:
    one, other = _flight(seed=0), _flight(seed=5)
    rows, others = _rows_of(_shaken(one), one), _rows_of(_shaken(other), other)
    n = len(one) - 2
    joined = (n * _metrics(*rows)["jitter_deg"] + n * _metrics(*others)["jitter_deg"]) / (2 * n)
    assert _metrics(*rows, *others)["jitter_deg"] == pytest.approx(joined), "none across the cut"
    assert np.isnan(_metrics(*rows[:2])["jitter_deg"])
    wild = _flight(step_deg=5.1)
    assert np.isnan(_metrics(*_rows_of(_shaken(wild), wild))["jitter_deg"])
    still_flying = _flight(step_deg=4.9)
    assert _metrics(*_rows_of(_shaken(still_flying), still_flying))["jitter_deg"] > 0.5


def test_jitter_leaves_out_missing_poses_and_weighs_by_the_middle_frame() -> None:
    truth = _flight(9)
    found = list(_shaken(truth))
    single = [_metrics(*_rows_of(found[k - 1 : k + 2], truth[k - 1 : k + 2]))["jitter_deg"]
              for k in range(1, 8)]  # fmt: skip
    weights = np.array([5.0, 1, 0, 2, 3, 0, 1, 1, 7])
    weighted = _metrics(*_rows_of(found, truth), weights=weights.tolist())["jitter_deg"]
    assert weighted == pytest.approx(weights[1:-1] @ single / weights[1:-1].sum())
    gap = _metrics(*_rows_of([*found[:4], None, *found[5:]], truth))["jitter_deg"]
    assert gap == pytest.approx(np.mean([*single[:2], *single[5:]])), "frames 3, 4 and 5 are out"


# ---- laws


def _random_rows(seed: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(rng.integers(1, 8)):
        truth = pose_of(rotation(rng.normal(0, 2, 3)), [*rng.uniform(-0.47, 0.47, 2), 0])
        found = stepped(truth, rng.normal(0, 0.05, 6)) if rng.random() < 0.7 else None
        moved = np.where(rng.random((8, 1)) < 0.2, np.nan, rng.normal(0, 5, (8, 2)))
        visible = float(rng.random()) if rng.random() < 0.8 else None
        rows.append(_row(found, truth=truth, moved=moved, visible=visible))
    return rows


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_weights_are_repetitions(seed: int) -> None:
    rows = _random_rows(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(rows))
    metrics = _metrics(*rows, weights=weights.astype(float).tolist())
    assert not np.isinf(list(metrics.values())).any()
    repeated = [one for one, weight in zip(rows, weights, strict=True) for _ in range(weight)]
    expected = _metrics(*repeated) if repeated else dict.fromkeys(METRICS, np.nan)
    # A frame that is repeated is a flight that stands still.
    del metrics["jitter_deg"], expected["jitter_deg"]
    assert metrics == pytest.approx(expected, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_quantiles_are_numpys_of_repeated_frames(seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors, weights = rng.uniform(0, 179, 6), rng.integers(0, 4, 6)
    weights[0] = 1
    metrics = _metrics(*(_row(_off(e)) for e in errors), weights=weights.astype(float).tolist())
    repeated = np.repeat(errors, weights)
    for name, share in (("rotation_deg", 0.5), ("rotation_p90_deg", 0.9)):
        expected = np.quantile(repeated, share, method="averaged_inverted_cdf")
        assert metrics[name] == pytest.approx(expected)


def test_the_cumulative_curve() -> None:
    rows = _table(*(_row(_off(degrees)) for degrees in (0.5, 3.01, 25)), _missed())
    limits, shares = cumulative(rows, np.array([1.0, 2, 0, 1]))
    assert limits.shape == shares.shape == (101,)
    assert (limits[0], limits[-1]) == (0, 20)
    assert shares[[0, 2, 3, 15, 16, 100]].tolist() == [0, 0, 0.25, 0.25, 0.75, 0.75]
