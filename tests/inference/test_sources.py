"""What `predict` finds behind names, and videos that end too early."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import pytest

from img2img.errors import InputError, UsageError
from img2img.inference import reading
from img2img.inference.reading import Reading, read_source
from img2img.inference.sources import Source, find_sources, frame_rate, sequence_of


def test_folders_give_pictures_and_videos_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "2.mp4", ".h.mp4", ".h.png", ".git/a.mp4", "sub/1.jpg", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_sources([str(tmp_path), str(tmp_path / "sub" / ".." / "10.png")])
    assert [str(source.path.relative_to(tmp_path)) for source in found] == [
        "2.mp4", "10.png", "sub/1.jpg",
    ]  # fmt: skip
    assert [source.is_video for source in found] == [True, False, False]


@pytest.mark.parametrize("asked", ["p", "p/*.png", "p/**/*.png", ".", "**/*.png"])
@pytest.mark.parametrize("out", ["p/out", "./p/../p/out", "link", "p/out/deep/.."])
def test_what_this_command_writes_is_no_input(
    asked: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("p/a.png", "p/out.png", "p/out/a.png", "p/out/deep/b.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    Path("link").symlink_to("p/out")
    found = find_sources([asked], outputs=[Path(out)])
    assert [source.path.name for source in found] == ["a.png", "out.png"]


def test_what_is_named_itself_is_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("predictions/deep").mkdir(parents=True)
    for name in ("predictions/a.png", "predictions/deep/b.png", "c.png", "film.mp4"):
        Path(name).touch()
    outputs = [Path("predictions"), Path("film.mp4")]

    def names(*inputs: str) -> list[str]:
        return [source.path.name for source in find_sources([*inputs], outputs=outputs)]

    assert names(".") == ["c.png"]
    assert names("*") == ["c.png"]
    assert names(".", "predictions/a.png", "film.mp4") == ["c.png", "a.png", "film.mp4"]
    assert names("predictions") == names("predictions/**/*.png") == ["a.png", "b.png"]
    assert names("predictions/deep") == ["b.png"]


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
    """A video, or a camera, that promises more frames than it holds."""

    def __init__(self, n_frames: int, n_promised: int = 0) -> None:
        self._frames: Iterator[Any] = iter([np.zeros((2, 2, 3), np.uint8)] * n_frames)
        self._n_promised = n_promised
        self._is_there = n_frames > 0

    def isOpened(self) -> bool:  # noqa: N802
        return self._is_there

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
    items = list(read_source(Source(name="v.mp4", path=Path("v.mp4"), kind="video")))
    assert [item.load().shape for item in items[:5]] == [(2, 2, 3)] * 5
    assert len(items) == (6 if problem else 5)
    if problem:
        with pytest.raises(InputError, match=problem):
            items[5].load()


def test_a_video_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "\udcff.mp4"
    path.touch()
    (source,) = find_sources([str(tmp_path)])
    (item,) = read_source(source)
    assert "cannot be read: OpenCV opens videos by names in UTF-8 alone" in item.problem
    assert frame_rate([source]) is None


# ---- what the system refuses


def test_a_full_disk_fails_the_download_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    (item,) = read_source(find_sources(["http://h/clip.mp4"])[0])
    assert item.problem == "http://h/clip.mp4 cannot be read: no space left on device."


class _Breaking:
    """A stdin that gives a length and a picture, and breaks then."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, n_bytes: int) -> bytes:
        if not self._content:
            raise OSError(5, "Input/output error")
        taken, self._content = self._content[:n_bytes], self._content[n_bytes:]
        return taken

    def readall(self) -> bytes:
        return self.read(10) + self.read(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_stdin_that_breaks_is_one_refused_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_stdin", lambda: _Breaking(b"\2\0\0\0\0\0\0\0ab"))
    good, bad = read_source(find_sources(["-"], is_stream=True)[0])
    told = "stdin cannot be read: input/output error."
    assert (good.problem, bad.frame, bad.problem) == ("", 1, told)
    (item,) = read_source(find_sources(["-"])[0])
    with pytest.raises(InputError, match=told):
        item.load()


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


# ---- lists


def test_a_list_names_inputs_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("photos/b.png", "photos/a.png", "c d.jpg", "#e.png"):
        Path(name).touch()
    Path("list.txt").write_bytes(
        b"\xef\xbb\xbfphotos\r\n\n  # no input\n c d.jpg \ngone.png\n./#e.png\n-\nhttp://h/x.png"
    )
    found = find_sources(["photos/b.png", "@list.txt"])
    names = [source.name for source in found]
    assert names == ["photos/b.png", "photos/a.png", "c d.jpg", "gone.png", "./#e.png", "-",
                     "http://h/x.png"]  # fmt: skip
    assert [bool(source.problem) for source in found] == [name == "gone.png" for name in names]
    assert [source.origin for source in found[-2:]] == ["stdin", "web"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "the list l.txt cannot be read: no such file or directory."),
        ("\n# nothing\n", "the list l.txt names no input."),
        ("@more.txt\n", "the list l.txt, line 1: @more.txt would be a list in a list."),
    ],
)
def test_a_list_that_is_none_is_one_refused_input(
    content: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("l.txt").write_text(content)
    assert [source.problem for source in find_sources(["@l.txt"])] == [problem]


# ---- cameras, addresses, stdin


def test_a_camera_gives_frames_until_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(cv2, "VideoCapture", lambda n: asked.append(n) or _Capture(3))
    (camera,) = find_sources(["camera:02", "camera:02"])
    assert (camera.is_video, camera.has_frames, str(camera.path)) == (True, True, "camera2")
    assert sequence_of(camera) == str(camera.path)
    items = list(read_source(camera))
    assert asked == [2]
    assert [item.frame for item in items] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="camera:02 gave no more than 3 pictures"):
        items[3].load()
    assert [item.problem for item in read_source(camera, Reading(max_frames=2))] == ["", ""]


def test_a_missing_camera_is_one_refused_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", lambda _n: _Capture(0))
    (item,) = read_source(find_sources(["camera:7"])[0])
    with pytest.raises(InputError, match="camera:7 cannot be opened: there is no such camera"):
        item.load()


@pytest.mark.parametrize(
    ("address", "path", "is_video"),
    [
        ("http://h.org:81/a/b.jpg?x=1", "h.org/a/b.jpg", False),
        ("HTTPS://H.org", "h.org", False),
        ("http://h/../x//./c%2Fd.png", "h/x/c%2Fd.png", False),
        ("http://h/clip.MP4?t=3", "h/clip.mp4", True),
        ("http://[::1]/a", "::1/a", False),
    ],
)
def test_an_address_names_its_outputs(address: str, path: str, is_video: bool) -> None:
    (source,) = find_sources([address, address])
    assert (source.name, str(source.path), source.is_video) == (address, path, is_video)
    assert (source.origin, source.problem) == ("web", "")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("http://[x", "http://[x is no address."),
        ("ftp://h/a.png", "ftp://h/a.png is no http or https address."),
        ("camera:front", "camera:front is no camera: give its number, as in camera:0."),
    ],
)
def test_what_is_no_address_or_camera_is_refused(name: str, problem: str) -> None:
    assert find_sources([name])[0].problem == problem


def test_a_stream_needs_stdin() -> None:
    (stream,) = find_sources(["-", "-"], is_stream=True)
    assert (stream.kind, stream.has_frames, stream.is_video) == ("stream", True, False)
    with pytest.raises(UsageError, match="--stream reads pictures from stdin"):
        find_sources(["a.png"], is_stream=True)
