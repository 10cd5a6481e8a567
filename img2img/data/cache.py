"""Decoded pictures in one memory-mapped file, so that each is decoded once."""

import errno
import os
from pathlib import Path

import numpy as np

from img2img.data.sample import Dataset, Image, Sample


class PixelCache:
    """The samples of a data set, their pixels kept as raw uint8 in a file.

    Slots are laid out from the records' sizes and filled when a picture is first read, by
    whichever process reads it; all processes map the same file. Samples beyond the budget, and
    all of them where the disk has no room, are decoded every time. Pixels are read-only.

    Args:
        path: the file; None caches nothing.
        budget_mb: greatest size of the pixels in MiB.

    Attributes:
        n_cached: how many samples, the first ones, have a slot.
    """

    def __init__(self, dataset: Dataset, path: Path | None, *, budget_mb: int) -> None:
        self.dataset = dataset
        sizes = np.array([r.height * r.width * dataset.planes for r in dataset.records], np.int64)
        self._ends = np.cumsum(sizes)
        self.n_cached = 0
        fitting = int(np.searchsorted(self._ends, budget_mb << 20, side="right"))
        if path is None or fitting == 0:
            return
        # The flags of all samples come first: so a resumed run may have another budget.
        total = len(sizes) + int(self._ends[fitting - 1])
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _allocate(path, total):
            return
        mapped = np.memmap(path, np.uint8, "r+", shape=(total,))
        self._filled, self._pixels = mapped[: len(sizes)], mapped[len(sizes) :]
        self.n_cached = fitting

    def sample(self, index: int) -> Sample:
        """The sample, its pixels from the cache if they are there."""
        record = self.dataset.records[index]
        pixels = self._read(index).view()
        pixels.flags.writeable = False  # an augmentation in place would stay in the cache
        return self.dataset.sample(record, pixels)

    def _read(self, index: int) -> Image:
        record = self.dataset.records[index]
        if index >= self.n_cached:
            return self.dataset.pixels(record)
        start = int(self._ends[index - 1]) if index else 0
        slot = self._pixels[start : int(self._ends[index])]
        shape = (record.height, record.width, self.dataset.planes)
        if not self._filled[index]:
            # The flag comes after the bytes: a process that sees it sees them too.
            slot[:] = self.dataset.pixels(record).reshape(-1)
            self._filled[index] = 1
        return slot.reshape(shape)


# What a disk, a quota or a limit of the file's size answers.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _allocate(path: Path, n_bytes: int) -> bool:
    """Reserves `n_bytes` for the file, which only grows; false, and no file, without the room.

    Blocks must be reserved: writing through a map to a full disk kills the process (SIGBUS).
    """
    try:
        with path.open("r+b" if path.exists() else "w+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            elif file.seek(0, os.SEEK_END) < n_bytes:
                file.truncate(n_bytes)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        # Not truncated: another process may have mapped it.
        path.unlink(missing_ok=True)
        return False
    return True
