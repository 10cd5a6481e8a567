"""Where the answers go: names that never collide, and files that appear whole."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, count
from pathlib import Path

from img2img.data.images import write
from img2img.data.sample import Image
from img2img.errors import UsageError
from img2img.inference.sources import STDIN, Item, Source, location

_FRAME = re.compile(r"\d{6,}(_overlay)?\.png")


class OutputNames:
    """The path of every output in one folder; no two inputs share one.

    `photo.jpg` becomes `photo.png`. Inputs that share a stem keep their ending (`photo.jpg.png`);
    where that is taken too, the folders stand in front, and at last a digest of the whole path
    behind. Frames of a video go to a folder of its name.

    Args:
        folder: where the outputs go.
        sources: every input, so that collisions are known from the start.
        overlay: whether overlays are written, whose names must be free as well.

    Raises:
        UsageError: an output would overwrite an input.
    """

    def __init__(self, folder: Path, sources: list[Source], *, overlay: bool = False) -> None:
        self._folder = folder
        self._overlay = overlay
        self._bases = self._chosen(list(dict.fromkeys(sources)))
        self._refuse_inputs()

    def picture(self, item: Item) -> Path:
        """Path of the item's answer."""
        return self._path(item, "")

    def overlay(self, item: Item) -> Path:
        """Path of the picture with the answer drawn over it."""
        return self._path(item, "_overlay")

    def _path(self, item: Item, mark: str) -> Path:
        base = self._bases[item.source]
        if item.frame is not None:
            return self._folder / base / f"{item.frame:06d}{mark}.png"
        return self._folder / f"{base}{mark}.png"

    def _outputs(self, source: Source, base: str) -> list[str]:
        """What stands in the folder for an input of that base."""
        if source.is_video:
            return [base]
        return [f"{base}.png", *([f"{base}_overlay.png"] if self._overlay else [])]

    def _chosen(self, sources: list[Source]) -> dict[Source, str]:
        """For every source the first of its names whose outputs are all free."""
        ways: tuple[Callable[[Source], str], ...] = (_stem, _name, _joined)
        shared = [Counter(_key(way(source)) for source in sources) for way in ways]
        taken: set[str] = set()
        bases: dict[Source, str] = {}
        for source in sources:
            own = (way(source) for way, n in zip(ways, shared, strict=True)
                   if n[_key(way(source))] == 1)  # fmt: skip
            for base in chain(own, _digested(source)):
                outputs = {_key(name) for name in self._outputs(source, base)}
                if not outputs & taken:
                    break
            taken |= outputs
            bases[source] = base
        return bases

    def _refuse_inputs(self) -> None:
        inputs = {os.path.realpath(s.path): s for s in self._bases if s.name != STDIN}
        folders: dict[str, list[Source]] = {}
        for path, source in inputs.items():
            if _FRAME.fullmatch(Path(path).name):
                folders.setdefault(str(Path(path).parent), []).append(source)
        for source, base in self._bases.items():
            for name in self._outputs(source, base):
                path = os.path.realpath(self._folder / name)
                hit = inputs.get(path) or (folders[path][0] if path in folders else None)
                if hit is not None:
                    raise UsageError(
                        f"writing to {self._folder} would overwrite the input {hit.name}: "
                        "name another folder with --out."
                    )


def _key(name: str) -> str:
    # Some file systems take names for equal that differ in case or in how an accent is written.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _stem(source: Source) -> str:
    return "stdin" if source.name == STDIN else source.path.stem


def _name(source: Source) -> str:
    return "stdin" if source.name == STDIN else source.path.name


def _joined(source: Source) -> str:
    parts = [part for part in source.path.parts if part not in (source.path.anchor, "..", ".")]
    return "stdin" if source.name == STDIN else "_".join(parts)


def _digested(source: Source) -> Iterator[str]:
    digest = hashlib.sha256(os.fsencode(location(source.path))).hexdigest()[:8]
    base = f"{_joined(source)}-{digest}"
    yield base
    yield from (f"{base}-{number}" for number in count(2))


def write_picture(path: Path, image: Image) -> None:
    """Writes a picture (H, W, 1 or 3) uint8, whole or not at all; makes its folder.

    Raises:
        InputError: it cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, image)
