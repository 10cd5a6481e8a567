"""Pictures beside pictures: captions, contact sheets, errors as heat."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from img2img.data.sample import Image, Sample
from img2img.errors import InputError
from img2img.tasks.base import Task

PAPER = 255
"""Grey level behind pictures and captions."""
_INK = (25, 25, 25)
_SMALLEST_PX, _LARGEST_PX = 224, 512
"""Limits of the longer side of a picture on a sheet; a caption needs the first."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_HEIGHT_PX = 21
"""Height of its capitals at scale 1."""
_SHEET_QUALITY = 75
"""Of a contact sheet's JPEG, to keep a page light."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A picture (H, W, 3) uint8 RGB and what it shows."""

    caption: str
    image: Image


# ---- sheets


def label(image: Image, text: str) -> Image:
    """The picture (H, W, 3) uint8 RGB over its caption, broken into as many lines as it needs."""
    image = to_rgb(image)
    return _captioned(image, _lines(text, image.shape[1]))


def side_by_side(images: Sequence[Image], labels: Sequence[str]) -> Image:
    """One row of captioned pictures, all brought to one height that a caption is legible at.

    Args:
        images: (H, W), (H, W, 1) or (H, W, 3) uint8 RGB, of any sizes.
        labels: a caption each.

    Raises:
        ValueError: there are not as many labels as pictures, or none.
    """
    if not images or len(images) != len(labels):
        raise ValueError(f"{len(images)} pictures cannot take {len(labels)} labels")
    height = fit(to_rgb(images[0])).shape[0]
    row = [_to_height(to_rgb(image), height) for image in images]
    captions = [_lines(text, image.shape[1]) for image, text in zip(row, labels, strict=True)]
    deepest = max(map(len, captions))
    cells = [
        _captioned(image, lines + [""] * (deepest - len(lines)))
        for image, lines in zip(row, captions, strict=True)
    ]
    return grid(cells, len(cells))


def grid(pictures: Sequence[Image], columns: int) -> Image:
    """A contact sheet (H, W, 3) uint8 RGB: rows of `columns` pictures of any sizes, each at the
    top left of its cell, with even margins.

    Raises:
        ValueError: no pictures, or no columns.
    """
    if not pictures or columns < 1:
        raise ValueError(f"{len(pictures)} pictures cannot fill {columns} columns")
    cells = [to_rgb(picture) for picture in pictures]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    widths = [max(row[i].shape[1] for row in rows if i < len(row)) for i in range(len(rows[0]))]
    heights = [max(cell.shape[0] for cell in row) for row in rows]
    gap = max(6, round(0.03 * max(widths)))
    shape = (sum(heights) + gap * (len(heights) + 1), sum(widths) + gap * (len(widths) + 1), 3)
    sheet = np.full(shape, PAPER, np.uint8)
    for j, row in enumerate(rows):
        top = sum(heights[:j]) + gap * (j + 1)
        for i, cell in enumerate(row):
            left = sum(widths[:i]) + gap * (i + 1)
            sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def contact_sheet(path: Path, pictures: Sequence[Image], columns: int) -> int:
    """Writes the `grid` of pictures as a light JPEG; folders that are missing are made.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: no pictures, or no columns.
        InputError: the file cannot be written.
        OSError: its folder cannot be made.
    """
    bgr = cv2.cvtColor(grid(pictures, columns), cv2.COLOR_RGB2BGR)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, _SHEET_QUALITY]):
        raise InputError(f"{path} cannot be written: name a .jpg in a folder that can be written.")
    return path.stat().st_size


# ---- what is shown of a sample


def panels(task: Task[Any, Any], sample: Sample, result: Any, *, figure: str = "") -> list[Panel]:
    """Input, answer with its figure, truth where it is known, and the difference of those two
    where they are shown as pictures."""
    shown = [
        Panel(caption="input", image=to_rgb(sample.image)),
        Panel(caption=f"answer: {figure}" if figure else "answer",
              image=_shown(task, sample, result)),
    ]  # fmt: skip
    true_result = task.truth(sample)
    if true_result is None:
        return shown
    shown.append(Panel(caption="truth", image=_shown(task, sample, true_result)))
    answer, truth = (_picture(task, one) for one in (result, true_result))
    if answer is not None and truth is not None and answer.shape[:2] == truth.shape[:2]:
        image, scale = error_picture(answer, truth)
        shown.append(Panel(caption=scale, image=image))
    return shown


