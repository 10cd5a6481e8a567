"""How the inputs of `predict` are read: picture by picture, whatever they come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from img2img.data.images import decode, read
from img2img.data.sample import Image
from img2img.errors import DataError, InputError
from img2img.inference.sources import Item, Source, has_plain_name

if TYPE_CHECKING:
    from io import FileIO

    import cv2

LENGTH_BYTES = 8
"""Before each picture of a stream: its length in bytes, the least significant byte first."""
_MOST_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Within what limits inputs are read.

    Attributes:
        max_frames: pictures of each video, camera or stream; None: all.
        max_download_mb: megabytes of what lies at an address.
        allow_private: whether addresses may lie in private networks.
    """

    max_frames: int | None = None
    max_download_mb: float = 50.0
    allow_private: bool = False


def read_source(source: Source, how: Reading | None = None) -> Iterator[Item]:
    """The pictures of a source: one, or every frame or row, decoded one by one."""
    how = how or Reading()
    return islice(_all_items(source, how), how.max_frames)


def _all_items(source: Source, how: Reading) -> Iterator[Item]:
    """What can be read, and at the end why the rest cannot."""
    number = 0
    try:
        for item in _items(source, how):
            yield item
            number += 1
    except OSError as error:  # a full disk where a download is kept, a stdin that breaks
        frame = None if source.is_table else number or None
        yield _refused(source, frame, _unreadable(source, error))


def _unreadable(source: Source, error: OSError) -> str:
    name = "stdin" if source.origin == "stdin" else source.name
    return f"{name} cannot be read: {(error.strerror or str(error)).lower()}."


def _items(source: Source, how: Reading) -> Iterator[Item]:
    if source.problem:
        yield _refused(source, None, source.problem)
    elif source.kind == "stream":
        yield from _stream(source)
    elif source.kind == "table":
        yield from _rows(source)
    elif source.kind == "video":
        yield from {"camera": _camera, "web": _downloaded}.get(source.origin, _video)(source, how)
    else:
        yield Item(source=source, frame=None, load=lambda: _picture(source, how))


def _picture(source: Source, how: Reading) -> Image:
    try:
        return _loaded(source, how)
    except OSError as error:
        raise InputError(_unreadable(source, error)) from None


def _loaded(source: Source, how: Reading) -> Image:
    if source.origin == "stdin":
        with _stdin() as stdin:
            return decode(stdin.readall(), "stdin")
    if source.origin == "web":
        return decode(_fetched(source, how), source.name)
    return read(source.path)


def _refused(source: Source, frame: int | None, problem: str) -> Item:
    def load() -> Image:
        raise InputError(problem)

    return Item(source=source, frame=frame, load=load, problem=problem)


def _decoded(source: Source, frame: int | None, image: Image) -> Item:
    return Item(source=source, frame=frame, load=lambda: image)


# ---- videos and cameras


def _video(source: Source, how: Reading) -> Iterator[Item]:
    yield from _frames(source, source.path)


def _downloaded(source: Source, how: Reading) -> Iterator[Item]:
    """The frames of a video on the web; OpenCV reads files only."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="img2img-") as folder:
        path = Path(folder, "video").with_suffix(source.path.suffix)
        try:
            path.write_bytes(_fetched(source, how))
        except InputError as error:
            yield _refused(source, None, str(error))
            return
        yield from _frames(source, path)


def _frames(source: Source, path: Path) -> Iterator[Item]:
    import cv2

    if not has_plain_name(path):
        told = "OpenCV opens videos by names in UTF-8 alone: rename it."
        yield _refused(source, None, f"{source.name} cannot be read: {told}")
        return
    capture = cv2.VideoCapture(str(path))
    n_promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    number = 0
    for number, image in enumerate(_captured(capture), start=1):
        yield _decoded(source, number - 1, image)
    if number == 0:
        yield _refused(source, None, f"{source.name} cannot be read as a video.")
    # Containers without an index give an estimate, which may be a little too high.
    elif number < n_promised - max(1, n_promised // 100):
        problem = f"{source.name} ends after {number} of {n_promised} frames: it is cut or damaged."
        yield _refused(source, number, problem)


def _camera(source: Source, how: Reading) -> Iterator[Item]:
    import cv2

    # OpenCV tells on stderr, in its own words, that there is no camera.
    (getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(0)
    capture = cv2.VideoCapture(int(source.name.partition(":")[2]))
    if not capture.isOpened():
        told = "there is no such camera, or another program has it."
        yield _refused(source, None, f"{source.name} cannot be opened: {told}")
        return
    number = 0
    for number, image in enumerate(_captured(capture), start=1):
        yield _decoded(source, number - 1, image)
    yield _refused(source, number, f"{source.name} gave no more than {number} pictures.")


def _captured(capture: "cv2.VideoCapture") -> Iterator[Image]:
    import cv2

    try:
        while True:
            is_good, frame = capture.read()
            if not is_good:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # type: ignore[misc]
    finally:
        capture.release()


# ---- stdin


def _stdin() -> "FileIO":
    """Stdin without a buffer: a thread that waits for one would hold its lock to the end.

    Raises:
        InputError: stdin is closed.
    """
    from io import FileIO

    try:
        return FileIO(0, closefd=False)
    except OSError:
        raise InputError("stdin is closed: give it a picture.") from None


def _stream(source: Source) -> Iterator[Item]:
    """Pictures that stand one behind the other, the length of each in front of it."""
    try:
        stdin = _stdin()
    except InputError as error:
        yield _refused(source, None, str(error))
        return
    for number in count():
        head = _exactly(stdin, LENGTH_BYTES)
        n_bytes = int.from_bytes(head, "little")
        if not head and number:
            return
        if not head:
            yield _refused(source, None, "stdin is empty (zero bytes).")
            return
        if len(head) < LENGTH_BYTES:
            yield _refused(source, number, f"stdin ends inside the length of picture {number}.")
            return
        if n_bytes > _MOST_BYTES:
            told = (
                f"picture {number} would have {n_bytes} bytes; without --stream it is one picture."
            )
            yield _refused(source, number, f"stdin is no stream of lengths and pictures: {told}")
            return
        data = _exactly(stdin, n_bytes)
        if len(data) < n_bytes:
            told = f"{len(data)} of its {n_bytes} bytes came."
            yield _refused(source, number, f"stdin ends inside picture {number}: {told}")
            return
        where = f"stdin, picture {number}"
        yield Item(
            source=source,
            frame=number,
            load=lambda data=data, where=where: decode(data, where),  # type: ignore[misc]
        )


def _exactly(file: "FileIO", n_bytes: int) -> bytes:
    """That many bytes, or those before the end."""
    chunks: list[bytes] = []
    while n_bytes and (chunk := file.read(min(n_bytes, _CHUNK_BYTES))):
        chunks.append(chunk)
        n_bytes -= len(chunk)
    return b"".join(chunks)


# ---- what else


def _fetched(source: Source, how: Reading) -> bytes:
    from img2img.inference.web import fetch

    limit = int(how.max_download_mb * 1e6)
    return fetch(source.name, max_bytes=limit, allow_private=how.allow_private)


def _rows(source: Source) -> Iterator[Item]:
    from img2img.data.formats.kaggle_csv import picture_rows

    try:
        for row in picture_rows(source.path):
            if row.pixels is None:
                yield _refused(source, row.number, row.problem)
            else:
                yield _decoded(source, row.number, row.pixels)
    except DataError as error:
        yield _refused(source, None, str(error))
