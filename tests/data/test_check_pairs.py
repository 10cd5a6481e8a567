"""What `data check translate` finds in paired pictures."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.check import CheckReport, Problem
from img2img.data.check_pairs import check_pairs
from img2img.data.formats.picture_pairs import PairLayout


def photo(seed: int) -> Any:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    return cv2.resize(coarse, (90, 60), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pairs in train and two in each of val and test, all in order."""
    seed = 0
    for part, n_samples in (("train", 10), ("val", 2), ("test", 2)):
        for _ in range(n_samples):
            for kind, picture in (("input", photo(seed)), ("target", 255 - photo(seed))):
                path = tmp_path / part / kind / f"{seed}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                images.write(path, picture)
            seed += 1
    return tmp_path


def check(folder: Path, channels: int = 3) -> CheckReport:
    return check_pairs(DataOptions(source=str(folder)), PairLayout(), channels=channels)


def only(report: CheckReport) -> Problem:
    (problem,) = report.problems
    return problem


def test_data_in_order(folder: Path) -> None:
    report = check(folder)
    assert report.problems == ()
    assert report.n_pictures == 14
    pairs, colours = report.notes
    assert pairs == "14 usable pairs: train 10, val 2, test 2"
    assert colours.startswith("0 targets are grey; inputs come to ")


def test_every_fault_is_found_at_once(folder: Path) -> None:
    (folder / "train/input/0.png").write_bytes(b"")
    (folder / "train/target/1.png").write_bytes(b"")
    (folder / "train/target/2.png").unlink()
    images.write(folder / "train/target/3.png", photo(3)[:-1])
    report = check(folder)
    found = [(problem.kind, problem.path) for problem in report.problems]
    assert found == [
        ("unreadable", "train/0.png"),
        ("unreadable", "train/1.png"),
        ("mismatch", "train/3.png"),
        ("alone", "train/input/2.png"),
    ]
    assert all(problem.fatal for problem in report.problems)


def test_a_target_that_is_its_input_is_told(folder: Path) -> None:
    images.write(folder / "train/target/4.png", photo(4))
    problem = only(check(folder))
    assert (problem.kind, problem.path, problem.fatal) == ("duplicate", "train/4.png", False)


def test_colours_that_are_lost_are_told(folder: Path) -> None:
    report = check(folder, channels=1)
    assert len(report.problems) == 14
    assert {problem.kind for problem in report.problems} == {"values"}
    assert not report.fatal
    assert "task.channels=3" in report.problems[0].message


def test_inputs_in_two_parts_are_told(folder: Path) -> None:
    for kind in ("input", "target"):
        content = (folder / "train" / kind / "0.png").read_bytes()
        (folder / "test" / kind / "12.png").write_bytes(content)
    assert only(check(folder)).kind == "duplicate"
