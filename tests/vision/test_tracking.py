"""Flights, smoothed: constant poses stay, noise goes, gaps are bridged, cuts are followed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.vision.pose import rotation_error_deg, translation_error
from img2img.vision.rigid import pose_of, rotation, step_between, stepped
from img2img.vision.tracking import (
    TRACKERS,
    ConstantVelocity,
    OneEuro,
    jitter_deg,
    smooth,
)

N = 300


def flight(seed: int, n: int = N) -> np.ndarray:
    """(n, 4, 4): turns by 1° to 1.5° a frame about an axis that wanders, drifts in the plane."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    across = np.cross(axis, rng.normal(size=3))
    across /= np.linalg.norm(across)
    poses = [pose_of(rotation(rng.normal(size=3)), [0, 0, 0])]
    for k in range(1, n):
        about = axis * np.cos(k / 40) + across * np.sin(k / 40)
        angle = np.radians(1.25 + 0.25 * np.sin(k / 15))
        poses.append(stepped(poses[-1], np.r_[angle * about, 0, 0, 0]))
        poses[-1][:2, 3] = 0.3 * np.sin(k / 35), 0.3 * np.cos(k / 50)
    return np.array(poses)


def noisy(truth: np.ndarray, noise_deg: float, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """The poses with a rotation error of `noise_deg` (root mean square), and its covariance."""
    rng = np.random.default_rng(seed)
    deviations = np.r_[[np.radians(noise_deg) / np.sqrt(3)] * 3, 0.001, 0.001, 0.008]
    return list(stepped(truth, rng.normal(0, deviations, (len(truth), 6)))), np.diag(deviations**2)


def stacked(poses: list[np.ndarray | None]) -> np.ndarray:
    assert all(pose is not None for pose in poses)
    return np.array(poses)


@pytest.mark.parametrize("name", TRACKERS)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_a_constant_pose_stays(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = pose_of(rotation(rng.normal(0, 2, 3)), rng.normal(0, 0.3, 3))
    root = rng.normal(0, 0.02, (6, 6))
    covariance = root @ root.T + 1e-6 * np.eye(6)
    for known in (covariance, None):
        for found in smooth([pose] * 20, [known] * 20, name):
            np.testing.assert_allclose(found, pose, atol=1e-12)


@pytest.mark.parametrize("noise_deg", [1.0, 2.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_filter_halves_the_jitter_and_is_no_worse(noise_deg: float, seed: int) -> None:
    truth = flight(seed)
    seen, covariance = noisy(truth, noise_deg, seed)
    found = smooth(seen, [covariance] * N)
    assert jitter_deg(found, truth) < 0.5 * jitter_deg(seen, truth)
    before = np.median(rotation_error_deg(np.array(seen), truth))
    after = np.median(rotation_error_deg(stacked(found), truth))
    assert after < before + 0.3
    assert after < before, "it is even better"
    assert np.median(translation_error(stacked(found), truth)) < np.median(
        translation_error(np.array(seen), truth)
    )


def test_one_euro_smooths_as_well_but_lags() -> None:
    truth = flight(3)
    seen, covariance = noisy(truth, 1.5, 3)
    found = smooth(seen, [covariance] * N, "one-euro")
    assert jitter_deg(found, truth) < 0.6 * jitter_deg(seen, truth)
    gained = np.median(rotation_error_deg(stacked(found), truth)) - np.median(
        rotation_error_deg(np.array(seen), truth)
    )
    assert gained < 0.3


def test_none_changes_nothing() -> None:
    seen, covariance = noisy(flight(0, 10), 1, 0)
    poses = [*seen[:5], None, *seen[5:]]
    found = smooth(poses, [covariance] * 11, "none")
    assert all(one is other for one, other in zip(found, poses, strict=True))


def test_missed_frames_are_bridged_by_the_filter_alone() -> None:
    truth = flight(4)
    seen, covariance = noisy(truth, 1, 4)
    gaps = {*range(50, 60), *range(100, 103), 200}
    poses = [None if k in gaps else pose for k, pose in enumerate(seen)]
    found = stacked(smooth(poses, [covariance] * N))
    errors = rotation_error_deg(found, truth)
    assert max(errors[k] for k in gaps) < 6
    assert np.median(errors) < 1
    by_one_euro = smooth(poses, [covariance] * N, "one-euro")
    assert {k for k, pose in enumerate(by_one_euro) if pose is None} == gaps


def test_a_long_gap_ends_the_flight_and_another_begins() -> None:
    truth = flight(5)
    poses = [None, None, *truth[:20], *[None] * 40, *truth[200:220]]
    found = smooth(poses, [None] * len(poses))
    n_bridged = ConstantVelocity().most_missed
    assert [k for k, pose in enumerate(found) if pose is None] == [0, 1, *range(22 + n_bridged, 62)]
    np.testing.assert_allclose(found[62], truth[200])


def test_a_wild_pose_hardly_moves_the_filter_and_a_cut_is_followed() -> None:
    truth = flight(6)
    seen, covariance = noisy(truth, 1, 6)
    seen[80] = stepped(seen[80], np.array([3.0, 0, 0, 0.2, 0, 0]))
    found = stacked(smooth(seen, [covariance] * N))
    assert rotation_error_deg(found[80], truth[80]) < 3
    assert rotation_error_deg(found[81:90], truth[81:90]).max() < 3
    other = flight(7)
    film = [*truth[:100], *other[:100]]
    cut = stacked(smooth(film, [covariance] * 200))
    assert rotation_error_deg(cut[110:], np.array(other[10:100])).max() < 3


def test_a_pose_that_is_known_badly_counts_less() -> None:
    truth = flight(8)
    seen, covariance = noisy(truth, 1, 8)
    bad = stepped(seen[90], np.array([0.2, 0, 0, 0, 0, 0]))
    errors = []
    for known in (covariance, 400 * covariance):
        found = smooth([*seen[:90], bad, *seen[91:]], [*[covariance] * 90, known,
                                                       *[covariance] * (N - 91)])  # fmt: skip
        errors.append(rotation_error_deg(stacked(found)[90], truth[90]))
    assert errors[1] < 0.6 * errors[0]


def test_the_filter_knows_how_wrong_it_is() -> None:
    """Squared errors in its own deviations: 6 if the flight were what it expects; this one is
    smoother."""
    squares = []
    for seed in range(2):
        truth = flight(seed)
        seen, covariance = noisy(truth, 1.5, seed)
        tracker = ConstantVelocity()
        for k, (pose, real) in enumerate(zip(seen, truth, strict=True)):
            found = tracker.update(pose, covariance)
            assert found is not None
            error = step_between(found, real)
            if k > 20:
                squares.append(error @ np.linalg.solve(tracker.covariance, error))
    assert 2.5 < np.mean(squares) < 7


def test_what_is_uncertain_in_the_world_stays_so_while_the_ship_turns() -> None:
    turn, wide = rotation(np.array([0, 0, np.radians(30)])), np.diag([0.05, 0.005, 0.005]) ** 2
    tracker = ConstantVelocity(first_rotation_speed=1.0)
    matrix = np.eye(3)
    for _ in range(40):
        matrix = matrix @ turn
        covariance = 1e-4 * np.eye(6)
        covariance[:3, :3] = matrix.T @ wide @ matrix
        tracker.update(pose_of(matrix, [0, 0, 0]), covariance)
    in_world = matrix @ tracker.covariance[:3, :3] @ matrix.T
    assert in_world[0, 0] > 10 * in_world[1, 1]
    assert abs(in_world[0, 1]) < 0.1 * in_world[0, 0]


def test_trackers_of_two_flights_share_nothing() -> None:
    one, other = ConstantVelocity(), ConstantVelocity()
    for pose in flight(9, 5):
        one.update(pose)
    assert other.update(None) is None
    assert OneEuro().update(None) is None


def test_jitter_is_the_second_difference_of_rotation() -> None:
    steady = [pose_of(rotation(np.array([0, 0, 0.02 * k])), [0, 0, 0]) for k in range(20)]
    assert jitter_deg(steady) == pytest.approx(0, abs=1e-5)
    rocking = [pose_of(rotation(np.array([0, 0, np.radians(k % 2)])), [0, 0, 0]) for k in range(20)]
    assert jitter_deg(rocking) == pytest.approx(2)
    assert jitter_deg(rocking, steady) == pytest.approx(2, abs=1e-5)
    assert np.isnan(jitter_deg([None, *steady[:2]]))
