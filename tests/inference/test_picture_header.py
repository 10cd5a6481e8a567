"""The size that a header states, held against what OpenCV decodes."""

import zlib

import cv2
import numpy as np
import pytest

from img2img.data.images import decode
from img2img.inference.picture_header import stated_size

HEIGHT, WIDTH = 81, 97
ENDINGS = ["jpg", "png", "bmp", "tiff", "jp2", "avif", "ras", "hdr", "gif"]


def encoded(ending: str, *options: int) -> bytes:
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    if not cv2.haveImageWriter(f".{ending}"):
        pytest.skip(f"this OpenCV writes no {ending}")
    is_done, data = cv2.imencode(f".{ending}", picture, options)
    assert is_done
    return data.tobytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_header_states_the_size(ending: str) -> None:
    data = encoded(ending)
    assert stated_size(data) == (HEIGHT, WIDTH)
    assert stated_size(data[:6]) == (0, 0)


def test_a_png_whose_first_chunk_is_another() -> None:
    data, text = encoded("png"), b"tEXt" + bytes(12)
    chunk = (12).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    data = data[:8] + chunk + data[8:]
    assert decode(data, "here").shape == (HEIGHT, WIDTH, 3)
    assert stated_size(data) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_tiff_of_any_kind(order: str) -> None:
    """Width as 32 and height as 16 bits, in both orders of bytes, and as BigTIFF."""

    def number(value: int, n_bytes: int) -> bytes:
        return value.to_bytes(n_bytes, order)  # type: ignore[arg-type]

    magic = b"II" if order == "little" else b"MM"
    plain = magic + number(42, 2) + number(8, 4) + number(2, 2)
    plain += number(256, 2) + number(4, 2) + number(1, 4) + number(70000, 4)
    plain += number(257, 2) + number(3, 2) + number(1, 4) + number(9, 2) + bytes(2)
    assert stated_size(plain) == (9, 70000)
    big = magic + number(43, 2) + number(8, 2) + number(0, 2) + number(16, 8) + number(2, 8)
    big += number(256, 2) + number(16, 2) + number(1, 8) + number(70000, 8)
    big += number(257, 2) + number(3, 2) + number(1, 8) + number(9, 2) + bytes(6)
    assert stated_size(big) == (9, 70000)


@pytest.mark.parametrize("data", [b"", b"text", b"P6 9 9 255 ", b"#?RADIANCE\n", b"\xff\xd8\xff"])
def test_what_states_no_size(data: bytes) -> None:
    assert stated_size(data) == (0, 0)
