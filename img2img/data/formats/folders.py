"""Folders of pictures, divided by subfolders or by share."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from shlex import quote

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.groups import group_names
from img2img.data.sample import Dataset, Image, Record, Splits
from img2img.data.split import PARTS, divide, refuse_folds
from img2img.errors import DataError, InputError

_PART_OF_FOLDER = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


class PictureFolder(Dataset):
    """Pictures in files; `Record.path` says where."""

    def pixels(self, record: Record) -> Image:
        """(H, W, 3) uint8 RGB.

        Raises:
            DataError: the file became unreadable.
        """
        if record.path is None:
            raise DataError(f"{record.id} has no file.")
        try:
            return images.read(record.path)
        except InputError as error:
            raise DataError(str(error)) from None


def picture_splits(data: DataOptions, folder: Path) -> Splits:
    """The pictures of a folder, recursively, with the parts that `part_indices` gives.

    Raises:
        DataError: the folder is missing, a file, empty, or holds unreadable pictures.
        UsageError: the shares leave nothing to train on.
    """
    paths = list_pictures(folder)
    ids = [picture_id(path, folder) for path in paths]
    groups = group_names(ids, paths, data, folder)
    records = _index(paths, groups, folder)
    parts, stated = part_indices(ids, data, groups)
    whole = PictureFolder(records)
    return Splits(
        name=str(folder),
        parts={part: whole.subset(indices) for part, indices in parts.items()},
        stated=stated,
        whole=whole.subset([index for indices in parts.values() for index in indices]),
    )


def list_pictures(folder: Path) -> list[Path]:
    """The picture files under `folder`, at least one, in natural order.

    Raises:
        DataError: the folder is missing, a file, forbidden or without pictures.
    """
    if not folder.exists():
        raise DataError(f"{folder} does not exist: give a folder of pictures.")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file: give the folder that holds the pictures.")
    try:
        paths = images.find_pictures(folder)
    except InputError as error:
        raise DataError(str(error)) from None
    if not paths:
        raise DataError(f"{folder} holds no pictures (files such as .jpg or .png).")
    return paths


def picture_id(path: Path, folder: Path) -> str:
    """What a picture is called in `split.json`: its path in the folder, with slashes."""
    return path.relative_to(folder).as_posix()


def digest_of(data: bytes) -> str:
    """32 hexadecimal digits that change with the content (BLAKE2b, 128 bits)."""
    return blake2b(data, digest_size=16).hexdigest()


def part_indices(
    ids: Sequence[str], data: DataOptions, groups: Sequence[str]
) -> tuple[dict[str, list[int]], bool]:
    """({part: indices into `ids`}, whether the folder itself states them).

    Samples of one group (N names) stay together wherever the division is ours.

    Subfolders train, val (valid, validation) and test are parts; a stated train without val gives
    a share to val. If there is val or test but no train, all other pictures are train. Pictures
    outside of the subfolders are in no part where train is stated. A folder without such
    subfolders is divided by share.

    Raises:
        UsageError: the shares leave nothing to train on, or folds are asked of a folder that
            states its parts.
    """
    if not any(map(stated_part, ids)):
        divided = divide(
            groups,
            val_share=data.val_share,
            test_share=data.test_share,
            seed=data.split_seed,
            folds=data.folds,
            fold=data.fold,
        )
        return divided, False
    refuse_folds(data.folds, "their folders train, val or test")
    parts = _stated_indices(ids)
    if "train" in parts and "val" not in parts:
        train = parts["train"]
        names = [groups[index] for index in train]
        carved = divide(names, val_share=data.val_share, test_share=0, seed=data.split_seed)
        parts |= {part: [train[index] for index in carved[part]] for part in ("train", "val")}
    return {part: parts[part] for part in PARTS if part in parts}, True


def stated_part(sample: str) -> str | None:
    """The part that the first folder in a sample's id states."""
    return _PART_OF_FOLDER.get(sample.partition("/")[0].lower())


def _stated_indices(ids: Sequence[str]) -> dict[str, list[int]]:
    stated: dict[str | None, list[int]] = {}
    for index, sample in enumerate(ids):
        stated.setdefault(stated_part(sample), []).append(index)
    outside = stated.pop(None, [])
    if outside:
        stated.setdefault("train", outside)
    return {part: indices for part, indices in stated.items() if part is not None}


def _index(paths: Sequence[Path], groups: Sequence[str], folder: Path) -> list[Record]:
    """A record of every picture; each file is read once, none is kept in memory."""

    def record(path: Path, group: str) -> Record | InputError:
        try:
            content = images.read_bytes(path)
            height, width = images.probe(content, str(path))
        except InputError as error:
            return error
        return Record(
            id=picture_id(path, folder),
            digest=digest_of(content),
            height=height,
            width=width,
            group=group,
            path=path,
        )

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(record, paths, groups))
    failures = [outcome for outcome in outcomes if isinstance(outcome, InputError)]
    if failures:
        raise _unreadable(folder, len(paths), failures)
    return [outcome for outcome in outcomes if isinstance(outcome, Record)]


def _unreadable(folder: Path, n_pictures: int, failures: Sequence[InputError]) -> DataError:
    first = str(failures[0]).rstrip(".")
    return DataError(
        f"{len(failures)} of {n_pictures} pictures in {folder} cannot be read, "
        f"the first: {first}; {see_all('sobel', folder)}."
    )


def see_all(task: str, folder: Path, more: str = "") -> str:
    """Which command lists all that is wrong with a folder, ready to be pasted; the check of `sobel`
    is that of pictures alone, whatever they are for."""
    return f"run `img2img data check {task} --data {quote(str(folder))}{more}` for all of them"
