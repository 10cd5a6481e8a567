"""Pictures with masks, divided by subfolders, by share or into folds."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.coco import pairs_of_file, pairs_of_folder
from img2img.data.formats.folders import (
    digest_of,
    part_indices,
    picture_splits,
    see_all,
    stated_part,
)
from img2img.data.formats.pairs import IMAGES, MASKS, Alone, Found, Labels, Pair, pairs_in
from img2img.data.groups import GroupsFiles, group_names
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.errors import DataError, InputError, UsageError
from img2img.vision.classes import IGNORE, ClassSet
from img2img.vision.masks import Repaired, value_text

UNLABELLED = (64, 64, 64)
"""What `img2img label` writes where it is not sure, if no class lies near: as far from 0 as from
128."""
PROPOSALS_FILE = "proposals.json"
"""What `img2img label` writes beside its masks; `unlabelled` is the value of open pixels."""
_FAR_LEVELS = 32

# More of a mask than this share is no damage to be repaired; its classes have other values.
_MOST_UNKNOWN = 0.02


class MaskFolder(Dataset):
    """Pictures with masks in files: `Record.path` is the picture, `labels[id].path` the mask."""

    planes = 4

    def __init__(
        self, records: Sequence[Record], labels: Mapping[str, Labels], classes: ClassSet
    ) -> None:
        super().__init__(records)
        self.labels = labels
        self.classes = classes

    def pixels(self, record: Record) -> Image:
        """(H, W, 4) uint8: RGB and the class's index.

        Raises:
            DataError: a file became unreadable or has another size.
        """
        if record.path is None:
            raise DataError(f"{record.id} has no file.")
        labels = self.labels[record.id]
        try:
            image = images.read(record.path)
            height, width, _ = image.shape
            classes = labels.read((height, width), self.classes)[0].classes
        except InputError as error:
            raise DataError(str(error)) from None
        if classes.shape != (height, width):
            raise DataError(size_differs(record.path, (height, width), labels.path, classes.shape))
        return np.dstack([image, classes])

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The picture with labels {classes: (H, W) uint8 indices}."""
        return sample_of(record, pixels)


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
        """The picture with labels {classes: (H, W) uint8, all `IGNORE`}."""
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
    """The pictures with masks that `data.source` names, divided: a folder or a COCO file.

    Raises:
        DataError: missing, empty or unusable data.
        UsageError: the data cannot be divided as asked.
    """
    source = Path(data.source or "")
    pairs, alone = find_pairs(source, classes)
    if alone:
        raise _refused(source, len(pairs) + len(alone), [entry.message for entry in alone])
    ids = [pair.id for pair in pairs]
    pictures = [pair.picture for pair in pairs]
    groups = group_names(ids, pictures, data, folder_of(source), lambda: layouts_of(pairs, classes))
    parts, stated = part_indices(ids, data, groups)
    records = _index(pairs, groups, classes, source)
    whole = MaskFolder(records, {pair.id: pair.labels for pair in pairs}, classes)
    return Splits(
        name=str(source),
        parts={part: whole.subset(indices) for part, indices in parts.items()},
        stated=stated,
        whole=whole.subset([index for indices in parts.values() for index in indices]),
    )


_LAYOUT_PX = 96


def layouts_of(pairs: Sequence[Pair], classes: ClassSet) -> NDArray[np.uint8]:
    """(N, 96, 96): the classes of every pair's mask in small, pixels without a label being 0.

    Raises:
        DataError: a picture or mask is unreadable.
    """

    def layout(pair: Pair) -> Image:
        try:
            size = images.read(pair.picture).shape[:2]
            found = pair.labels.read(size, classes)[0].classes
        except InputError as error:
            raise DataError(str(error)) from None
        known = np.where(found == IGNORE, 0, found)
        return np.asarray(
            cv2.resize(known, (_LAYOUT_PX, _LAYOUT_PX), interpolation=cv2.INTER_NEAREST)
        )

    with ThreadPoolExecutor(4) as pool:
        return np.stack(list(pool.map(layout, pairs)))


