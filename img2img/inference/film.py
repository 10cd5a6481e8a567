"""Successive pictures as one film: an MP4, or a GIF, which browsers show as well."""

import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from img2img.data.sample import Image
from img2img.data.view import View
from img2img.errors import InputError, UsageError
from img2img.inference.sources import has_plain_name

FPS_RANGE = (0.1, 1000.0)
"""Pictures a second that both kinds of film can be asked for."""

# OpenCV's packages for Linux have no encoder for H.264, and asking for one prints errors.
_CODECS = ("mp4v",) if sys.platform == "linux" else ("avc1", "mp4v")
_LEAST_DELAY = 2
"""In hundredths of a second: browsers show a GIF that asks for less five times slower."""
_MOST_DELAY = 65535


class Film:
    """Writes pictures to one film, MP4 or GIF by the ending of its path, which appears whole at
    `close` or not at all.

    A context manager: it closes the film, or drops it where an exception comes through. The first
    picture gives the size; others are scaled to fit, with black bars. An MP4 is written as pictures
    come, its sides made even by a repeated row or column. A GIF is kept in memory, loops, and
    leaves pictures out where more than 50 a second come.

    Args:
        path: of the film; its folder is made, and an older film stays until the new one is whole.
        fps: pictures a second, within `FPS_RANGE`.

    Raises:
        UsageError: another ending or `fps`, or a GIF where OpenCV cannot write one.
        InputError: the film cannot be written there; from `close`, also that no picture came.
    """

    def __init__(self, path: Path, *, fps: float) -> None:
        kind = _kind(path)
        if not has_plain_name(path):
            raise UsageError(f"{path} cannot be a film: OpenCV takes names in UTF-8 alone.")
        low, high = FPS_RANGE
        if not low <= fps <= high:
            raise UsageError(f"{fps:g} frames a second are no film: give {low:g} to {high:g}.")
        self.path = path
        self.n_pictures = 0
        self._size = (0, 0)
        self._beside = path.with_name(f".{os.getpid()}-{id(self)}.part{path.suffix.lower()}")
        self._reserve()
        self._reel = kind(self._beside, fps)
        self._is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.drop()

    def add(self, image: Image) -> None:
        """Takes the next picture, (H, W, 3) uint8 RGB.

        Raises:
            InputError: the film cannot be written, for example because pictures are too large.
        """
        if not self._is_open:
            raise ValueError(f"{self.path} is closed")
        if not self.n_pictures:
            self._size = image.shape[0], image.shape[1]
        try:
            self._reel.add(_fitted(image, *self._size))
        except OSError as error:
            self.drop()
            raise self._refused(error) from None
        self.n_pictures += 1

    def close(self) -> None:
        """Ends the film, which is then at its place; a second call does nothing."""
        if not self._is_open:
            return
        try:
            if not self.n_pictures:
                raise InputError(f"{self.path} is not written: there is no picture for it.")
            self._reel.finish()
            self._beside.replace(self.path)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            self.drop()

    def drop(self) -> None:
        """Leaves nothing of a film that is not closed."""
        self._is_open = False
        self._reel.stop()
        with suppress(OSError):
            self._beside.unlink()

    def _reserve(self) -> None:
        """Finds out whether there is a place, before the first picture is made."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise IsADirectoryError(None, "it is a folder")
            self._beside.touch()
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> InputError:
        reason = (error.strerror or str(error)).lower()
        return InputError(f"{self.path} cannot be written: {reason}.")


class _Mp4:
    """A video that is written as its pictures come."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._video = cv2.VideoWriter()
        self._n_pictures = 0

    def add(self, image: Image) -> None:
        height, width = image.shape[:2]
        if not self._n_pictures:
            self._open(width + width % 2, height + height % 2)
        even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._video.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
        self._n_pictures += 1

    def finish(self) -> None:
        self.stop()
        # OpenCV is silent where the disk is full.
        written = cv2.VideoCapture(str(self._path))
        is_whole = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) == self._n_pictures
        written.release()
        if not is_whole:
            raise OSError("the video came out cut; is the disk full?")

    def stop(self) -> None:
        self._video.release()

    def _open(self, width: int, height: int) -> None:
        for codec in _CODECS:
            code = cv2.VideoWriter.fourcc(*codec)
            if self._video.open(str(self._path), code, self._fps, (width, height)):
                return
        raise OSError(f"no video of {width} × {height} pixels can be made; a GIF may do")


class _Gif:
    """An animation that is written at its end."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._pictures: list[Image] = []
        self._starts: list[int] = []
        self._n_given = 0

    def add(self, image: Image) -> None:
        # Rounded starts, not delays: 30 a second are 3, 4, 3, 3 … hundredths, and stay in step.
        start = self._now()
        self._n_given += 1
        if not self._starts or start - self._starts[-1] >= _LEAST_DELAY:
            self._starts.append(start)
            self._pictures.append(np.ascontiguousarray(image[..., ::-1]))

    def finish(self) -> None:
        delays = np.diff([*self._starts, self._now()]).clip(_LEAST_DELAY, _MOST_DELAY)
        film = cv2.Animation()
        film.frames = self._pictures
        film.durations = (10 * delays).tolist()
        film.loop_count = 0
        # A palette of each picture's own colours: what else is on offer takes fixed ones.
        options = [cv2.IMWRITE_GIF_QUALITY, 8, cv2.IMWRITE_GIF_COLORTABLE, 1,
                   cv2.IMWRITE_GIF_DITHER, 3]  # fmt: skip
        is_good, encoded = cv2.imencodeanimation(".gif", film, options)
        if not is_good:
            raise OSError("it cannot be made a GIF")
        self._path.write_bytes(encoded.tobytes())

    def stop(self) -> None:
        self._pictures = []

    def _now(self) -> int:
        return round(100 * self._n_given / self._fps)


def _kind(path: Path) -> type[_Mp4] | type[_Gif]:
    """What writes a film of that ending."""
    if path.suffix.lower() == ".mp4":
        return _Mp4
    if path.suffix.lower() != ".gif":
        like = path.parent / f"{path.stem or 'film'}.mp4"
        raise UsageError(f"{path} is no film: name an .mp4 or a .gif, for example {like}.")
    if not cv2.haveImageWriter(".gif"):
        raise UsageError(
            f"OpenCV {cv2.__version__} cannot write {path}: name an .mp4, or install "
            "opencv-python-headless 4.12 or later."
        )
    return _Gif


def _fitted(image: Image, height: int, width: int) -> Image:
    """The picture inside another size, its proportions kept, black round it."""
    own_height, own_width = image.shape[:2]
    if (own_height, own_width) == (height, width):
        return image
    view = View.scaled(own_height, own_width, min(height / own_height, width / own_width))
    view = replace(
        view, canvas_height=height, canvas_width=width,
        left=(width - view.canvas_width) // 2, top=(height - view.canvas_height) // 2,
    )  # fmt: skip
    return view.apply(image)
