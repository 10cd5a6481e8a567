"""Data sets by name, through torchvision's own readers."""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data import images
from img2img.data.formats.folders import PictureFolder, digest_of, picture_id
from img2img.data.sample import Dataset, Image, Record, Splits
from img2img.data.split import PARTS, divide
from img2img.errors import DataError, InputError, UsageError, unknown_name

NAMES = ("cifar100", "oxford-iiit-pets", "coco-minitrain")
"""What stands before the colon; `coco-minitrain:FOLDER` names the folder that holds it."""

_COCO_SOURCE = "https://github.com/giddyyupp/coco-minitrain"


def torchvision_splits(
    name: str, *, root: Path, download: bool, val_share: float = 0.1, split_seed: int = 0
) -> Splits:
    """The pictures of a published data set, in the parts that it states.

    A set without a part for validation gives a share of its training pictures, always the same.
    `root` is the folder that downloads go to, each set in a subfolder; COCO-minitrain cannot be
    downloaded and lies in a folder of its own.

    Raises:
        DataError: the data are missing (and `download` is off), incomplete or damaged.
        UsageError: there is no set of this name.
    """
    kind, _, folder = name.partition(":")
    if kind not in NAMES:
        raise unknown_name("data set", kind, NAMES)
    if kind == "coco-minitrain":
        whole, stated = _coco(folder)
    elif folder:
        raise UsageError(f"{kind} takes no folder: write {kind!r} instead of {name!r}.")
    elif kind == "cifar100":
        whole, stated = _cifar100(root, download=download)
    else:
        whole, stated = _pets(root, download=download)
    divided = _with_val(whole, stated, val_share=val_share, seed=split_seed)
    parts = {part: whole.subset(divided[part]) for part in PARTS if part in divided}
    return Splits(name=name, parts=parts, stated=True, whole=whole)


def _with_val(
    whole: Dataset, stated: Mapping[str, Sequence[int]], *, val_share: float, seed: int
) -> dict[str, Sequence[int]]:
    """{part: indices into `whole`}, where val has a share of train if it was not stated."""
    train = stated.get("train", ())
    if "val" in stated or not train:
        return dict(stated)
    names = [whole.records[index].id for index in train]
    carved = divide(names, val_share=val_share, test_share=0, seed=seed)
    return {**stated, **{part: [train[i] for i in carved[part]] for part in ("train", "val")}}


Indices = dict[str, range]


def _open(reader: Any, name: str, *, root: Path, download: bool, **options: Any) -> Any:
    """A torchvision data set; its errors, which speak of Python arguments, become ours."""
    try:
        return reader(root=str(root), download=download, **options)
    # Downloads raise URLError, an OSError; a missing or damaged set is a RuntimeError.
    except (RuntimeError, OSError) as error:
        if download:
            reason = str(error).rstrip(".")
            raise DataError(f"{name} could not be downloaded to {root}: {reason}.") from None
        raise DataError(
            f"{name} is not in {root}, or is damaged there: pass --download to fetch it."
        ) from None


class _Stacked(Dataset):
    """Pictures of one size, in memory: (N, H, W, 3) uint8 RGB."""

    def __init__(self, records: Sequence[Record], stack: Image) -> None:
        super().__init__(records)
        self._stack = stack

    def pixels(self, record: Record) -> Image:
        picture: Image = self._stack[record.index].copy()
        return picture


def _cifar100(root: Path, *, download: bool) -> tuple[Dataset, Indices]:
    """CIFAR-100: 50,000 and 10,000 pictures of 32 × 32 pixels (Krizhevsky, 2009).

    The official archive holds Python pickles. torchvision loads one only after its MD5 equalled
    the published one, and that check stays on: no other pickle is ever opened.
    """
    from torchvision.datasets import CIFAR100

    stacks = {
        part: _open(CIFAR100, "cifar100", root=root, download=download, train=part == "train").data
        for part in ("train", "test")
    }
    stack = np.concatenate(list(stacks.values()))
    stated = _consecutive({part: len(pictures) for part, pictures in stacks.items()})
    records = [
        Record(
            id=f"{part}/{index - indices.start:05d}",
            digest=digest_of(stack[index].tobytes()),
            height=stack.shape[1],
            width=stack.shape[2],
            index=index,
        )
        for part, indices in stated.items()
        for index in indices
    ]
    return _Stacked(records, stack), stated