def sheet(shown: Sequence[Panel]) -> Image:
    """Panels as one row, (H, W, 3) uint8 RGB."""
    return side_by_side([panel.image for panel in shown], [panel.caption for panel in shown])


def error_picture(a: Image, b: Image) -> tuple[Image, str]:
    """The absolute difference of two pictures of one size as heat, and a caption with its scale.

    The scale ends at a power of two that 99.5 % of the pixels stay under, so that a few wild
    pixels do not hide the rest; of several channels the greatest difference counts.

    Raises:
        ValueError: the pictures have different sizes.
    """
    if a.shape[:2] != b.shape[:2]:
        raise ValueError(f"pictures of {a.shape[:2]} and {b.shape[:2]} pixels cannot be compared")
    difference = cv2.absdiff(to_rgb(a), to_rgb(b)).max(axis=2)
    greatest = int(difference.max())
    usual = float(np.percentile(difference, 99.5))
    top = max(1, min(greatest, 2 ** int(np.ceil(np.log2(max(1.0, usual))))))
    levels = np.minimum(255, difference * (255.0 / top)).astype(np.uint8)
    heat = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    if greatest == 0:
        return cast(Image, heat), "error: none"
    reach = f"{top} or more, greatest {greatest}" if top < greatest else f"{top}"
    return cast(Image, heat), f"error: black 0, yellow {reach} of 255"


def _picture(task: Task[Any, Any], result: Any) -> Image | None:
    """The result as a picture, if it is to be seen as one."""
    return None if task.is_shown_drawn else task.picture(result)


def _shown(task: Task[Any, Any], sample: Sample, result: Any) -> Image:
    picture = _picture(task, result)
    return to_rgb(task.draw(sample.image, result) if picture is None else picture)


# ---- sizes and channels


def to_rgb(image: Image) -> Image:
    """(H, W, 3) uint8 RGB of a picture (H, W), (H, W, 1) or (H, W, 3)."""
    if image.ndim == 2:
        image = image[..., None]
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def fit(image: Image, *, smallest_px: int = _SMALLEST_PX, largest_px: int = _LARGEST_PX) -> Image:
    """The picture with its longer side between the limits: small ones by whole factors, so that
    their pixels stay what they are."""
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer > largest_px:
        factor = largest_px / longer
        return _resized(image, max(1, round(height * factor)), max(1, round(width * factor)))
    times = -(-smallest_px // longer)
    return _resized(image, height * times, width * times)


def _to_height(image: Image, height: int) -> Image:
    return _resized(image, height, max(1, round(image.shape[1] * height / image.shape[0])))


def _resized(image: Image, height: int, width: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    grows = height > image.shape[0]
    how = cv2.INTER_NEAREST if grows else cv2.INTER_AREA
    return cast(Image, cv2.resize(image, (width, height), interpolation=how))


# ---- captions


def _text_px(width: int) -> int:
    """Height of capitals in a caption under a picture of that width, in pixels."""
    return int(np.clip(round(0.034 * width), 8, 40))


def _scale(width: int) -> float:
    return _text_px(width) / _FONT_HEIGHT_PX


def _text_width(text: str, width: int) -> int:
    return int(cv2.getTextSize(text, _FONT, _scale(width), 1)[0][0])


def _lines(text: str, width: int) -> list[str]:
    """The caption, broken between words to `width` pixels; words that are wider are cut."""
    lines = [""]
    for word in _ascii(text).split():
        while len(word) > 1 and _text_width(word, width) > width:
            word = word[:-2] + "~"
        longer = f"{lines[-1]} {word}".strip()
        if _text_width(longer, width) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line for line in lines if line] or [""]


def _ascii(text: str) -> str:
    """The text in the letters that OpenCV's fonts have."""
    for sign, plain in (("×", "x"), ("–", "-"), ("…", "..."), ("−", "-")):
        text = text.replace(sign, plain)
    plain_text = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() else "?" for c in plain_text if not unicodedata.combining(c))


def _captioned(image: Image, lines: Sequence[str]) -> Image:
    width = image.shape[1]
    text_px = _text_px(width)
    step_px = round(1.8 * text_px)
    band = np.full((step_px * len(lines) + text_px // 2, width, 3), PAPER, np.uint8)
    for i, line in enumerate(lines):
        origin = (0, round(0.5 * text_px) + text_px + i * step_px)
        thickness = max(1, round(text_px / 12))
        cv2.putText(band, line, origin, _FONT, _scale(width), _INK, thickness, cv2.LINE_AA)
    return np.concatenate([to_rgb(image), band])
