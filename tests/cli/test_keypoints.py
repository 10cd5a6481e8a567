"""Keypoints as users meet them: Kaggle's files from end to end, data in disorder, tables."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import img2img, sentence

from img2img.cli import app as door
from img2img.data.synth.faces import Faces
from img2img.vision.schemas import IBUG68, KAGGLE15

COLUMNS = [f"{name}_{axis}" for name in KAGGLE15.points for axis in "xy"]
ASKED = ((1, "left_eye_center_x"), (1, "nose_tip_y"), (3, "mouth_left_corner_x"))
TINY = ["--model", "unet", "--set", "model.width=4", "--set", "model.depth=2", "--image-size", "32",
        "--steps", "1", "--batch-size", "2", "--out", "run", "--quiet"]  # fmt: skip


def table(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three files of the competition: 12 faces, every third without the ends of its brows,
    and 3 without labels."""
    folder = tmp_path_factory.mktemp("kaggle")
    parts = Faces.splits(12, n_val=1, n_test=3, size=96).parts
    texts = {
        part: [" ".join(map(str, cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY).ravel()))
               for sample in samples]
        for part, samples in parts.items()
    }  # fmt: skip
    rows: list[list[object]] = []
    for index, (sample, text) in enumerate(zip(parts["train"], texts["train"], strict=True)):
        points = KAGGLE15.derived(sample.labels["points"], IBUG68)
        cells: list[object] = [f"{value:.4f}" for value in points.ravel()]
        if index % 3 == 1:
            cells[14:16] = cells[18:20] = ["", ""]
        rows.append([*cells, text])
    table(folder / "training.csv", [*COLUMNS, "Image"], rows)
    unlabelled: list[list[object]] = [[n, text] for n, text in enumerate(texts["test"], start=1)]
    table(folder / "test.csv", ["ImageId", "Image"], unlabelled)
    asked: list[list[object]] = [[row, *one, ""] for row, one in enumerate(ASKED, start=1)]
    table(folder / "IdLookupTable.csv", ["RowId", "ImageId", "FeatureName", "Location"], asked)
    return folder


@pytest.fixture(scope="module")
def kaggle_run(kaggle: Path) -> Path:
    """A run folder of a tiny U-Net, after a few steps on Kaggle's training.csv."""
    from img2img.config import parse_set
    from img2img.engine.run import prepare, resolve, train
    from img2img.engine.runtime import running

    options = [
        f"data.source={kaggle / 'training.csv'}", "model.name=unet", "model.width=4",
        "model.depth=2", "task.image_size=32", "train.steps=6", "train.batch_size=4",
        "train.val_samples=2", "train.log_every=1", "train.warmup_steps=0",
    ]  # fmt: skip
    run = kaggle / "run"
    with running("cpu") as runtime:
        config = resolve("keypoints", [("flag", parse_set(options))])
        assert (config.task_options.schema, config.task_options.crop) == ("kaggle15", "whole")
        plan = prepare(config, runtime, init=None, fresh=True)
        train(plan, runtime, out=run, resume=False, listeners=[], report=lambda *_: None)
    return run


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def points_of(row: dict[str, str]) -> np.ndarray:
    return np.array([float(row[name] or "nan") for name in COLUMNS]).reshape(15, 2)


# ---- Kaggle from end to end


def test_missing_points_cost_nothing_in_training(kaggle_run: Path) -> None:
    lines = map(json.loads, (kaggle_run / "metrics.jsonl").read_text().splitlines())
    losses = [line["losses"]["kl"] for line in lines if line["kind"] == "step"]
    assert len(losses) == 6
    assert np.array(losses, float) == pytest.approx(1.5, abs=0.7), "null where not finite"


def test_an_evaluation_scores_as_kaggle_does(
    kaggle_run: Path, kaggle: Path, tmp_path: Path
) -> None:
    """The root mean square over all labelled coordinates, in pixels of the 96 × 96 pictures."""
    weights = ("--weights", kaggle_run, "--quiet")
    data = kaggle / "training.csv"
    done = img2img("eval", "keypoints", *weights, "--data", data, "--json", "-", cwd=tmp_path)
    assert done.code == 0, done.err
    assert (done.json["n"], done.json["split"]) == (12, "all")
    answered = img2img("predict", "keypoints", data, *weights, "--out", "a", cwd=tmp_path)
    assert answered.code == 0, answered.err
    found = np.stack([points_of(row) for row in rows_of(tmp_path / "a" / "keypoints.csv")])
    truth = np.stack([points_of(row) for row in rows_of(data)])
    assert np.isnan(truth).sum() == 4 * 2 * 2
    error = np.sqrt(np.nanmean(np.square(found - truth)))
    assert error > 1
    assert done.json["metrics"]["rmse_px"]["value"] == pytest.approx(error, abs=0.02)
    assert not (tmp_path / "a" / "submission.csv").exists(), "training.csv has no ImageId"


