"""Films: read back picture by picture, whole or not there, in step with the clock."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from img2img.data.sample import Image
from img2img.errors import InputError, UsageError
from img2img.inference import film
from img2img.inference.film import Film

KINDS = [".mp4", ".gif"]


def picture(number: int = 0, height: int = 48, width: int = 64) -> Image:
    """Soft colours that differ on all sides, and a square that moves."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    planes = [40 + 150 * x / width, 60 + 150 * y / height, 200 - 100 * x / width + 3 * number]
    image = np.stack(planes, axis=-1)
    image[8:20, 8 + 2 * number : 20 + 2 * number] = (230, 30, 20)
    return image.astype(np.uint8)


def read(path: Path) -> list[Image]:
    if path.suffix.lower() == ".gif":
        with PIL.Image.open(path) as seen:
            return [_frame(seen, k) for k in range(getattr(seen, "n_frames", 1))]
    video, frames = cv2.VideoCapture(str(path)), []
    while (taken := video.read())[0]:
        frames.append(np.asarray(taken[1][..., ::-1], np.uint8))
    return frames


def _frame(seen: PIL.Image.Image, number: int) -> Image:
    seen.seek(number)
    return np.asarray(seen.convert("RGB"))


def delays_ms(path: Path) -> list[int]:
    with PIL.Image.open(path) as seen:
        told = []
        for number in range(getattr(seen, "n_frames", 1)):
            seen.seek(number)
            told.append(seen.info["duration"])
        return told


def write(path: Path, pictures: list[Image], fps: float = 25) -> None:
    with Film(path, fps=fps) as made:
        for each in pictures:
            made.add(each)


