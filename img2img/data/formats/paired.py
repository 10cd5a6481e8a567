"""Paired pictures: two folders with equal names, or both pictures side by side in one file."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.folders import (
    digest_of,
    list_pictures,
    part_indices,
    picture_id,
    stated_part,
)
from img2img.data.formats.pairs import Alone
from img2img.data.groups import group_names
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.errors import DataError, InputError, UsageError
from img2img.vision.degradations import grey

E = TypeVar("E")

INPUT, TARGET = "input", "target"
_NAMES = ((INPUT, TARGET), ("A", "B"))
"""Folders that are looked for where none are named, in this order."""

_COLOURS_OF = 16
"""Pictures that are looked at to tell grey from colour."""
_LOOKED_AT = 8
"""Pictures by whose content pictures side by side are recognised."""
_EDGES_PX = 32
# Correlations of edges of two halves, less those of halves of different pictures: 0.3 and more for
# noise, blur, grey and edges of photos; within 0.1 of zero for photos that were cut in halves.
_LEAST_IN_COMMON = 0.15


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePair:
    """The files of a pair, `id` being what the sample is called. Where both pictures lie in one
    file, `half` says on which side the input is."""

    id: str
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


class PairedPictures(Dataset):
    """Pairs in files: `pairs[id]` says where. The target has one channel or three."""

    def __init__(
        self, records: Sequence[Record], pairs: Mapping[str, PicturePair], *, channels: int
    ) -> None:
        super().__init__(records)
        self.pairs = pairs
        self.planes = 3 + channels  # type: ignore[misc]

    def pixels(self, record: Record) -> Image:
        """(H, W, 3 + channels) uint8: the input's RGB, then the target.

        Raises:
            DataError: a file became unreadable or has another size.
        """
        try:
            image, target, _ = self.pairs[record.id].read()
        except InputError as error:
            raise DataError(str(error)) from None
        return stacked(image, target, channels=self.planes - 3)

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The input with labels {target: (H, W, channels) uint8}."""
        return pair_sample(record, pixels)


def stacked(image: Image, target: Image, *, channels: int) -> Image:
    """(H, W, 3 + channels) uint8 of two pictures (H, W, 3) RGB; of one channel the target's is
    grey."""
    return np.dstack([image, grey(target) if channels == 1 else target])


def pair_sample(record: Record, pixels: Image) -> Sample:
    """The sample of `stacked` pixels, with labels {target: (H, W, channels) uint8}."""
    return Sample(
        id=record.id,
        group=record.group or record.id,
        image=np.ascontiguousarray(pixels[..., :3]),
        labels={TARGET: np.ascontiguousarray(pixels[..., 3:])},
    )


def paired_splits(data: DataOptions, layout: PairLayout, *, channels: int) -> Splits:
    """The pairs of the folder `data.source`, divided as folders of pictures are.

    Raises:
        DataError: missing, empty or unusable data.
        UsageError: the data cannot be divided as asked.
    """
    source = Path(data.source or "")
    pairs, alone = find_picture_pairs(source, layout)
    if alone:
        raise _refused(source, len(pairs) + len(alone), [entry.message for entry in alone])
    ids = [pair.id for pair in pairs]
    groups = group_names(ids, [pair.input for pair in pairs], data, source)
    parts, stated = part_indices(ids, data, groups)
    records = _index(pairs, groups, source)
    whole = PairedPictures(records, {pair.id: pair for pair in pairs}, channels=channels)
    return Splits(
        name=str(source),
        parts={part: whole.subset(indices) for part, indices in parts.items()},
        stated=stated,
        whole=whole.subset([index for indices in parts.values() for index in indices]),
    )


def holds_pairs(source: Path, layout: PairLayout) -> bool:
    """Whether a folder has the two folders of pairs, or is said to hold pictures side by side."""
    if layout.kind == "side-by-side":
        return True
    return source.is_dir() and any(
        all((root / name).is_dir() for name in names)
        for _, root in _roots(source, layout)
        for names in layout.known_names
    )