def test_every_row_is_answered_and_handed_in(
    kaggle_run: Path, kaggle: Path, tmp_path: Path
) -> None:
    done = img2img(
        "predict", "keypoints", kaggle / "test.csv", "--weights", kaggle_run, "--out", "a",
        "--overlay", cwd=tmp_path,
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["frame"], line["width"], line["error"]) for line in lines] == [
        (number, 96, None) for number in (1, 2, 3)
    ]
    rows = rows_of(tmp_path / "a" / "keypoints.csv")
    assert list(rows[0])[:11] == ["input", "frame", "face", "score", "x0", "y0", "x1", "y1",
                                  "left_eye_center_x", "left_eye_center_y",
                                  "left_eye_center_confidence"]  # fmt: skip
    assert [(row["input"], row["frame"], row["face"]) for row in rows] == [
        (str(kaggle / "test.csv"), number, "1") for number in "123"
    ]
    for line, row in zip(lines, rows, strict=True):
        (face,) = line["faces"]
        keypoints = np.array(face["keypoints"])
        np.testing.assert_allclose(points_of(row), keypoints[:, :2], rtol=1e-7)
        edges = [float(row[name]) for name in ("x0", "y0", "x1", "y1")]
        assert edges == pytest.approx(face["box"])
        assert float(row["nose_tip_confidence"]) == pytest.approx(keypoints[10, 2], rel=1e-7)
        picture = cv2.imread(str(tmp_path / "a" / "test" / f"{line['frame']:06d}_overlay.png"))
        assert picture.shape[1] >= 96
    handed_in = [line.split(",") for line in _lines(tmp_path / "a" / "submission.csv")]
    assert handed_in[0] == ["RowId", "Location"]
    for (row_id, location), (image, feature) in zip(handed_in[1:], ASKED, strict=True):
        answer = min(max(float(rows[image - 1][feature]), 0), 96)
        assert float(location) == pytest.approx(answer, abs=1e-4)
        assert handed_in[int(row_id)][0] == row_id


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_broken_rows_are_named_and_the_rest_is_done(
    kaggle_run: Path, kaggle: Path, tmp_path: Path
) -> None:
    lines = _lines(kaggle / "test.csv")
    (tmp_path / "test.csv").write_text("\n".join([*lines[:2], lines[2] + " 7", lines[3]]) + "\n")
    lookup = tmp_path / "IdLookupTable.csv"
    lookup.write_text((kaggle / lookup.name).read_text() + "4,2,nose_tip_x,\n")
    arguments = ("predict", "keypoints", "test.csv", "--weights", kaggle_run, "--out", "a")
    done = img2img(*arguments, cwd=tmp_path)
    assert done.code == 1
    assert "test.csv, row 3: it has 9217 pixels instead of 9216" in done.err
    assert [row["frame"] for row in rows_of(tmp_path / "a" / "keypoints.csv")] == ["1", "3"]
    assert [line.split(",")[0] for line in _lines(tmp_path / "a" / "submission.csv")] == [
        "RowId", "1", "2", "3",
    ]  # fmt: skip
    assert "lacks 1 of 4 rows" in done.err
    assert "picture 2 has no answer" in done.err
    lookup.write_text("RowId,ImageId\n1,1\n")
    refused = img2img(*arguments, cwd=tmp_path)
    assert refused.code == 3
    assert "IdLookupTable.csv has no column FeatureName" in sentence(refused)


def test_a_table_is_none_of_the_inputs_and_named_once(
    kaggle_run: Path, kaggle: Path, tmp_path: Path
) -> None:
    common = ("predict", "keypoints", "--weights", kaggle_run, "--out", tmp_path)
    own = tmp_path / "keypoints.csv"
    own.write_bytes((kaggle / "test.csv").read_bytes())
    content = own.read_bytes()
    for arguments, words in (
        ((own,), "would overwrite the input"),
        ((kaggle / "test.csv", "--skip-existing"), "--skip-existing goes by pictures"),
    ):
        refused = img2img(*common, *arguments, cwd=tmp_path)
        assert refused.code == 2
        assert words in sentence(refused)
    assert own.read_bytes() == content


