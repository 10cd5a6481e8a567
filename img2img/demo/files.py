"""An answer in files: those that the page shows, and those to download."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2

from img2img.data.sample import Image
from img2img.demo.desk import Answer
from img2img.inference.png import file_names, provenance, write_png, write_probability

SHOWN_PX = 1600
"""Longest side of a picture on the page; the file to download has the size of the upload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFiles:
    """Paths of what is shown, where there is something, and of what may be downloaded."""

    overlay: str | None
    picture: str | None
    files: list[str]


def write_answer(answer: Answer, folder: Path, stem: str) -> AnswerFiles:
    """Writes an answer with the names and contents that `predict` gives its files.

    Raises:
        InputError: it cannot be written.
    """
    weights = answer.line["weights"]
    texts = provenance(answer.line["task"], weights["name"], weights["sha256"])
    shown: list[str | None] = []
    files: list[str] = []
    for image, name in ((answer.overlay, f"{stem}_overlay.png"), (answer.picture, f"{stem}.png")):
        if image is None:
            shown.append(None)
            continue
        path = folder / name
        write_png(path, image, texts)
        files.append(str(path))
        if max(image.shape[:2]) > SHOWN_PX:
            path = folder / f"shown-{name}"
            write_png(path, _shrunk(image), texts)
        shown.append(str(path))
    for name, kept in file_names(answer.probabilities).items():
        path = folder / f"{stem}_{kept}.png"
        write_probability(path, answer.probabilities[name], texts)
        files.append(str(path))
    path = folder / f"{stem}.json"
    path.write_text(json.dumps(answer.line, allow_nan=False) + "\n", encoding="utf-8")
    return AnswerFiles(overlay=shown[0], picture=shown[1], files=[*files, str(path)])


def _shrunk(image: Image) -> Image:
    scale = SHOWN_PX / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cast(Image, small)
