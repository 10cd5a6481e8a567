"""What `predict` is given: files, folders, globs, lists of these, cameras, addresses, stdin. Here
all of it is found, each once; `reading` opens it."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from img2img.data.images import is_picture, natural
from img2img.data.sample import Image
from img2img.errors import UsageError

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"})
STDIN = "-"
LIST = "@"
"""What stands before the name of a file that lists inputs."""

_CAMERA = re.compile(r"camera:([0-9]{1,3})")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_MOST_OF_A_NAME = 100
"""Characters of a part of an address that go into a file name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input, called as the user wrote it.

    Attributes:
        path: where it is; of what is no file, a path that outputs can be named after.
        kind: one picture, pictures in the order of time, a CSV file whose rows are pictures, or
            pictures with their lengths in front.
        origin: what opens it.
        problem: why there is nothing behind the name; else empty.
    """

    name: str
    path: Path
    kind: Literal["picture", "video", "table", "stream"] = "picture"
    origin: Literal["file", "stdin", "camera", "web"] = "file"
    problem: str = ""

    @property
    def is_video(self) -> bool:
        return self.kind == "video"

    @property
    def is_table(self) -> bool:
        return self.kind == "table"

    @property
    def has_frames(self) -> bool:
        """Whether it is many pictures, told apart by `Item.frame`."""
        return self.kind != "picture"

    @property
    def file(self) -> Path | None:
        """The file that it is, beside which others may lie."""
        return self.path if self.origin == "file" else None

    @property
    def key(self) -> str:
        """What two names of one input have in common."""
        return location(self.path) if self.origin == "file" else f"{self.origin} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A picture to be answered; `load` decodes it. `frame` is its number in a video or a stream,
    from 0 on, or the ImageId of a row.

    `load` raises InputError where the picture cannot be read; with a `problem` it is certain to.
    """

    source: Source
    frame: int | None
    load: Callable[[], Image]
    problem: str = ""


def find_sources(
    inputs: list[str], *, is_stream: bool = False, outputs: Sequence[Path] = ()
) -> list[Source]:
    """What the inputs mean, in their order, a folder's content in natural order; what is missing
    stands in it with its `problem`, so that nothing is silently left out. What is named twice comes
    once.

    Args:
        is_stream: stdin holds many pictures.
        outputs: files and folders that are written. What lies there is no input, so that a second
            run finds what the first one found; unless it is named itself, or a folder in it is.

    Raises:
        UsageError: `is_stream`, but stdin is no input.
    """
    kind: Literal["stream", "picture"] = "stream" if is_stream else "picture"
    sources: dict[str, Source] = {}
    for name in _spelled_out(inputs):
        if isinstance(name, Source):
            found = [name]
        elif name == STDIN:
            found = [Source(name=name, path=Path("stdin"), kind=kind, origin="stdin")]
        else:
            found = _expand(name, outputs)
        for source in found:
            sources.setdefault(source.key, source)
    if is_stream and not any(source.origin == "stdin" for source in sources.values()):
        raise UsageError("--stream reads pictures from stdin: name the input - as well.")
    return list(sources.values())


def location(path: Path) -> str:
    """The absolute path of a file; the name itself stays, also that of a link."""
    return str(Path(os.path.realpath(path.parent), path.name))


def _spelled_out(inputs: list[str]) -> Iterator[str | Source]:
    """The inputs with every list replaced by what it names, or by its problem."""
    for name in inputs:
        if name.startswith(LIST):
            yield from _lines(name)
        else:
            yield name


def _lines(name: str) -> Iterator[str | Source]:
    where = "the list on stdin" if name == LIST + STDIN else f"the list {name[1:]}"
    try:
        content = sys.stdin.buffer.read() if name == LIST + STDIN else Path(name[1:]).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        yield _missing(name, f"{where} cannot be read: {reason}.")
        return
    text = content.decode("utf-8-sig", errors="surrogateescape")
    lines = [line.strip() for line in text.split("\n")]
    named = [(n, line) for n, line in enumerate(lines, start=1) if line and line[0] != "#"]
    if not named:
        yield _missing(name, f"{where} names no input.")
    for number, line in named:
        if line.startswith(LIST):
            yield _missing(line, f"{where}, line {number}: {line} would be a list in a list.")
        else:
            yield line


def _missing(name: str, problem: str) -> Source:
    return Source(name=name, path=Path(name), problem=problem)


def _expand(name: str, outputs: Sequence[Path]) -> list[Source]:
    if camera := _CAMERA.fullmatch(name):
        path = Path(f"camera{int(camera[1])}")
        return [Source(name=name, path=path, kind="video", origin="camera")]
    if _ADDRESS.match(name):
        return [_address(name)]
    path = Path(name)
    if path.is_dir():
        return _listed(path, _Own(outputs, path)) or [_missing(name, f"{name} holds no pictures.")]
    if path.is_file():
        return [_file(path, name)]
    if _is_pattern(name):
        return _matched(name, path, outputs)
    return [_missing(name, f"{name} {_absence(name)}.")]


