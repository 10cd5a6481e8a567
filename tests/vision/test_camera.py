"""Cameras: where their numbers come from, that they lead back, and when two disagree."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.errors import DataError
from img2img.vision.camera import DEFAULT_FOCAL, Camera
from img2img.vision.rigid import pose_of, rotation

PROJECTION = np.array([[1.9444443, 0, 0, 0], [0, 1.9444443, 0, 0], [0, 0, -1.002002, -0.2002002],
                       [0, 0, -1, 0]])  # fmt: skip
VIEW = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -1], [0, 0, 0, 1]])
FIELD_DEG = float(np.degrees(2 * np.arctan(1 / DEFAULT_FOCAL)))
LENSES = (
    (),
    (-0.2, 0.05, 0.001, -0.002),
    (-0.28, 0.09, 0.0005, 0.0003, -0.01),
    (0.1, 0.02, 0, 0, 0.001, 0.11, 0.01, 0.002),
    (-0.1, 0.01, 0.001, 0.001, 0, 0.02, 0, 0, 0.001, -0.002, 0.002, 0.001),
)

sizes = st.tuples(st.integers(16, 2000), st.integers(16, 2000))


def by_opengl(points: np.ndarray, pose: np.ndarray, width: int, height: int) -> np.ndarray:
    """The stated formula, word for word, less half a pixel."""
    clip = (PROJECTION @ VIEW @ pose @ np.c_[points, np.ones(len(points))].T).T
    ndc = clip[:, :2] / clip[:, 3:]
    edges = np.c_[(ndc[:, 0] + 1) / 2 * width, (1 - ndc[:, 1]) / 2 * height]
    return edges - 0.5


@settings(deadline=None, max_examples=60)
@given(size=sizes, seed=st.integers(0, 10_000))
def test_the_projection_matrix_gives_the_pixels_of_the_stated_formula(
    size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pose = pose_of(rotation(rng.normal(0, 2, 3)), rng.uniform(-0.4, 0.4, 3))
    points = rng.uniform(-0.2, 0.2, (8, 3))
    width, height = size
    camera = Camera.from_projection(PROJECTION, width=width, height=height)
    expected = by_opengl(points, pose, width, height)
    np.testing.assert_allclose(camera.project(points, pose), expected, atol=1e-6)
    assert (camera.fx, camera.fy) == pytest.approx(
        (DEFAULT_FOCAL * width / 2, 1.9444443 * height / 2)
    )


def test_a_square_frame_has_the_stated_intrinsics_by_every_way_that_states_them() -> None:
    ways = [
        Camera.default(256, 256),
        Camera.from_projection(PROJECTION, width=256, height=256),
        Camera.from_focal_length(35, (36, 36), width=256, height=256),
        Camera.from_field_of_view(FIELD_DEG, width=256, height=256),
        Camera.from_matrix([[248.88887, 0, 127.5], [0, 248.88887, 127.5], [0, 0, 1]],
                           width=256, height=256),
    ]  # fmt: skip
    for camera in ways:
        assert (camera.fx, camera.fy) == pytest.approx((1.9444443 * 128,) * 2, abs=1e-4)
        assert (camera.cx, camera.cy) == (127.5, 127.5)
        assert Camera.agreeing(ways[0], camera) is ways[0]
        assert camera.source


def test_other_shapes_have_the_right_pair() -> None:
    default = Camera.default(640, 480)
    assert default.fx == default.fy == pytest.approx(1.9444443 * 320)
    assert (default.cx, default.cy) == (319.5, 239.5)
    lens = Camera.from_focal_length(24, (36, 24), width=600, height=400)
    assert (lens.fx, lens.fy) == pytest.approx((400, 400))
    tall = Camera.from_field_of_view(90, "vertical", width=300, height=500)
    assert tall.fx == tall.fy == pytest.approx(250)
    slanted = Camera.from_field_of_view(90, "diagonal", width=300, height=400)
    assert slanted.fx == pytest.approx(250)


def test_an_off_centre_projection_moves_the_centre_as_opengl_does() -> None:
    shifted = PROJECTION.copy()
    shifted[0, 2], shifted[1, 2] = 0.2, -0.1
    camera = Camera.from_projection(shifted, width=200, height=100)
    # ndc of a point straight ahead is −0.2 and 0.1: to the left, and up.
    assert (camera.cx, camera.cy) == pytest.approx((0.8 * 100 - 0.5, 0.9 * 50 - 0.5))


def test_the_camera_stands_at_z_1_and_looks_down_with_y_up() -> None:
    camera = Camera.default(256, 256)
    points = np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.5], [0, 0, 1.5]])
    found = camera.project(points, np.eye(4))
    np.testing.assert_allclose(found[0], 127.5)
    np.testing.assert_allclose(found[1] - found[0], [24.888887, 0], atol=1e-6)
    np.testing.assert_allclose(found[2] - found[0], [0, -24.888887], atol=1e-6)
    np.testing.assert_allclose(found[3], 127.5)
    assert np.isnan(found[4]).all(), "behind the camera"


@pytest.mark.parametrize("lens", LENSES, ids=len)
@settings(deadline=None, max_examples=30)
@given(size=sizes, seed=st.integers(0, 10_000))
def test_points_come_back_from_their_pixels(
    lens: tuple[float, ...], size: tuple[int, int], seed: int
) -> None:
    width, height = size
    focal = 1.2 * max(size)
    camera = Camera.from_matrix(
        [[focal, 0, width * 0.48], [0, focal * 1.01, height * 0.53], [0, 0, 1]], lens,
        width=width, height=height,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0, 1, (20, 2)) * [width, height]
    depth = rng.uniform(0.5, 3, 20)
    world = camera.unproject(pixels, depth)
    np.testing.assert_allclose(camera.project(world, np.eye(4)), pixels, atol=1e-5)
    expected, _ = cv2.projectPoints(
        world, cv2.Rodrigues(camera.from_world[:3, :3])[0], camera.from_world[:3, 3],
        camera.matrix, np.array(lens) if lens else None,
    )  # fmt: skip
    np.testing.assert_allclose(camera.project(world, np.eye(4)), expected[:, 0], atol=1e-6)
    same = Camera.from_array(camera.to_array(), camera.source)
    assert same == camera


@pytest.mark.parametrize("lens", LENSES, ids=len)
def test_the_slope_of_normalised_points_is_that_of_differences(lens: tuple[float, ...]) -> None:
    camera = Camera.from_matrix(
        [[300, 0, 160], [0, 310, 120], [0, 0, 1]], lens, width=320, height=240
    )
    pixels = np.array([[10.0, 20], [160, 120], [300, 200]])
    slope = camera.normalised_slope(camera.normalised(pixels))
    for axis in range(2):
        step = 1e-3 * np.eye(2)[axis]
        moved = camera.normalised(pixels + step) - camera.normalised(pixels - step)
        np.testing.assert_allclose(slope[..., axis], moved / 2e-3, rtol=1e-4, atol=1e-9)


def test_many_poses_are_projected_at_once() -> None:
    camera, rng = Camera.default(300, 200), np.random.default_rng(0)
    points = rng.normal(0, 0.1, (8, 3))
    poses = np.stack([pose_of(rotation(rng.normal(0, 1, 3)), rng.normal(0, 0.1, 3))
                      for _ in range(5)])  # fmt: skip
    together = camera.project(points, poses)
    assert together.shape == (5, 8, 2)
    for pose, pixels in zip(poses, together, strict=True):
        np.testing.assert_allclose(camera.project(points, pose), pixels)
        np.testing.assert_allclose(camera.project(points[0], pose), pixels[0])


def test_a_distortion_that_folds_the_picture_is_refused() -> None:
    matrix = [[150, 0, 127.5], [0, 150, 127.5], [0, 0, 1]]
    with pytest.raises(DataError, match=r"distortion \(-0.9, 0, 0, 0\) cannot be undone"):
        Camera.from_matrix(matrix, (-0.9, 0, 0, 0), width=256, height=256)


def test_points_far_outside_do_not_fold_back_into_the_picture() -> None:
    camera = Camera.from_matrix(
        [[250, 0, 127.5], [0, 250, 127.5], [0, 0, 1]], (-0.2, 0, 0, 0), width=256, height=256
    )
    far = camera.unproject(np.array([[127.5, 127.5]]))[0] + [1.6, 0, 0]
    assert np.isnan(camera.project(far, np.eye(4))).all()
    assert np.isnan(camera.normalised(np.array([[5000.0, 0]]))).all()


def test_a_camera_is_resized_with_its_picture_and_not_to_other_proportions() -> None:
    camera = Camera.default(640, 480)
    assert camera.resized(640, 480) is camera
    half = camera.resized(320, 240)
    assert (half.fx, half.cx, half.cy) == pytest.approx((camera.fx / 2, 159.5, 119.5))
    with pytest.raises(DataError, match=r"640 × 480 pixels, but the picture has 256 × 256"):
        camera.resized(256, 256)


def test_cameras_that_disagree_are_told_with_both_figures_and_sources() -> None:
    one = Camera.default(256, 256)
    other = Camera.from_field_of_view(90, width=256, height=256)
    with pytest.raises(
        DataError, match=r"pixels apart.*f = 248.89.*35 mm.*f = 128.*of view of 90°"
    ):
        Camera.agreeing(one, other)
    with pytest.raises(DataError, match="differ in size"):
        Camera.agreeing(one, Camera.default(256, 200))
    near = Camera.from_focal_length(35.05, (36, 36), width=256, height=256)
    assert Camera.agreeing(one, near) is one


BROKEN = {
    "negative focal": (lambda: Camera.from_matrix(np.diag([-1.0, 1, 1]), width=2, height=2),
                       "focal lengths -1, 1 are no positive"),
    "nan": (lambda: Camera.from_matrix([[np.nan, 0, 1], [0, 1, 1], [0, 0, 1]], width=2, height=2),
            "no matrix of 3 × 3 finite"),
    "centre": (lambda: Camera.from_matrix([[9, 0, 300], [0, 9, 8], [0, 0, 1]], width=20, height=20),
               r"centre \(300, 8\) lies outside the picture of 20 × 20"),
    "skewed": (lambda: Camera.from_matrix([[9, 2, 3], [0, 9, 8], [0, 0, 1]], width=20, height=20),
               "is not"),
    "coefficients": (lambda: Camera.from_matrix(np.diag([1.0, 1, 1]), (1, 2, 3), width=2, height=2),
                     r"3 distortion coefficients \(known: 4, 5, 8, 12\)"),
    "orthographic": (lambda: Camera.from_projection(np.eye(4), width=2, height=2),
                     "ends in the row 0 0 0 1"),
    "transposed": (lambda: Camera.from_projection(PROJECTION.T, width=2, height=2), "row by row"),
    "turned": (lambda: Camera.from_projection(PROJECTION + np.eye(4, k=1), width=2, height=2),
               "skews or turns"),
    "wide": (lambda: Camera.from_field_of_view(180, width=2, height=2), "between 0° and 180°"),
    "sensor": (lambda: Camera.from_focal_length(35, (0, 24), width=2, height=2), "no size"),
    "view": (lambda: Camera.from_projection(PROJECTION, width=2, height=2, view=2 * VIEW),
             "its view ends in the row 0 0 0 2"),
    "empty": (lambda: Camera.default(0, 5), "0 × 5 pixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_numbers_that_are_no_camera_are_refused_in_words(name: str) -> None:
    make, told = BROKEN[name]
    with pytest.raises(DataError, match=told):
        make()
