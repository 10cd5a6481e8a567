"""What `predict` is given: files, folders, globs, videos, Kaggle's CSV files of pictures, or one
picture on stdin."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from img2img.data.images import decode, is_picture, natural, read
from img2img.data.sample import Image
from img2img.errors import DataError, InputError

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"})
STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input: a name as the user wrote it, and whether it is a video, or a CSV file whose rows
    are pictures."""

    name: str
    path: Path
    is_video: bool = False
    is_table: bool = False
    problem: str = ""

    @property
    def file(self) -> Path | None:
        """The path, but of stdin."""
        return None if self.name == STDIN else self.path

    @property
    def has_frames(self) -> bool:
        """Whether it is many pictures, told apart by `Item.frame`."""
        return self.is_video or self.is_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture to be answered; `load` decodes it. `frame` is its number in a video, from 0 on, or
    the ImageId of a row.

    `load` raises InputError where the picture cannot be read; with a `problem` it is certain to.
    """

    source: Source
    frame: int | None
    load: Callable[[], Image]
    problem: str = ""


def find_sources(inputs: list[str]) -> list[Source]:
    """The files behind the inputs, in natural order; what is missing stands in it with its
    `problem`, so that nothing is silently left out. A file named twice comes once."""
    sources: dict[tuple[str, bool], Source] = {}
    for name in inputs:
        for source in _expand(name):
            sources.setdefault((location(source.path), source.name == STDIN), source)
    return list(sources.values())


def location(path: Path) -> str:
    """The absolute path of a file; the name itself stays, also that of a link."""
    return str(Path(os.path.realpath(path.parent), path.name))


def _expand(name: str) -> list[Source]:
    path = Path(name)
    if name == STDIN:
        return [Source(name=name, path=path)]
    if path.is_dir():
        nothing = Source(name=name, path=path, problem=f"{name} holds no pictures.")
        return _listed(path) or [nothing]
    if path.is_file():
        return [_file(path, name)]
    if any(letter in name for letter in "*?["):
        return _matched(name, path)
    return [Source(name=name, path=path, problem=f"{name} does not exist.")]


def _listed(folder: Path) -> list[Source]:
    """The pictures and videos under `folder`, hidden ones left out, linked folders followed, each
    once; and every folder in it that cannot be listed, with its problem."""
    sources: list[Source] = []

    def refuse(error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        problem = f"{error.filename} cannot be listed: {reason}."
        sources.append(Source(name=error.filename, path=Path(error.filename), problem=problem))

    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        visible = sorted(name for name in folders if not name.startswith("."))
        real = {name: os.path.realpath(Path(parent, name)) for name in visible}
        # Of two links to one folder, the first is followed.
        first = {path: name for name, path in reversed(real.items()) if path not in seen}
        folders[:] = sorted(first.values())
        seen.update(first)
        files = (Path(parent, name) for name in names if not name.startswith("."))
        sources += [_file(path) for path in files if is_picture(path) or _is_video(path)]
    return sorted(sources, key=lambda source: natural(source.path.relative_to(folder)))


def _matched(name: str, path: Path) -> list[Source]:
    base = Path(path.anchor) if path.anchor else Path()
    try:
        found = [file for file in base.glob(str(path.relative_to(base))) if file.is_file()]
    except ValueError as error:
        return [Source(name=name, path=path, problem=f"{name} is no pattern: {error}.")]
    nothing = Source(name=name, path=path, problem=f"{name} matches no file.")
    return [_file(file) for file in sorted(found, key=natural)] or [nothing]


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _file(path: Path, name: str | None = None) -> Source:
    is_table = path.suffix.lower() == ".csv"
    return Source(name=name or str(path), path=path, is_video=_is_video(path), is_table=is_table)


def read_source(source: Source) -> Iterator[Item]:
    """The pictures of a source: one, or every frame or row, decoded one by one."""
    if source.is_video:
        yield from _frames(source)
    elif source.is_table:
        yield from _rows(source)
    else:
        yield Item(source=source, frame=None, load=lambda: _load(source), problem=source.problem)


def sequence_of(source: Source) -> str:
    """The name of what the pictures of a source are frames of: a video, or a folder."""
    return str(source.path if source.has_frames else source.path.parent)


def frame_rate(sources: list[Source]) -> float | None:
    """Frames a second of the first video that says so."""
    import cv2

    for source in sources:
        if source.is_video:
            rate = float(cv2.VideoCapture(str(source.path)).get(cv2.CAP_PROP_FPS))
            if 0 < rate < 1000:
                return rate
    return None


def _load(source: Source) -> Image:
    if source.problem:
        raise InputError(source.problem)
    if source.name == STDIN:
        return decode(sys.stdin.buffer.read(), "stdin")
    return read(source.path)


def _frames(source: Source) -> Iterator[Item]:
    import cv2

    capture = cv2.VideoCapture(str(source.path))
    n_promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
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
        yield _refused(source, None, f"{source.name} cannot be read as a video.")
    # Containers without an index give an estimate, which may be a little too high.
    elif number < n_promised - max(1, n_promised // 100):
        problem = f"{source.name} ends after {number} of {n_promised} frames: it is cut or damaged."
        yield _refused(source, number, problem)


def _rows(source: Source) -> Iterator[Item]:
    from img2img.data.formats.kaggle_csv import picture_rows

    try:
        for row in picture_rows(source.path):
            if row.pixels is None:
                yield _refused(source, row.number, row.problem)
            else:
                pixels = row.pixels
                yield Item(source=source, frame=row.number, load=lambda image=pixels: image)  # type: ignore[misc]
    except DataError as error:
        yield _refused(source, None, str(error))


def _refused(source: Source, frame: int | None, problem: str) -> Item:
    def load() -> Image:
        raise InputError(problem)

    return Item(source=source, frame=frame, load=load, problem=problem)