@pytest.mark.slow
def test_two_processes_write_what_one_writes(
    kaggle_run: Path, kaggle: Path, tmp_path: Path
) -> None:
    inputs = [kaggle / "test.csv"]
    for index, sample in enumerate(Faces.splits(3, n_val=1, n_test=1, size=64).parts["train"]):
        inputs.append(tmp_path / f"{index}.png")
        cv2.imwrite(str(inputs[-1]), sample.image)
    command = ["-m", "img2img", "predict", "keypoints", *map(str, inputs), "--weights",
               str(kaggle_run)]  # fmt: skip
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for out, start in (("one", []), ("two", launch)):
        done = subprocess.run(
            [sys.executable, *start, *command, "--out", out],
            cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    for name in ("keypoints.csv", "submission.csv"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text()
    frames = [row["frame"] for row in rows_of(tmp_path / "two" / "keypoints.csv")]
    assert frames == ["1", "2", "3", "", "", ""]


# ---- data in disorder


class Door:
    """The command in this process: its exit code, and its one line on stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object, prints: bool = False) -> tuple[int, str]:
        self._monkeypatch.setattr(sys, "argv", ["img2img", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            door.main()
        streams = self._capsys.readouterr()
        assert bool(streams.out) == prints
        assert streams.err.count("\n") == 1
        code: Any = ended.value.code
        return code, streams.err


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Door:
    monkeypatch.chdir(tmp_path)
    return Door(monkeypatch, capsys)


BROKEN_ROWS = {
    "it has 30 columns instead of 31": lambda cells: cells[1:],
    "it has 9217 pixels instead of 9216": lambda cells: [*cells[:-1], cells[-1] + " 1"],
    "it has 9215 pixels": lambda cells: [*cells[:-1], cells[-1].rpartition(" ")[0]],
    "'abc' is no number": lambda cells: ["abc", *cells[1:]],
    "a point has x or y alone": lambda cells: ["", *cells[1:]],
}


@pytest.mark.parametrize("told", BROKEN_ROWS)
def test_a_broken_row_is_named_with_file_row_and_reason(
    told: str, kaggle: Path, refused: Door
) -> None:
    with (kaggle / "training.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    rows[2] = BROKEN_ROWS[told](rows[2])
    table(Path("data.csv"), header, list(map(list, rows)))
    code, line = refused("train", "keypoints", "--data", "data.csv", *TINY)
    assert code == 3
    assert "data.csv, row 4" in line
    assert told in line
    assert not Path("run").exists()


def pts(folder: Path, *, n: int = 4, n_points: int = 68, stated: int = 0, third: str = "") -> None:
    """Pictures with .pts files; in the second, another number of points, or the third point."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(n):
        cv2.imwrite(str(folder / f"{index}.png"), rng.integers(0, 256, (64, 64, 3), np.uint8))
        rows = [f"{x:.3f} {y:.3f}" for x, y in rng.uniform(5, 60, (n_points, 2))]
        number = n_points
        if index == 1:
            rows[2], number = third or rows[2], stated or number
        text = "\n".join(["version: 1", f"n_points: {number}", "{", *rows, "}"])
        (folder / f"{index}.pts").write_text(text)


@pytest.mark.parametrize(
    ("broken", "where", "told"),
    [
        ({"stated": 67}, "1.pts, row 72", "68 points end here, but n_points is 67"),
        ({"third": "nan 3"}, "1.pts, row 6", "'nan' is no number"),
        ({"third": "a 3"}, "1.pts, row 6", "'a' is no number"),
        ({"third": "3"}, "1.pts, row 6", "is not x and y"),
    ],
)
def test_a_broken_pts_file_is_named(
    broken: dict[str, Any], where: str, told: str, refused: Door
) -> None:
    pts(Path("data"), **broken)
    code, line = refused("train", "keypoints", "--data", "data", *TINY)
    assert code == 3
    assert where in line
    assert told in line
    assert not Path("run").exists()


def test_folders_in_doubt_are_refused(kaggle: Path, refused: Door) -> None:
    pts(Path("counts/a"))
    pts(Path("counts/b"), n_points=15)
    pts(Path("kinds"))
    for index in range(4):
        Path(f"kinds/{index}.asf").write_text("")
    for name in ("one", "two"):
        table(Path(f"lists/{name}.csv"), ["0.png", "1", "2"], [["1.png", 1, 2]])
    Path("empty").mkdir()
    for data, told in {
        "counts": "counts/b/0.pts has 15 points, but counts/a/0.pts has 68",
        "kinds": "kinds holds several kinds of labels",
        "lists": "lists holds several kinds of labels",
        "empty": "empty holds no points: give a folder",
        "nowhere": "nowhere does not exist",
        str(kaggle / "test.csv"): "has pictures without points",
    }.items():
        code, line = refused("train", "keypoints", "--data", data, *TINY)
        assert code == 3
        assert told in line
        assert not Path("run").exists()


def test_options_that_do_not_fit_say_what_does(kaggle_run: Path, refused: Door) -> None:
    pts(Path("data"))
    train = ("train", "keypoints", "--data", "data")
    predict = ("predict", "keypoints", "data/0.png", "--weights", kaggle_run, "--face-box")
    for code, arguments, told in (
        (3, (*train, *TINY, "--set", "task.schema=imm58"), "choose the schema of the data"),
        (2, (*train, *TINY, "--set", "task.schema=ibug86"), "did you mean 'ibug68'?"),
        (2, (*train, "--model", "regressor", "--steps", 1, "--out", "run"), "choose unet"),
        (2, (*train, *TINY, "--set", "task.way=coordinates"), "choose regressor"),
        (2, (*predict, "1,2,3"), "--face-box takes x0,y0,x1,y1 in pixels"),
        (2, (*predict, "1,2,3,x"), "--face-box cannot be '1,2,3,x'"),
        (2, (*predict, "1,2,3,4", "--whole-image"), "--face-box and --whole-image contradict"),
        (2, ("predict", "sobel", "data/0.png", "--face-box", "1,2,3,4"), "does not go with"),
    ):
        assert refused(*arguments)[0] == code, told
        assert told in refused(*arguments)[1]
        assert not Path("run").exists()


def test_weights_of_two_schemas_are_not_compared(
    kaggle_run: Path, kaggle: Path, refused: Door
) -> None:
    data = kaggle / "training.csv"
    code, line = refused("compare", "keypoints", kaggle_run, "shipped", "--data", data)
    assert code == 2
    assert "where A has left_eye_center_x, B has jaw_0_x" in line


# ---- data make, check, preview


def test_made_faces_are_read_back_checked_and_shown(tmp_path: Path) -> None:
    from img2img.config import DataOptions
    from img2img.data.formats.point_formats import find_points
    from img2img.data.formats.points import point_splits

    made = img2img("data", "make", "keypoints", "--n", 11, "--size", 80, "--seed", 3, "--out",
                   "faces", "--quiet", cwd=tmp_path)  # fmt: skip
    assert (made.code, made.out) == (0, "faces\n")
    folder = tmp_path / "faces"
    read = point_splits(find_points(folder), DataOptions(source=str(folder)), IBUG68)
    assert read.stated
    drawn = Faces.splits(11, n_val=1, n_test=1, size=80, seed=3).parts
    for part, samples in drawn.items():
        assert len(read.parts[part]) == len(samples)
        for one, two in zip(read.parts[part], samples, strict=True):
            assert one.id == f"{part}/{two.id}.png"
            np.testing.assert_array_equal(one.image, two.image)
            np.testing.assert_allclose(one.labels["points"], two.labels["points"], atol=1e-3)
    checked = img2img("data", "check", "keypoints", "--data", "faces", "--json", "-", cwd=tmp_path)
    assert checked.code == 0, checked.err
    report = checked.json
    assert (report["n_pictures"], report["fatal"], len(report["files"])) == (13, False, 13)
    assert report["notes"][0] == "faces: file-name CSV, 13 faces with 68 points (ibug68) each"
    assert report["notes"][1].endswith("13 people (groups); pictures: train 11, val 1, test 1")
    shown = img2img("data", "preview", "keypoints", "--data", "faces", "--n", 4, "--out", "p.png",
                    cwd=tmp_path)  # fmt: skip
    assert (shown.code, shown.out) == (0, "p.png\n")
    picture = cv2.imread(str(tmp_path / "p.png"))
    assert picture.shape[1] >= 4 * 2 * 96


def test_data_that_teach_nonsense_end_with_3(tmp_path: Path, refused: Door) -> None:
    faces = Faces.splits(12, n_val=1, n_test=1, size=64).parts["train"]
    rows: list[list[object]] = []
    for sample in faces:
        cv2.imwrite(f"{sample.id}.png", sample.image)
        points = np.asarray(sample.labels["points"])[IBUG68.flip_order]
        rows.append([f"{sample.id}.png", *points.ravel()])
    header = ["image", *(f"{axis}{index}" for index in range(68) for axis in "xy")]
    table(Path("points.csv"), header, rows)
    command = ("data", "check", "keypoints", "--data", ".", "--json", "report.json")
    code, line = refused(*command, prints=True)
    assert code == 3
    assert line.startswith("img2img: . cannot be trained on")
    report = json.loads(Path("report.json").read_text())
    assert [problem["kind"] for problem in report["problems"] if problem["fatal"]] == ["swapped"]
