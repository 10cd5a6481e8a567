"""Pictures with masks: folders `images/` and `masks/`, divided by subfolders or by share."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.folders import (
    digest_of,
    list_pictures,
    part_indices,
    picture_splits,
)
from img2img.data.groups import group_names, read_rows
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.errors import DataError, InputError
from img2img.vision.classes import IGNORE, ClassSet
from img2img.vision.masks import Repaired, repair

IMAGES, MASKS = "images", "masks"
UNLABELLED = (64, 64, 64)
"""What `img2img label` writes where it is not sure: as far from 0 as from 128."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A picture and its mask; `id` is what the sample is called."""

    id: str
    picture: Path
    mask: Path


class MaskFolder(Dataset):
    """Pictures with masks in files: `Record.path` is the picture, `masks` {id: its mask}."""

    planes = 4

    def __init__(
        self, records: Sequence[Record], masks: Mapping[str, Path], classes: ClassSet
    ) -> None:
        super().__init__(records)
        self.masks = masks
        self.classes = classes

    def pixels(self, record: Record) -> Image:
        """(H, W, 4) uint8: RGB and the class's index.

        Raises:
            DataError: a file became unreadable or has another size.
        """
        if record.path is None:
            raise DataError(f"{record.id} has no file.")
        mask = self.masks[record.id]
        try:
            image = images.read(record.path)
            classes = read_repaired(images.read_bytes(mask), mask, self.classes).classes
        except InputError as error:
            raise DataError(str(error)) from None
        _same_size(record.path, image.shape[:2], mask, classes.shape)
        return np.dstack([image, classes])

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The picture with labels {classes: (H, W) uint8 indices}."""
        return sample_of(record, pixels)


def sample_of(record: Record, pixels: Image) -> Sample:
    """The sample of a picture whose fourth plane holds classes."""
    return Sample(
        id=record.id,
        group=record.group or record.id,
        image=np.ascontiguousarray(pixels[..., :3]),
        labels={"classes": np.ascontiguousarray(pixels[..., 3])},
    )


def mask_splits(data: DataOptions, classes: ClassSet) -> Splits:
    """The pictures with masks that `data.source` names, divided.

    Raises:
        DataError: missing, empty or unusable data.
        UsageError: the shares leave nothing to train on.
    """
    folder = Path(data.source or "")
    pairs = find_pairs(folder)
    groups = group_names([p.id for p in pairs], [p.picture for p in pairs], data, folder)
    records = _index(pairs, groups, classes, folder)
    parts, stated = part_indices([pair.id for pair in pairs], data, groups)
    whole = MaskFolder(records, {pair.id: pair.mask for pair in pairs}, classes)
    return Splits(
        name=str(folder),
        parts={part: whole.subset(indices) for part, indices in parts.items()},
        stated=stated,
        whole=whole.subset([index for indices in parts.values() for index in indices]),
    )


def unlabelled(folder: Path, classes: ClassSet) -> Dataset:
    """The pictures of a folder without labels: every class is `IGNORE`. Where `masks` lie beside
    `images`, as `img2img label` writes them, these are read, value 64 meaning no label.

    Raises:
        DataError: missing, empty or unusable data.
    """
    if (folder / MASKS).is_dir():
        known = dataclasses.replace(classes, ignore=UNLABELLED)
        return mask_splits(DataOptions(source=str(folder), val_share=0, test_share=0), known).whole
    return Unlabelled(picture_splits(DataOptions(source=str(folder)), folder).whole)


class Unlabelled(Dataset):
    """Pictures of another set, with `IGNORE` for the class of every pixel."""

    planes = 4

    def __init__(self, pictures: Dataset) -> None:
        super().__init__(pictures.records)
        self._pictures = pictures

    def pixels(self, record: Record) -> Image:
        image = self._pictures.pixels(record)
        return np.dstack([image, np.full(image.shape[:2], IGNORE, np.uint8)])

    def sample(self, record: Record, pixels: Image) -> Sample:
        return sample_of(record, pixels)


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of `images/` and `masks/` in a folder, or in its subfolders train, val and test.

    Raises:
        DataError: there are none, or a picture or a mask is alone.
    """
    pairs = []
    for prefix, root in (("", folder), *_parts_of(folder)):
        if (root / IMAGES).is_dir():
            pairs += _pairs_of(root, prefix)
    if not pairs:
        raise DataError(f"{folder} holds no folders `images` and `masks`.")
    return pairs