def _consecutive(counts: Mapping[str, int]) -> Indices:
    """{part: its range} of parts that lie one after another."""
    ranges, start = {}, 0
    for part, count in counts.items():
        ranges[part] = range(start, start + count)
        start += count
    return ranges


def _pets(root: Path, *, download: bool) -> tuple[Dataset, Indices]:
    """Oxford-IIIT Pets: 3,680 and 3,669 pictures (Parkhi et al., CVPR 2012)."""
    from torchvision.datasets import OxfordIIITPet

    paths: dict[str, list[Path]] = {}
    for part, official in {"train": "trainval", "test": "test"}.items():
        pets = _open(
            OxfordIIITPet, "oxford-iiit-pets", root=root, download=download, split=official
        )
        # The list is private there, but reading the files as `predict` does applies the EXIF turn.
        paths[part] = [Path(path) for path in pets._images]
    return _filed(paths, root / "oxford-iiit-pet")


def _coco(folder: str) -> tuple[Dataset, Indices]:
    """COCO-minitrain, and the parts of COCO that lie beside it.

    torchvision's CocoDetection needs pycocotools, a compiled package, to look up boxes that are
    of no use here. The list of pictures is plain JSON, so it is read as that.
    """
    home = Path(folder)
    if not folder or not home.is_dir():
        raise DataError(
            f"coco-minitrain:{folder or 'FOLDER'} names no folder: "
            f"get the set from {_COCO_SOURCE} and give its folder."
        )
    found = [*home.glob("annotations/instances_*.json"), *home.glob("instances_*.json")]
    lists: dict[str, Path] = {}
    # "minitrain" sorts before "train", and so is taken where all of COCO lies beside it.
    for path in sorted(found, key=lambda path: path.name):
        part = next((part for part in ("val", "test") if part in path.stem), "train")
        lists.setdefault(part, path)
    if not lists:
        raise DataError(f"{home} has no annotations/instances_*.json: give a COCO folder.")
    return _filed({part: _coco_paths(path, home) for part, path in lists.items()}, home)


def _coco_paths(annotations: Path, home: Path) -> list[Path]:
    """The pictures that a COCO file lists, in the folder where the first of them is."""
    try:
        listed = json.loads(annotations.read_text(encoding="utf-8"))["images"]
        names = list(dict.fromkeys(str(image["file_name"]) for image in listed))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{annotations} is no COCO file with images and their file_name: {error!r}."
        ) from None
    if not names:
        raise DataError(f"{annotations} lists no images: it is not the right file.")
    strays = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]
    if strays:
        raise DataError(f"{annotations} lists {strays[0]}, which lies outside of its folder.")
    own = annotations.stem.removeprefix("instances_")
    subfolders = (own, own.replace("minitrain", "train"), "")
    for subfolder in (place + name for place in ("images/", "") for name in subfolders):
        if (home / subfolder / names[0]).is_file():
            return [home / subfolder / name for name in names]
    raise DataError(
        f"{annotations} lists {names[0]}, which lies neither in images/{own} nor beside."
    )


def _filed(paths: Mapping[str, Sequence[Path]], home: Path) -> tuple[Dataset, Indices]:
    """Picture files by part, with a record for each; every file is read once."""

    def record(path: Path) -> Record:
        content = images.read_bytes(path)
        height, width = images.probe(content, str(path))
        sample, digest = picture_id(path, home), digest_of(content)
        return Record(id=sample, digest=digest, height=height, width=width, path=path)

    flat = [path for part in paths.values() for path in part]
    try:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            records = list(pool.map(record, flat))
    except InputError as error:
        reason = str(error).rstrip(".")
        raise DataError(f"{reason}: {home} is incomplete or damaged, fetch it again.") from None
    return PictureFolder(records), _consecutive({part: len(own) for part, own in paths.items()})
