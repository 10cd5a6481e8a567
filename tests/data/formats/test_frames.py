"""Frames with matrices, as the original format has them: read, divided, and named where broken."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data.formats.camera_files import camera_for, read_camera
from img2img.data.formats.frames import BLOCK, Frames, frame_splits, read_frames
from img2img.errors import DataError
from img2img.vision.camera import Camera
from img2img.vision.pose import CORNERS, rotation_error_deg, solve_pose
from img2img.vision.rigid import pose_of, rotation

PROJECTION = [[1.9444443, 0, 0, 0], [0, 1.9444443, 0, 0], [0, 0, -1.002002, -0.2002002],
              [0, 0, -1, 0]]  # fmt: skip
INFO = {
    "camera_world_matrix": pose_of(np.eye(3), [0, 0, 1]).tolist(),
    "model_view_matrix": pose_of(np.eye(3), [0, 0, -1]).tolist(),
    "projection_matrix": PROJECTION,
}


def poses(n: int, *, is_flight: bool = False, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    if is_flight:
        return [pose_of(rotation(np.array([0.02 * k, 1, 0])), [0.002 * k, 0, 0]) for k in range(n)]
    return [pose_of(rotation(rng.normal(0, 2, 3)), [*rng.uniform(-0.3, 0.3, 2), 0])
            for _ in range(n)]  # fmt: skip


def write(
    folder: Path, matrices: list[np.ndarray], size: tuple[int, int] = (64, 64), *, first: int = 0
) -> Path:
    """Frames of (width, height), numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, matrix in enumerate(matrices, start=first):
        image = np.full((size[1], size[0], 3), number % 256, np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), image)
        (folder / f"{number}_mat.json").write_text(json.dumps(matrix.tolist()))
    (folder / "camera_info.json").write_text(json.dumps(INFO))
    return folder


def test_a_folder_is_read_in_natural_order_with_its_labels(tmp_path: Path) -> None:
    matrices = poses(12)
    frames = read_frames(write(tmp_path, matrices))
    assert [record.id for record in frames.records] == [f"{k}.jpg" for k in range(12)]
    for matrix, sample in zip(matrices, frames, strict=True):
        np.testing.assert_allclose(sample.labels["pose"], matrix, atol=1e-12)
        camera = Camera.from_array(sample.labels["camera"])
        assert (camera.fx, camera.cx, camera.width) == (pytest.approx(1.9444443 * 32), 31.5, 64)
        points = sample.labels["points"]
        assert points.shape == (8, 2)
        np.testing.assert_allclose(points, camera.project(CORNERS, matrix), atol=1e-3)
        fit = solve_pose(np.asarray(points, np.float64), camera)
        assert fit.pose is not None
        assert rotation_error_deg(fit.pose, matrix) < 0.05
    assert frames[11].image.shape == (64, 64, 3)
    assert abs(int(frames[11].image[0, 0, 0]) - 11) <= 1


