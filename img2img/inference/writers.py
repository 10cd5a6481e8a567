"""Where the answers go: names that never collide, files that appear whole, and a table of rows."""

import csv
import hashlib
import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TextIO

from img2img.errors import InputError, UsageError
from img2img.inference.sources import Item, Source

OVERLAY = "_overlay.png"
PROBABILITIES = "_probabilities"
"""Ends of what is written beside an answer, if it is asked for: a picture, a folder of pictures."""

_FRAME = re.compile(r"\d{6,}(_overlay)?\.png")


class OutputNames:
    """The path of every output in one folder; no two inputs share one.

    `photo.jpg` becomes `photo.png`. Inputs that share a stem keep their ending (`photo.jpg.png`);
    where that is taken too, the folders stand in front (`folder_photo.png`, else
    `folder_photo.jpg.png`), and at last a digest of the whole path behind. Frames of a video, and
    rows of a CSV file, go to a folder of its name.

    Args:
        folder: where the outputs go.
        sources: every input, so that collisions are known from the start.
        beside: ends of what else is written for each picture, whose names must be free as well.
        tables: further files that are written, whose names must be free too.

    Raises:
        UsageError: an output would overwrite an input.
    """

    def __init__(
        self,
        folder: Path,
        sources: list[Source],
        *,
        beside: Sequence[str] = (),
        tables: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._ends = (".png", *beside)
        self._tables = tables
        self._bases = self._chosen(list(dict.fromkeys(sources)))
        self._refuse_inputs()

    def picture(self, item: Item) -> Path:
        """Path of the item's answer."""
        return self.path(item, ".png")

    def path(self, item: Item, end: str) -> Path:
        """Path of what is written for the item with one of the ends."""
        base = self._bases[item.source]
        if item.frame is not None:
            return self._folder / base / f"{item.frame:06d}{end}"
        return self._folder / f"{base}{end}"

    def all_there(self, item: Item) -> bool:
        """Whether all that is written for the item exists."""
        return all(self.path(item, end).exists() for end in self._ends)

    def _outputs(self, source: Source, base: str) -> list[str]:
        """What stands in the folder for an input of that base."""
        return [base] if source.has_frames else [f"{base}{end}" for end in self._ends]

    def _chosen(self, sources: list[Source]) -> dict[Source, str]:
        """For every source the first of its names whose outputs are all free."""
        ways: tuple[Callable[[Source], str], ...] = (_stem, _name, _joined_stem, _joined)
        shared = [Counter(_key(way(source)) for source in sources) for way in ways]
        taken = {_key(name) for name in self._tables}
        bases: dict[Source, str] = {}
        for source in sources:
            own = (way(source) for way, n in zip(ways, shared, strict=True)
                   if n[_key(way(source))] == 1)  # fmt: skip
            for base in chain(own, _digested(source)):
                outputs = {_key(name) for name in self._outputs(source, base)}
                # Of "...mp4" the stem is "..", which would be the folder above.
                if base not in ("", ".", "..") and not outputs & taken:
                    break
            taken |= outputs
            bases[source] = base
        return bases

    def _refuse_inputs(self) -> None:
        inputs = {os.path.realpath(s.path): s for s in self._bases if s.origin == "file"}
        folders: dict[str, list[Source]] = {}
        for path, source in inputs.items():
            if _FRAME.fullmatch(Path(path).name) or Path(path).parent.name.endswith(PROBABILITIES):
                folders.setdefault(str(Path(path).parent), []).append(source)
        outputs = (self._outputs(source, base) for source, base in self._bases.items())
        for name in chain(self._tables, *outputs):
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
    return source.path.stem


def _name(source: Source) -> str:
    return source.path.name


def _joined(source: Source) -> str:
    parts = source.path.parts
    return "_".join(part for part in parts if part not in (source.path.anchor, "..", "."))


def _joined_stem(source: Source) -> str:
    return _joined(source).removesuffix(source.path.suffix)


def _digested(source: Source) -> Iterator[str]:
    digest = hashlib.sha256(os.fsencode(source.key)).hexdigest()[:8]
    base = f"{_joined(source)}-{digest}"
    yield base
    yield from (f"{base}-{number}" for number in count(2))


Rows = Sequence[Mapping[str, float | str]]
"""What `Task.rows` gives: {column: value} of each thing that is told of a picture."""


class ResultTable:
    """The results of all inputs in one CSV file: `input`, `frame`, then the task's own columns.

    Args:
        path: the file; an older one is replaced.
        columns: the task's own.
        sources: every input; rows stand in their order.
        is_shared: whether several processes have rows, so that none is written before `finish`.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], sources: Sequence[Source], *, is_shared: bool
    ) -> None:
        self.path = path
        self._columns = columns
        self._places = {source: place for place, source in enumerate(sources)}
        self.kept: list[tuple[int, list[str]]] = []
        """(place of the input, cells) of the rows that are not written yet."""
        self._file = None if is_shared else self._opened()

    def add(self, item: Item, rows: Rows) -> None:
        """Takes the rows of one picture; they are in the file at once if one process writes it."""
        frame = "" if item.frame is None else str(item.frame)
        place = self._places[item.source]
        self.kept += [
            (place, [item.source.name, frame, *(_cell(row[name]) for name in self._columns)])
            for row in rows
        ]
        if self._file is not None:
            self._write(self._file)

    def finish(self, kept: Sequence[tuple[int, list[str]]]) -> None:
        """Writes the rows that all processes kept; what came as it was answered, is left."""
        if self._file is None:
            self.kept = sorted(kept, key=lambda entry: entry[0])
            self._file = self._opened()
        self._file.close()

    def _opened(self) -> TextIO:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}.") from None
        self.kept.insert(0, (-1, ["input", "frame", *self._columns]))
        self._write(file)
        return file

    def _write(self, file: TextIO) -> None:
        # Taken away first: what the disk has no room for stays in the file's buffer, and would
        # come twice.
        kept, self.kept = self.kept, []
        csv.writer(file, lineterminator="\n").writerows(cells for _, cells in kept)
        file.flush()


def _cell(value: float | str) -> str:
    """Nine digits, as a float32 needs them; nothing where a number is not known."""
    if isinstance(value, str):
        return value
    return f"{value:.9g}" if math.isfinite(value) else ""
