"""The generated ship: exact poses, depth, symmetry, and frames as files."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from img2img.data.images import read, write
from img2img.data.synth.ship import Flight, Ships
from img2img.data.synth.ship_frames import projection_matrix, write_frames
from img2img.data.synth.ship_light import Light
from img2img.data.synth.ship_mesh import Mesh, block, circles, joined, loft
from img2img.data.synth.ship_paint import Wear, paint
from img2img.data.synth.ship_parts import Material, Shape, ship_mesh
from img2img.data.synth.ship_pose import Matrix, random_pose, to_camera
from img2img.data.synth.ship_raster import rasterise
from img2img.data.synth.ship_scene import PARTS
from img2img.data.synth.ship_shade import View, render, visible_share
from img2img.errors import DataError
from img2img.vision.camera import Camera
from img2img.vision.pose import BOX, CORNERS

BARE = frozenset(PARTS)
FOCAL = 1.9444443
MIRROR = np.diag([-1.0, 1, 1, 1])
CLEAN = paint(Wear(materials=None, panels=None, stripes=None))


def default_camera(height: int, width: int) -> Matrix:
    return Camera.default(width, height).matrix


def project(points: Matrix, pose: Matrix, camera: Matrix) -> Matrix:
    """Not that of `Camera`, which is measured against it."""
    seen = to_camera(points, pose) @ camera.T
    return np.asarray(seen[:, :2] / seen[:, 2:])


def ships(n: int, without: Iterable[str] = (), **place: Any) -> Ships:
    return Ships(n, without=frozenset(without), **{"seed": 3, "size": 96, **place})


def view(pose: NDArray[np.float64], size: tuple[int, int] = (160, 160)) -> View:
    return View(pose=pose, camera=default_camera(*size), size=size)


def drawn(mesh: Mesh, seen: View) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colours (H, W, 3) and cover (H, W) before black."""
    colours, cover = np.zeros((*seen.size, 3), np.float32), np.zeros(seen.size, np.float32)
    cut = render(mesh, seen, CLEAN, Light.studio())
    if cut is not None:
        colours[cut.rows, cut.columns] = cut.colours
        cover[cut.rows, cut.columns] = cut.cover[..., 0]
    return colours, cover


def poses(n: int, size: tuple[int, int] = (160, 160)) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(8)
    return [random_pose(rng, size) for _ in range(n)]


# ---------------------------------------------------------------------------------------- labels


def test_samples_have_exact_shapes() -> None:
    for sample in ships(4):
        assert sample.image.shape == (96, 96, 3)
        assert sample.image.dtype == np.uint8
        labels = sample.labels
        assert {name: each.shape for name, each in labels.items()} == {
            "pose": (4, 4), "camera": (22,), "points": (8, 2), "visible": (),
        }  # fmt: skip
        assert labels["pose"].dtype == labels["camera"].dtype == np.float64
        assert labels["points"].dtype == labels["visible"].dtype == np.float32
        assert 0 <= labels["visible"] <= 1


def test_a_picture_is_a_function_of_seed_and_index() -> None:
    first, again = ships(3), ships(1, first=2)
    assert np.array_equal(first[2].image, again[0].image)
    assert np.array_equal(first[2].labels["pose"], again[0].labels["pose"])
    assert (ships(1, seed=4)[0].image != first[0].image).any()
    record = first.records[1]
    rng = np.random.default_rng([Ships.version, 3, record.index])
    assert np.array_equal(first.draw(rng, 96, 96), first.pixels(record))


def test_points_follow_the_format_word_for_word() -> None:
    """README of the reference: clip = P V M p, pixel edges at integers, half a pixel less here."""
    projection = np.array([[FOCAL, 0, 0, 0], [0, FOCAL, 0, 0],
                           [0, 0, -1.002002, -0.2002002], [0, 0, -1, 0]])  # fmt: skip
    moved = np.eye(4)
    moved[2, 3] = -1
    corners = [[x, y, z, 1] for z in (-0.032, 0.034) for y in (-0.182, 0.163)
               for x in (-0.156, 0.156)]  # fmt: skip
    for sample in ships(5):
        clip = projection @ moved @ sample.labels["pose"] @ np.transpose(corners)
        x, y = (clip[0] / clip[3] + 1) / 2 * 96 - 0.5, (1 - clip[1] / clip[3]) / 2 * 96 - 0.5
        assert np.allclose(sample.labels["points"], np.stack([x, y], axis=1), atol=1e-4)


def test_poses_cover_all_turns_and_stay_in_the_plane() -> None:
    some = ships(400, size=256)
    all_poses = np.stack([some.view(record).pose for record in some.records])
    turns = all_poses[:, :3, :3]
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(turns), 1)
    assert np.abs(turns.mean(0)).max() < 0.1
    moves = all_poses[:, :3, 3]
    assert (moves[:, 2] == 0).all()
    assert 0.46 < np.abs(moves[:, :2]).max() <= 0.47


