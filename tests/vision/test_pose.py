"""Poses from points: exact without noise, honest about it, and not led astray."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.vision.camera import Camera
from img2img.vision.pose import (
    BOX,
    CORNERS,
    PoseFit,
    add,
    box_diameter,
    rotation_error_deg,
    rough_pose,
    solve_pose,
    translation_error,
)
from img2img.vision.rigid import pose_of, rigid_problem, rotation, step_between, stepped

SHAPES = ((512, 512), (640, 360), (300, 500), (1920, 1080))
ROUND = np.tile(np.eye(2), (8, 1, 1))


def random_pose(rng: np.random.Generator) -> np.ndarray:
    """Any rotation, and the translations of the stated frame format."""
    q = rng.normal(size=4)
    axis, angle = q[1:] / np.linalg.norm(q[1:]), 2 * np.arctan2(np.linalg.norm(q[1:]), q[0])
    return pose_of(rotation(axis * angle), [*rng.uniform(-0.47, 0.47, 2), 0])


def error_deg(fit: PoseFit, truth: np.ndarray) -> float:
    return 180.0 if fit.pose is None else float(rotation_error_deg(fit.pose, truth))


def test_the_corners_are_in_the_stated_order() -> None:
    x, y, z = (-0.156, 0.156), (-0.182, 0.163), (-0.032, 0.034)
    assert CORNERS.tolist() == [[a, b, c] for c in z for b in y for a in x]
    assert box_diameter() == pytest.approx(np.linalg.norm(BOX[1] - BOX[0]))


@pytest.mark.parametrize("size", SHAPES, ids=str)
def test_perfect_points_give_the_pose(size: tuple[int, int]) -> None:
    rng, camera = np.random.default_rng(size[0]), Camera.default(*size)
    for _ in range(250):
        truth = random_pose(rng)
        fit = solve_pose(camera.project(CORNERS, truth), camera)
        assert error_deg(fit, truth) < 0.01
        assert fit.pose is not None
        assert translation_error(fit.pose, truth) < 1e-6
        assert not fit.ambiguous
        assert fit.inliers.all()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_any_camera_and_any_object_are_served(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = [[rng.uniform(250, 600), 0, 170], [0, rng.uniform(250, 600), 110], [0, 0, 1]]
    lens = (-0.15, 0.03, *rng.uniform(-0.002, 0.002, 2))
    plain = Camera.from_matrix(matrix, lens, width=320, height=240)
    turn = pose_of(rotation(rng.normal(0, 1, 3)), rng.normal(0, 1, 3))
    camera = Camera.from_array(np.r_[plain.to_array()[:6], turn.ravel(), lens])
    model = rng.normal(0, 0.3, (12, 3))
    in_view = pose_of(rotation(rng.normal(0, 2, 3)), [*rng.uniform(-0.2, 0.2, 2), -3])
    truth = np.linalg.inv(turn) @ in_view
    fit = solve_pose(camera.project(model, truth), camera, model=model)
    assert error_deg(fit, truth) < 0.01
    assert fit.pose is not None
    assert add(fit.pose, truth, model) < 1e-5


def test_a_pixel_of_noise_costs_half_a_degree() -> None:
    rng, camera, errors = np.random.default_rng(1), Camera.default(512, 512), []
    for _ in range(120):
        truth = random_pose(rng)
        points = camera.project(CORNERS, truth) + rng.normal(0, 1, (8, 2))
        errors.append(error_deg(solve_pose(points, camera), truth))
    assert 0.35 < np.median(errors) < 0.6
    assert max(errors) < 6


def test_weights_and_covariances_count() -> None:
    """Points that are known to be bad hurt less than if they were thought good."""
    rng, camera = np.random.default_rng(2), Camera.default(512, 512)
    deviation = np.array([0.3, 0.3, 0.3, 0.3, 0.3, 3, 3, 3])
    covariance = ROUND * deviation[:, None, None] ** 2
    found: dict[str, list[float]] = {"plain": [], "covariance": [], "confidence": []}
    ways: dict[str, dict[str, np.ndarray]] = {
        "plain": {},
        "covariance": {"covariance": covariance},
        "confidence": {"confidence": (0.3 / deviation) ** 2 + 0.05},
    }
    for _ in range(40):
        truth = random_pose(rng)
        points = camera.project(CORNERS, truth) + rng.normal(0, 1, (8, 2)) * deviation[:, None]
        for name, known in ways.items():
            found[name].append(error_deg(solve_pose(points, camera, **known), truth))
    plain, covariances, confidences = (np.median(errors) for errors in found.values())
    assert covariances < 0.5 * plain
    assert confidences < 0.6 * plain


def test_a_direction_that_is_uncertain_counts_less() -> None:
    """Noise along one diagonal, known as such."""
    rng, camera = np.random.default_rng(3), Camera.default(512, 512)
    axis = np.array([1, 1]) / np.sqrt(2)
    covariance = np.tile(16 * np.outer(axis, axis) + 0.04 * np.eye(2), (8, 1, 1))
    known, unknown = [], []
    for _ in range(40):
        truth = random_pose(rng)
        noise = rng.normal(0, 4, (8, 1)) * axis + rng.normal(0, 0.2, (8, 2))
        points = camera.project(CORNERS, truth) + noise
        known.append(error_deg(solve_pose(points, camera, covariance=covariance), truth))
        unknown.append(error_deg(solve_pose(points, camera, covariance=8 * ROUND), truth))
    assert np.median(known) < 0.6 * np.median(unknown)


@pytest.mark.parametrize("seed", range(3))
def test_the_covariance_predicts_the_scatter_of_noisy_solves(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera, truth = Camera.default(512, 400), random_pose(rng)
    roots = rng.normal(0, 0.8, (8, 2, 2)) + 0.7 * np.eye(2)
    covariance = roots @ roots.transpose(0, 2, 1)
    clean = camera.project(CORNERS, truth)
    stated = solve_pose(clean, camera, covariance=covariance).covariance
    steps, told = [], []
    for _ in range(100):
        points = clean + (roots @ rng.normal(0, 1, (8, 2, 1)))[..., 0]
        fit = solve_pose(points, camera, covariance=covariance)
        assert fit.pose is not None
        steps.append(step_between(truth, fit.pose))
        told.append(fit.rotation_deviation_deg)
    scatter = np.cov(np.array(steps).T)
    ratios = np.sqrt(np.diag(stated) / np.diag(scatter))
    assert (ratios > 0.5).all()
    assert (ratios < 2).all()
    # In its own directions, too.
    axes = np.linalg.cholesky(np.linalg.inv(stated))
    spread = np.sqrt(np.linalg.eigvalsh(axes.T @ scatter @ axes))
    assert (spread > 0.5).all()
    assert (spread < 2).all()
    angle = np.degrees(np.sqrt(np.square(np.array(steps)[:, :3]).sum(axis=1).mean()))
    assert 0.5 < np.median(told) / angle < 2


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), far=st.floats(0, 2 * np.pi), corner=st.integers(0, 7))
def test_one_corner_far_off_moves_the_pose_by_less_than_a_degree(
    seed: int, far: float, corner: int
) -> None:
    rng, camera = np.random.default_rng(seed), Camera.default(512, 512)
    truth = random_pose(rng)
    points = camera.project(CORNERS, truth) + rng.normal(0, 0.1, (8, 2))
    without = points.copy()
    without[corner] = np.nan
    points[corner] += 50 * np.array([np.cos(far), np.sin(far)])
    fit = solve_pose(points, camera)
    assert error_deg(fit, truth) < 1
    assert not fit.inliers[corner]
    alone = solve_pose(without, camera)
    assert alone.pose is not None
    assert error_deg(fit, alone.pose) < 1e-3


def test_two_outliers_are_found_out_and_worse_noise_than_stated_is_none() -> None:
    rng, camera, errors, worse = np.random.default_rng(5), Camera.default(512, 512), [], []
    for _ in range(25):
        truth = random_pose(rng)
        clean = camera.project(CORNERS, truth)
        points = clean + rng.normal(0, 0.3, (8, 2))
        points[rng.permutation(8)[:2]] += [[60, -20], [-35, 50]]
        errors.append(error_deg(solve_pose(points, camera), truth))
        noisy = solve_pose(clean + rng.normal(0, 3, (8, 2)), camera)
        worse.append((error_deg(noisy, truth), noisy.inliers.sum(), noisy.rotation_deviation_deg))
    assert np.quantile(errors, 0.9) < 2
    found = np.array(worse)
    assert np.median(found[:, 0]) < 4
    assert np.mean(found[:, 1] >= 7) > 0.6
    assert 0.5 < np.median(found[:, 2]) / np.sqrt(np.mean(found[:, 0] ** 2)) < 2


def test_the_mirrored_pose_of_a_flat_view_is_told() -> None:
    """Four corners of one face, small and far: two poses fit, and one of them is right."""
    rng, camera, n_ambiguous, n_swapped = np.random.default_rng(6), Camera.default(512, 512), 0, 0
    small = 0.25 * CORNERS
    for _ in range(60):
        truth = random_pose(rng)
        points = camera.project(small, truth) + rng.normal(0, 1, (8, 2))
        points[4:] = np.nan
        fit = solve_pose(points, camera, model=small)
        if fit.pose is None or not fit.ambiguous:
            continue
        n_ambiguous += 1
        assert fit.second is not None
        assert rigid_problem(fit.second) is None
        assert rotation_error_deg(fit.second, fit.pose) > 5
        best, second = error_deg(fit, truth), float(rotation_error_deg(fit.second, truth))
        n_swapped += second < best
        assert min(best, second) < 6 * fit.rotation_deviation_deg
    assert n_ambiguous > 15
    assert n_swapped > 3, "else the second pose were worth nothing"


def test_a_view_that_is_told_unambiguous_is_not_mirrored() -> None:
    rng, camera = np.random.default_rng(7), Camera.default(256, 256)
    for _ in range(40):
        truth = random_pose(rng)
        points = camera.project(CORNERS, truth) + rng.normal(0, 2, (8, 2))
        fit = solve_pose(points, camera, covariance=4 * ROUND)
        assert fit.ambiguous or error_deg(fit, truth) < 30


def _corners() -> tuple[np.ndarray, Camera]:
    camera = Camera.default(256, 256)
    return camera.project(CORNERS, random_pose(np.random.default_rng(0))), camera


def test_no_pose_comes_with_a_reason() -> None:
    points, camera = _corners()
    line = np.linspace(0, 100, 8)[:, None] * [1.0, 0.5]
    three = points.copy()
    three[3:] = np.nan
    refused = {
        "3 points can be used; a pose needs 4": solve_pose(three, camera),
        "0 points can be used": solve_pose(points, camera, confidence=np.zeros(8)),
        "0 points": solve_pose(points, camera, covariance=-ROUND),
        "one spot": solve_pose(np.full((8, 2), 99.0), camera),
        "no pose fits": solve_pose(line, camera),
        "rotation open": solve_pose(points, camera, covariance=1e6 * ROUND),
    }
    for words, fit in refused.items():
        assert fit.pose is None
        assert fit.second is None
        assert not fit.ambiguous
        assert words in str(fit.reason)
    assert solve_pose(points * np.inf, camera).reason == solve_pose(points * np.nan, camera).reason


def test_random_points_hardly_ever_have_a_pose() -> None:
    rng, camera = np.random.default_rng(8), Camera.default(256, 256)
    fits = [solve_pose(rng.uniform(0, 256, (8, 2)), camera) for _ in range(40)]
    assert sum(fit.pose is None for fit in fits) >= 30
    assert all((fit.pose is None) == bool(fit.reason) for fit in fits)


def test_four_points_are_enough_and_the_others_may_lie_outside_the_picture() -> None:
    camera = Camera.default(256, 256)
    truth = pose_of(rotation(np.array([0.5, -0.3, 1.0])), [0.45, 0.4, 0])
    points = camera.project(CORNERS, truth)
    assert (points > 256).any()
    fit = solve_pose(points, camera, confidence=np.array([1, 0, 0, 1, 0, 1, 1, 0]))
    assert error_deg(fit, truth) < 0.01
    assert fit.inliers.tolist() == [True, False, False, True, False, True, True, False]


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), angle=st.floats(0, 180))
def test_errors_are_what_was_done(seed: int, angle: float) -> None:
    rng = np.random.default_rng(seed)
    pose, axis = random_pose(rng), rng.normal(size=3)
    turned = stepped(pose, np.r_[np.radians(angle) * axis / np.linalg.norm(axis), 0, 0, 0])
    assert rotation_error_deg(pose, turned) == pytest.approx(angle, abs=1e-5)
    assert translation_error(pose, turned) == 0
    moved = stepped(pose, np.array([0, 0, 0, 0.3, 0, 0.4]))
    assert translation_error(pose, moved) == pytest.approx(0.5)
    assert add(pose, moved) == pytest.approx(0.5)
    both = np.stack([turned, moved])
    np.testing.assert_allclose(add(both, pose), [add(turned, pose), add(moved, pose)])
    np.testing.assert_allclose(rotation_error_deg(both, pose), [angle, 0], atol=1e-5)


REAL = {
    "look_1.png": {2: (19.5, 2.1), 6: (18.7, 10.5), 0: (75.5, 49.1), 4: (72.4, 54.2),
                   5: (36.8, 95.5)},
    "look_2.png": {2: (138.2, 130.8), 6: (125.0, 132.4), 0: (160.5, 142.3), 4: (149.8, 143.1),
                   5: (156.4, 201.6), 1: (168.7, 201.7), 7: (129.9, 207.8)},
    "look_3.png": {3: (22.0, 21.2), 7: (9.6, 22.8), 2: (56.7, 57.4), 6: (46.6, 59.1),
                   1: (6.3, 94.5), 4: (37.6, 115.9), 0: (48.4, 115.1)},
}  # fmt: skip
"""Red dots in the reference views of 209 × 209 pixels, by corner."""


@pytest.mark.parametrize("name", REAL)
def test_dots_on_real_frames_are_the_box_in_the_stated_world(name: str) -> None:
    """The frame of reference is that of the original frames: the ship lies in the plane z = 0 and
    all dots fit. (Which corner is which was seen from nose and wings.)"""
    points = np.full((8, 2), np.nan)
    for corner, dot in REAL[name].items():
        points[corner] = dot
    fit = solve_pose(points, Camera.default(209, 209))
    assert fit.pose is not None, fit.reason
    assert fit.reprojection_px < 0.5
    assert abs(fit.pose[2, 3]) < 0.02
    assert np.abs(fit.pose[:2, 3]).max() < 0.47


def test_a_rough_pose_stays_near_where_a_point_is_far_off() -> None:
    camera = Camera.default(256, 256)
    rng = np.random.default_rng(0)
    turned = []
    for _ in range(40):
        truth = pose_of(rotation(rng.normal(size=3)), np.r_[rng.uniform(-0.3, 0.3, 2), 0])
        points = camera.project(CORNERS, truth) + rng.normal(0, 1, (8, 2))
        points[rng.integers(8)] += 25
        found = rough_pose(points, camera)
        assert found is not None
        turned.append(float(rotation_error_deg(found, truth)))
    assert np.median(turned) < 5
    assert rough_pose(np.full((8, 2), np.nan), camera) is None
