import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.check import CheckReport, check_pictures, dhash
from img2img.data.sample import Image
from img2img.errors import DataError

OPTIONS = DataOptions(val_share=0.3, test_share=0.2)


def picture(seed: int, height: int = 64, width: int = 96) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    smooth: Image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return smooth


def put(path: Path, image: Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, image)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in order: eight training pictures, four for validation, two for the test."""
    parts = ["train"] * 8 + ["val"] * 4 + ["test"] * 2
    for seed, part in enumerate(parts):
        put(tmp_path / part / f"{seed}.png", picture(seed))
    return tmp_path


def found(report: CheckReport) -> list[tuple[str, str]]:
    return [(problem.kind, problem.path) for problem in report.problems]


def test_a_good_folder_has_no_problems(folder: Path) -> None:
    report = check_pictures(folder, OPTIONS)
    assert report == CheckReport(n_pictures=14, problems=())
    assert not report.fatal


def test_unreadable_pictures_are_fatal_and_all_listed(folder: Path) -> None:
    (folder / "train/0.png").write_bytes(b"")
    jpeg = put(folder / "val/cut.jpg", picture(50))
    jpeg.write_bytes(jpeg.read_bytes()[:-100])
    (folder / "val/text.png").write_text("no picture")
    report = check_pictures(folder, OPTIONS)
    assert report.fatal
    assert found(report) == [
        ("unreadable", "train/0.png"),
        ("unreadable", "val/cut.jpg"),
        ("unreadable", "val/text.png"),
    ]
    assert report.problems[0].message == "train/0.png is empty (zero bytes)."


def test_damage_inside_the_pixels_is_found(folder: Path) -> None:
    """A PNG whose checksums are right and whose pixels are not: only decoding tells."""
    path = folder / "train/0.png"
    donor = images.encode_png(picture(0, height=20))
    path.write_bytes(_with_header_of(donor, path.read_bytes()))
    assert images.probe(path.read_bytes(), "a") == (64, 96)
    assert ("unreadable", "train/0.png") in found(check_pictures(folder, OPTIONS))


def _with_header_of(donor: bytes, header_of: bytes) -> bytes:
    return header_of[:33] + donor[33:]


def test_copies_across_parts_are_warnings(folder: Path) -> None:
    (folder / "val/copy.png").write_bytes((folder / "train/3.png").read_bytes())
    (folder / "test/copy.png").write_bytes((folder / "val/9.png").read_bytes())
    report = check_pictures(folder, OPTIONS)
    assert not report.fatal
    assert found(report) == [("duplicate", "val/copy.png"), ("duplicate", "test/copy.png")]
    assert "val/copy.png (val) is the same file as train/3.png (train)" in (
        report.problems[0].message
    )


def test_copies_within_a_part_are_no_problem(folder: Path) -> None:
    (folder / "train/copy.png").write_bytes((folder / "train/3.png").read_bytes())
    assert check_pictures(folder, OPTIONS).problems == ()


def test_near_copies_are_found(folder: Path) -> None:
    half = cv2.resize(picture(5), (48, 32), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 15, half.shape)
    path = put(folder / "test/half.jpg", (half + noise).clip(0, 255).astype(np.uint8))
    before, after = dhash(picture(5)), dhash(images.read(path))
    assert before is not None
    assert after is not None
    assert 1 <= (before ^ after).bit_count() <= 4
    report = check_pictures(folder, OPTIONS)
    assert found(report) == [("near-duplicate", "test/half.jpg")]
    assert "looks the same as train/5.png (train)" in report.problems[0].message


def test_flat_pictures_are_not_taken_for_copies(folder: Path) -> None:
    put(folder / "train/black.png", np.zeros((64, 96, 3), np.uint8))
    put(folder / "val/white.png", np.full((64, 96, 3), 255, np.uint8))
    assert check_pictures(folder, OPTIONS).problems == ()


def test_copies_across_carved_parts_are_found(tmp_path: Path) -> None:
    for index in range(12):
        put(tmp_path / f"{index}.png", picture(7))
    report = check_pictures(tmp_path, OPTIONS)
    assert {problem.kind for problem in report.problems} == {"duplicate"}


@pytest.mark.parametrize(
    ("height", "width", "told"),
    [
        (7, 20, "a side is below 8 pixels"),
        (20, 170, "one side is over 8 times the other"),
        (600, 900, "far from the usual side of about 78 pixels"),
        (10, 15, "far from the usual side"),
    ],
)
def test_size_outliers(folder: Path, height: int, width: int, told: str) -> None:
    put(folder / "train/odd.png", picture(99, height, width))
    report = check_pictures(folder, OPTIONS)
    assert found(report) == [("size", "train/odd.png")]
    assert told in report.problems[0].message
    assert f"{width}x{height}" in report.problems[0].message
    assert not report.fatal


def test_ordinary_variety_of_sizes_is_no_problem(folder: Path) -> None:
    for index, (height, width) in enumerate([(40, 120), (120, 160), (50, 70), (90, 90)]):
        put(folder / f"train/size{index}.png", picture(60 + index, height, width))
    assert check_pictures(folder, OPTIONS).problems == ()


def test_pictures_outside_the_parts_are_named(folder: Path) -> None:
    put(folder / "cover.png", picture(70))
    assert found(check_pictures(folder, OPTIONS)) == [("outside", "cover.png")]


def test_a_missing_validation_part_is_told_but_trains(tmp_path: Path) -> None:
    put(tmp_path / "only.png", picture(0))
    report = check_pictures(tmp_path, OPTIONS)
    assert not report.fatal
    assert [problem.message.split(":")[0] for problem in report.problems] == [
        "no readable picture is left for val"
    ]


def test_nothing_readable_is_fatal_for_every_part(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    report = check_pictures(tmp_path, OPTIONS)
    assert found(report) == [("unreadable", "a.png"), ("too-few", ""), ("too-few", "")]


def test_a_missing_folder_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        check_pictures(tmp_path / "gone", OPTIONS)


def test_report_as_json(folder: Path) -> None:
    (folder / "train/0.png").write_bytes(b"")
    told = json.loads(json.dumps(check_pictures(folder, OPTIONS).to_json()))
    problem = {
        "path": "train/0.png",
        "kind": "unreadable",
        "message": "train/0.png is empty (zero bytes).",
        "fatal": True,
    }
    assert told == {"n_pictures": 14, "fatal": True, "problems": [problem], "notes": [],
                    "files": []}  # fmt: skip


def test_dhash_reads_the_gradient_from_left_to_right() -> None:
    ramp = np.tile(np.arange(90, dtype=np.uint8)[None, :, None], (16, 1, 3))
    assert dhash(ramp) == 2**64 - 1
    assert dhash(np.ascontiguousarray(ramp[:, ::-1])) == 0