@pytest.mark.parametrize("size", [(256, 256), (100, 60), (60, 100)])
def test_points_are_where_the_stated_formula_puts_them(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    matrix = poses(1)[0]
    sample = read_frames(write(tmp_path, [matrix], size))[0]
    clip = (
        np.c_[CORNERS, np.ones(8)] @ (np.array(PROJECTION) @ INFO["model_view_matrix"] @ matrix).T
    )
    ndc = clip[:, :2] / clip[:, 3:]
    expected = np.c_[(ndc[:, 0] + 1) / 2 * size[0], (1 - ndc[:, 1]) / 2 * size[1]] - 0.5
    np.testing.assert_allclose(sample.labels["points"], expected, atol=1e-3)


def test_matrices_may_be_rounded_or_flat(tmp_path: Path) -> None:
    matrices = poses(2)
    write(tmp_path, [matrix.round(4) for matrix in matrices])
    (tmp_path / "1_mat.json").write_text(json.dumps(matrices[1].ravel().tolist()))
    for frame, matrix in zip(read_frames(tmp_path), matrices, strict=True):
        found = np.asarray(frame.labels["pose"], np.float64)
        np.testing.assert_allclose(found, matrix, atol=1e-3)
        np.testing.assert_allclose(found[:3, :3].T @ found[:3, :3], np.eye(3), atol=1e-12)


# ---- divisions


def test_random_frames_are_divided_one_by_one_and_folders_may_state_parts(tmp_path: Path) -> None:
    splits = frame_splits(DataOptions(), write(tmp_path / "a", poses(60)))
    assert not splits.stated
    assert {len(part) > 0 for part in splits.parts.values()} == {True}
    assert {record.group for record in splits.whole.records} == {f"{k}.jpg" for k in range(60)}
    for part in ("train", "test"):
        write(tmp_path / "b" / part, poses(3))
    stated = frame_splits(DataOptions(), tmp_path / "b")
    assert stated.stated
    assert [record.id for record in stated.parts["test"].records] == [
        f"test/{k}.jpg" for k in range(3)
    ]
    assert isinstance(stated.parts["test"], Frames)


def test_blocks_of_a_flight_stay_together(tmp_path: Path) -> None:
    n = 2 * BLOCK + 10
    write(tmp_path / "one", [*poses(n, is_flight=True), *poses(2)])
    write(tmp_path / "two", poses(5, is_flight=True))
    splits = frame_splits(DataOptions(), tmp_path)
    group_of = {record.id: record.group for record in splits.whole.records}
    sizes = [list(group_of.values()).count(group) for group in dict.fromkeys(group_of.values())]
    assert sorted(sizes) == sorted([BLOCK, BLOCK, 10, 1, 1, 5])
    assert group_of["one/49.jpg"] == "one/0.jpg" != group_of["one/50.jpg"]
    for group in set(group_of.values()):
        parts = {name for name, part in splits.parts.items()
                 if any(record.group == group for record in part.records)}  # fmt: skip
        assert len(parts) == 1
    alone = frame_splits(DataOptions(groups="none"), tmp_path)
    assert all(record.group == record.id for record in alone.whole.records)
    stated = frame_splits(DataOptions(groups="pattern:^([a-z]+)/"), tmp_path)
    assert {record.group for record in stated.whole.records} == {"one", "two"}


def test_groups_of_a_file_come_before_flights(tmp_path: Path) -> None:
    write(tmp_path, poses(6, is_flight=True))
    (tmp_path / "groups.csv").write_text("image,group\n0.jpg,a\n1.jpg,b\n")
    splits = frame_splits(DataOptions(), tmp_path)
    groups = {record.id: record.group for record in splits.whole.records}
    assert (groups["0.jpg"], groups["1.jpg"]) == ("a", "b")


def test_a_digest_changes_with_the_picture_the_pose_and_the_camera(tmp_path: Path) -> None:
    write(tmp_path, poses(1))
    digests = {read_frames(tmp_path).records[0].digest}
    (tmp_path / "0_mat.json").write_text(json.dumps(poses(1, seed=1)[0].tolist()))
    digests.add(read_frames(tmp_path).records[0].digest)
    (tmp_path / "camera_info.json").write_text(json.dumps({"focal_mm": 50, "sensor_mm": [36, 36]}))
    digests.add(read_frames(tmp_path).records[0].digest)
    cv2.imwrite(str(tmp_path / "0.jpg"), np.zeros((64, 64, 3), np.uint8) + 90)
    digests.add(read_frames(tmp_path).records[0].digest)
    assert len(digests) == 4


# ---- what is broken is named

GOOD = poses(1)[0]
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no matrix": (lambda f: (f / "1_mat.json").unlink(), "1.jpg has no pose: add 1_mat.json"),
    "cut matrix": (lambda f: (f / "1_mat.json").write_text("[[1, 0"), "1_mat.json is no JSON"),
    "bytes": (lambda f: (f / "1_mat.json").write_bytes(b"\xff\xfe\x00"), "1_mat.json is no JSON"),
    "words": (lambda f: (f / "1_mat.json").write_text('{"a": 1}'), "1_mat.json is no matrix of 4"),
    "nan": (lambda f: (f / "1_mat.json").write_text(json.dumps([[float("nan")] * 4] * 4)),
            "1_mat.json is no matrix of 4 × 4 finite"),
    "scale": (lambda f: _matrix(f, GOOD @ np.diag([2, 2, 2, 1])), "1_mat.json has a scale of 2"),
    "shear": (lambda f: _matrix(f, GOOD + np.eye(4, k=1)), "1_mat.json .*rigid motion"),
    "mirror": (lambda f: _matrix(f, GOOD @ np.diag([-1, 1, 1, 1])), "1_mat.json mirrors"),
    "column-major": (lambda f: _matrix(f, GOOD.T), "1_mat.json .*column-major"),
    "behind": (lambda f: _matrix(f, pose_of(np.eye(3), [0, 0, 2])), "1_mat.json .*behind the cam"),
    "no camera": (lambda f: (f / "camera_info.json").unlink(), "0.jpg has no camera.*4 of 4"),
    "cut camera": (lambda f: (f / "camera_info.json").write_text("{"), "camera_info.json is no J"),
    "list camera": (lambda f: (f / "camera_info.json").write_text("[1]"), "camera_info.json: it h"),
    "empty camera": (lambda f: _info(f, {}), "camera_info.json: it states no camera"),
    "places": (lambda f: _info(f, INFO | {"camera_world_matrix": np.eye(4).tolist()}),
               "camera_info.json: .*is not the inverse of model_view_matrix"),
    "view": (lambda f: _info(f, INFO | {"model_view_matrix": (2 * np.eye(4)).tolist()}),
             "camera_info.json: model_view_matrix ends in"),
    "focal": (lambda f: _info(f, INFO | {"fx": 70, "fy": 70, "cx": 31.5, "cy": 31.5}),
              "camera_info.json: two statements about the camera disagree.*f = 62.2.*f = 70"),
    "size": (lambda f: _info(f, {"fx": 600, "fy": 600, "cx": 319.5, "cy": 239.5}),
             r"camera_info.json: .*centre \(319.5, 239.5\) lies outside the picture of 64 × 64"),
    "stated size": (lambda f: _info(f, INFO | {"width": 640, "height": 480}),
                    "camera_info.json: .*640 × 480 pixels, but the picture has 64 × 64"),
    "word": (lambda f: _info(f, {"fx": "x", "fy": 1, "cx": 1, "cy": 1}), "fx is missing or no num"),
    "missing": (lambda f: _info(f, {"fx": 60, "fy": 60, "cx": 1}), "cy is missing or no number"),
    "sensor": (lambda f: _info(f, {"focal_mm": 35, "sensor_mm": [36]}), "sensor_mm is no"),
    "axis": (lambda f: _info(f, {"field_of_view_deg": {"round": 50}}), "field_of_view_deg is no"),
    "picture": (lambda f: (f / "1.jpg").write_bytes(b"\xff\xd8\xff\xe0"), "1.jpg"),
    "shapes": (lambda f: cv2.imwrite(str(f / "1.jpg"), np.zeros((40, 64, 3), np.uint8)),
               "camera_info.json cannot be the camera of both .*0.jpg .*1.jpg"),
    "two": (lambda f: [_matrix(f, 2 * GOOD, k) for k in (1, 2)], "1_mat.json .*2 of 4 frames"),
}  # fmt: skip