def test_visible_is_the_share_of_pixels_inside() -> None:
    mesh, small = ship_mesh(Shape()), (160, 160)
    for pose in poses(6, small):
        wide = default_camera(*small)
        wide[:2, 2] += 160
        _, cover = drawn(mesh, View(pose=pose, camera=wide, size=(480, 480)))
        inside = cover[160:320, 160:320].sum() / cover.sum()
        assert visible_share(mesh, view(pose, small)) == pytest.approx(inside, abs=0.01)


def test_labels_need_no_pixels_and_no_looks() -> None:
    whole, bare = ships(4), ships(4, without=BARE)
    blank = np.zeros((96, 96, 3), np.uint8)
    for ours, theirs in zip(whole.records, bare.records, strict=True):
        one, other = whole.sample(ours, blank).labels, bare.sample(theirs, blank).labels
        assert all(np.array_equal(one[name], other[name]) for name in ("pose", "camera", "points"))
        assert one["visible"] == pytest.approx(float(other["visible"]), abs=0.03)


# --------------------------------------------------------------------------------------- geometry


def test_any_ship_fills_its_box_and_no_more() -> None:
    rng = np.random.default_rng(0)
    for shape in (Shape(), *(Shape.random(rng) for _ in range(5))):
        corners = ship_mesh(shape).corners
        assert (corners >= BOX[0]).all()
        assert (corners <= BOX[1]).all()
        assert np.abs(corners.min((0, 1)) - BOX[0]).max() < 0.002
        assert np.abs(corners.max((0, 1)) - BOX[1]).max() < 0.002


def test_every_ship_pixel_lies_within_the_projected_box() -> None:
    mesh = ship_mesh(Shape())
    for pose in poses(8):
        seen = view(pose)
        _, cover = drawn(mesh, seen)
        hull: Any = cv2.convexHull(project(CORNERS, pose, seen.camera).astype(np.float32))
        for y, x in np.argwhere(cover > 0).tolist():
            assert cv2.pointPolygonTest(hull, (float(x), float(y)), True) > -1


def test_the_nose_is_drawn_where_it_projects() -> None:
    mesh, nose = ship_mesh(Shape()), np.array([[0, -0.18, -0.003]])
    for pose in poses(8):
        pose[:2, 3] = 0
        seen = view(pose)
        _, cover = drawn(mesh, seen)
        x, y = np.rint(project(nose, pose, seen.camera)[0]).astype(int)
        assert cover[y, x] > 0.2
        # Beyond the tip there is nothing.
        ahead = project(nose * (1, 1.12, 1), pose, seen.camera)[0]
        if np.hypot(*(ahead - (x, y))) > 3 and pose[2, 1] > 0:
            x, y = np.rint(ahead).astype(int)
            assert cover[y, x] == 0


def test_what_is_drawn_lies_where_it_projects_to_a_fraction_of_a_pixel() -> None:
    heights = np.array([[-0.008, 0.004], [-0.004, 0.008], [0.004, 0.008], [0.008, 0.004]])
    rng = np.random.default_rng(1)
    for _ in range(6):
        place = rng.uniform(-0.3, 0.3, 3) * (1, 1, 0.2)
        ball = loft(circles(heights, 24), 0).moved(*place)
        seen = view(np.eye(4))
        _, cover = drawn(ball, seen)
        rows, columns = np.indices(cover.shape)
        centre = np.array([(cover * columns).sum(), (cover * rows).sum()]) / cover.sum()
        expected = project(place[None], np.eye(4), seen.camera)[0]
        assert np.abs(centre - expected).max() < 0.1


def test_a_mirrored_pose_gives_a_mirrored_silhouette() -> None:
    mesh = ship_mesh(Shape())
    for pose in poses(5):
        _, cover = drawn(mesh, view(pose))
        _, mirrored = drawn(mesh, view(MIRROR @ pose @ MIRROR))
        assert np.abs(mirrored[:, ::-1] - cover).mean() < 1e-3
        assert ((mirrored[:, ::-1] > 0.5) == (cover > 0.5)).mean() > 0.999


def test_surfaces_are_closed_and_turn_outwards() -> None:
    """Every edge of a part is used once in each direction, and what encloses a point adds up."""
    shapes = (
        loft(block((0, 0, 0), (1, 2, 3)), 0),
        loft(circles(np.array([[0, 1], [1, 0.5], [2, 1.5]]), 7), 0, smooth=True),
    )
    for mesh, volume in zip((*shapes, shapes[0].mirrored(0)), (6.0, None, 6.0), strict=True):
        edges = np.stack([mesh.corners, np.roll(mesh.corners, -1, axis=1)], axis=2)
        ways = [tuple(edge.ravel().round(9)) for edge in edges.reshape(-1, 2, 3)]
        assert len(set(ways)) == len(ways)
        assert {way[3:] + way[:3] for way in ways} == set(ways)
        one, two, three = np.moveaxis(mesh.corners, 1, 0)
        enclosed = np.einsum("ij,ij->", one, np.cross(two, three)) / 6
        assert enclosed > 0
        assert volume is None or enclosed == pytest.approx(volume)
        flat = np.cross(two - one, three - one)
        assert (np.einsum("ij,ikj->ik", flat, mesh.normals) > 0).all()


