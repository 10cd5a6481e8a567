"""Pictures that are drawn instead of read: sets of them, and their parts."""

from abc import abstractmethod
from collections.abc import Callable
from copy import copy
from typing import ClassVar

import numpy as np

from img2img.data.sample import Dataset, Image, Record, Splits


class Generated(Dataset):
    """`n` pictures of `size` × `size` pixels; each is a function of `seed` and its index alone.

    The indices are `first`, `first + step`, …, so that parts with another `first` share none.
    `variant` becomes part of every digest.
    """

    kind: ClassVar[str]
    """What one picture is called, in its id too."""
    version: ClassVar[int]
    """Part of every digest: raise it whenever a change alters a pixel."""

    def __init__(
        self,
        n: int,
        *,
        seed: int,
        size: int = 256,
        first: int = 0,
        step: int = 1,
        variant: str = "",
    ) -> None:
        series = f"{self.kind}s-v{self.version}-seed{seed}"
        super().__init__([
            Record(id=f"{self.kind}-{index:06d}", height=size, width=size, index=index,
                   digest=f"{series}-index{index}-size{size}{variant}")
            for index in range(first, first + n * step, step)
        ])  # fmt: skip
        self.seed = seed

    def pixels(self, record: Record) -> Image:
        rng = np.random.default_rng([self.version, self.seed, record.index])
        return self.draw(rng, record.height, record.width)

    @abstractmethod
    def draw(self, rng: np.random.Generator, height: int, width: int) -> Image:
        """(height, width, planes) uint8, a function of the state of `rng` alone."""


def generated_splits(
    pictures: Callable[..., Generated], *, n_train: int, n_val: int, n_test: int
) -> Splits:
    """Generated pictures for training, validation and test.

    Each part takes every third index, so that a part may grow and no picture of another changes.

    Args:
        pictures: makes a set of its number of pictures, `first` and `step`.
    """
    counts = {"train": n_train, "val": n_val, "test": n_test}
    parts = {
        part: pictures(n, first=first, step=len(counts))
        for first, (part, n) in enumerate(counts.items())
    }
    whole = copy(parts["train"])
    whole.records = tuple(record for part in parts.values() for record in part.records)
    return Splits(name=f"generated {whole.kind}s", parts=parts, stated=True, whole=whole)