def unlabelled(folder: Path, classes: ClassSet, *, without: Sequence[Dataset] = ()) -> Dataset:
    """The pictures of a folder without labels: every class is `IGNORE`. Where `masks` lie beside
    `images`, as `img2img label` writes them, these are read; which of their values means no label,
    its `proposals.json` says.

    Args:
        without: sets whose pictures are left out, byte for byte: what is held out is not learned.

    Raises:
        DataError: missing, empty or unusable data, or none but those of `without`.
    """
    options = DataOptions(source=str(folder), val_share=0, test_share=0)
    if (folder / MASKS).is_dir():
        found: Dataset = mask_splits(options, _as_proposed(folder, classes)).whole
    else:
        found = Unlabelled(picture_splits(options, folder).whole)
    held_out = {_picture_digest(record) for samples in without for record in samples.records}
    kept = [i for i, r in enumerate(found.records) if _picture_digest(r) not in held_out]
    if not kept:
        raise DataError(f"{folder} has no picture that is not held out: give others.")
    return found.subset(kept)


def _picture_digest(record: Record) -> str:
    """Of the file that the picture is in; a generated picture has its record's own."""
    if record.path is None:
        return record.digest
    try:
        return digest_of(images.read_bytes(record.path))
    except InputError as error:
        raise DataError(str(error)) from None


def with_open_value(classes: ClassSet) -> ClassSet:
    """The classes with a value for pixels without a label: that which they have, else 64, else
    the one that is farthest from every class where 64 is within 32 levels of one."""
    if classes.ignore:
        return classes
    taken = np.array(classes.colours, np.int16)

    def gaps(candidates: NDArray[np.int16]) -> NDArray[np.int16]:
        levels: NDArray[np.int16] = np.abs(candidates[:, None] - taken).max(axis=2).min(axis=1)
        return levels

    if gaps(np.array([UNLABELLED], np.int16))[0] >= _FAR_LEVELS:
        return dataclasses.replace(classes, ignore=UNLABELLED)
    levels = np.arange(0, 256, 1 if classes.is_grey else 17, dtype=np.int16)
    every = [levels] * 3
    candidates = np.stack(every if classes.is_grey else np.meshgrid(*every), axis=-1).reshape(-1, 3)
    red, green, blue = candidates[gaps(candidates).argmax()].tolist()
    return dataclasses.replace(classes, ignore=(red, green, blue))


def _as_proposed(folder: Path, classes: ClassSet) -> ClassSet:
    """The classes with the value that open pixels have in a folder of `img2img label`."""
    path = folder / PROPOSALS_FILE
    if not path.is_file():
        return with_open_value(classes)
    texts = [
        f"{name}:{value_text(colour)}"
        for name, colour in zip(classes.names, classes.colours, strict=True)
    ]
    try:
        return ClassSet.parse(texts, str(json.loads(path.read_bytes())["unlabelled"]))
    except UsageError:
        told = "gives open pixels no value, or that of a class"
    except (OSError, ValueError, LookupError, TypeError) as error:
        told = f"cannot be read ({type(error).__name__})"
    raise DataError(
        f"{path} {told}: propose the masks again with the classes {described(classes)}."
    )


