"""PNG files that say what made them, written whole or not at all."""

import os
import re
import threading
import zlib
from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img import __version__
from img2img.data.images import encode_png, write_whole
from img2img.data.sample import Image
from img2img.errors import InputError

_HEADER_BYTES = 33
"""Of a PNG: its signature, and the chunk IHDR."""


def provenance(task: str, weights: str, sha256: str) -> dict[str, str]:
    """Texts for `stamped`: the program, and what it answered with, as JSON."""
    made = {"version": __version__, "task": task, "weights": {"name": weights, "sha256": sha256}}
    return {"Software": f"img2img {__version__}", "img2img": dumps(made)}


def stamped(png: bytes, texts: Mapping[str, str]) -> bytes:
    """A PNG file with tEXt chunks {keyword: ASCII text} behind its header.

    Format: https://www.w3.org/TR/png-3/#11tEXt
    """
    chunks = (_chunk(b"tEXt", f"{key}\0{text}".encode("ascii")) for key, text in texts.items())
    return png[:_HEADER_BYTES] + b"".join(chunks) + png[_HEADER_BYTES:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return len(body).to_bytes(4, "big") + kind + body + checksum.to_bytes(4, "big")


def write_png(path: Path, image: Image, texts: Mapping[str, str]) -> None:
    """Writes a picture (H, W), (H, W, 1) or (H, W, 3) uint8 RGB; makes its folder.

    Raises:
        InputError: it cannot be written there.
    """
    write_whole(path, stamped(encode_png(image), texts), parents=True)


def write_probability(path: Path, values: NDArray[np.float32], texts: Mapping[str, str]) -> None:
    """Writes values (H, W) in 0…1 as a grey PNG of 16 bits, 65535 for 1; makes its folder.

    Raises:
        InputError: it cannot be written there.
    """
    write_whole(path, _probability_png(path, values, texts), parents=True)


def _probability_png(path: Path, values: NDArray[np.float32], texts: Mapping[str, str]) -> bytes:
    levels = np.rint(np.clip(values, 0, 1) * 65535).astype(np.uint16)
    done, encoded = cv2.imencode(".png", levels)
    if not done:
        raise InputError(f"{path} cannot be written: {levels.shape} is too large for a PNG.")
    return stamped(encoded.tobytes(), texts)


def write_probabilities(
    folder: Path, maps: Mapping[str, NDArray[np.float32]], texts: Mapping[str, str]
) -> dict[str, Path]:
    """Writes maps as `write_probability` does, to a folder that appears with all of them: {name:
    its file}. In a folder that is there already, each file is replaced.

    Raises:
        InputError: it cannot be written there.
    """
    from shutil import rmtree  # some milliseconds, for few

    names = {name: f"{file}.png" for name, file in file_names(maps).items()}
    beside = folder.with_name(f".{os.getpid()}-{threading.get_ident()}.maps.part")
    try:
        beside.mkdir(parents=True, exist_ok=True)
        for name, file in names.items():
            (beside / file).write_bytes(_probability_png(folder / file, maps[name], texts))
        if folder.is_dir():
            for file in names.values():
                (beside / file).replace(folder / file)
        else:
            beside.replace(folder)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{folder} cannot be written: {reason}.") from None
    finally:
        rmtree(beside, ignore_errors=True)
    return {name: folder / file for name, file in names.items()}


def file_names(names: Mapping[str, Any]) -> dict[str, str]:
    """{name: what is called so in a file name}, all different."""
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        plain = re.sub(r"[^\w.-]", "_", name)
        found[name] = f"{plain}-{number}" if plain in found.values() else plain
    return found
