"""Reading, measuring, finding and writing picture files.

Every picture becomes (H, W, 3) uint8 RGB as OpenCV's colour reading gives it: the EXIF turn is
applied, alpha is dropped, 16 bits become 8. `picture_file` sees to it that the bytes are complete
before OpenCV gets them.
"""

import os
import re
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.picture_file import Size as Size
from img2img.data.picture_file import format_of as format_of
from img2img.data.picture_file import inspect, with_grey_palette
from img2img.data.sample import Image
from img2img.errors import InputError

SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".gif",
    ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif",
})  # fmt: skip
"""Endings of picture files, in lower case. `find_pictures` goes by them, `decode` does not."""


def is_picture(path: Path) -> bool:
    """Whether the ending of `path` is one of a picture."""
    return path.suffix.lower() in SUFFIXES


def decode(data: bytes, where: str) -> Image:
    """(H, W, 3) uint8 RGB of a picture file's bytes, whatever its name ends in.

    Raises:
        InputError: one sentence naming `where`: empty, cut short, damaged, or no picture.
    """
    known, data = inspect(data, where)
    # OpenCV < 4.11 knows BGR only.
    in_rgb = getattr(cv2, "IMREAD_COLOR_RGB", None)
    image = _imdecode(data, cv2.IMREAD_COLOR if in_rgb is None else in_rgb)
    if image is None:
        raise _undecodable(format_of(data), known, where)
    if in_rgb is None:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return cast(Image, image)


def read(path: Path) -> Image:
    """(H, W, 3) uint8 RGB of a picture file.

    Raises:
        InputError: the file is missing, a folder, forbidden, or refused by `decode`.
    """
    return decode(read_bytes(path), str(path))


def decode_mask(data: bytes, where: str, *, indexed: bool) -> Image:
    """(H, W) uint8 of a mask file's bytes where it is grey, else (H, W, 3) RGB, values unchanged.

    The EXIF turn is applied as to pictures, alpha is dropped, and 16-bit values must fit in 8 bits.
    A PNG with a palette gives its colours; with `indexed`, unless all of them are grey, its
    indices.

    Raises:
        InputError: as `decode`, or values above 255.
    """
    known, data = inspect(data, where)
    if indexed and (grey := with_grey_palette(data)):
        data = grey
    mask = _imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if mask is None:
        raise _undecodable(format_of(data), known, where)
    if mask.dtype != np.uint8:
        if mask.dtype.kind != "u" or mask.max(initial=0) > 255:
            raise InputError(f"{where} holds values above 255: write masks with 8 bits.")
        mask = mask.astype(np.uint8)
    if mask.ndim == 3:
        blue, green, red = cv2.split(mask)
        is_grey = np.array_equal(blue, green) and np.array_equal(green, red)
        mask = blue if is_grey else cv2.merge((red, green, blue))
    return cast(Image, mask)


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: the file is missing, a folder or forbidden.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {_reason(error)}.") from None


def probe(data: bytes, where: str) -> Size:
    """(height, width) of the picture that `decode` gives, from the header where that is certain.

    JPEG and PNG, checked to be complete, are not decoded; other formats are.

    Raises:
        InputError: as `decode`, but damage inside the compressed pixels of a JPEG stays unseen.
    """
    size, _ = inspect(data, where)
    if size is not None:
        return size
    height, width, _ = decode(data, where).shape
    return height, width


def encode_png(image: Image) -> bytes:
    """The PNG file of a picture (H, W), (H, W, 1) or (H, W, 3) uint8, RGB.

    Raises:
        InputError: the picture has another shape or type, or is too large.
    """
    return _encode(image, ".png", "the picture")


def write(path: Path, image: Image) -> None:
    """Write a picture (H, W), (H, W, 1) or (H, W, 3) uint8 RGB, in the format of the ending.

    The file appears complete or not at all: an older one stays until the new one is written.

    Raises:
        InputError: unknown ending, a picture that the format cannot hold, or no place to write.
    """
    if not is_picture(path):
        known = ", ".join(sorted(SUFFIXES))
        raise InputError(f"{path} cannot be written: its ending is none of {known}.")
    write_whole(path, _encode(image, path.suffix.lower(), str(path)))


def write_whole(path: Path, content: bytes, *, parents: bool = False) -> None:
    """Writes a file beside its place and renames it; with `parents`, makes its folder.

    Raises:
        InputError: it cannot be written there.
    """
    beside = path.with_name(f".{os.getpid()}-{threading.get_ident()}.part")
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {_reason(error)}.") from None
    finally:
        with suppress(OSError):
            beside.unlink()


def find_pictures(folder: Path) -> list[Path]:
    """Every picture file under `folder`, by ending, "2.jpg" before "10.jpg".

    Hidden files and folders are left out; linked folders are followed, each once.

    Raises:
        InputError: the folder, or one inside it, cannot be listed.
    """
    found = []
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_refuse_folder):
        folders[:] = [name for name in sorted(folders) if _is_new(parent, name, seen)]
        files = (Path(parent, name) for name in names if not name.startswith("."))
        found += [path for path in files if is_picture(path)]
    return sorted(found, key=lambda path: natural(path.relative_to(folder)))


def _is_new(parent: str, name: str, seen: set[str]) -> bool:
    if name.startswith("."):
        return False
    real = os.path.realpath(Path(parent, name))
    is_new = real not in seen
    seen.add(real)
    return is_new


def natural(path: Path) -> tuple[list[list[str | int]], str]:
    """A key to sort paths by, in which numbers count as numbers: "2.jpg" before "10.jpg"."""
    # Splitting by digits alternates text and number, so that like compares with like.
    keys: list[list[str | int]] = [
        [int(part) if index % 2 else part for index, part in enumerate(parts)]
        for parts in (re.split("([0-9]+)", part.casefold()) for part in path.parts)
    ]
    return keys, str(path)


def _refuse_folder(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be listed: {_reason(error)}.") from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@cache
def _silence_opencv() -> None:
    # Broken files are reported by our errors; OpenCV would repeat them on stderr in its own words.
    # A level cannot be lowered and raised around each call, since several threads decode.
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    set_level(0)


def _imdecode(data: bytes, flags: int) -> NDArray[Any] | None:
    _silence_opencv()
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _encode(image: Image, suffix: str, where: str) -> bytes:
    planes = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or planes not in (1, 3):
        raise InputError(f"{where} cannot be encoded: {image.dtype} {image.shape} is no picture.")
    _silence_opencv()
    try:
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if planes == 3 else image
        done, encoded = cv2.imencode(suffix, pixels)
    except cv2.error:
        done = False
    if not done:
        size = "x".join(map(str, image.shape))
        raise InputError(f"{where} cannot be encoded: {suffix} takes no picture of {size}.")
    return encoded.tobytes()


def _undecodable(known_format: str | None, size: Size | None, where: str) -> InputError:
    if known_format is None:
        return InputError(f"{where} is not a picture.")
    told = "" if size is None else f" of {size[1]}x{size[0]} pixels"
    return InputError(
        f"{where} cannot be decoded: this {known_format}{told} is cut short, damaged, too large "
        "or of an unsupported kind."
    )
