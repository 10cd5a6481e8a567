"""What is wrong with a folder of pictures, before a training finds out."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.folders import digest_of, list_pictures, part_indices, picture_id
from img2img.data.groups import group_names
from img2img.data.sample import Image
from img2img.data.split import PARTS
from img2img.errors import InputError

Kind = Literal[
    "unreadable", "duplicate", "near-duplicate", "size", "outside", "too-few",
    "alone", "swapped", "mismatch", "values", "moved", "class",
    "ending", "missing", "off-picture", "small-face", "coincide", "turned", "shape", "frame",
]  # fmt: skip

_SMALLEST_SIDE_PX = 8
_LARGEST_ASPECT = 8
_LARGEST_Z = 5.0
# Octaves. Where nearly all pictures have one size, half and double of it are still in order.
_LEAST_SPREAD = 0.2
# Grey levels. The gradients of a flatter thumbnail are noise, and flat pictures are all alike.
_LEAST_CONTRAST = 4.0
# Bits of 64. Half the size at JPEG quality 60 changes 1.6 bits on average; of 11,000 pairs of
# different photos none differed in less than 12.
_NEAR_BITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding. `path` lies in the folder, with slashes; it is empty for the whole folder.

    `fatal` says that training would refuse the data, or learn nothing from them.
    """

    path: str
    kind: Kind
    message: str
    fatal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The findings of a check, unreadable pictures first; `notes` are what is worth knowing of the
    data as a whole, `files` what is known of each usable one."""

    n_pictures: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    files: tuple[Mapping[str, Any], ...] = ()

    @property
    def fatal(self) -> bool:
        """Whether a problem is fatal."""
        return any(problem.fatal for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """{n_pictures, fatal, problems: [{path, kind, message, fatal}], notes, files}."""
        problems = [dataclasses.asdict(problem) for problem in self.problems]
        return {
            "n_pictures": self.n_pictures,
            "fatal": self.fatal,
            "problems": problems,
            "notes": list(self.notes),
            "files": [dict(file) for file in self.files],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is kept of a picture that could be decoded."""

    id: str
    digest: str
    height: int
    width: int
    dhash: int | None

    @classmethod
    def of(cls, id: str, content: bytes, image: Image) -> Self:
        """Of a file's content and its picture (H, W, 3) uint8 RGB."""
        height, width, _ = image.shape
        return cls(id=id, digest=digest_of(content), height=height, width=width, dhash=dhash(image))


def check_pictures(folder: Path, data: DataOptions) -> CheckReport:
    """Decode every picture of a folder and list what is wrong with them.

    Raises:
        DataError: the folder is missing, a file, forbidden or without pictures.
        UsageError: the shares leave nothing to train on.
    """
    facts, unreadable = examined(folder)
    ids = [fact.id for fact in facts]
    groups = group_names(ids, [folder / id for id in ids], data, folder)
    parts, _ = part_indices(ids, data, groups)
    members = {part: [facts[index] for index in parts.get(part, [])] for part in PARTS}
    problems = (*unreadable, *picture_problems(facts, members))
    return CheckReport(n_pictures=len(facts) + len(unreadable), problems=problems)


def examined(folder: Path) -> tuple[list[Facts], list[Problem]]:
    """What is known of every picture of a folder that can be decoded, and those that cannot.

    Raises:
        DataError: the folder is missing, a file, forbidden or without pictures.
    """
    paths = list_pictures(folder)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda path: _examine(path, folder), paths))
    facts = [outcome for outcome in outcomes if isinstance(outcome, Facts)]
    return facts, [outcome for outcome in outcomes if isinstance(outcome, Problem)]


def picture_problems(
    facts: Sequence[Facts], members: Mapping[str, Sequence[Facts]]
) -> Iterator[Problem]:
    """What can be said of pictures whatever their labels are; `members` are those of each part."""
    yield from _too_few(members)
    yield from _duplicates(members)
    yield from _sizes(facts)
    yield from _outside(facts, members)


