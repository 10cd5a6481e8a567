"""Which two pictures belong together: those of equal names, or both in one file."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data import images
from img2img.data.formats.folders import list_pictures, picture_id, stated_part
from img2img.data.formats.pairs import Alone
from img2img.data.sample import Image
from img2img.errors import DataError, InputError, UsageError
from img2img.vision.degradations import grey

E = TypeVar("E")

INPUT, TARGET = "input", "target"
_NAMES = ((INPUT, TARGET), ("A", "B"))
"""Folders that are looked for where none are named, in this order."""

_MEASURED = 64
"""Pictures whose shape is looked at for that."""
_LOOKED_AT = 8
"""Pictures by whose content pictures side by side are recognised."""
_EDGES_PX = 32
# Correlations of edges of two halves, less those of halves of different pictures: 0.48 and more for
# noise, blur, grey and edges of eight photos, 0.14 at most for eight photos that were cut in two.
_LEAST_IN_COMMON = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLayout:
    """How pairs lie in a folder, as far as it is stated; `names` are those of the two folders.
    Forward is from `input`, `A` or the left half to the other."""

    kind: Literal["auto", "folders", "side-by-side"] = "auto"
    names: tuple[str, str] | None = None
    forward: bool = True

    def __post_init__(self) -> None:
        if self.names and self.names[0] == self.names[1]:
            raise UsageError(
                f"task.input and task.target are both {self.names[0]!r}: name two folders."
            )

    @property
    def known_names(self) -> tuple[tuple[str, str], ...]:
        """Names of the two folders, in the order in which they are looked for."""
        return (self.names,) if self.names else _NAMES

    @property
    def settings(self) -> str:
        """The `--set` that state it on a command line, each after a space; the direction apart."""
        stated = f" --set task.layout={self.kind}" if self.kind != "auto" else ""
        return f"{stated} {_named(*self.names)}" if self.names else stated


def _named(first: str, second: str) -> str:
    return f"--set task.input={quote(first)} --set task.target={quote(second)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePair:
    """The files of a pair, `id` being what the sample is called, and `named` the file that stands
    for it in `groups.csv`, whatever the direction. Where both pictures lie in one file, `half` says
    on which side the input is."""

    id: str
    named: Path
    input: Path
    target: Path
    half: Literal["left", "right"] | None = None

    def read(self) -> tuple[Image, Image, bytes]:
        """(input, target, what a digest must cover): pictures (H, W, 3) uint8 RGB of one size.

        Raises:
            InputError: a file is unreadable.
            DataError: the two do not fit each other.
        """
        content = images.read_bytes(self.input)
        first = images.decode(content, str(self.input))
        if self.half is None:
            other = images.read_bytes(self.target)
            second = images.decode(other, str(self.target))
            self._check(first.shape[:2], second.shape[:2])
            return first, second, content + other
        self._check(first.shape[:2])
        left, right = np.split(first, 2, axis=1)
        return (left, right, content) if self.half == "left" else (right, left, content)

    def probe(self) -> tuple[images.Size, bytes]:
        """((height, width), what a digest must cover), mostly without decoding; raises as `read`
        does."""
        content = images.read_bytes(self.input)
        height, width = images.probe(content, str(self.input))
        if self.half is None:
            other = images.read_bytes(self.target)
            self._check((height, width), images.probe(other, str(self.target)))
            return (height, width), content + other
        self._check((height, width))
        return (height, width // 2), content

    def _check(self, size: images.Size, target: images.Size | None = None) -> None:
        if target is None and size[1] % 2:
            raise DataError(
                f"{self.input} is {size[1]} pixels wide: two pictures side by side have an even "
                "width."
            )
        if target is not None and size != target:
            raise DataError(
                f"{self.input} has {size[1]}x{size[0]} pixels, but its target {self.target} has "
                f"{target[1]}x{target[0]}: give both the same size."
            )


def holds_pairs(source: Path, layout: PairLayout) -> bool:
    """Whether a folder has the two folders of pairs, or is said to hold pictures side by side."""
    return layout.kind == "side-by-side" or two_folders(source, layout) is not None


def two_folders(source: Path, layout: PairLayout) -> tuple[Path, Path] | None:
    """The first two folders of pairs in a folder, if it has any."""
    if not source.is_dir():
        return None
    found = (
        (root / first, root / second)
        for _, root in _roots(source, layout)
        for first, second in layout.known_names
    )
    return next((pair for pair in found if all(map(Path.is_dir, pair))), None)


def find_picture_pairs(source: Path, layout: PairLayout) -> tuple[list[PicturePair], list[Alone]]:
    """The pairs of a folder, and what has no partner in it.

    The folder, or each of its subfolders, holds the two folders; or all pictures below it hold
    both side by side, which is believed unasked where `looks_side_by_side`.

    Raises:
        DataError: the folder is missing, or has no layout or more than one.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist: give a folder of paired pictures.")
    if not source.is_dir():
        raise DataError(f"{source} is a file: give the folder that holds the pairs.")
    pairs: list[PicturePair] = []
    alone: list[Alone] = []
    for prefix, root in _roots(source, layout) if layout.kind != "side-by-side" else ():
        found = _in_folders(root, layout, prefix=prefix)
        pairs += found[0]
        alone += found[1]
    if not pairs and not alone:
        pairs = _beside_each_other(source, layout)
    return (pairs if layout.forward else [_turned_round(pair) for pair in pairs]), alone


