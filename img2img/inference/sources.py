"""What `predict` is given: files, folders, globs, videos, or one picture on stdin."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from img2img.data.images import decode, find_pictures, read
from img2img.data.sample import Image
from img2img.errors import InputError

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"})
STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input: a name as the user wrote it, and whether it is a video."""

    name: str
    path: Path
    is_video: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture or a video frame to be answered; `load` decodes it.

    `load` raises InputError where the picture cannot be read.
    """

    source: Source
    frame: int | None
    load: Callable[[], Image]


def find_sources(inputs: list[str]) -> list[Source]:
    """The files behind the inputs, in natural order; what is missing stands in it with its
    `problem`, so that nothing is silently left out. A file named twice comes once."""
    sources: dict[Path, Source] = {}
    for name in inputs:
        for source in _expand(name):
            sources.setdefault(source.path, source)
    return list(sources.values())


def _expand(name: str) -> list[Source]:
    path = Path(name)
    if name == STDIN:
        return [Source(name=name, path=path)]
    if path.is_dir():
        found = (
            sorted([*find_pictures(path), *_videos(path)]) if _videos(path) else find_pictures(path)
        )
        nothing = Source(name=name, path=path, problem=f"{name} holds no pictures.")
        return [_file(file) for file in found] or [nothing]
    if path.is_file():
        return [_file(path, name)]
    if any(letter in name for letter in "*?["):
        base = Path(path.anchor) if path.anchor else Path()
        found = sorted(file for file in base.glob(str(path.relative_to(base))) if file.is_file())
        nothing = Source(name=name, path=path, problem=f"{name} matches no file.")
        return [_file(file) for file in found] or [nothing]
    return [Source(name=name, path=path, problem=f"{name} does not exist.")]


def _videos(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES]


def _file(path: Path, name: str | None = None) -> Source:
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    return Source(name=name or str(path), path=path, is_video=is_video)


def read_source(source: Source) -> Iterator[Item]:
    """The pictures of a source: one, or every frame of a video, decoded one by one."""
    if source.is_video:
        yield from _frames(source)
    else:
        yield Item(source=source, frame=None, load=lambda: _load(source))


def _load(source: Source) -> Image:
    if source.problem:
        raise InputError(source.problem)
    if source.name == STDIN:
        return decode(sys.stdin.buffer.read(), "stdin")
    return read(source.path)


def _frames(source: Source) -> Iterator[Item]:
    import cv2

    capture = cv2.VideoCapture(str(source.path))
    number = 0
    try:
        while True:
            is_good, frame = capture.read()
            if not is_good:
                break
            image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            yield Item(source=source, frame=number, load=lambda image=image: image)  # type: ignore[misc]
            number += 1
    finally:
        capture.release()
    if number == 0:
        problem = InputError(f"{source.name} cannot be read as a video.")
        yield Item(source=source, frame=None, load=lambda: _refuse(problem))


def _refuse(problem: InputError) -> Image:
    raise problem
