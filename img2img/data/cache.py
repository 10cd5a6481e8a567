"""Decoded pictures in one memory-mapped file, so that each is decoded once."""

from pathlib import Path

import numpy as np

from img2img.data.sample import Dataset, Image, Sample


class PixelCache:
    """The samples of a data set, their pixels kept as raw uint8 in a file.

    Slots are laid out from the records' sizes and filled when a picture is first read, by
    whichever process reads it; all processes map the same file. Samples beyond the budget are
    decoded every time.

    Args:
        path: the file; None caches nothing.
        budget_mb: greatest size of the file in MiB.
    """

    def __init__(self, dataset: Dataset, path: Path | None, *, budget_mb: int) -> None:
        self.dataset = dataset
        sizes = np.array([r.height * r.width * dataset.planes for r in dataset.records], np.int64)
        self._ends = np.cumsum(sizes)
        self._n_cached = int(np.searchsorted(self._ends, budget_mb << 20, side="right"))
        if path is None or self._n_cached == 0:
            self._n_cached = 0
            return
        bytes_of_pixels = int(self._ends[self._n_cached - 1])
        total = bytes_of_pixels + self._n_cached
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(total)
        mapped = np.memmap(path, np.uint8, "r+", shape=(total,))
        self._pixels, self._filled = mapped[:bytes_of_pixels], mapped[bytes_of_pixels:]

    def sample(self, index: int) -> Sample:
        """The sample, its pixels from the cache if they are there."""
        record = self.dataset.records[index]
        return self.dataset.sample(record, self._read(index))

    def _read(self, index: int) -> Image:
        record = self.dataset.records[index]
        if index >= self._n_cached:
            return self.dataset.pixels(record)
        start = int(self._ends[index - 1]) if index else 0
        slot = self._pixels[start : int(self._ends[index])]
        shape = (record.height, record.width, self.dataset.planes)
        if not self._filled[index]:
            # The flag comes after the bytes: a process that sees it sees them too.
            slot[:] = self.dataset.pixels(record).reshape(-1)
            self._filled[index] = 1
        return slot.reshape(shape)