def _absence(name: str) -> str:
    """What is told of a name that is no file, nor a pattern."""
    if name.startswith("camera:"):
        return "is no camera: give its number, as in camera:0"
    return "is no http or https address" if "://" in name else "does not exist"


def _address(name: str) -> Source:
    """Of a picture or a video on the web; its path is the host and the parts of the path."""
    try:
        parts = urlsplit(name)
        host = parts.hostname or ""
    except ValueError:
        return _missing(name, f"{name} is no address.")
    folders = (part for part in parts.path.split("/") if part not in ("", ".", ".."))
    path = Path(host, *(part[:_MOST_OF_A_NAME] for part in folders))
    suffix = Path(parts.path).suffix.lower()
    return Source(
        name=name,
        path=path.with_suffix(suffix) if suffix in VIDEO_SUFFIXES else path,
        kind="video" if suffix in VIDEO_SUFFIXES else "picture",
        origin="web",
    )


class _Own:
    """What is written by this command, among what is found in `folder`."""

    def __init__(self, outputs: Sequence[Path], folder: Path) -> None:
        inside = os.path.realpath(folder)
        places = (location(path) if path.is_file() else os.path.realpath(path) for path in outputs)
        self._places = [place for place in places if not _is_in(inside, place)]

    def holds(self, path: str) -> bool:
        """Whether the absolute path is one of an output, or below it."""
        return any(_is_in(path, place) for place in self._places)


def _is_in(path: str, place: str) -> bool:
    return path == place or path.startswith(os.path.join(place, ""))  # noqa: PTH118


def _listed(folder: Path, own: _Own) -> list[Source]:
    """The pictures and videos under `folder`, hidden ones and our own left out, linked folders
    followed, each once; and every folder in it that cannot be listed, with its problem."""
    sources: list[Source] = []

    def refuse(error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        sources.append(_missing(error.filename, f"{error.filename} cannot be listed: {reason}."))

    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        visible = sorted(name for name in folders if not name.startswith("."))
        real = {name: os.path.realpath(Path(parent, name)) for name in visible}
        # Of two links to one folder, the first is followed.
        first = {path: name for name, path in reversed(real.items())
                 if path not in seen and not own.holds(path)}  # fmt: skip
        folders[:] = sorted(first.values())
        seen.update(first)
        base = os.path.realpath(parent)
        theirs = (name for name in names if not own.holds(str(Path(base, name))))
        files = (Path(parent, name) for name in theirs if not name.startswith("."))
        sources += [_file(path) for path in files if is_picture(path) or _is_video(path)]
    return sorted(sources, key=lambda source: natural(source.path.relative_to(folder)))


def _matched(name: str, path: Path, outputs: Sequence[Path]) -> list[Source]:
    base = Path(path.anchor) if path.anchor else Path()
    plain = takewhile(lambda part: not _is_pattern(part), path.parts)
    own = _Own(outputs, Path(*plain))
    try:
        found = [file for file in base.glob(str(path.relative_to(base))) if file.is_file()]
    except ValueError as error:
        return [_missing(name, f"{name} is no pattern: {error}.")]
    nothing = _missing(name, f"{name} matches no file.")
    kept = (file for file in sorted(found, key=natural) if not own.holds(location(file)))
    return [_file(file) for file in kept] or [nothing]


def _is_pattern(name: str) -> bool:
    return any(letter in name for letter in "*?[")


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _file(path: Path, name: str | None = None) -> Source:
    kind: Literal["picture", "video", "table"] = "picture"
    if path.suffix.lower() == ".csv":
        kind = "table"
    elif _is_video(path):
        kind = "video"
    return Source(name=name or str(path), path=path, kind=kind)


def sequence_of(source: Source) -> str:
    """The name of what the pictures of a source are frames of: a video, or a folder."""
    return str(source.path if source.has_frames else source.path.parent)


def has_plain_name(path: Path) -> bool:
    """Whether a name is UTF-8: with others OpenCV's videos end the process."""
    return not any("\ud800" <= letter <= "\udfff" for letter in str(path))


def frame_rate(sources: list[Source]) -> float | None:
    """Frames a second of the first video that says so."""
    import cv2

    for source in sources:
        if source.is_video and source.origin == "file":
            if not has_plain_name(source.path):
                continue
            rate = float(cv2.VideoCapture(str(source.path)).get(cv2.CAP_PROP_FPS))
            if 0 < rate < 1000:
                return rate
    return None
