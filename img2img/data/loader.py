"""Batches: order and augmentation are functions of seed, epoch and index, of nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from img2img.config import TrainOptions
from img2img.data.cache import PixelCache
from img2img.data.sample import Dataset, Sample
from img2img.errors import Img2ImgError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

Targets = Callable[[Sample, np.random.Generator], dict[str, NDArray[Any]]]
"""What one sample gives to a batch, `Task.targets`."""

Keys = NDArray[np.int64]
"""(N, 2): which pass over the data, and which sample."""


def permutation(n: int, seed: int, number: int) -> NDArray[np.int64]:
    """The order of the samples in pass `number` over the data."""
    return np.random.default_rng([seed, number, n]).permutation(n)


def epoch_keys(n: int, *, seed: int, epoch: int, batch_size: int, epoch_size: int | None) -> Keys:
    """The samples of one epoch, in order, trimmed to whole batches.

    Without `epoch_size` an epoch is one pass; a set smaller than a batch is repeated to fill one.
    With it, epochs cut an endless row of passes into pieces of that many samples. Every sample
    of every pass is augmented afresh.
    """
    if epoch_size is None and n >= batch_size:
        order = permutation(n, seed, epoch)[: n // batch_size * batch_size]
        return np.stack([np.full_like(order, epoch), order], axis=1)
    size = max(1, (epoch_size or batch_size) // batch_size) * batch_size
    position = np.arange(epoch * size, (epoch + 1) * size)
    passes = position // n
    orders = {number: permutation(n, seed, number) for number in np.unique(passes).tolist()}
    index = [orders[p][i] for p, i in zip(passes.tolist(), (position % n).tolist(), strict=True)]
    return np.stack([passes, np.array(index, np.int64)], axis=1)


class Encoder:
    """Samples and their targets by key, stacked to a batch; what a loader process runs."""

    def __init__(self, targets: Targets, cache: PixelCache, seed: int) -> None:
        self.targets = targets
        self.cache = cache
        self.seed = seed

    def __getitems__(self, keys: list[tuple[int, int]]) -> "dict[str, Tensor]":
        return stack([self._encode(number, index) for number, index in keys])

    def _encode(self, number: int, index: int) -> dict[str, NDArray[Any]]:
        rng = np.random.default_rng([self.seed, number, index])
        return self.targets(self.cache.sample(index), rng)


class Loader:
    """Batches of this process's share of every global batch.

    Args:
        encoder: makes batches from keys.
        batch_size: samples of a step over all processes; a multiple of `world`.
        epoch_size: samples of an epoch, None for one pass.
        rank: number of this process, below `world`.
        workers: loader processes; 0 loads between the steps.
        pin: whether batches are put in pinned memory, for asynchronous copies to a GPU.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        batch_size: int,
        epoch_size: int | None = None,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        pin: bool = False,
    ) -> None:
        self.encoder = encoder
        self._batch_size = batch_size
        self._epoch_size = epoch_size
        self._rank, self._world = rank, world
        self._workers, self._pin = workers, pin
        self._batches: list[list[tuple[int, int]]] = []
        self._skip = 0
        self._loader: Any = None

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        samples = self._epoch_size or len(self.encoder.cache.dataset)
        return max(1, samples // self._batch_size)

    def epoch(self, epoch: int, *, skip: int = 0) -> "Iterator[dict[str, Tensor]]":
        """The batches of an epoch after the first `skip`.

        Raises:
            DataError: a file became unreadable; as a batch is read, whichever process found it.
        """
        keys = epoch_keys(
            len(self.encoder.cache.dataset),
            seed=self.encoder.seed,
            epoch=epoch,
            batch_size=self._batch_size,
            epoch_size=self._epoch_size,
        )
        share = self._batch_size // self._world
        mine = keys.reshape(-1, self._world, share, 2)[:, self._rank]
        self._batches = [[(int(p), int(i)) for p, i in batch] for batch in mine]
        self._skip = skip
        if self._workers == 0:
            batches = (self.encoder.__getitems__(batch) for batch in self._batches[skip:])
            return map(_pinned, batches) if self._pin else batches
        return map(_raised, iter(self._torch_loader()))

    def _torch_loader(self) -> Any:
        if self._loader is None:
            import cv2
            from torch.utils.data import DataLoader

            # Before the processes fork: OpenCV's threads stay behind, and a child that ends their
            # pool, as setNumThreads does, waits for them forever.
            cv2.setNumThreads(1)
            self._loader = DataLoader(
                _Answers(self.encoder),  # type: ignore[arg-type]
                batch_sampler=_Current(self),
                collate_fn=_as_is,
                num_workers=self._workers,
                pin_memory=self._pin,
                persistent_workers=True,
                multiprocessing_context="fork",  # they share the cache's memory map
            )
        return self._loader

    def batches(self) -> list[list[tuple[int, int]]]:
        """Keys of the epoch that is being read, those skipped included."""
        return self._batches

    def unread(self) -> list[list[tuple[int, int]]]:
        """Keys of the epoch without those skipped."""
        return self._batches[self._skip :]


def make_loader(
    targets: Targets,
    samples: Dataset,
    options: TrainOptions,
    *,
    cache: Path,
    rank: int,
    world: int,
    pin: bool,
) -> Loader:
    """The loader of a training, whose decoded pictures are kept in the file `cache`.

    Raises:
        UsageError: the batch cannot be shared out over `world` processes.
    """
    if options.batch_size % world:
        raise UsageError(
            f"--batch-size {options.batch_size} cannot be shared out over {world} processes."
        )
    pixels = PixelCache(samples, cache, budget_mb=options.cache_mb)
    return Loader(
        Encoder(targets, pixels, options.seed),
        batch_size=options.batch_size,
        epoch_size=options.epoch_size,
        rank=rank,
        world=world,
        workers=options.workers or 0,
        pin=pin,
    )


class _Answers:
    """Batches of an encoder, errors among them: torch would wrap one that is raised in a loader
    process into a traceback, so it travels as a value and is raised where batches are read."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __getitems__(self, keys: list[tuple[int, int]]) -> "dict[str, Tensor] | Img2ImgError":
        try:
            return self._encoder.__getitems__(keys)
        except Img2ImgError as error:
            return error


class _Current:
    """The batch sampler of a loader whose processes outlive the epoch."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self._loader.unread())

    def __len__(self) -> int:
        return len(self._loader.unread())


def _as_is(batch: Any) -> Any:
    return batch


def _raised(batch: "dict[str, Tensor] | Img2ImgError") -> "dict[str, Tensor]":
    if isinstance(batch, Img2ImgError):
        raise batch
    return batch


def _pinned(batch: "dict[str, Tensor]") -> "dict[str, Tensor]":
    return {key: tensor.pin_memory() for key, tensor in batch.items()}


def stack(encoded: list[dict[str, NDArray[Any]]]) -> "dict[str, Tensor]":
    """A batch of tensors from the targets of several samples."""
    import torch

    return {key: torch.from_numpy(np.stack([one[key] for one in encoded])) for key in encoded[0]}