def _roots(source: Path, layout: PairLayout) -> Iterator[tuple[str, Path]]:
    """(prefix of ids, folder) of the folder itself and of those in it."""
    taken = {name for names in layout.known_names for name in names}
    yield "", source
    for path in sorted(source.iterdir()):
        if path.is_dir() and path.name not in taken and not path.name.startswith("."):
            yield f"{path.name}/", path


def _in_folders(
    root: Path, layout: PairLayout, *, prefix: str
) -> tuple[list[PicturePair], list[Alone]]:
    """The pairs of one folder, their ids beginning with `prefix`; none where it has neither of the
    two folders, and what one says of a missing one.

    Raises:
        DataError: it has those of two names.
    """
    whole = [names for names in layout.known_names if all((root / n).is_dir() for n in names)]
    if len(whole) > 1:
        (first, second), (third, fourth) = whole
        raise DataError(
            f"{root} holds {first} and {second}, and {third} and {fourth} as well: say which are "
            f"meant, such as {_named(third, fourth)}."
        )
    for names in layout.known_names:
        folders = [root / name for name in names]
        there = [folder for folder in folders if folder.is_dir()]
        if len(there) == 2:
            return _of_equal_names(root, *folders, prefix=prefix)
        if (
            there
            and (layout.names or names == (INPUT, TARGET))
            and (not prefix or stated_part(prefix))
        ):
            (missing,) = set(folders) - set(there)
            told = f"{there[0]} has no folder {missing.name} beside it: add {missing}."
            return [], [Alone(path=there[0], message=told)]
    return [], []


def _of_equal_names(
    root: Path, inputs: Path, targets: Path, *, prefix: str
) -> tuple[list[PicturePair], list[Alone]]:
    """Paired by the path below the two folders without the ending, and by the whole path where
    several share that."""
    of_stem: dict[Path, tuple[dict[Path, Path], dict[Path, Path]]] = {}
    for side, folder in enumerate((inputs, targets)):
        for path in list_pictures(folder):
            name = path.relative_to(folder)
            of_stem.setdefault(name.with_suffix(""), ({}, {}))[side][name] = path
    pairs: list[PicturePair] = []
    alone: list[Alone] = []
    for own, others in of_stem.values():
        if len(own) == len(others) == 1:
            others = dict(zip(own, others.values(), strict=True))
        if own.keys() != others.keys():
            alone += _unpaired([*own.values()], [*others.values()], (inputs, targets))
            continue
        pairs += [
            PicturePair(id=prefix + name.as_posix(), named=path, input=path, target=others[name])
            for name, path in own.items()
        ]
    return pairs, alone


def _unpaired(
    own: Sequence[Path], others: Sequence[Path], folders: tuple[Path, Path]
) -> Iterator[Alone]:
    """What is said of pictures of one name that are not one and one."""
    inputs, targets = folders
    if own and others:
        *names, last = [path.relative_to(inputs.parent).as_posix() for path in (*own, *others)]
        told = (
            f"{inputs.parent} has {', '.join(names)} and {last}, of which it is not clear what "
            "belongs together: give each pair a name of its own."
        )
        yield Alone(path=own[0], message=told)
        return
    for path in own:
        told = f"{path} has no partner: add a picture of the same name to {targets}."
        yield Alone(path=path, message=told)
    for path in others:
        told = f"{path} has no partner: add a picture of the same name to {inputs}."
        yield Alone(path=path, message=told)


def _turned_round(pair: PicturePair) -> PicturePair:
    half: Literal["left", "right"] | None = None if pair.half is None else "right"
    return replace(pair, input=pair.target, target=pair.input, half=half)