@contextmanager
def files_of_at_most(n_bytes: int) -> Iterator[None]:
    """As if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "new/Fünf %d.MP4", "b.GIF"])
def test_pictures_come_back_in_their_order_and_colours(tmp_path: Path, name: str) -> None:
    given = [picture(number) for number in range(12)]
    write(tmp_path / name, given)
    found = read(tmp_path / name)
    assert len(found) == 12
    for one, other in zip(given, found, strict=True):
        assert other.shape == one.shape
        assert np.abs(one.astype(int) - other).mean() < 6
        assert other[12:16, 12:16].mean((0, 1)) == pytest.approx(one[12:16, 12:16].mean((0, 1)),
                                                                 abs=16)  # fmt: skip
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [Path(name).name]


@pytest.mark.parametrize("fps", [12.5, 24, 29.97])
def test_an_mp4_tells_its_pictures_a_second(tmp_path: Path, fps: float) -> None:
    write(tmp_path / "a.mp4", [picture()] * 3, fps)
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(fps)


@pytest.mark.parametrize("size", [(49, 65), (48, 65), (1, 1), (3, 40)])
def test_odd_sides_of_an_mp4_are_repeated(tmp_path: Path, size: tuple[int, int]) -> None:
    write(tmp_path / "a.mp4", [np.full((*size, 3), (200, 90, 40), np.uint8)] * 2)
    found = read(tmp_path / "a.mp4")[1]
    assert found.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert np.abs(found.astype(int) - (200, 90, 40)).max() < 12
    write(tmp_path / "a.gif", [np.full((*size, 3), (200, 90, 40), np.uint8)] * 2)
    assert (read(tmp_path / "a.gif")[1] == np.full((*size, 3), (200, 90, 40))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_another_size_gets_bars(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    bright = [np.full((height, width, 3), 200, np.uint8)
              for height, width in [(40, 80), (80, 80), (20, 80), (120, 1)]]  # fmt: skip
    write(path, bright)
    found = [frame[..., 1] > 100 for frame in read(path)]
    assert all(frame.shape == (40, 80) for frame in found)
    assert found[0].all()
    assert (found[1].any(0).sum(), found[1][:, 20:60].all()) == (40, True)
    assert (found[2].any(1).sum(), found[2][10:30].all()) == (20, True)


def test_another_codec_is_taken_where_the_first_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "_CODECS", ("none", "mp4v"))
    write(tmp_path / "a.mp4", [picture()] * 2)
    assert len(read(tmp_path / "a.mp4")) == 2


# ------------------------------------------------------------------------------------------- clock


@pytest.mark.parametrize("fps", [0.5, 10, 24, 30, 50, 60, 144])
def test_a_gif_takes_as_long_as_its_pictures(tmp_path: Path, fps: float) -> None:
    n_pictures = 2 + round(min(fps, 72))
    write(tmp_path / "a.gif", [picture(k % 20, 24, 64) for k in range(n_pictures)], fps)
    told = delays_ms(tmp_path / "a.gif")
    assert sum(told) == pytest.approx(1000 * n_pictures / fps, abs=21)
    assert min(told) >= 20
    assert len(told) == n_pictures or fps > 50
    assert max(told) - min(told) <= 20


def test_a_gif_loops_for_ever_and_keeps_still_pictures(tmp_path: Path) -> None:
    write(tmp_path / "a.gif", [picture()] * 5)
    with PIL.Image.open(tmp_path / "a.gif") as seen:
        assert seen.info["loop"] == 0
        assert getattr(seen, "n_frames", 1) == 5


# ----------------------------------------------------------------------------------- whole or not


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_film_stays_until_the_new_one_is_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    write(path, [picture()] * 2)
    old = path.read_bytes()
    with suppress(KeyboardInterrupt), Film(path, fps=25) as made:
        made.add(picture(3))
        assert path.read_bytes() == old
        raise KeyboardInterrupt
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
    made = Film(path, fps=25)
    made.add(picture(3))
    made.close()
    made.close()
    assert len(read(path)) == 1
    with pytest.raises(ValueError, match="closed"):
        made.add(picture())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", KINDS)
def test_two_films_can_be_written_at_once(tmp_path: Path, kind: str) -> None:
    with Film(tmp_path / f"a{kind}", fps=9) as one, Film(tmp_path / f"b{kind}", fps=9) as other:
        for number in range(4):
            one.add(picture(number))
            other.add(picture(number, 30, 40))
    assert read(tmp_path / f"a{kind}")[3].shape == (48, 64, 3)
    assert read(tmp_path / f"b{kind}")[3].shape == (30, 40, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_without_pictures_is_none(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=f"a{kind} is not written: there is no picture"):
        write(tmp_path / f"a{kind}", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_can_be_written_a_sentence_says_so(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written: (not a directory|file exists)\."):
        Film(tmp_path / "file" / f"a{kind}", fps=25)
    (tmp_path / f"folder{kind}").mkdir()
    with pytest.raises(InputError, match=r"cannot be written: it is a folder\."):
        Film(tmp_path / f"folder{kind}", fps=25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", f"folder{kind}"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_nothing(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    with pytest.raises(InputError, match=f"a{kind} cannot be written: "), files_of_at_most(4000):
        write(tmp_path / f"a{kind}", [noise] * 20)
    assert not list(tmp_path.iterdir())


def test_a_video_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="9000 × 2 pixels"):
        write(tmp_path / "a.mp4", [np.zeros((2, 9000, 3), np.uint8)])
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize("name", ["film.avi", "film", "film.mpeg"])
def test_another_ending_is_refused_with_one_that_works(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"name an \.mp4 or a \.gif, for example .*film\.mp4\."):
        Film(tmp_path / "new" / name, fps=25)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0, -5, 0.01, float("nan"), float("inf")])
def test_impossible_speeds_are_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(UsageError, match=r"give 0\.1 to 1000"):
        Film(tmp_path / "a.mp4", fps=fps)


def test_an_opencv_without_gif_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "haveImageWriter", lambda _name: False)
    with pytest.raises(UsageError, match=r"opencv-python-headless 4\.12"):
        Film(tmp_path / "a.gif", fps=25)
