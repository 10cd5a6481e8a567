"""Where the answers go: names that never collide, and files that appear whole."""

from collections import Counter
from pathlib import Path

from img2img.data.images import write
from img2img.data.sample import Image
from img2img.inference.sources import STDIN, Item, Source


class OutputNames:
    """The path of every output in one folder.

    `photo.jpg` becomes `photo.png`. Where several inputs share a stem they keep their ending
    (`photo.jpg.png`), and where they share the whole name, the folders in front of it too. Frames
    of a video go to a folder of its name.

    Args:
        folder: where the outputs go.
        sources: every input, so that collisions are known from the start.
    """

    def __init__(self, folder: Path, sources: list[Source]) -> None:
        self._folder = folder
        self._stems = Counter(_stem(source) for source in sources)
        self._names = Counter(source.path.name for source in sources)

    def picture(self, item: Item) -> Path:
        """Path of the item's answer."""
        return self._path(item, "")

    def overlay(self, item: Item) -> Path:
        """Path of the picture with the answer drawn over it."""
        return self._path(item, "_overlay")

    def _path(self, item: Item, mark: str) -> Path:
        base = self._base(item.source)
        if item.frame is not None:
            return self._folder / base / f"{item.frame:06d}{mark}.png"
        return self._folder / f"{base}{mark}.png"

    def _base(self, source: Source) -> str:
        stem = _stem(source)
        if self._stems[stem] == 1:
            return stem
        if self._names[source.path.name] == 1:
            return source.path.name
        parts = [part for part in source.path.parts if part not in ("/", "..", ".")]
        return "_".join(parts)


def _stem(source: Source) -> str:
    return "stdin" if source.name == STDIN else source.path.stem


def write_picture(path: Path, image: Image) -> None:
    """Writes a picture (H, W, 1 or 3) uint8, whole or not at all; makes its folder.

    Raises:
        InputError: it cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, image)