# ------------------------------------------------------------------------------------------ depth


def test_front_faces_hide_rear_ones() -> None:
    """A dark block before a bright one, and behind it, whichever comes first in the mesh."""
    near = loft(block((-0.05, -0.05, 0.1), (0.05, 0.05, 0.12)), int(Material.DARK))
    far = loft(block((-0.1, -0.1, -0.12), (0.1, 0.1, -0.1)), int(Material.HULL))
    for order in ((near, far), (far, near)):
        colours, _ = drawn(joined(order), view(np.eye(4)))
        assert colours[80, 80].mean() < 0.4 < colours[80, 68].mean()
    turned = np.diag([-1.0, 1, -1, 1])
    colours, _ = drawn(joined([near, far]), view(turned))
    assert colours[80, 80].mean() > 0.4


def test_surfaces_may_cut_through_each_other() -> None:
    slope = np.array([[[0, 0, 1.0], [0, 8, 1], [8, 0, 2]], [[0, 0, 2.0], [0, 8, 2], [8, 0, 1]]])
    seen = rasterise(slope[..., :2], slope[..., 2], (8, 8))
    nearest = np.full((8, 8), -1)
    nearest.flat[seen.place] = seen.triangle
    assert (nearest[0, :4] == 1).all()
    assert (nearest[0, 5:] == 0).all()
    assert np.allclose(seen.nearness[seen.place < 8], np.maximum(1 + np.arange(8) / 8,
                                                                 2 - np.arange(8) / 8))  # fmt: skip


def test_backs_are_left_out_and_neighbours_share_no_point() -> None:
    square = np.array([[[0, 0], [0, 9.3], [9.3, 9.3]], [[0, 0], [9.3, 9.3], [9.3, 0]]])
    each = [rasterise(square[[k]], np.ones((1, 3)), (10, 10)).place for k in (0, 1)]
    assert len(np.intersect1d(*each)) == 0
    assert len(np.union1d(*each)) == 100
    assert not len(rasterise(square[:, ::-1], np.ones((2, 3)), (10, 10)).place)


def test_nearness_is_that_of_the_surface() -> None:
    mesh = ship_mesh(Shape())
    pose = poses(1)[0]
    camera = to_camera(mesh.corners.reshape(-1, 3), pose).reshape(-1, 3, 3)
    flat = project(mesh.corners.reshape(-1, 3), pose, default_camera(160, 160)).reshape(-1, 3, 2)
    seen = rasterise(flat, 1 / camera[..., 2], (160, 160))
    depths = camera[seen.triangle, :, 2]
    assert (1 / seen.nearness >= depths.min(1) - 1e-6).all()
    assert (1 / seen.nearness <= depths.max(1) + 1e-6).all()


# ------------------------------------------------------------------------------------------ parts


@pytest.mark.parametrize("part", sorted(BARE - {"shape", "camera"}))
def test_a_part_less_changes_only_what_it_should(part: str) -> None:
    """Light and paint change the ship alone, skies what is around it alone."""
    on_ship = part in ("light", "materials", "panels", "stripes")
    plain, varied = ships(24, BARE), ships(24, BARE - {part})
    changed = 0
    for ours, theirs in zip(varied.records, plain.records, strict=True):
        _, cover = drawn(ship_mesh(Shape()), varied.view(ours))
        differs = varied.pixels(ours) != plain.pixels(theirs)
        where = cover == 0 if on_ship else cover == 1
        assert not differs[where].any()
        changed += int(differs.any())
    assert changed > 0
    assert varied.records[0].digest != plain.records[0].digest


def test_another_shape_changes_the_ship_a_little() -> None:
    usual, other = ships(3, BARE)[1].image, ships(3, BARE - {"shape"})[1].image
    share = (usual != other).any(-1).sum() / (usual > 0).any(-1).sum()
    assert 0.02 < share < 0.98


def test_the_camera_changes_the_whole_picture() -> None:
    pictures = [ships(6, BARE - {"camera"})[k].image for k in range(6)]
    assert any((picture != 0).mean() > 0.9 for picture in pictures)


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="wings"):
        ships(1, {"wings"})