def read_repaired(data: bytes, path: Path, classes: ClassSet) -> Repaired:
    """The repaired mask of a file's bytes.

    Raises:
        InputError: the mask cannot be decoded.
    """
    return repair(images.decode_mask(data, str(path), indexed=classes.is_grey), classes)


def _parts_of(folder: Path) -> Iterable[tuple[str, Path]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give one that holds `images` and `masks`.")
    return ((f"{path.name}/", path) for path in sorted(folder.iterdir()) if path.is_dir())


def _pairs_of(root: Path, prefix: str) -> list[Pair]:
    """Pairs of equal stems, but for those that groups.csv names in a column `mask`."""
    rows = read_rows(root)
    masks: dict[str, list[Path]] = {}
    for path in list_pictures(root / MASKS):
        masks.setdefault(_stem(path, root / MASKS), []).append(path)
    used: dict[Path, Path] = {}
    pairs = []
    for picture in list_pictures(root / IMAGES):
        name = picture.relative_to(root / IMAGES).as_posix()
        stated = rows.get(name, {}).get("mask")
        mask = root / MASKS / stated if stated else _only_mask(picture, root, masks)
        if mask in used:
            raise DataError(
                f"{used[mask]} and {picture} have the same mask {mask}: rename one pair, or name "
                "the pairs in groups.csv (columns image and mask)."
            )
        used[mask] = picture
        pairs.append(Pair(id=prefix + name, picture=picture, mask=mask))
    alone = sorted({path for paths in masks.values() for path in paths} - used.keys())
    if alone:
        raise DataError(f"{alone[0]} has no picture: add one of the same name to {root / IMAGES}.")
    return pairs


def _only_mask(picture: Path, root: Path, masks: Mapping[str, Sequence[Path]]) -> Path:
    found = masks.get(_stem(picture, root / IMAGES), [])
    if not found:
        raise DataError(f"{picture} has no mask: add one of the same name to {root / MASKS}.")
    if len(found) > 1:
        raise DataError(
            f"{picture} has two masks, {found[0].name} and {found[1].name}: keep one, or name the "
            "pairs in groups.csv (columns image and mask)."
        )
    return found[0]


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _same_size(
    picture: Path, size: tuple[int, ...], mask: Path, mask_size: tuple[int, ...]
) -> None:
    if tuple(size) != tuple(mask_size):
        raise DataError(
            f"{picture} has {size[1]}x{size[0]} pixels, but its mask {mask} has "
            f"{mask_size[1]}x{mask_size[0]}: give both the same size."
        )


def _index(
    pairs: Sequence[Pair], groups: Sequence[str], classes: ClassSet, folder: Path
) -> list[Record]:
    def record(pair: Pair, group: str) -> Record:
        content = images.read_bytes(pair.picture)
        size = images.probe(content, str(pair.picture))
        mask = images.read_bytes(pair.mask)
        repaired = read_repaired(mask, pair.mask, classes)
        _same_size(pair.picture, size, pair.mask, repaired.classes.shape)
        digest = digest_of(content + mask + repr(classes).encode())
        return Record(id=pair.id, digest=digest, height=size[0], width=size[1], group=group,
                      path=pair.picture)  # fmt: skip

    try:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            return list(pool.map(record, pairs, groups))
    except InputError as error:
        raise DataError(str(error)) from None
