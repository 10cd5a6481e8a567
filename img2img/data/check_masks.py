"""What is wrong with pictures and their masks, before a training finds out."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.check import CheckReport, Facts, Kind, Problem, picture_problems
from img2img.data.formats.folders import part_indices
from img2img.data.formats.masks import (
    find_pairs,
    fits_no_class,
    folder_of,
    layouts_of,
    only_background,
    size_differs,
)
from img2img.data.formats.pairs import Pair
from img2img.data.groups import group_names
from img2img.data.sample import Image
from img2img.data.split import PARTS
from img2img.errors import InputError
from img2img.vision.classes import ClassSet
from img2img.vision.masks import Repaired, repair

# Shares of pixels. JPEG at usual qualities moves a few pixels along edges.
_MANY_MOVED = 0.005
_RARE_CLASS = 0.001
# A photo hits a class's very value by chance only; a mask, even a smeared one, mostly does.
_MOST_MOVED_OF_MASK, _LEAST_MOVED_OF_PHOTO = 0.1, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _MaskFacts:
    """What is kept of a pair that can be learned from; `counts` (classes,) in pixels."""

    pair: Pair
    picture: Facts
    counts: NDArray[np.int64]
    n_moved: int
    n_unknown: int
    values: tuple[str, ...]

    def to_json(self, classes: ClassSet) -> dict[str, Any]:
        """{path, mask, moved_pixels, unknown_pixels, shares: {class: share of the pixels}}."""
        total = max(1, int(self.counts.sum()))
        return {
            "path": self.pair.id,
            "mask": str(self.pair.labels.path),
            "moved_pixels": self.n_moved,
            "unknown_pixels": self.n_unknown,
            "shares": {
                name: count / total
                for name, count in zip(classes.names, self.counts.tolist(), strict=True)
            },
        }


def check_masks(data: DataOptions, classes: ClassSet) -> CheckReport:
    """Decode every picture and mask that `data.source` names and list what is wrong with them.

    Raises:
        DataError: the data are missing, or laid out in no known way.
        UsageError: the data cannot be divided as asked.
    """
    source = Path(data.source or "")
    pairs, alone = find_pairs(source, classes)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda pair: _examine(pair, classes), pairs))
    facts = [outcome for outcome in outcomes if isinstance(outcome, _MaskFacts)]
    members, n_groups = _divided(facts, data, source, classes)
    pictures = {part: [fact.picture for fact in found] for part, found in members.items()}
    problems = (
        *(outcome for outcome in outcomes if isinstance(outcome, Problem)),
        *(Problem(path=_name(entry.path, source), kind="alone", message=entry.message, fatal=True)
          for entry in alone),
        *picture_problems([fact.picture for fact in facts], pictures),
        *(problem for fact in facts for problem in _odd_values(fact)),
        *_classes(facts, members["train"], source, classes),
    )  # fmt: skip
    notes = tuple(_notes(facts, members, n_groups, classes)) if facts else ()
    return CheckReport(
        n_pictures=len(pairs) + len(alone), problems=problems, notes=notes,
        files=tuple(fact.to_json(classes) for fact in facts),
    )  # fmt: skip


def _name(path: Path, source: Path) -> str:
    folder = folder_of(source)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _examine(pair: Pair, classes: ClassSet) -> _MaskFacts | Problem:
    def fatal(kind: Kind, message: str) -> Problem:
        return Problem(path=pair.id, kind=kind, message=message, fatal=True)

    try:
        content = images.read_bytes(pair.picture)
        image = images.decode(content, str(pair.picture))
        size = image.shape[0], image.shape[1]
        repaired, _ = pair.labels.read(size, classes)
    except InputError as error:
        return fatal("unreadable", str(error))
    if _is_swapped(image, repaired, classes):
        return fatal(
            "swapped",
            f"{pair.labels.path} looks like a photo, and {pair.picture} like its mask: swap them.",
        )
    if repaired.classes.shape != size:
        differs = size_differs(pair.picture, size, pair.labels.path, repaired.classes.shape)
        return fatal("mismatch", differs)
    if told := fits_no_class(repaired, pair.labels.path, classes):
        return fatal("values", told)
    counts = np.bincount(repaired.classes.ravel(), minlength=256)[: len(classes)]
    return _MaskFacts(
        pair=pair,
        picture=Facts.of(pair.id, content, image),
        counts=counts.astype(np.int64),
        n_moved=repaired.n_moved,
        n_unknown=repaired.n_unknown,
        values=repaired.values,
    )


def _is_swapped(image: Image, repaired: Repaired, classes: ClassSet) -> bool:
    if repaired.n_moved <= _LEAST_MOVED_OF_PHOTO * repaired.classes.size:
        return False
    return repair(image, classes).n_moved < _MOST_MOVED_OF_MASK * image[..., 0].size


def _divided(
    facts: Sequence[_MaskFacts], data: DataOptions, source: Path, classes: ClassSet
) -> tuple[dict[str, list[_MaskFacts]], int]:
    """({part: its samples}, number of groups)."""
    ids = [fact.pair.id for fact in facts]
    pairs = [fact.pair for fact in facts]
    pictures = [pair.picture for pair in pairs]
    groups = group_names(ids, pictures, data, folder_of(source), lambda: layouts_of(pairs, classes))
    parts = part_indices(ids, data, groups)[0] if facts else {}
    return {part: [facts[at] for at in parts.get(part, [])] for part in PARTS}, len(set(groups))


def _odd_values(fact: _MaskFacts) -> Iterator[Problem]:
    n_pixels = fact.picture.height * fact.picture.width
    mask = fact.pair.labels.path
    if fact.n_unknown:
        told = (
            f"{fact.n_unknown} pixels of {mask} fit no class (such as {', '.join(fact.values)}) "
            "and were given the one with the nearest value."
        )
        yield Problem(path=fact.pair.id, kind="values", message=told)
    elif fact.n_moved > _MANY_MOVED * n_pixels:
        told = (
            f"{fact.n_moved / n_pixels:.1%} of the pixels of {mask} are not exactly a class's "
            "value and were given the nearest class: save masks as PNG."
        )
        yield Problem(path=fact.pair.id, kind="moved", message=told)


def _classes(
    facts: Sequence[_MaskFacts], train: Sequence[_MaskFacts], source: Path, classes: ClassSet
) -> Iterator[Problem]:
    """Classes that training would never or hardly see."""
    if not train:
        return
    if not any(fact.counts[1:].any() for fact in facts):
        values = next((fact.values for fact in facts if fact.values), ())
        told = only_background(values, source, classes)
        yield Problem(path="", kind="class", message=told, fatal=True)
        return
    counts = np.sum([fact.counts for fact in train], axis=0)
    for name, share in zip(classes.names, counts / max(1, counts.sum()), strict=True):
        if share == 0:
            told = f"no mask of the training part holds {name}: add some, or leave the class out."
            yield Problem(path="", kind="class", message=told, fatal=True)
        elif share < _RARE_CLASS:
            told = f"{name} is only {share:.3%} of the training part's pixels: add more of it."
            yield Problem(path="", kind="class", message=told)


def _notes(
    facts: Sequence[_MaskFacts],
    members: Mapping[str, Sequence[_MaskFacts]],
    n_groups: int,
    classes: ClassSet,
) -> Iterator[str]:
    parts = ", ".join(f"{part} {len(found)}" for part, found in members.items())
    yield f"{len(facts)} usable samples in {n_groups} groups: {parts}"
    counts = np.array([fact.counts for fact in facts])
    shares = counts.sum(0) / max(1, counts.sum())
    told = (
        f"{name} {share:.2%} (in {n_masks} masks)"
        for name, share, n_masks in zip(classes.names, shares, (counts > 0).sum(0), strict=True)
    )
    yield f"shares of pixels: {', '.join(told)}"
    moved = [fact.n_moved for fact in facts if fact.n_moved]
    if moved:
        n_pixels = sum(fact.picture.height * fact.picture.width for fact in facts)
        yield (
            f"{len(moved)} of {len(facts)} masks hold values that are no class's: {sum(moved)} "
            f"pixels ({sum(moved) / n_pixels:.2%}) were given the nearest class"
        )