def _matrix(folder: Path, matrix: np.ndarray, number: int = 1) -> None:
    (folder / f"{number}_mat.json").write_text(json.dumps(matrix.tolist()))


def _info(folder: Path, info: object) -> None:
    (folder / "camera_info.json").write_text(json.dumps(info))


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(tmp_path: Path, name: str) -> None:
    damage, told = BROKEN[name]
    write(tmp_path, poses(4))
    damage(tmp_path)
    with pytest.raises(DataError, match=told) as caught:
        frame_splits(DataOptions(), tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_may_be_named_in_place_of_those_in_the_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", poses(2))
    other = tmp_path / "lens.json"
    other.write_text(json.dumps({"field_of_view_deg": {"horizontal": 90}}))
    frames = read_frames(folder, other)
    assert frames.cameras["0.jpg"].fx == pytest.approx(32)
    with pytest.raises(DataError, match=r"none\.json cannot be read"):
        read_frames(folder, tmp_path / "none.json")


def test_a_camera_above_the_pictures_holds_for_them(tmp_path: Path) -> None:
    write(tmp_path / "train", poses(2))
    (tmp_path / "train" / "camera_info.json").rename(tmp_path / "camera_info.json")
    assert len(read_frames(tmp_path)) == 2


# ---- the camera alone


def test_a_picture_without_a_matrix_has_its_camera(tmp_path: Path) -> None:
    picture = write(tmp_path, poses(1)) / "0.jpg"
    (tmp_path / "0_mat.json").unlink()
    beside = camera_for(picture, width=64, height=64)
    assert beside.fx == pytest.approx(1.9444443 * 32)
    assert "camera_info.json" in beside.source
    named = tmp_path / "lens.json"
    named.write_text(json.dumps({"focal_mm": 18, "sensor_mm": [36, 24]}))
    assert camera_for(picture, width=300, height=200, file=named).fx == pytest.approx(150)
    (tmp_path / "camera_info.json").unlink()
    assert camera_for(picture, width=64, height=48) == Camera.default(64, 48)


def test_every_way_to_state_a_camera_is_read_and_they_are_held_together(tmp_path: Path) -> None:
    ways: list[dict[str, object]] = [
        INFO,
        {"projection_matrix": np.ravel(PROJECTION).tolist()},
        {"fx": 248.89, "fy": 248.89, "cx": 127.5, "cy": 127.5},
        {"camera_matrix": [[497.78, 0, 255.5], [0, 497.78, 255.5], [0, 0, 1]],
         "width": 512, "height": 512},
        {"focal_mm": 35, "sensor_mm": [36, 36]},
        {"field_of_view_deg": {"vertical": 54.432, "diagonal": 72.07}},
        Camera.default(256, 256).to_json(),
    ]  # fmt: skip
    everything = {key: value for way in ways[:3] + ways[4:6] for key, value in way.items()}
    path = tmp_path / "camera.json"
    for way in [*ways, everything]:
        path.write_text(json.dumps(way))
        camera = read_camera(path, width=256, height=256)
        assert (camera.fx, camera.fy) == pytest.approx((248.889, 248.889), abs=0.02)
        assert (camera.cx, camera.cy) == pytest.approx((127.5, 127.5))
        assert str(path) in camera.source


def test_distortion_and_the_place_of_the_camera_are_read(tmp_path: Path) -> None:
    turned = pose_of(rotation(np.array([0, 0.5, 0])), [0.3, 0.1, 2])
    path = tmp_path / "camera.json"
    lens = [[-0.1, 0.02, 0.001, 0, 0]]
    given = {"fx": 200, "fy": 210, "cx": 99.5, "cy": 80, "distortion": lens}
    path.write_text(json.dumps(given | {"camera_world_matrix": turned.tolist()}))
    camera = read_camera(path, width=200, height=160)
    assert camera.distortion == (-0.1, 0.02, 0.001, 0, 0)
    ahead = turned @ [0, 0, -1, 1]
    np.testing.assert_allclose(camera.project(ahead[:3], np.eye(4)), [99.5, 80], atol=1e-9)
