"""What `predict` finds in folders, and videos that end too early."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from img2img.errors import InputError
from img2img.inference.sources import Source, find_sources, read_source


def test_folders_give_pictures_and_videos_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.mp4", ".h.mp4", ".h.png", ".git/a.mp4", "sub/1.jpg", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources([str(tmp_path), str(tmp_path / "sub" / ".." / "10.png")])
    assert [str(source.path.relative_to(tmp_path)) for source in found] == [
        "2.mp4", "10.png", "sub/1.jpg",
    ]  # fmt: skip
    assert [source.is_video for source in found] == [True, False, False]


def test_a_folder_that_cannot_be_listed_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.png").touch()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    good, bad = find_sources([str(tmp_path)])
    assert (good.path.name, good.problem) == ("a.png", "")
    assert "locked cannot be listed: permission denied" in bad.problem


class _Capture:
    """A video that promises more frames than it holds."""

    def __init__(self, n_frames: int, n_promised: int) -> None:
        self._frames: Iterator[Any] = iter([np.zeros((2, 2, 3), np.uint8)] * n_frames)
        self._n_promised = n_promised

    def get(self, _key: int) -> float:
        return self._n_promised

    def read(self) -> tuple[bool, Any]:
        frame = next(self._frames, None)
        return frame is not None, frame

    def release(self) -> None:
        pass


@pytest.mark.parametrize(
    ("n_promised", "problem"), [(5, ""), (6, ""), (10, "ends after 5 of 10 frames"), (-1, "")]
)
def test_a_cut_video_gives_its_frames_and_an_error(
    n_promised: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", lambda _path: _Capture(5, n_promised))
    items = list(read_source(Source(name="v.mp4", path=Path("v.mp4"), is_video=True)))
    assert [item.load().shape for item in items[:5]] == [(2, 2, 3)] * 5
    assert len(items) == (6 if problem else 5)
    if problem:
        with pytest.raises(InputError, match=problem):
            items[5].load()


def test_rows_of_a_kaggle_csv_are_pictures(tmp_path: Path) -> None:
    level = " ".join(["128"] * 96**2)
    path = tmp_path / "test.CSV"
    path.write_text(f"ImageId,Image\n5,{level}\n6,{level} 1\n8,{level}\n")
    (source,) = find_sources([str(path)])
    assert (source.is_table, source.is_video, source.has_frames) == (True, False, True)
    first, broken, last = read_source(source)
    assert [item.frame for item in (first, broken, last)] == [5, 6, 8]
    assert first.load().shape == (96, 96, 3)
    with pytest.raises(InputError, match=r"row 3: it has 9217 pixels"):
        broken.load()
    assert "row 3" in broken.problem
    assert (last.load() == 128).all()
    assert find_sources([str(tmp_path)])[0].problem, "labels in a folder are no pictures"


def test_another_csv_is_one_refused_input(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (item,) = read_source(find_sources([str(tmp_path / "a.csv")])[0])
    with pytest.raises(InputError, match="has no column Image"):
        item.load()
