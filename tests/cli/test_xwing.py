"""The pose of the ship as users meet it: frames as files, tracking, lasers, data in disorder."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import img2img, sentence

from img2img.data.images import read

TINY = ["--model", "unet", "--set", "model.width=4", "--set", "model.depth=2", "--image-size", "32",
        "--steps", "2", "--batch-size", "2", "--quiet"]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `frames/` in the original format and `run/`, weights that know nothing."""
    folder = tmp_path_factory.mktemp("xwing")
    made = img2img("data", "make", "xwing", "--n", 8, "--size", 64, "--out", "frames", cwd=folder)
    assert made.code == 0, made.err
    done = img2img("train", "xwing", "--data", "frames", "--out", "run", *TINY, cwd=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def frames(place: Path, tmp_path: Path) -> Path:
    shutil.copytree(place / "frames" / "train", tmp_path / "frames")
    return tmp_path / "frames"


def test_made_frames_have_the_original_format(place: Path) -> None:
    train = place / "frames" / "train"
    assert {path.name for path in train.glob("*.jpg")} == {f"{3 * i}.jpg" for i in range(8)}
    pose = np.array(json.loads((train / "0_mat.json").read_text()))
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    camera = json.loads((train / "camera_info.json").read_text())
    assert camera["projection_matrix"][0][0] == pytest.approx(1.9444443)
    assert camera["projection_matrix"][1][1] == pytest.approx(1.9444443)
    done = img2img("data", "check", "xwing", "--data", "frames", cwd=place)
    assert done.code == 0, done.err


def test_flights_can_be_made(tmp_path: Path) -> None:
    done = img2img("data", "make", "xwing", "--n", 3, "--size", 32, "--set", "task.flight=true",
                   "--out", "flight", cwd=tmp_path)  # fmt: skip
    assert done.code == 0, done.err
    poses = [np.array(json.loads((tmp_path / f"flight/train/{i}_mat.json").read_text()))
             for i in range(3)]  # fmt: skip
    assert np.abs(poses[1] - poses[0]).max() < 0.1


def test_json_keeps_the_contract(place: Path) -> None:
    done = img2img("predict", "xwing", "frames/train", "--weights", "run", "--json", cwd=place)
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [Path(line["input"]).stem for line in lines] == [str(3 * i) for i in range(8)]
    for line in lines:
        assert line["error"] is None
        assert np.shape(line["keypoints"]) == (8, 3)
        assert (line["pose"] is None) == (line["pose_reason"] is not None)
        assert line["camera"]["source"].endswith("pixels")
        assert isinstance(line["ambiguous"], bool)


def test_figures_are_complete(place: Path) -> None:
    done = img2img("eval", "xwing", "--weights", "run", "--data", "frames", "--json", "-",
                   "--max", "rotation_deg=180", cwd=place)  # fmt: skip
    assert done.code == 0, done.err
    metrics = done.json["metrics"]
    named = ("rotation_deg", "rotation_p90_deg", "translation", "within_5deg_5pct", "add_10",
             "add_05", "pck_5px", "nmae", "corner_px", "reprojection_px", "jitter_deg")  # fmt: skip
    assert set(named) <= set(metrics)


def test_a_flight_becomes_a_film_with_lasers(place: Path, frames: Path) -> None:
    for film in ("flight.mp4", "flight.gif"):
        done = img2img("predict", "xwing", frames, "--weights", place / "run", "--smooth", "filter",
                       "--lasers", "--film", film, "--fps", 10, "--out", "answers", "--json",
                       cwd=frames.parent)  # fmt: skip
        assert done.code == 0, done.err
        capture = cv2.VideoCapture(str(frames.parent / film))
        n_frames = 0
        while capture.read()[0]:
            n_frames += 1
        assert n_frames == 8
    with (frames.parent / "answers" / "xwing.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert {"qw", "tx", "rotation_deviation_deg", "left_tail_top_confidence"} <= set(rows[0])


def test_a_video_is_answered_frame_by_frame(place: Path, frames: Path) -> None:
    video = frames.parent / "flight.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 12, (64, 64))
    for path in sorted(frames.glob("*.jpg")):
        writer.write(np.ascontiguousarray(read(path)[..., ::-1]))
    writer.release()
    done = img2img("predict", "xwing", video, "--weights", place / "run", cwd=frames.parent)
    assert done.code == 0, done.err
    assert [json.loads(line)["frame"] for line in done.out.splitlines()] == list(range(8))


def test_lasers_alone_write_overlays(place: Path, frames: Path) -> None:
    done = img2img("predict", "xwing", frames / "0.jpg", "--weights", place / "run", "--lasers",
                   "--out", "answers", cwd=frames.parent)  # fmt: skip
    assert done.code == 0, done.err
    assert (frames.parent / "answers" / "0_overlay.png").is_file()


def broken(frames: Path, how: str) -> None:
    matrix = frames / "3_mat.json"
    if how == "a missing matrix":
        matrix.unlink()
    elif how == "a broken JSON":
        matrix.write_text('[[1, 0, 0, 0], [0, "')
    elif how == "a matrix that is no rigid motion":
        matrix.write_text(json.dumps(np.diag([2.0, 1, 1, 1]).tolist()))
    else:
        camera = json.loads((frames / "camera_info.json").read_text())
        camera["model_view_matrix"][2][3] = -3.0
        (frames / "camera_info.json").write_text(json.dumps(camera))


@pytest.mark.parametrize(
    ("how", "named"),
    [("a missing matrix", "3_mat.json"), ("a broken JSON", "3_mat.json"),
     ("a matrix that is no rigid motion", "3_mat.json"),
     ("a camera that contradicts itself", "camera_info.json")],
)  # fmt: skip
def test_unusable_frames_are_named(frames: Path, how: str, named: str) -> None:
    broken(frames, how)
    done = img2img("train", "xwing", "--data", frames, "--out", "run", *TINY, cwd=frames.parent)
    assert done.code == 3
    assert named in sentence(done)
    checked = img2img("data", "check", "xwing", "--data", frames, cwd=frames.parent)
    assert checked.code == 3
    assert named in checked.out


def test_a_camera_that_contradicts_itself_fails_its_pictures_alone(
    place: Path, frames: Path
) -> None:
    broken(frames, "camera")
    other = place / "frames" / "val" / "1.jpg"
    done = img2img("predict", "xwing", frames / "0.jpg", other, "--weights", place / "run",
                   cwd=frames.parent)  # fmt: skip
    assert done.code == 1
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert "camera_info.json" in first["error"]
    assert second["error"] is None


def test_a_camera_beside_nothing_is_not_that_of_a_piped_picture(place: Path, frames: Path) -> None:
    broken(frames, "camera")
    arguments = ("predict", "xwing", "-", "--weights", place / "run")
    piped = img2img(*arguments, cwd=frames, stdin=(frames / "0.jpg").read_bytes())
    assert (piped.code, piped.json["error"]) == (0, None)
    assert "camera_info.json" not in piped.json["camera"]["source"]
    told = img2img(*arguments, "--camera", "camera_info.json", cwd=frames,
                   stdin=(frames / "0.jpg").read_bytes())  # fmt: skip
    assert (told.code, "camera_info.json" in told.json["error"]) == (1, True)


def test_a_wrong_way_to_smooth_gets_the_right_name(place: Path) -> None:
    done = img2img("predict", "xwing", "frames/train", "--weights", "run", "--smooth", "fliter",
                   cwd=place)  # fmt: skip
    assert done.code == 2
    assert "--smooth cannot be 'fliter': choose from" in sentence(done)
    done = img2img("predict", "sobel", "frames/train", "--smooth", "filter", cwd=place)
    assert done.code == 2
    assert "--smooth does not go with the task sobel" in sentence(done)


def test_the_documented_recipe_resolves(tmp_path: Path) -> None:
    """U-Net with EfficientNet-B0 at 256² and MSE, Adam, reduce on plateau."""
    done = img2img("train", "xwing", "--model", "unet:efficientnet-b0", "--image-size", 256,
                   "--set", "task.loss=mse", "--set", "task.stride=1", "--optimizer", "adam",
                   "--lr", "1e-3", "--schedule", "plateau", "--set", "data.n_generated=8",
                   "--batch-size", 2, "--dry-run", cwd=tmp_path)  # fmt: skip
    assert done.code == 0, done.err
