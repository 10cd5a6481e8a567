"""Reading, measuring, finding and writing picture files.

Every picture becomes (H, W, 3) uint8 RGB as OpenCV's colour reading gives it: the EXIF turn is
applied, alpha is dropped, 16 bits become 8. Decoders fill in what a cut file lacks, so completeness
is checked here, before OpenCV sees the bytes.
"""

import os
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image
from img2img.errors import InputError

SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".gif",
    ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif",
})  # fmt: skip
"""Endings of picture files, in lower case. `find_pictures` goes by them, `decode` does not."""

Size = tuple[int, int]
"""(height, width) in pixels."""

# As text: a picture needs the first one or two, and compiling all takes 3 ms of every start.
_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF....WEBP",
    "BMP": rb"BM",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "PNM": rb"P[1-6]\s",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "AVIF": rb"....ftypavi[fs]",
}


def is_picture(path: Path) -> bool:
    """Whether the ending of `path` is one of a picture."""
    return path.suffix.lower() in SUFFIXES


def decode(data: bytes, where: str) -> Image:
    """(H, W, 3) uint8 RGB of a picture file's bytes, whatever its name ends in.

    Raises:
        InputError: one sentence naming `where`: empty, cut short, damaged, or no picture.
    """
    known, data = _inspect(data, where)
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
    known, data = _inspect(data, where)
    if indexed and (grey := _with_grey_palette(data)):
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
    size, _ = _inspect(data, where)
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


def format_of(data: bytes) -> str | None:
    """What a picture file's bytes begin as, such as "JPEG"; None where that is no known format."""
    kinds = _SIGNATURES.items()
    return next((name for name, pattern in kinds if re.match(pattern, data, re.DOTALL)), None)


def _undecodable(known_format: str | None, size: Size | None, where: str) -> InputError:
    if known_format is None:
        return InputError(f"{where} is not a picture.")
    told = "" if size is None else f" of {size[1]}x{size[0]} pixels"
    return InputError(
        f"{where} cannot be decoded: this {known_format}{told} is cut short, damaged, too large "
        "or of an unsupported kind."
    )


def _cut(known_format: str, where: str) -> InputError:
    return InputError(f"{where} is truncated: the {known_format} file ends before its picture.")


def _inspect(data: bytes, where: str) -> tuple[Size | None, bytes]:
    """(size where the header tells it for certain, the bytes to decode) of a complete file."""
    if not data:
        raise InputError(f"{where} is empty (zero bytes).")
    kind = format_of(data)
    if kind == "JPEG":
        return _jpeg_size(data, where), data
    if kind == "PNG":
        return _inspect_png(data, where)
    if kind in ("WebP", "BMP") and len(data) < _stated_length(kind, data):
        raise _cut(kind, where)
    return None, data


def _stated_length(kind: str, data: bytes) -> int:
    """Bytes that the header says a WebP or BMP file has, at the least."""
    if kind == "WebP":
        return 8 + int.from_bytes(data[4:8], "little")
    # The length field of a BMP is often wrong; where the pixels begin, and their count, is not.
    start, header, width = (int.from_bytes(data[at : at + 4], "little") for at in (10, 14, 18))
    height = abs(int.from_bytes(data[22:26], "little", signed=True))
    bits, compression = data[28:29], int.from_bytes(data[30:34], "little")
    if header < 40 or compression != 0 or not bits:
        return start
    return start + height * ((width * bits[0] + 31) // 32 * 4)


# JPEG: ITU T.81, annex B.
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_SOS, _APP1, _DHT, _JPG, _DAC = 0xDA, 0xE1, 0xC4, 0xC8, 0xCC
_SOF = frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}
_WITH_LENGTH = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE})


def _jpeg_size(data: bytes, where: str) -> Size | None:
    """Size after the EXIF turn; None where a JPEG states its height after the pixels only."""
    size: Size | None = None
    orientation: int | None = None
    for marker, body in _jpeg_segments(data, where):
        if marker in _SOF and size is None:
            size = (int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"))
        elif marker == _APP1 and orientation is None and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body[6:])
    if size is None or 0 in size:
        return None
    return size[::-1] if orientation in (5, 6, 7, 8) else size


def _jpeg_segments(data: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """(marker, body) up to the compressed pixels, which must have an end marker after them.

    Segments are stepped over by their lengths, so that the end of a thumbnail does not count.
    """
    position = 2
    while match := _MARKER.search(data, position):
        marker, position = match[1][0], match.end()
        if marker not in _WITH_LENGTH:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        body = data[position + 2 : position + length]
        position += length
        if marker == _SOS and data.find(b"\xff\xd9", position) >= 0:
            return
        if marker == _SOS or position > len(data):
            break
        yield marker, body
    raise _cut("JPEG", where)


def _orientation(exif: bytes) -> int | None:
    """The value of tag 0x0112 in the first directory of a TIFF block, if it is there."""
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return None

    def number(at: int, n_bytes: int) -> int:
        order: Literal["little", "big"] = "little" if exif.startswith(b"II") else "big"
        return int.from_bytes(exif[at : at + n_bytes], order)

    directory = number(4, 4)
    entries = (directory + 2 + 12 * index for index in range(number(directory, 2)))
    return next((number(at + 8, 2) for at in entries if number(at, 2) == 0x0112), None)


_PNG_DECODED = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")
)


def _inspect_png(data: bytes, where: str) -> tuple[Size | None, bytes]:
    """(size, unless an EXIF chunk may turn the picture, the file with the chunks that matter).

    The other chunks (colour profiles, texts, times) change no pixel here, and libpng writes
    warnings about faulty ones straight to stderr.
    """
    view = memoryview(data)
    kept = [view[:8]]
    kinds = set()
    for kind, start, end in _png_chunks(data, where):
        kinds.add(kind)
        if kind in _PNG_DECODED:
            kept.append(view[start:end])
    if kinds - _PNG_DECODED:
        data = b"".join(kept)
    size = (int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big"))
    return (None if b"eXIf" in kinds else size), data


def _png_chunks(data: bytes, where: str) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of every chunk to the last, checksums compared where libpng insists."""
    view, start, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            raise _cut("PNG", where)
        kind = data[start + 4 : start + 8]
        is_critical = kind[:1].isupper()
        if (
            is_critical
            and zlib.crc32(view[start + 4 : end - 4]).to_bytes(4, "big") != data[end - 4 : end]
        ):
            raise InputError(f"{where} is damaged: a checksum in the PNG file is wrong.")
        yield kind, start, end
        start = end


def _with_grey_palette(data: bytes) -> bytes | None:
    """The PNG with greys 0, 1, 2 … for its palette, so that it decodes to its indices; None where
    there is no palette, or one of greys only."""
    if format_of(data) != "PNG" or data[25] != 3:
        return None
    chunks = list(_png_chunks(data, ""))
    start, end = next(((start, end) for kind, start, end in chunks if kind == b"PLTE"), (0, 0))
    colours = np.frombuffer(data[start + 8 : end - 4], np.uint8).reshape(-1, 3)
    if (colours == colours[:, :1]).all():
        return None
    body = b"PLTE" + np.repeat(np.arange(len(colours), dtype=np.uint8), 3).tobytes()
    ramp = data[start : start + 4] + body + zlib.crc32(body).to_bytes(4, "big")
    return data[:8] + b"".join(
        ramp if kind == b"PLTE" else data[start:end]
        for kind, start, end in chunks
        if kind != b"tRNS"
    )
