"""Which mask belongs to which picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from img2img.data import images
from img2img.data.formats.folders import list_pictures
from img2img.data.groups import GROUPS_FILE, GroupsFiles
from img2img.vision.classes import ClassSet
from img2img.vision.masks import Repaired, repair

IMAGES, MASKS = "images", "masks"


class Labels(Protocol):
    """Where the classes of a picture come from; `path` is the file to name to users."""

    @property
    def path(self) -> Path: ...

    def read(self, size: images.Size, classes: ClassSet) -> tuple[Repaired, bytes]:
        """(the classes of a picture (height, width), what a digest must cover).

        Raises:
            InputError: the file is unreadable.
        """


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask with the values or colours of the class set."""

    path: Path

    def read(self, size: images.Size, classes: ClassSet) -> tuple[Repaired, bytes]:
        """(the mask in its own size, the file's content)."""
        content = images.read_bytes(self.path)
        mask = images.decode_mask(content, str(self.path), indexed=classes.is_grey)
        return repair(mask, classes), content


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A picture and its labels; `id` is what the sample is called."""

    id: str
    picture: Path
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """A picture or a mask without a partner, and the sentence that says so."""

    path: Path
    message: str


Found = tuple[list[Pair], list[Alone]]


def pairs_in(root: Path, files: GroupsFiles, *, prefix: str) -> Found:
    """The pairs of a folder with `images` and `masks`, their ids beginning with `prefix`.

    Rows of `groups.csv` pair what they name (columns `image` and `mask`). All else is paired by its
    path below the two folders without the ending, and by the whole path where several share that.

    Raises:
        DataError: one of the two is empty or forbidden, or `groups.csv` is unusable.
    """
    pictures, masks = list_pictures(root / IMAGES), list_pictures(root / MASKS)
    partner, alone = _stated(pictures, files)
    settled = {*partner, *partner.values(), *(entry.path for entry in alone)}
    of_stem: dict[Path, tuple[dict[Path, Path], dict[Path, Path]]] = {}
    for kind, (folder, paths) in enumerate(((IMAGES, pictures), (MASKS, masks))):
        for path in paths:
            if path not in settled:
                name = path.relative_to(root / folder)
                of_stem.setdefault(name.with_suffix(""), ({}, {}))[kind][name] = path
    for own, others in of_stem.values():
        if len(own) == len(others) == 1:
            partner[next(iter(own.values()))] = next(iter(others.values()))
        elif own.keys() == others.keys():
            partner |= {own[name]: others[name] for name in own}
        else:
            alone += _unpaired([*own.values()], [*others.values()], root)
    pairs = [
        Pair(
            id=prefix + path.relative_to(root / IMAGES).as_posix(),
            picture=path,
            labels=MaskFile(partner[path]),
        )
        for path in pictures
        if path in partner
    ]
    return pairs, alone


def _stated(pictures: Sequence[Path], files: GroupsFiles) -> tuple[dict[Path, Path], list[Alone]]:
    """({picture: mask} that rows of groups.csv name, pictures whose named mask is not there)."""
    partner, alone = {}, []
    for picture in pictures:
        found = files.row(picture)
        if found is None or not found[0].get("mask"):
            continue
        row, table = found
        places = (table.parent / MASKS / row["mask"], table.parent / row["mask"])
        mask = next((path for path in places if path.is_file()), None)
        if mask is None:
            told = f"{picture} has no mask: {table} names {places[0]}, which does not exist."
            alone.append(Alone(path=picture, message=told))
        else:
            partner[picture] = mask
    return partner, alone


def _unpaired(pictures: Sequence[Path], masks: Sequence[Path], root: Path) -> Iterator[Alone]:
    """What is said of pictures and masks of one stem that are not one and one."""
    if pictures and masks:
        *names, last = [path.relative_to(root).as_posix() for path in (*pictures, *masks)]
        told = (
            f"{root} has {', '.join(names)} and {last}: say which belong together in "
            f"{GROUPS_FILE} (columns image and mask)."
        )
        yield Alone(path=pictures[0], message=told)
        return
    for path in pictures:
        told = f"{path} has no mask: add one of the same name to {root / MASKS}."
        yield Alone(path=path, message=told)
    for path in masks:
        told = f"{path} has no picture: add one of the same name to {root / IMAGES}."
        yield Alone(path=path, message=told)