def dhash(image: Image) -> int | None:
    """64 bits: is each cell of a 9x8 thumbnail darker than the next one to its right?

    They survive scaling, compression and brightness. None for a picture that is nearly flat.
    Image (H, W, 3) uint8 RGB. Difference hash, N. Krawetz, "Kind of like that", 2013.
    """
    small = cv2.resize(image, (9, 8), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.int16)
    if grey.std() < _LEAST_CONTRAST:
        return None
    bits: NDArray[np.uint8] = np.packbits(grey[:, :-1] < grey[:, 1:])
    return int.from_bytes(bits.tobytes(), "big")


def _examine(path: Path, folder: Path) -> Facts | Problem:
    sample = picture_id(path, folder)
    try:
        content = images.read_bytes(path)
        image = images.decode(content, sample)
    except InputError as error:
        return Problem(path=sample, kind="unreadable", message=str(error), fatal=True)
    return Facts.of(sample, content, image)


def _too_few(members: Mapping[str, Sequence[Facts]]) -> Iterator[Problem]:
    for part, advice in (("train", "add pictures"), ("val", "add pictures or raise val_share")):
        if not members[part]:
            message = f"no readable picture is left for {part}: {advice}."
            # Without validation samples a training keeps its last weights; it needs samples.
            yield Problem(path="", kind="too-few", message=message, fatal=part == "train")


def _duplicates(members: Mapping[str, Sequence[Facts]]) -> Iterator[Problem]:
    """Pictures of val and test that an earlier part also holds, each told once."""
    for index, part in enumerate(PARTS):
        earlier = [(before, fact) for before in PARTS[:index] for fact in members[before]]
        same = {fact.digest: (before, fact) for before, fact in reversed(earlier)}
        hashed = [(before, fact) for before, fact in earlier if fact.dhash is not None]
        hashes = np.array([fact.dhash for _, fact in hashed], np.uint64)
        for fact in members[part]:
            if fact.digest in same:
                yield _leak(part, fact, same[fact.digest], "duplicate")
                continue
            nearest = _nearest(fact.dhash, hashes)
            if nearest is not None:
                yield _leak(part, fact, hashed[nearest], "near-duplicate")


def _nearest(bits: int | None, hashes: NDArray[np.uint64]) -> int | None:
    """Index of the hash with the fewest other bits, if it is near enough."""
    if bits is None or not len(hashes):
        return None
    distances = np.bitwise_count(hashes ^ np.uint64(bits))
    nearest = int(distances.argmin())
    return nearest if distances[nearest] <= _NEAR_BITS else None


def _leak(part: str, fact: Facts, twin: tuple[str, Facts], kind: Kind) -> Problem:
    likeness = "is the same file as" if kind == "duplicate" else "looks the same as"
    message = (
        f"{fact.id} ({part}) {likeness} {twin[1].id} ({twin[0]}): "
        "measured results would be too good."
    )
    return Problem(path=fact.id, kind=kind, message=message)


def _sizes(facts: Sequence[Facts]) -> Iterator[Problem]:
    """Outliers of the geometric mean side by robust z-score, tiny and very long pictures."""
    if not facts:
        return
    octaves = np.log2([fact.height * fact.width for fact in facts]) / 2
    median = float(np.median(octaves))
    # 1.4826: the standard deviation of a normal distribution in units of its MAD.
    spread = max(1.4826 * float(np.median(np.abs(octaves - median))), _LEAST_SPREAD)
    for fact, octave in zip(facts, octaves, strict=True):
        short, long = sorted((fact.height, fact.width))
        size = f"{fact.id} has {fact.width}x{fact.height} pixels"
        if short < _SMALLEST_SIDE_PX:
            message = f"{size}: a side is below {_SMALLEST_SIDE_PX} pixels."
        elif long > _LARGEST_ASPECT * short:
            message = f"{size}: one side is over {_LARGEST_ASPECT} times the other."
        elif abs(octave - median) > _LARGEST_Z * spread:
            message = f"{size}, far from the usual side of about {2**median:.0f} pixels."
        else:
            continue
        yield Problem(path=fact.id, kind="size", message=message)


def _outside(facts: Sequence[Facts], members: Mapping[str, Sequence[Facts]]) -> Iterator[Problem]:
    used = {fact.id for part in members.values() for fact in part}
    for fact in facts:
        if fact.id not in used:
            message = f"{fact.id} lies outside of the train, val and test folders and is not used."
            yield Problem(path=fact.id, kind="outside", message=message)
