import errno
import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.data import images
from img2img.data.sample import Image
from img2img.errors import InputError


def picture(height: int = 32, width: int = 48, seed: int = 0) -> Image:
    """A smooth coloured picture without any symmetry."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    smooth: Image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return smooth


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def as_kind(kind: str, **options: object) -> bytes:
    return encoded(PIL.Image.fromarray(picture()), kind, **options)


def pil_rgb(data: bytes) -> Image:
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))


def png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def in_mode(mode: str, kind: str, **options: object) -> bytes:
    return encoded(PIL.Image.fromarray(picture()).convert(mode), kind, **options)


GOOD = {
    "png": as_kind("PNG"),
    "grey png": in_mode("L", "PNG"),
    "grey alpha png": in_mode("LA", "PNG"),
    "palette png": in_mode("P", "PNG"),
    "bilevel png": in_mode("1", "PNG"),
    "bmp": as_kind("BMP"),
    "palette bmp": in_mode("P", "BMP"),
    "lossless webp": as_kind("WEBP", lossless=True),
    "tiff": as_kind("TIFF"),
    "ppm": as_kind("PPM"),
    "jpeg": as_kind("JPEG", quality=95, subsampling=0),
    "grey jpeg": in_mode("L", "JPEG"),
    "progressive jpeg": as_kind("JPEG", quality=95, subsampling=0, progressive=True),
    "optimised jpeg": as_kind("JPEG", quality=95, subsampling=0, optimize=True),
    "cmyk jpeg": in_mode("CMYK", "JPEG", quality=95, subsampling=0),
    "jpeg with trailing bytes": as_kind("JPEG", subsampling=0) + b"\0garbage" * 9,
    "png with trailing bytes": as_kind("PNG") + b"\0garbage" * 9,
}


@pytest.mark.parametrize("name", GOOD)
def test_decode_gives_what_pil_gives(name: str) -> None:
    image = images.decode(GOOD[name], name)
    assert image.dtype == np.uint8
    assert image.shape == (32, 48, 3)
    # libjpeg's builds and the CMYK formula differ by a level.
    tolerance = 2 if "jpeg" in name else 0
    np.testing.assert_allclose(image.astype(int), pil_rgb(GOOD[name]), atol=tolerance)


@pytest.mark.parametrize("name", GOOD)
def test_decode_equals_opencvs_colour_reading(name: str) -> None:
    bgr = cv2.imdecode(np.frombuffer(GOOD[name], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(images.decode(GOOD[name], name), bgr[..., ::-1])


# OpenCV drops the lower byte of a PNG; libtiff rounds colours.
@pytest.mark.parametrize(("suffix", "tolerance"), [(".png", 0), (".tiff", 1)])
def test_16_bits_become_8(suffix: str, tolerance: int) -> None:
    deep = np.arange(32 * 48 * 3, dtype=np.uint16).reshape(32, 48, 3) * 14
    data = cv2.imencode(suffix, deep)[1].tobytes()
    image = images.decode(data, suffix).astype(int)
    np.testing.assert_allclose(image, deep[..., ::-1] >> 8, atol=tolerance)


def test_alpha_is_dropped_and_what_lies_under_it_is_kept() -> None:
    alpha = np.tile(np.arange(48, dtype=np.uint8) * 5, (32, 1))
    rgba = np.dstack([picture(), alpha])
    data = encoded(PIL.Image.fromarray(rgba), "PNG")
    np.testing.assert_array_equal(images.decode(data, "rgba"), picture())


def test_one_pixel() -> None:
    data = encoded(PIL.Image.new("RGB", (1, 1), (10, 20, 30)), "PNG")
    assert images.decode(data, "dot").tolist() == [[[10, 20, 30]]]
    assert images.probe(data, "dot") == (1, 1)


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


def exif(orientation: int, order: str) -> bytes:
    """An EXIF block with the orientation behind another entry."""
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    make = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    turn = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + mark + struct.pack(order + "IH", 8, 2) + make + turn + b"\0" * 4


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", TURNS)
def test_the_exif_turn_is_applied(orientation: int, order: str) -> None:
    options = {"quality": 95, "subsampling": 0}
    upright = images.decode(as_kind("JPEG", **options), "upright")
    turned = as_kind("JPEG", exif=exif(orientation, order), **options)
    image = images.decode(turned, "turned")
    np.testing.assert_array_equal(image, TURNS[orientation](upright))
    assert images.probe(turned, "turned") == image.shape[:2]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_probe_agrees_on_turned_pictures_of_other_formats(kind: str) -> None:
    tags = PIL.Image.Exif()
    tags[0x0112] = 6
    data = as_kind(kind, exif=tags)
    assert images.probe(data, kind) == images.decode(data, kind).shape[:2]


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    kind=st.sampled_from(["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM"]),
    orientation=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_the_probe_equals_the_decoded_size(
    height: int, width: int, kind: str, orientation: int
) -> None:
    with_exif = {"exif": exif(orientation, "<")} if kind in ("JPEG", "PNG", "WEBP") else {}
    data = encoded(PIL.Image.fromarray(picture(height, width)), kind, **with_exif)
    assert images.probe(data, kind) == images.decode(data, kind).shape[:2]


def test_jpeg_and_png_are_probed_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "imdecode")
    assert images.probe(GOOD["jpeg"], "a") == (32, 48)
    assert images.probe(GOOD["png"], "b") == (32, 48)


CUTTABLE = {
    "jpeg": GOOD["jpeg"],
    "progressive jpeg": GOOD["progressive jpeg"],
    "png": GOOD["png"],
    "webp": as_kind("WEBP"),
    "lossless webp": GOOD["lossless webp"],
    "bmp": GOOD["bmp"],
    "palette bmp": GOOD["palette bmp"],
    "gif": as_kind("GIF"),
    "tiff": GOOD["tiff"],
    "ppm": GOOD["ppm"],
}


@pytest.mark.parametrize("look", [images.decode, images.probe])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("name", CUTTABLE)
def test_a_truncated_picture_is_refused(name: str, share: float, look, capfd) -> None:
    whole = CUTTABLE[name]
    cut = whole[: min(len(whole) - 1, int(len(whole) * share))]
    with pytest.raises(InputError, match=r"^a/b\.x ") as caught:
        look(cut, "a/b.x")
    has_own_check = name.split()[-1] in ("jpeg", "png", "webp", "bmp")
    if has_own_check and share >= 0.5:
        assert "truncated" in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    thumbnail = encoded(PIL.Image.fromarray(picture(8, 12)), "JPEG")
    block = exif(1, "<") + thumbnail
    whole = as_kind("JPEG", exif=block)
    after = whole.index(thumbnail) + len(thumbnail)
    assert thumbnail.endswith(b"\xff\xd9")
    images.decode(whole, "whole")
    for end in (after - 4, after, after + 40, len(whole) - 2):
        with pytest.raises(InputError, match=r"cut\.jpg is truncated"):
            images.decode(whole[:end], "cut.jpg")


def test_fill_bytes_before_the_end_marker_do_no_harm() -> None:
    data = GOOD["jpeg"][:-2] + b"\xff\xff\xff\xd9"
    np.testing.assert_array_equal(images.decode(data, "a"), images.decode(GOOD["jpeg"], "b"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"^x\.jpg is empty \(zero bytes\)\.$"),
        (b"Dear diary,\n", r"^x\.jpg is not a picture\.$"),
        (b"\0", r"^x\.jpg is not a picture\.$"),
        (b"\xff\xd8\xff\xd9", r"^x\.jpg is truncated"),
        (b"\x89PNG\r\n\x1a\n", r"^x\.jpg is truncated"),
        (b"BM" + b"\0" * 60, r"^x\.jpg cannot be decoded: this BMP is"),
        (b"GIF89a" + b"\0" * 60, r"^x\.jpg cannot be decoded: this GIF is"),
    ],
)
@pytest.mark.parametrize("look", [images.decode, images.probe])
def test_no_picture(data: bytes, reason: str, look, capfd) -> None:
    with pytest.raises(InputError, match=reason):
        look(data, "x.jpg")
    assert capfd.readouterr() == ("", "")


def test_a_damaged_png_is_refused_in_our_words(capfd) -> None:
    data = bytearray(GOOD["png"])
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InputError, match=r"^a\.png is damaged: a checksum"):
        images.probe(bytes(data), "a.png")
    assert capfd.readouterr().err == ""


def test_faulty_side_chunks_of_a_png_are_passed_over_in_silence(capfd) -> None:
    side = png_chunk(b"iCCP", b"icc\0\0garbage") + png_chunk(b"tIME", b"\0")
    data = GOOD["png"][:33] + side + GOOD["png"][33:]
    np.testing.assert_array_equal(images.decode(data, "a"), picture())
    assert images.probe(data, "a") == (32, 48)
    assert capfd.readouterr().err == ""


def test_transparent_palette_colours_survive_the_dropped_chunks() -> None:
    data = in_mode("P", "PNG", transparency=0, dpi=(72, 72))
    assert b"pHYs" in data
    assert b"tRNS" in data
    np.testing.assert_array_equal(images.decode(data, "a"), pil_rgb(data))


def test_an_ending_may_lie(tmp_path: Path) -> None:
    path = tmp_path / "really_png.jpg"
    path.write_bytes(GOOD["png"])
    np.testing.assert_array_equal(images.read(path), picture())


def test_read_tells_why_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read: no such file"):
        images.read(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"cannot be read: is a directory"):
        images.read(tmp_path)


def test_read_tells_of_missing_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read every file that there is
    with pytest.raises(InputError, match=r"a\.png cannot be read: permission denied"):
        images.read(Path("a.png"))


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7, 1), (5, 7), (1, 1, 3)])
def test_png_round_trip(shape: tuple[int, ...], tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    expected = image if image.ndim == 3 else image[..., None]
    back = images.decode(images.encode_png(image), "png")
    np.testing.assert_array_equal(back, np.broadcast_to(expected, (*shape[:2], 3)))
    images.write(tmp_path / "out.PNG", image)
    np.testing.assert_array_equal(images.read(tmp_path / "out.PNG"), back)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".tiff", ".ppm"])
def test_write_goes_by_the_ending(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    images.write(path, picture())
    with PIL.Image.open(path) as seen:
        kinds = {".jpg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".tiff": "TIFF", ".ppm": "PPM"}
        assert seen.format == kinds[suffix]
    np.testing.assert_allclose(images.read(path).astype(int), picture(), atol=30)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("a.xyz", picture()),
        ("a", picture()),
        ("a.png", picture()[..., :2]),
        ("a.png", picture().astype(np.float32)),
        ("a.png", picture()[:0]),
        ("a.jpg", np.zeros((1, 70000, 3), np.uint8)),
    ],
)
def test_a_refused_write_leaves_the_folder_as_it_was(
    name: str, image: Image, tmp_path: Path, capfd
) -> None:
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(InputError, match=name):
        images.write(tmp_path / name, image)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"
    assert capfd.readouterr().err == ""


def test_a_write_that_fails_midway_leaves_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"a\.png cannot be written: no space left"):
        images.write(tmp_path / "a.png", picture())
    assert list(tmp_path.iterdir()) == []


def test_write_needs_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("gone", "file"):
        with pytest.raises(InputError, match="cannot be written"):
            images.write(tmp_path / folder / "a.png", picture())


def test_find_pictures_in_natural_order_without_hidden_ones(tmp_path: Path) -> None:
    wanted = ["2.jpg", "10.JPG", "a/img9.png", "a/img10.png", "b2/x.webp", "b10/x.webp"]
    for name in [*wanted, ".hidden.jpg", ".git/x.png", "a/.cache/y.png", "notes.txt", "a/jpg"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in images.find_pictures(tmp_path)]
    assert found == wanted


def test_find_pictures_follows_links_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.png").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "train").symlink_to(tmp_path / "elsewhere")
    (root / "train2").symlink_to(tmp_path / "elsewhere")
    (root / "loop").symlink_to(root)
    assert images.find_pictures(root) == [root / "train/a.png"]


def test_find_pictures_needs_its_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone cannot be listed"):
        images.find_pictures(tmp_path / "gone")