# ---- side by side


def _beside_each_other(source: Path, layout: PairLayout) -> list[PicturePair]:
    paths = list_pictures(source)
    missing = "{} holds no folders {} and {}: ".format(source, *layout.known_names[0])
    others = _other_two(source, layout)
    if others:
        missing += f"if {' and '.join(others)} belong together, say {_named(*others)}"
    if layout.kind == "folders":
        name = "make them, or name others with --set task.input=NAME --set task.target=NAME"
        raise DataError(f"{missing}{'' if others else name}.")
    if layout.kind == "auto" and not look_side_by_side(paths):
        raise DataError(
            _told_of_misfits(source, paths)
            or f"{missing}{'' if others else 'make them'}, or say "
            "--set task.layout=side-by-side if every picture holds both, or --set "
            "task.filter=noise to make pairs of the pictures."
        )
    return [
        PicturePair(id=picture_id(path, source), named=path, input=path, target=path, half="left")
        for path in paths
    ]


def _other_two(source: Path, layout: PairLayout) -> tuple[str, str] | None:
    """The names of the only two folders with pictures, in a folder or in the first of its parts."""
    for prefix, root in _roots(source, layout):
        if prefix and not stated_part(prefix):
            continue
        folders = [path for path in sorted(root.iterdir()) if path.is_dir()]
        known = [path for path in folders if not path.name.startswith(".")]
        if len(known) == 2 and all(
            not stated_part(path.name) and images.find_pictures(path) for path in known
        ):
            return known[0].name, known[1].name
    return None


def _told_of_misfits(source: Path, paths: Sequence[Path]) -> str:
    """What to say of pictures of which most lie side by side but for some of another shape; empty
    text where that is not so."""
    sizes = _sizes(evenly(paths, _MEASURED))
    fitting = [path for path, (height, width) in sizes.items() if width == 2 * height]
    few = 2 * len(fitting) <= len(sizes)
    if few or len(fitting) == len(sizes) or not look_side_by_side(fitting):
        return ""
    path, (height, width) = next(entry for entry in sizes.items() if entry[0] not in fitting)
    told = (
        f"{len(fitting)} of {len(sizes)} pictures looked at in {source} look side by side, "
        f"{path.relative_to(source).as_posix()} is {width} pixels wide and {height} high: "
    )
    if width % 2:
        return f"{told}cut it to an even width, or take it away."
    return f"{told}take it away, or say --set task.layout=side-by-side if it holds both as well."


def _sizes(paths: Sequence[Path]) -> dict[Path, images.Size]:
    """{path: (height, width)} of those that can be read."""
    sizes = {}
    for path in paths:
        with suppress(InputError):
            sizes[path] = images.probe(images.read_bytes(path), str(path))
    return sizes


def look_side_by_side(paths: Sequence[Path]) -> bool:
    """Whether pictures surely hold two of a pair each: all are exactly twice as wide as high, and
    the edges of their halves are more alike than those of halves of different pictures; unreadable
    ones do not count."""
    sizes = _sizes(evenly(paths, _MEASURED))
    if any(width != 2 * height for height, width in sizes.values()):
        return False
    halves = []
    for path in evenly(list(sizes), _LOOKED_AT):  # of those that were measured: others may be odd
        with suppress(InputError):
            halves.append(np.split(images.read(path), 2, axis=1))
    if len(halves) < 2:
        return False
    left, right = (np.stack([_edges(pair[side]) for pair in halves]) for side in (0, 1))
    alike = left @ right.T / left.shape[1]
    own = np.diag(alike).mean()
    others = alike[~np.eye(len(halves), dtype=bool)].mean()
    return bool(own - others > _LEAST_IN_COMMON)


def _edges(image: Image) -> NDArray[np.float32]:
    """Where a picture has edges, small, with mean 0 and deviation 1."""
    plane = grey(image).astype(np.float32)
    slopes = np.hypot(cv2.Sobel(plane, cv2.CV_32F, 1, 0), cv2.Sobel(plane, cv2.CV_32F, 0, 1))
    small = cv2.resize(slopes, (_EDGES_PX, _EDGES_PX), interpolation=cv2.INTER_AREA).ravel()
    normed: NDArray[np.float32] = (small - small.mean()) / max(float(small.std()), 1e-3)
    return normed


def evenly(entries: Sequence[E], n: int) -> Sequence[E]:
    """At most `n` of the entries, evenly spread."""
    return entries[:: max(1, -(-len(entries) // n))]