def n_target_channels(source: Path, layout: PairLayout) -> int:
    """Channels of the targets of a folder: as `n_channels_of`.

    Raises:
        DataError: there are no pairs.
    """
    pairs, _ = find_picture_pairs(source, layout)
    return _n_channels(lambda pair: pair.read()[1], pairs)


def n_channels_of(folder: Path) -> int:
    """1 if the pictures of a folder, up to 16 of them, are grey, else 3; unreadable ones do not
    count.

    Raises:
        DataError: there are none.
    """
    return _n_channels(images.read, list_pictures(folder))


def _n_channels(read: Callable[[E], Image], entries: Sequence[E]) -> int:
    n_grey = 0
    for entry in _evenly(entries, _COLOURS_OF):
        try:
            if not is_grey(read(entry)):
                return 3
            n_grey += 1
        except (InputError, DataError):
            continue
    return 1 if n_grey else 3


def is_grey(image: Image) -> bool:
    """Whether the channels of a picture (H, W, 3) are equal."""
    return bool((image == image[..., :1]).all())


def _evenly(entries: Sequence[E], n: int) -> Sequence[E]:
    """At most `n` of the entries, evenly spread."""
    return entries[:: max(1, -(-len(entries) // n))]


# ---- which files belong together


def find_picture_pairs(source: Path, layout: PairLayout) -> tuple[list[PicturePair], list[Alone]]:
    """The pairs of a folder, and what has no partner in it.

    The folder, or each of its subfolders, holds the two folders; or all pictures below it hold
    both side by side, which is believed unasked where `looks_side_by_side`.

    Raises:
        DataError: the folder is missing, or has neither layout.
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
    two folders, and what one says of a missing one."""
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
            PicturePair(id=prefix + name.as_posix(), input=path, target=others[name])
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
    first, second = layout.known_names[0]
    if layout.kind == "folders":
        raise DataError(
            f"{source} holds no folders {first} and {second}: make them, or name others with "
            "--set task.input=NAME --set task.target=NAME."
        )
    paths = list_pictures(source)
    if layout.kind == "auto" and not look_side_by_side(paths):
        raise DataError(
            f"{source} holds no folders {first} and {second}: make them, or say --set "
            "task.layout=side-by-side if every picture holds both, or --set task.filter=noise to "
            "make pairs of the pictures."
        )
    return [
        PicturePair(id=picture_id(path, source), input=path, target=path, half="left")
        for path in paths
    ]


def look_side_by_side(paths: Sequence[Path]) -> bool:
    """Whether pictures surely hold two of a pair each: all are exactly twice as wide as high, and
    the edges of their halves are more alike than those of halves of different pictures."""
    try:
        sizes = [images.probe(images.read_bytes(path), str(path)) for path in _evenly(paths, 64)]
        if any(width != 2 * height for height, width in sizes):
            return False
        halves = [np.split(images.read(path), 2, axis=1) for path in _evenly(paths, _LOOKED_AT)]
    except InputError:
        return False
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


# ---- records


def _index(pairs: Sequence[PicturePair], groups: Sequence[str], source: Path) -> list[Record]:
    """A record of every pair; each file is read once, none is kept in memory."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(_record, pairs, groups))
    failures = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failures:
        raise _refused(source, len(pairs), failures)
    return [outcome for outcome in outcomes if isinstance(outcome, Record)]


def _record(pair: PicturePair, group: str) -> Record | str:
    """The record, or a sentence that says what is wrong."""
    try:
        (height, width), content = pair.probe()
    except (InputError, DataError) as error:
        return str(error)
    return Record(
        id=pair.id, digest=digest_of(content), height=height, width=width, group=group,
        path=pair.input,
    )  # fmt: skip


def _refused(source: Path, n_samples: int, messages: Sequence[str]) -> DataError:
    first = messages[0].rstrip(".")
    if n_samples == len(messages) == 1:
        return DataError(f"{first}.")
    return DataError(
        f"{len(messages)} of {n_samples} samples in {source} cannot be used, the first: {first}; "
        "run `img2img data check` for all of them."
    )
