"""How large a picture file says it is, in every format whose pixels may outnumber its bytes; read
from the header, since it is decoding that may take all memory."""

import re
import struct
from collections.abc import Callable, Iterator

from img2img.data.images import Size, format_of, probe
from img2img.errors import InputError

_OTHERS = {"Sun raster": rb"\x59\xa6\x6a\x95", "Radiance": rb"#\?", "AVIF": rb"....ftyp"}
"""What OpenCV decodes beside the formats of `data.images`."""
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "B", 8: "H", 9: "I", 16: "Q", 17: "Q"}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257


def stated_size(data: bytes) -> Size:
    """(height, width) in pixels, maybe before a turn by EXIF; of several pictures in one file those
    of the largest. (0, 0) where the header says nothing; WebP, which ends at 16383×16383, and PNM,
    which is not compressed, are not looked at."""
    others = (kind for kind, magic in _OTHERS.items() if re.match(magic, data, re.DOTALL))
    reader = _READERS.get(format_of(data) or next(others, ""))
    try:
        return (0, 0) if reader is None else reader(data)
    except (struct.error, InputError):  # damaged, which decoding will tell
        return (0, 0)


def _at(offset: int, layout: str) -> Callable[[bytes], Size]:
    """A reader of a width and a height at a fixed place."""

    def read(data: bytes) -> Size:
        width, height = struct.unpack_from(layout, data, offset)
        return abs(height), abs(width)

    return read


def _bmp(data: bytes) -> Size:
    has_short_header = int.from_bytes(data[14:18], "little") < 40
    return _at(18, "<HH" if has_short_header else "<ii")(data)


def _tiff(data: bytes) -> Size:
    """The largest that the first directory says; BigTIFF has numbers twice as long."""
    order, is_big = "<" if data.startswith(b"I") else ">", b"+" in data[2:4]
    offset, count, step, value_at = ("Q", "Q", 20, 12) if is_big else ("I", "H", 12, 8)
    (start,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
    (n_entries,) = struct.unpack_from(order + count, data, start)
    first = start + struct.calcsize(count)
    found = {_TIFF_WIDTH: 0, _TIFF_HEIGHT: 0}
    for entry in range(first, min(first + n_entries * step, len(data) - step + 1), step):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in found and kind in _TIFF_NUMBERS:
            value = struct.unpack_from(order + _TIFF_NUMBERS[kind], data, entry + value_at)
            found[tag] = max(found[tag], *value)
    return found[_TIFF_HEIGHT], found[_TIFF_WIDTH]


def _largest(pattern: bytes) -> Callable[[bytes], Size]:
    """A reader of widths and heights, 32 bits each, behind every place of a pattern."""

    def sizes(data: bytes) -> Iterator[Size]:
        for place in re.finditer(pattern, data, re.DOTALL):
            yield _at(place.end(), ">II")(data)

    return lambda data: max(sizes(data), key=lambda size: size[0] * size[1], default=(0, 0))


def _radiance(data: bytes) -> Size:
    pattern = rb"-Y\s*\+?([0-9]{1,10})\s*\+X\s*\+?([0-9]{1,10})"
    sizes = ((int(height), int(width)) for height, width in re.findall(pattern, data))
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


_READERS: dict[str, Callable[[bytes], Size]] = {
    "JPEG": lambda data: probe(data, ""),
    "PNG": _largest(rb"\0\0\0\rIHDR"),  # not at a fixed place: chunks before it are left out
    "BMP": _bmp,
    "GIF": _at(6, "<HH"),
    "TIFF": _tiff,
    "JPEG 2000": _largest(rb"\xff\x4f\xff\x51...."),  # ISO 15444-1, A.5.1
    "AVIF": _largest(rb"ispe\0\0\0\0"),  # ISO 23008-12, 6.5.3
    "Sun raster": _at(4, ">II"),
    "Radiance": _radiance,
}
