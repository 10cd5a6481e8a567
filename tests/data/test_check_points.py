"""What `data check keypoints` finds."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from faces15 import faces, turned

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.check import CheckReport
from img2img.data.check_points import check_points
from img2img.errors import DataError
from img2img.vision.schemas import KAGGLE15, NOSE, Schema, schema_of

SIDE_PX = 128


def photo(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)


def shapes(n: int) -> np.ndarray:
    """(n, 15, 2) upright faces in the middle of the picture."""
    return np.stack([turned(shape, 0, 25, SIDE_PX / 2) for shape in faces(n, 3)])


def write(folder: Path, points: np.ndarray, names: Sequence[str] = ()) -> Path:
    """A file-name CSV with a picture a row; pictures that are there already stay."""
    rows = []
    for index, own in enumerate(points):
        name = names[index] if names else f"{index}.png"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            images.write(path, photo(index))
        rows.append([name, *("" if np.isnan(v) else f"{v:.4f}" for v in own.ravel())])
    with (folder / "points.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def check(folder: Path, schema: Schema = KAGGLE15) -> CheckReport:
    return check_points(DataOptions(source=str(folder)), schema)


def found(report: CheckReport) -> list[tuple[str, str, bool]]:
    return [(problem.kind, problem.path, problem.fatal) for problem in report.problems]


def messages(report: CheckReport) -> str:
    return "\n".join(problem.message for problem in report.problems)


def test_data_in_order(tmp_path: Path) -> None:
    points = shapes(24)
    points[:5, 7] = points[0, 9] = np.nan
    report = check(write(tmp_path, points))
    assert found(report) == []
    assert report.n_pictures == 24
    described, counts, missing = report.notes
    assert described.endswith("file-name CSV, 24 faces with 15 points (kaggle15) each, 6 of them "
                              "missing")  # fmt: skip
    assert counts.startswith("24 usable pictures, 24 faces, 24 people (groups); pictures: train ")
    assert missing == "missing: left_eyebrow_outer_end 5, right_eyebrow_outer_end 1"
    first, last = report.files[0], report.files[-1]
    assert first["missing"] == ["left_eyebrow_outer_end", "right_eyebrow_outer_end"]
    assert last["face_px"] == pytest.approx(np.ptp(points[-1], axis=0).max(), abs=1e-3)
    assert 0 < last["shape_miss"] < 0.2


def test_faces_of_one_picture_and_of_one_person(tmp_path: Path) -> None:
    names = [f"Ann_Lee_{n // 2:02}.png" for n in range(8)] + ["Bo_Ek_00.png", "Cy_Fu_00.png"]
    report = check(write(tmp_path, shapes(10), names))
    assert report.n_pictures == 6
    assert report.notes[1].startswith("6 usable pictures, 10 faces, 3 people (groups)")
    assert found(report) == []


def test_unreadable_and_lying_pictures(tmp_path: Path) -> None:
    folder = write(tmp_path, shapes(12))
    (folder / "3.png").write_bytes(b"")
    images.write(folder / "x.jpg", photo(4))
    (folder / "x.jpg").replace(folder / "4.png")
    report = check(folder)
    assert found(report) == [("unreadable", "3.png", True), ("ending", "4.png", False)]
    assert "4.png is a JPEG file" in messages(report)
    assert report.n_pictures == 12
    assert len(report.files) == 11


def test_one_picture_in_two_parts(tmp_path: Path) -> None:
    folder = write(tmp_path, shapes(24))
    parts = {part: len(report_part) for part, report_part in _parts(folder).items()}
    assert parts["val"]
    train, val = _parts(folder)["train"][0], _parts(folder)["val"][0]
    images.write(folder / val, photo(int(train.removesuffix(".png"))))
    report = check(folder)
    assert found(report) == [("duplicate", val, False)]
    assert f"{val} (val) is the same file as {train} (train)" in messages(report)


def _parts(folder: Path) -> dict[str, list[str]]:
    from img2img.data.formats.point_formats import find_points
    from img2img.data.formats.points import point_splits

    splits = point_splits(find_points(folder), DataOptions(source=str(folder)), KAGGLE15)
    return {part: [record.id for record in kept.records] for part, kept in splits.parts.items()}


def test_exchanged_sides_turned_faces_and_odd_shapes(tmp_path: Path) -> None:
    points = shapes(40)
    points[6] = points[6][KAGGLE15.flip_order]
    points[9] = SIDE_PX - points[9]
    diagonal = np.hypot(*np.ptp(points[11], axis=0))
    points[11, 10, 1] += 0.3 * diagonal
    report = check(write(tmp_path, points))
    assert found(report)[:3] == [
        ("swapped", "6.png", False), ("turned", "9.png", False), ("shape", "11.png", False),
    ]  # fmt: skip
    assert "11.png has an odd shape: nose_tip lies " in messages(report)
    share = int(report.problems[2].message.partition(" lies ")[2].partition("%")[0])
    assert share == pytest.approx(30, abs=8)


def test_the_five_worst_shapes_are_named(tmp_path: Path) -> None:
    points = shapes(60)
    for index in range(8):
        points[7 * index, index + 5] += 2 * (10 + index)
    report = check(write(tmp_path, points))
    *named, others = [problem for problem in report.problems if problem.kind == "shape"]
    assert len(named) == 5
    assert {problem.path for problem in named} <= {f"{7 * index}.png" for index in range(8)}
    shares = [int(one.message.partition(" lies ")[2].partition("%")[0]) for one in named]
    assert shares == sorted(shares, reverse=True)
    assert others.message == "3 more faces have odd shapes."
    assert not report.fatal


def test_points_beyond_the_picture_and_small_faces(tmp_path: Path) -> None:
    points = shapes(24)
    points[2, :, 0] += 128 - 0.5 - np.sort(points[2, :, 0])[-3]  # two beyond, one on the edge
    points[5] = (points[5] - 64) / 6 + 64
    report = check(write(tmp_path, points))
    assert found(report) == [("off-picture", "2.png", False), ("small-face", "5.png", False)]
    assert "2.png has 2 of 15 points outside of the picture, 128x128 pixels." in messages(report)
    side = np.ptp(points[5], axis=0).max()
    assert f"5.png has a face of {side:.0f} pixels." in messages(report)


def test_points_at_one_place(tmp_path: Path) -> None:
    points = shapes(24)
    points[3] = points[3, 0]
    points[8, 0] = points[8, 1]
    report = check(write(tmp_path, points))
    told = messages(report)
    assert "3.png has all its points at one place." in told
    assert "8.png has right_eye_center and left_eye_center at one place." in told
    assert not report.fatal


NONSENSE = {
    "same": ("all 24 faces have the same points", "coincide"),
    "spots": ("24 of 24 faces have points that coincide", "coincide"),
    "swapped": ("left and right look swapped in most faces", "swapped"),
    "many swapped": ("left and right look swapped in 6 of 24 faces", "swapped"),
    "upside down": ("most faces are upside down", "swapped"),
    "shares": ("all coordinates lie in 0…1", "small-face"),
    "scaled": ("24 of 24 faces have most of their points outside", "off-picture"),
    "never": ("nose_tip is missing in every face", "missing"),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_what_would_teach_nonsense_is_fatal(kind: str, tmp_path: Path) -> None:
    points = shapes(24)
    if kind == "same":
        points[:] = points[0]
    elif kind == "spots":
        points[:] = points[:, :1]
    elif kind == "swapped":
        points = points[:, KAGGLE15.flip_order]
    elif kind == "many swapped":
        points[::4] = points[::4][:, KAGGLE15.flip_order]
    elif kind == "upside down":
        points = SIDE_PX - points
    elif kind == "shares":
        points /= SIDE_PX
    elif kind == "scaled":
        points = points * 2 + 20
    else:
        points[:, 10] = np.nan
    report = check(write(tmp_path, points))
    told, expected = NONSENSE[kind]
    assert report.fatal
    fatal = [problem for problem in report.problems if problem.fatal]
    assert told in fatal[0].message
    assert fatal[0].kind == expected
    assert fatal[0].path == ""


def own_schema(folder: Path, names: Sequence[str], first: int) -> Schema:
    """The 15 points under other names, each pair beginning with its right (0) or left (1) point."""
    pairs = [[names[pair[first]], names[pair[1 - first]]] for pair in KAGGLE15.pairs]
    folder.mkdir(exist_ok=True)
    (folder / "mine.toml").write_text(f"points = {[*names]}\npairs = {pairs}")
    return schema_of(str(folder / "mine.toml"))


@pytest.mark.parametrize("n", [24, 6])
def test_pairs_of_ones_own_that_are_the_wrong_way_round(tmp_path: Path, n: int) -> None:
    folder = write(tmp_path / "data", shapes(n))
    unnamed = [f"p{index}" for index in range(15)]
    for first, is_wrong in ((1, False), (0, True)):
        report = check(folder, own_schema(tmp_path, unnamed, first))
        assert report.fatal is is_wrong
    assert "turn round each pair of the schema" in messages(report)
    for first in (1, 0):
        assert found(check(folder, own_schema(tmp_path, KAGGLE15.points, first))) == []


def test_faces_that_cannot_be_cut_out_are_named(tmp_path: Path) -> None:
    points = shapes(24)
    points[3, 1:] = points[7] = np.nan
    folder = write(tmp_path, points)
    report = check(folder)
    assert found(report) == [("missing", "3.png", True)]
    assert "3.png has too few points to tell where its face is, and no box" in messages(report)
    assert "1 without any point are passed over" in report.notes[0]
    assert found(check_points(DataOptions(source=str(folder)), KAGGLE15, whole=True)) == []


def test_a_face_that_is_listed_twice_is_named(tmp_path: Path) -> None:
    points = shapes(24)
    points[9] = points[4]
    names = [f"{index}.png" for index in range(24)]
    names[9] = "4.png"
    names[11] = "10.png"  # another face in the picture
    report = check(write(tmp_path, points, names))
    assert found(report) == [("duplicate", "4.png#2", False)]
    assert "4.png#2 has the same picture and points as 4.png#1" in messages(report)


def test_few_faces_are_compared_by_their_sides_alone(tmp_path: Path) -> None:
    points = shapes(6)
    points[2] = points[2][KAGGLE15.flip_order]
    assert found(check(write(tmp_path, points))) == [("swapped", "2.png", False)]


def test_the_nose_alone_can_be_checked(tmp_path: Path) -> None:
    report = check(write(tmp_path, shapes(24)), NOSE)
    assert found(report) == []
    assert report.files[0]["shape_miss"] is None


def test_data_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no points"):
        check(tmp_path)
    folder = write(tmp_path / "a", shapes(3))
    (folder / "points.csv").write_text("0.png,1,2,x,4\n")
    with pytest.raises(DataError, match="row 1, point 1: 'x' is no number"):
        check(folder)
