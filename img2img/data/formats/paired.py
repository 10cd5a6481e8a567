"""Paired pictures as a data set: the target lies under the input, as further planes."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.folders import digest_of, list_pictures, part_indices, see_all
from img2img.data.formats.picture_pairs import (
    TARGET,
    PairLayout,
    PicturePair,
    evenly,
    find_picture_pairs,
)
from img2img.data.groups import group_names
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.errors import DataError, InputError
from img2img.vision.degradations import grey

E = TypeVar("E")

_COLOURS_OF = 16
"""Pictures that are looked at to tell grey from colour."""


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
        messages = [entry.message for entry in alone]
        raise _refused(source, len(pairs) + len(alone), messages, layout)
    ids = [pair.id for pair in pairs]
    groups = group_names(ids, [pair.named for pair in pairs], data, source)
    parts, stated = part_indices(ids, data, groups)
    records = _index(pairs, groups, source, layout)
    whole = PairedPictures(records, {pair.id: pair for pair in pairs}, channels=channels)
    return Splits(
        name=str(source),
        parts={part: whole.subset(indices) for part, indices in parts.items()},
        stated=stated,
        whole=whole.subset([index for indices in parts.values() for index in indices]),
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
    for entry in evenly(entries, _COLOURS_OF):
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


def _index(
    pairs: Sequence[PicturePair], groups: Sequence[str], source: Path, layout: PairLayout
) -> list[Record]:
    """A record of every pair; each file is read once, none is kept in memory."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(_record, pairs, groups))
    failures = [outcome for outcome in outcomes if isinstance(outcome, str)]
    if failures:
        raise _refused(source, len(pairs), failures, layout)
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


def _refused(
    source: Path, n_samples: int, messages: Sequence[str], layout: PairLayout
) -> DataError:
    first = messages[0].rstrip(".")
    if n_samples == len(messages) == 1:
        return DataError(f"{first}.")
    return DataError(
        f"{len(messages)} of {n_samples} samples in {source} cannot be used, the first: {first}; "
        f"{see_all('translate', source, layout.settings)}."
    )