def find_pairs(source: Path, classes: ClassSet) -> Found:
    """The pairs of a folder or a COCO file, and what has no partner in it.

    The folder, or each of its subfolders, holds `images` and `masks` or one COCO file.

    Raises:
        DataError: the source is missing or has another layout, or one of its lists is unusable.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist: give a folder of pictures with masks.")
    if source.is_file():
        return pairs_of_file(source, classes)
    files = GroupsFiles(source)
    pairs: list[Pair] = []
    alone: list[Alone] = []
    for prefix, root in _roots(source):
        if (root / IMAGES).is_dir() and (root / MASKS).is_dir():
            found: Found | None = pairs_in(root, files, prefix=prefix)
        else:
            found = pairs_of_folder(root, classes, prefix=prefix)
        if found:
            pairs += found[0]
            alone += found[1]
        elif (root / IMAGES).is_dir() and (root == source or stated_part(prefix)):
            told = f"{root / IMAGES} has no masks beside it: add the folder {root / MASKS}."
            alone.append(Alone(path=root / IMAGES, message=told))
    if not pairs and not alone:
        raise DataError(
            f"{source} holds no folders {IMAGES} and {MASKS} and no COCO file: put the pictures "
            f"into {IMAGES} and masks of the same names into {MASKS}."
        )
    return pairs, alone


def folder_of(source: Path) -> Path:
    """The folder of the data: `source` itself, or that with the `images` of a COCO file, else that
    in which the file lies."""
    if not source.is_file():
        return source
    beside = source.parent
    is_below = (beside.parent / IMAGES).is_dir() and not (beside / IMAGES).is_dir()
    return beside.parent if is_below else beside


def size_differs(picture: Path, size: images.Size, mask: Path, mask_size: tuple[int, ...]) -> str:
    """The sentence for a mask of another size (height, width) than its picture."""
    return (
        f"{picture} has {size[1]}x{size[0]} pixels, but its mask {mask} has "
        f"{mask_size[1]}x{mask_size[0]}: give both the same size."
    )


def fits_no_class(repaired: Repaired, mask: Path, classes: ClassSet) -> str | None:
    """The sentence for a mask too much of which fits no class."""
    share = repaired.n_unknown / max(1, repaired.classes.size)
    if share <= _MOST_UNKNOWN:
        return None
    return (
        f"{share:.1%} of the pixels of {mask} fit none of {described(classes)}, such as "
        f"{', '.join(repaired.values)}: name every class with its value, "
        "--set task.classes=NAME:VALUE,…, or mend the mask."
    )


def only_background(values: Sequence[str], source: Path, classes: ClassSet) -> str:
    """The sentence for masks that hold nothing but the first class; `values` were taken for it."""
    seen = f", for which their values {', '.join(values)} were taken" if values else ""
    return (
        f"the masks of {source} hold nothing but {classes.names[0]}{seen}: name every class with "
        "its value, --set task.classes=NAME:VALUE,…."
    )


def described(classes: ClassSet) -> str:
    """The classes as `task.classes` takes them."""
    texts = (value_text(colour[0] if classes.is_grey else colour) for colour in classes.colours)
    return ",".join(f"{name}:{text}" for name, text in zip(classes.names, texts, strict=True))


def _roots(source: Path) -> Iterator[tuple[str, Path]]:
    """(prefix of ids, folder) of the folder itself and of those in it."""
    yield "", source
    for path in sorted(source.iterdir()):
        if path.is_dir() and path.name not in (IMAGES, MASKS) and not path.name.startswith("."):
            yield f"{path.name}/", path


def _index(
    pairs: Sequence[Pair], groups: Sequence[str], classes: ClassSet, source: Path
) -> list[Record]:
    """A record of every pair; each file is read once, none is kept in memory."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(lambda pair, group: _read(pair, group, classes), pairs, groups))
    failures = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failures:
        raise _refused(source, len(pairs), failures)
    read = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    moved = [values for _, values in read if values is not None]
    # Masks of 0, 1, 2 … read as 0, 128, 255 are all background; such masks as they should be,
    # in a set to be evaluated, have the background's very value.
    if len(moved) == len(read) and any(moved):
        raise DataError(only_background(next(filter(None, moved)), source, classes))
    return [record for record, _ in read]


def _read(pair: Pair, group: str, classes: ClassSet) -> tuple[Record, tuple[str, ...] | None] | str:
    """(the record, the values that were taken for the first class where there is no other), or a
    sentence that says what is wrong."""
    try:
        content = images.read_bytes(pair.picture)
        size = height, width = images.probe(content, str(pair.picture))
        repaired, drawn = pair.labels.read(size, classes)
    except InputError as error:
        return str(error)
    if repaired.classes.shape != size:
        return size_differs(pair.picture, size, pair.labels.path, repaired.classes.shape)
    if wrong := fits_no_class(repaired, pair.labels.path, classes):
        return wrong
    digest = digest_of(content + drawn + repr(classes).encode())
    record = Record(
        id=pair.id, digest=digest, height=height, width=width, group=group, path=pair.picture
    )
    return record, None if repaired.classes.any() else repaired.values


def _refused(source: Path, n_samples: int, messages: Sequence[str]) -> DataError:
    first = messages[0].rstrip(".")
    if n_samples == len(messages) == 1:
        return DataError(f"{first}.")
    return DataError(
        f"{len(messages)} of {n_samples} samples in {source} cannot be used, the first: {first}; "
        f"{see_all('segmentation', source)}."
    )
