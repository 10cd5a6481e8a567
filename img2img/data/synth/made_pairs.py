"""Pairs that are made of good pictures by making them worse."""

from dataclasses import replace
from hashlib import blake2b

import numpy as np

from img2img.data.formats.paired import pair_sample, stacked
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.vision.degradations import Degradation

_VERSION = 1
"""Part of every digest: raise it whenever a change alters a pixel."""


class MadePairs(Dataset):
    """Pictures of another set as targets, and each made worse as its input: always in the same
    way, as a function of the picture's digest."""

    def __init__(self, pictures: Dataset, degradation: Degradation, *, channels: int) -> None:
        self._pictures = pictures
        self._degradation = degradation
        self.planes = 3 + channels  # type: ignore[misc]
        made = f"{degradation}-v{_VERSION}"
        super().__init__([replace(r, digest=f"{r.digest}-{made}") for r in pictures.records])

    def pixels(self, record: Record) -> Image:
        """(H, W, 3 + channels) uint8: the worse picture's RGB, then the target."""
        picture = self._pictures.pixels(record)
        seed = blake2b(record.digest.encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(seed, "big"))
        return stacked(self._degradation(picture, rng), picture, channels=self.planes - 3)

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The worse picture with labels {target: (H, W, channels) uint8}."""
        return pair_sample(record, pixels)


def made_splits(splits: Splits, degradation: Degradation, *, channels: int) -> Splits:
    """The same parts, their pictures as pairs."""

    def made(pictures: Dataset) -> MadePairs:
        return MadePairs(pictures, degradation, channels=channels)

    parts: dict[str, Dataset] = {part: made(found) for part, found in splits.parts.items()}
    return replace(
        splits, name=f"{splits.name} ({degradation})", parts=parts, whole=made(splits.whole)
    )
