"""What `data check segmentation` finds."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.check import CheckReport, Problem
from img2img.data.check_masks import check_masks
from img2img.errors import DataError
from img2img.vision.classes import Classes, ClassSet

CLASSES = ClassSet.parse(["background:0", "egg:128", "pan:255"])


def classes_of(seed: int) -> Classes:
    rng = np.random.default_rng(seed)
    plane = np.zeros((60, 90), np.uint8)
    cv2.circle(plane, (int(rng.integers(20, 40)), 30), 14, 2, -1)
    cv2.circle(plane, (int(rng.integers(65, 80)), 30), 8, 1, -1)
    return plane


def mask_of(seed: int) -> Any:
    return CLASSES.to_mask(classes_of(seed))[..., 0]


def photo(seed: int) -> Any:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    return cv2.resize(coarse, (90, 60), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pairs in train and two in each of val and test, all in order."""
    seed = 0
    for part, n_samples in (("train", 10), ("val", 2), ("test", 2)):
        for _ in range(n_samples):
            for kind, picture in (("images", photo(seed)), ("masks", mask_of(seed))):
                path = tmp_path / part / kind / f"{seed}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                images.write(path, picture)
            seed += 1
    return tmp_path


def check(folder: Path, classes: ClassSet = CLASSES, **options: Any) -> CheckReport:
    return check_masks(DataOptions(source=str(folder), **options), classes)


def only(report: CheckReport) -> Problem:
    (problem,) = report.problems
    return problem


def test_data_in_order(folder: Path) -> None:
    report = check(folder)
    assert report.problems == ()
    assert not report.fatal
    assert report.n_pictures == 14
    parts, shares = report.notes
    assert parts == "14 usable samples in 14 groups: train 10, val 2, test 2"
    counts = np.sum([np.bincount(classes_of(seed).ravel()) for seed in range(14)], axis=0)
    egg, pan = counts[1:] / counts.sum()
    assert f"egg {egg:.2%} (in 14 masks), pan {pan:.2%} (in 14 masks)" in shares


def test_unreadable_files(folder: Path) -> None:
    (folder / "train/images/0.png").write_bytes(b"")
    (folder / "train/masks/1.png").write_bytes(b"")
    report = check(folder)
    found = [(problem.kind, problem.path, problem.fatal) for problem in report.problems]
    assert found == [("unreadable", f"train/{n}.png", True) for n in (0, 1)]
    assert "train/masks/1.png is empty" in report.problems[1].message


def test_pictures_and_masks_without_a_partner(folder: Path) -> None:
    (folder / "train/images/0.png").unlink()
    (folder / "train/masks/1.png").unlink()
    report = check(folder)
    found = {(problem.kind, problem.path, problem.fatal) for problem in report.problems}
    alone = {"train/masks/0.png", "train/images/1.png"}
    assert found == {("alone", path, True) for path in alone}
    assert report.n_pictures == 14


def test_another_size(folder: Path) -> None:
    images.write(folder / "val/masks/10.png", np.zeros((60, 80), np.uint8))
    problem = only(check(folder))
    assert (problem.kind, problem.path, problem.fatal) == ("mismatch", "val/10.png", True)
    assert "has 90x60 pixels" in problem.message


def test_swapped_files(folder: Path) -> None:
    images.write(folder / "train/images/4.png", mask_of(4))
    images.write(folder / "train/masks/4.png", photo(4))
    problem = only(check(folder))
    assert (problem.kind, problem.path, problem.fatal) == ("swapped", "train/4.png", True)
    assert "masks/4.png looks like a photo" in problem.message


def test_values_of_no_class(folder: Path) -> None:
    mask = mask_of(3)
    mask[:20] = 60
    images.write(folder / "train/masks/3.png", mask)
    problem = only(check(folder))
    assert (problem.kind, problem.fatal) == ("values", True)
    assert "such as 60" in problem.message


def test_a_few_such_values_are_a_warning(folder: Path) -> None:
    mask = mask_of(3)
    mask[:9, :9] = 60  # the background is near to all but the corner's 6 x 6 pixels
    images.write(folder / "train/masks/3.png", mask)
    problem = only(check(folder))
    assert (problem.kind, problem.fatal) == ("values", False)
    assert problem.message.startswith("36 pixels of ")


def test_masks_that_jpeg_has_moved(folder: Path) -> None:
    (folder / "train/masks/2.png").unlink()
    images.write(folder / "train/masks/2.jpg", mask_of(2))
    report = check(folder)
    problem = only(report)
    assert (problem.kind, problem.path, problem.fatal) == ("moved", "train/2.png", False)
    assert "train/masks/2.jpg are not exactly a class's value" in problem.message
    assert report.notes[2].startswith("1 of 14 masks hold values that are no class's: ")


