"""Whether the bytes of a picture file are complete, and how large a picture their header states:
decoders fill in what a cut file lacks."""

import re
import zlib
from collections.abc import Iterator
from typing import Literal

import numpy as np

from img2img.errors import InputError

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


def format_of(data: bytes) -> str | None:
    """What a picture file's bytes begin as, such as "JPEG"; None where that is no known format."""
    kinds = _SIGNATURES.items()
    return next((name for name, pattern in kinds if re.match(pattern, data, re.DOTALL)), None)


def _cut(known_format: str, where: str) -> InputError:
    return InputError(f"{where} is truncated: the {known_format} file ends before its picture.")


def inspect(data: bytes, where: str) -> tuple[Size | None, bytes]:
    """(size where the header tells it for certain, the bytes to decode) of a complete file.

    Raises:
        InputError: one sentence naming `where`: empty, cut short, or with a wrong checksum.
    """
    if not data:
        raise InputError(f"{where} is empty (zero bytes).")
    kind = format_of(data)
    if kind == "JPEG":
        return _jpeg_size(data, where), data
    if kind == "PNG":
        return _png(data, where)
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


def _png(data: bytes, where: str) -> tuple[Size | None, bytes]:
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


def with_grey_palette(data: bytes) -> bytes | None:
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