def test_photographs_become_backgrounds(tmp_path: Path) -> None:
    write(tmp_path / "red.png", np.full((50, 70, 3), (250, 0, 0), np.uint8))
    some = ships(20, BARE - {"photos"}, photos=tmp_path)
    colours = np.stack([np.median(sample.image.reshape(-1, 3), axis=0) for sample in some])
    red = colours[:, 0] > 0
    assert 1 <= red.sum() < 20
    assert (colours[:, 1:] == 0).all()
    write(tmp_path / "blue.png", np.zeros((9, 9, 3), np.uint8))
    assert ships(1, photos=tmp_path).records[0].digest != some.records[0].digest
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="none"):
        ships(1, photos=tmp_path / "none")


# ----------------------------------------------------------------------------- flights and splits


def test_a_flight_is_smooth_and_of_one_group() -> None:
    frames = Flight(120, seed=5, size=64)
    turns = np.stack([frames.view(record).pose[:3, :3] for record in frames.records])
    steps = turns[1:] @ turns[:-1].transpose(0, 2, 1)
    angles = np.degrees(np.arccos((np.trace(steps, axis1=1, axis2=2) - 1) / 2))
    assert 1 - 1e-6 <= angles.min() < 1.2
    assert 1.3 < angles.max() <= 1.5 + 1e-6
    moves = np.stack([frames.view(record).pose[:2, 3] for record in frames.records])
    assert np.abs(np.diff(moves, axis=0)).max() < 0.03
    assert np.abs(moves).max() <= 0.47
    shorter = Flight(30, seed=5, size=64)
    assert np.array_equal(shorter[29].image, frames[29].image)
    assert {sample.group for sample in frames.subset([0, 60])} == {"flight-seed5"}


def test_a_flight_keeps_its_ship_and_its_background() -> None:
    frames = Flight(2, seed=6, size=96, without=BARE - {"nebulae", "stars", "bodies", "photos"})
    covers = [drawn(ship_mesh(Shape()), frames.view(record))[1] for record in frames.records]
    one, other = (frames.pixels(record) for record in frames.records)
    outside = (covers[0] == 0) & (covers[1] == 0)
    assert np.array_equal(one[outside], other[outside])
    assert (one != other).any()


def test_splits_share_no_frame() -> None:
    splits = Ships.splits(3, n_val=2, n_test=2, size=32, seed=1)
    ids = [record.id for part in splits.parts.values() for record in part.records]
    assert len(set(ids)) == 7
    assert {name: len(part) for name, part in splits.parts.items()} == {
        "train": 3, "val": 2, "test": 2,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("shape", [(96, 96), (72, 128), (120, 90)])
def test_written_frames_are_read_back_exactly(tmp_path: Path, shape: tuple[int, int]) -> None:
    frames = Ships(3, seed=2, shape=shape)
    paths = write_frames(tmp_path, frames, first=5)
    assert [path.name for path in paths] == ["5.jpg", "6.jpg", "7.jpg"]
    info = {name: np.array(m) for name, m in
            json.loads((tmp_path / "camera_info.json").read_text()).items()}  # fmt: skip
    height, width = shape
    for number, sample in enumerate(frames, start=5):
        pose = np.array(json.loads((tmp_path / f"{number}_mat.json").read_text()))
        assert np.abs(pose - sample.labels["pose"]).max() < 1e-6
        picture = read(tmp_path / f"{number}.jpg")
        assert picture.shape == (*shape, 3)
        assert np.abs(picture.astype(int) - sample.image).mean() < 8
        corners = np.c_[CORNERS, np.ones(8)].T
        clip = info["projection_matrix"] @ info["model_view_matrix"] @ pose @ corners
        x, y = (clip[0] / clip[3] + 1) / 2 * width, (1 - clip[1] / clip[3]) / 2 * height
        found = np.stack([x, y], axis=1) - 0.5
        assert np.abs(found - sample.labels["points"]).max() < 1e-3
    assert np.array_equal(info["camera_world_matrix"] @ info["model_view_matrix"], np.eye(4))


def test_the_square_camera_is_the_original_one() -> None:
    projection = projection_matrix(default_camera(256, 256), (256, 256))
    expected = [[FOCAL, 0, 0, 0], [0, FOCAL, 0, 0], [0, 0, -1.002002, -0.2002002], [0, 0, -1, 0]]
    assert np.allclose(projection, expected, atol=1e-12)
    assert default_camera(256, 256)[0, 0] == pytest.approx(1.9444443 * 128)


def test_frames_of_two_cameras_are_refused(tmp_path: Path) -> None:
    mixed = Ships(2, seed=2, size=32)
    mixed.records = (mixed.records[0], replace(mixed.records[1], width=40))
    with pytest.raises(ValueError, match="ship-000001"):
        write_frames(tmp_path, mixed)
    with pytest.raises(ValueError, match="no frames"):
        write_frames(tmp_path, mixed.subset([]))
