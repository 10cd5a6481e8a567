"""Laser bolts: where they start, how they fly, what hides them; and never garbage."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from img2img.data.synth.ship_lasers import MUZZLES, PAIRS, Lasers
from img2img.data.synth.ship_mesh import block, loft
from img2img.data.synth.ship_parts import Shape, ship_mesh
from img2img.data.synth.ship_raster import nearness_map
from img2img.errors import DataError
from img2img.vision.camera import Camera
from img2img.vision.types import Image

Floats = NDArray[np.float64]


def pose(*turns_deg: tuple[str, float], at: tuple[float, float, float] = (0, 0, 0)) -> Floats:
    """The ship turned about axes of the world, the last one first; its nose is at −y."""
    moved = np.eye(4)
    for axis, degrees in turns_deg:
        vector = np.radians(degrees) * np.array([axis == name for name in "xyz"])
        moved[:3, :3] = moved[:3, :3] @ cv2.Rodrigues(vector)[0]
    moved[:3, 3] = at
    return moved


SIDEWAYS = pose(("y", 40), ("z", 90))
"""The nose to the right, and wings that are well apart."""
TOWARDS = pose(("y", 4), ("x", -90))
AWAY = pose(("z", 10), ("x", 88.5))


def black(size: int = 256) -> Image:
    return np.zeros((size, size, 3), np.uint8)


def drawn(lasers: Lasers, seen: Floats | None = None, size: int = 256) -> Image:
    """The bolts before black."""
    return lasers.draw(black(size), seen, Camera.default(size, size))


def fired(seen: Floats, n_frames: int, **options: float) -> Lasers:
    """One shot at a pose that was lost after it, so many frames ago."""
    lasers = Lasers(**options)  # type: ignore[arg-type]
    for age in range(1 + n_frames):
        lasers.step(None if age else seen)
    return lasers


def segments(seen: Floats, head: float, length: float, size: int) -> Iterator[Floats]:
    """(50, 2) pixels along each bolt of the first pair."""
    far = np.linspace(max(head - length, 0), head, 50)[:, None]
    for muzzle in MUZZLES[list(PAIRS[0])]:
        yield Camera.default(size, size).project(muzzle - far * [0, 1, 0], seen)


# ----------------------------------------------------------------------------------------- flight


def test_pairs_across_fire_in_turn() -> None:
    lasers, lit = Lasers(every=3), []
    edge_on = pose(("z", 90), ("y", 70))
    x, y = np.rint(Camera.default(512, 512).project(MUZZLES, edge_on)).astype(int).T
    for _ in range(9):
        lasers.step(edge_on)
        lit.append(drawn(lasers, size=512)[y, x, 1] > 150)
    for shot in range(3):
        assert set(np.flatnonzero(lit[3 * shot])) == set(PAIRS[shot % 2])
        assert not lit[3 * shot + 2].any()
    corners = np.sign(MUZZLES[:, [0, 2]])
    assert all((corners[one] == -corners[other]).all() for one, other in PAIRS)


@pytest.mark.parametrize("seen", [SIDEWAYS, TOWARDS, AWAY, pose(("z", 20), at=(0.1, 0.1, -0.5))])
@pytest.mark.parametrize("n_frames", [0, 2, 4])
def test_a_bolt_flies_straight_on_from_its_muzzle(seen: Floats, n_frames: int) -> None:
    lasers = fired(seen, n_frames)
    image = drawn(lasers, size=512)
    expected = np.zeros((512, 512), np.uint8)
    for pixels in segments(seen, lasers.speed * (1 + n_frames), lasers.length, 512):
        inside = pixels[((pixels > 0) & (pixels < 511)).all(axis=1)]
        x, y = np.rint(inside).astype(int).T
        assert (image[y, x, 0] > 200).all()
        assert (image[y, x, 1] > 120).all()
        cv2.polylines(expected, [np.rint(pixels).astype(np.int32)], isClosed=False, color=1,
                      thickness=25)  # fmt: skip
    assert expected.any()
    assert image[expected == 0].max(initial=0) < 70


def test_the_ship_turns_away_from_bolts_in_flight() -> None:
    lasers = fired(SIDEWAYS, 2)
    other = fired(SIDEWAYS, 2)
    lasers.step(None)
    other.step(pose(("z", 200)))
    assert np.array_equal(drawn(lasers), drawn(other))


def test_bolts_die_and_none_is_fired_without_a_pose() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    kept, camera = image.copy(), Camera.default(60, 40)
    lasers = fired(pose(("z", 180), at=(0, 0, -8)), 8, reach=1.0)
    assert (lasers.draw(image, None, camera) != kept).any()
    for _ in range(10):
        lasers.step(None)
    result = lasers.draw(image, None, camera)
    assert result is not image
    assert np.array_equal(result, kept)
    assert np.array_equal(image, kept)


# ------------------------------------------------------------------------------------------ looks


def _thickness(z: float) -> float:
    """Rows that a bolt, fired to the right there, lights in the middle of the picture."""
    nose_right = pose(("z", 90), at=(-0.2, -MUZZLES[PAIRS[0][0], 0], z))
    image = drawn(fired(nose_right, 1), size=1024)
    return float(image[462:562, 511, 1].sum() / 255)


def test_near_bolts_are_thicker() -> None:
    near, far = _thickness(0.7), _thickness(0.1)
    assert far >= 3
    assert near / far == pytest.approx(0.9 / 0.3, rel=0.1)


def test_a_bolt_that_comes_straight_on_is_round() -> None:
    """Its near end is no half disc: there is more of it than of its far end, on all sides."""
    muzzle = MUZZLES[PAIRS[0][0]]
    seen = pose(("x", -90), at=(0.001 - muzzle[0], -muzzle[2], 0))
    lasers = fired(seen, 9)
    image, camera = drawn(lasers, size=512), Camera.default(512, 512)
    head = muzzle - [0, 10 * lasers.speed, 0]
    radius = 0.002 * camera.fx / (1 - (seen[:3, :3] @ head)[2])
    angles = np.radians(np.arange(0, 360, 30))
    around = 1.5 * radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x, y = np.rint(camera.project(head, seen) + around).astype(int).T
    assert radius > 5
    assert image[y, x, 1].min() > 170


def test_the_middle_is_white_and_the_glow_red_before_any_sky() -> None:
    for sky in (0, 90, 230):
        image = fired(SIDEWAYS, 2).draw(np.full((256, 256, 3), sky, np.uint8), None,
                                        Camera.default(256, 256)).astype(int)  # fmt: skip
        assert image.min(axis=2).max() > 235
        assert (image[..., 0] - image[..., 1:].max(axis=2)).max() > 80


def test_a_larger_frame_shows_the_same() -> None:
    lasers = fired(SIDEWAYS, 2)
    small, large = drawn(lasers), drawn(lasers, size=1024)
    shrunk = cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 0.3
    assert np.abs(shrunk.astype(int) - small).max() < 60


def test_nothing_is_seen_of_a_bolt_behind_the_camera() -> None:
    lasers = fired(TOWARDS, 40, reach=9.0)
    assert not drawn(lasers).any()


def test_of_a_bolt_that_passes_the_camera_the_rest_is_seen() -> None:
    muzzle = MUZZLES[PAIRS[0][0]]
    lasers = fired(pose(("x", -90), at=(0.03 - muzzle[0], 0, 0)), 11)
    image = drawn(lasers)
    assert lasers.speed * 12 + 0.1 > 0.99
    assert image[..., 1].max() > 200
    assert not image[:, :100].any()


# ------------------------------------------------------------------------------------------ hiding


def _cover(seen: Floats) -> NDArray[np.bool_]:
    """(256, 256): where the ship is."""
    camera = Camera.default(256, 256)
    matrix = camera.from_world @ seen
    triangles = ship_mesh(Shape()).corners @ matrix[:3, :3].T + matrix[:3, 3]
    return nearness_map(triangles, camera.matrix, (256, 256)) > 0


def test_the_ship_hides_bolts_behind_it_but_for_some_glow() -> None:
    ship, square = _cover(AWAY).astype(np.uint8), np.ones((3, 3), np.uint8)
    inside, outside = cv2.erode(ship, square) > 0, cv2.dilate(ship, square) == 0
    n_hidden = 0
    for n_frames in (3, 4, 5, 7):
        lasers = fired(AWAY, n_frames)
        bare, hidden = drawn(lasers), drawn(lasers, AWAY)
        assert np.array_equal(bare[outside], hidden[outside])
        behind = inside & (bare[..., 1] > 150)
        n_hidden += int(behind.sum())
        assert hidden[inside][:, 1].max() < 40
        assert (hidden[behind][:, 0] > 20).all()
    assert n_hidden > 4


def test_bolts_before_the_ship_are_not_hidden() -> None:
    lasers = fired(pose(("z", 90), at=(-0.3, 0, 0)), 2)
    bare = drawn(lasers)
    behind = pose(("z", 90), ("x", 60), ("y", 20), at=(0, 0.2, -0.6))
    assert (bare[_cover(behind)][:, 1] > 200).any()
    assert np.array_equal(bare, drawn(lasers, behind))
    before = behind.copy()
    before[2, 3] = 0.2
    assert not np.array_equal(bare, drawn(lasers, before))


def test_the_map_of_a_box_tells_its_depth() -> None:
    box = loft(block((-0.1, -0.1, 2.0), (0.1, 0.1, 3.0)), 0).corners
    camera = Camera.default(64, 48)
    found = nearness_map(box, camera.matrix, (48, 64), fine=2)
    assert found.shape == (96, 128)
    assert found[48, 64] == pytest.approx(1 / 2, rel=1e-4)
    side = 0.2 / 2 * camera.fx * 2
    assert (found > 0).sum() == pytest.approx(side**2, rel=0.15)
    ys, xs = np.nonzero(found)
    assert ys.mean() == pytest.approx(47.5, abs=0.51)
    assert xs.mean() == pytest.approx(63.5, abs=0.51)
    assert not nearness_map(box - [0, 0, 2.5], camera.matrix, (48, 64)).any()


# ----------------------------------------------------------------------------------- never garbage


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    z=st.floats(-3, 3),
    bends=st.booleans(),
)
def test_any_pose_and_size_gives_a_picture(
    seed: int, height: int, width: int, z: float, bends: bool
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    camera = Camera.default(width, height)
    if bends:
        camera = Camera.from_matrix(camera.matrix, (-0.2, 0.05, 0, 0), width=width, height=height)
    lasers = Lasers(every=2)
    for _ in range(12):
        seen = np.eye(4)
        seen[:3, :3] = cv2.Rodrigues(rng.standard_normal(3) * 2)[0]
        seen[:3, 3] = *rng.normal(0, 0.5, 2), z
        lasers.step(seen)
        result = lasers.draw(image, seen, camera)
        assert result.shape == image.shape
        assert result.dtype == np.uint8
        assert (result[..., 0] >= image[..., 0]).all()


def test_a_camera_of_other_proportions_is_refused() -> None:
    with pytest.raises(DataError, match="proportions"):
        fired(SIDEWAYS, 0).draw(black(64), None, Camera.default(64, 40))
