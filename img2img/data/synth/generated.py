"""Pictures that are drawn instead of read: sets of them, and their parts."""

from abc import abstractmethod
from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

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

    @classmethod
    def splits(
        cls, n_train: int, *, n_val: int = 64, n_test: int = 64, seed: int = 0, **options: Any
    ) -> Splits:
        """Pictures for training, validation and test.

        Each part takes every third index, so that a part may grow and no picture of another
        changes.

        Args:
            options: further arguments of the class, but `first` and `step`.
        """
        counts = {"train": n_train, "val": n_val, "test": n_test}
        parts: dict[str, Dataset] = {
            part: cls(n, seed=seed, first=first, step=len(counts), **options)
            for first, (part, n) in enumerate(counts.items())
        }
        whole = copy(parts["train"])
        whole.records = tuple(record for part in parts.values() for record in part.records)
        return Splits(name=f"generated {cls.kind}s", parts=parts, stated=True, whole=whole)

    @classmethod
    def parts(cls, n: int, *, size: int, seed: int, **options: Any) -> Mapping[str, Dataset]:
        """What `Task.generate` gives: `n` training samples, and an eighth of that for each of
        validation and test, at least one."""
        beside = max(1, n // 8)
        made = cls.splits(n, n_val=beside, n_test=beside, size=size, seed=seed, **options)
        return made.parts
