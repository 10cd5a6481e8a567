"""Pictures with labels, and sets of them."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from img2img.errors import DataError
from img2img.vision.types import Image as Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a sample without decoding it.

    `group` is what a division must not tear apart (a scene, a person). `digest` changes whenever
    the sample does; a resumed training compares it. `height` and `width` are in pixels, after the
    EXIF turn. `origin` names the set it came from where several were joined.
    """

    id: str
    digest: str
    height: int
    width: int
    group: str = ""
    path: Path | None = None
    index: int = 0
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A picture (H, W, 3) uint8 RGB with its labels, in original pixels."""

    id: str
    group: str
    image: Image
    labels: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)


class Dataset(ABC):
    """A set of samples. `pixels` is the slow part, and the part that is cached."""

    planes: ClassVar[int] = 3
    """Channels of `pixels`: 3 for RGB alone, 4 where a mask lies under the picture."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = tuple(records)

    @abstractmethod
    def pixels(self, record: Record) -> Image:
        """(H, W, planes) uint8 of a record, decoded or drawn.

        Raises:
            DataError: the file became unreadable.
        """

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The sample of a record whose pixels are at hand."""
        return Sample(id=record.id, group=record.group or record.id, image=pixels)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        record = self.records[index]
        return self.sample(record, self.pixels(record))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def subset(self, indices: Sequence[int]) -> Self:
        """The same set, reduced to these records."""
        reduced = copy.copy(self)
        reduced.records = tuple(self.records[index] for index in indices)
        return reduced


class Joined(Dataset):
    """Several sets with equal `planes` as one; a set's samples are renamed `NAME/id`, or keep
    their ids where its name is empty.

    Args:
        sets: {name: samples}.

    Raises:
        DataError: two samples have one id then.
    """

    def __init__(self, sets: Mapping[str, Dataset]) -> None:
        self._owners: dict[str, tuple[Dataset, Record]] = {}
        records = []
        for name, samples in sets.items():
            for record in samples.records:
                id = f"{name}/{record.id}" if name else record.id
                if id in self._owners:
                    raise DataError(f"two samples are called {id}: rename the folder {name!r}.")
                renamed = replace(record, id=id, origin=name)
                self._owners[renamed.id] = samples, record
                records.append(renamed)
        self.planes = next(iter(sets.values())).planes  # type: ignore[misc]
        super().__init__(records)

    def pixels(self, record: Record) -> Image:
        owner, own = self._owners[record.id]
        return owner.pixels(own)

    def sample(self, record: Record, pixels: Image) -> Sample:
        owner, own = self._owners[record.id]
        return replace(owner.sample(own, pixels), id=record.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The parts of a data set: `train`, `val` and `test`, as far as they exist.

    `stated` is true where the data themselves are divided (subfolders, a file, generated data),
    false where the division was made by share.
    """

    name: str
    parts: Mapping[str, Dataset]
    stated: bool
    whole: Dataset

    def pick(self, split: str | None) -> tuple[str, Dataset]:
        """(name, samples) of a split. None picks what an evaluation should use: the test part
        of divided data (else val, else train), and everything of data that are not divided.

        Raises:
            DataError: the data have no such part, or it is empty.
        """
        if split is None:
            order = ("test", "val", "train") if self.stated else ()
            split = next((part for part in order if self.parts.get(part)), "all")
        chosen = self.whole if split == "all" else self.parts.get(split)
        if not chosen:
            have = ", ".join([*(part for part, samples in self.parts.items() if samples), "all"])
            raise DataError(f"{self.name} has no {split!r} samples; it has {have}.")
        return split, chosen