def test_a_handful_of_moved_pixels_is_only_noted(folder: Path) -> None:
    mask = mask_of(2)
    mask[:4, :4] += 3
    images.write(folder / "train/masks/2.png", mask)
    report = check(folder)
    assert report.problems == ()
    assert "16 pixels (0.02%)" in report.notes[2]


def test_near_duplicates_between_parts(folder: Path) -> None:
    copy = cv2.resize(photo(0), (88, 58), interpolation=cv2.INTER_AREA)
    images.write(folder / "test/images/12.png", cv2.resize(copy, (90, 60)))
    problem = only(check(folder))
    assert (problem.kind, problem.path, problem.fatal) == ("near-duplicate", "test/12.png", False)
    assert "train/0.png (train)" in problem.message


def test_a_class_that_training_never_sees_is_fatal(folder: Path) -> None:
    for path in (folder / "train/masks").iterdir():
        mask = images.read(path)[..., 0]
        images.write(path, np.where(mask == 255, 0, mask).astype(np.uint8))
    report = check(folder)
    problem = only(report)
    assert (problem.kind, problem.path, problem.fatal) == ("class", "", True)
    assert "holds pan" in problem.message
    assert "pan" in report.notes[1]
    assert "(in 4 masks)" in report.notes[1]


def test_a_rare_class_is_a_warning(folder: Path) -> None:
    for path in (folder / "train/masks").iterdir():
        mask = images.read(path)[..., 0]
        mask[mask == 128] = 0
        mask[1, 1:5] = 128
        images.write(path, mask)
    problem = only(check(folder))
    assert (problem.kind, problem.fatal) == ("class", False)
    assert "egg is only 0.074%" in problem.message


def test_everything_background_is_fatal(folder: Path) -> None:
    for path in folder.glob("*/masks/*.png"):
        images.write(path, np.zeros((60, 90), np.uint8))
    problem = only(check(folder))
    assert (problem.kind, problem.fatal) == ("class", True)
    assert "hold nothing but background: name every class" in problem.message


def test_masks_of_indices_are_explained(folder: Path) -> None:
    for seed, path in enumerate(folder.glob("*/masks/*.png")):
        images.write(path, classes_of(seed))
    report = check(folder)
    assert report.fatal
    assert "for which their values 2, 1 were taken" in report.problems[-1].message


def test_too_little_to_train_on(tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "a.png").write_bytes(b"")
    report = check(tmp_path, groups="clusters")
    assert {problem.kind for problem in report.problems} == {"unreadable", "too-few"}
    assert report.fatal
    assert report.notes == ()


def test_missing_data_are_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        check(tmp_path / "gone")
    with pytest.raises(DataError, match="holds no folders images and masks"):
        check(tmp_path)


def test_coco_files_are_checked_too(tmp_path: Path) -> None:
    outline = [[20.0, 20.0, 60.0, 20.0, 60.0, 50.0]]
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 90, "height": 60}
                   for n in range(7)],
        "categories": [{"id": 1, "name": "egg"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "segmentation": outline}
                        for n in range(6)],
    }  # fmt: skip
    for seed in range(6):
        images.write(tmp_path / f"{seed}.png", photo(seed))
    (tmp_path / "labels.json").write_text(json.dumps(content))
    report = check(tmp_path / "labels.json")
    found = {(problem.kind, problem.path) for problem in report.problems}
    assert found == {("alone", "6.png"), ("class", "")}  # a missing picture, and no pan
    assert "(in 6 masks)" in report.notes[1]


def test_groups_and_folds_are_respected(folder: Path) -> None:
    merged = folder / "merged"
    for kind in ("images", "masks"):
        (merged / kind).mkdir(parents=True)
        for path in folder.glob(f"t*/{kind}/*.png"):
            path.rename(merged / kind / path.name)
    report = check(merged, groups=r"pattern:^(\d)", folds=3, fold=0)
    assert report.notes[0].startswith("12 usable samples in 10 groups: ")


def test_the_report_as_json(folder: Path) -> None:
    (folder / "val/images/10.png").write_bytes(b"")
    told = json.loads(json.dumps(check(folder).to_json()))
    assert told["fatal"] is True
    assert told["problems"][0]["kind"] == "unreadable"
    assert len(told["notes"]) == 2
    assert len(told["files"]) == 13
    assert sum(told["files"][0]["shares"].values()) == pytest.approx(1)
    assert {"path", "mask", "moved_pixels", "unknown_pixels"} <= told["files"][0].keys()
