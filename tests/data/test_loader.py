"""Orders are functions of seed and epoch; batches are the same however they are shared out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.data.cache import PixelCache
from img2img.data.loader import Encoder, Loader, epoch_keys
from img2img.data.sample import Dataset, Image, Record, Sample
from img2img.errors import DataError

torch.set_num_threads(1)

numbers = st.integers(1, 60)
seeds = st.integers(0, 2**31)


class Numbered(Dataset):
    """One-pixel pictures that show their index."""

    def __init__(self, n: int) -> None:
        super().__init__(
            [Record(id=str(i), digest="", height=1, width=1, index=i) for i in range(n)]
        )

    def pixels(self, record: Record) -> Image:
        return np.full((1, 1, 3), record.index, np.uint8)


def targets(sample: Sample, rng: np.random.Generator) -> dict[str, Any]:
    return {"image": sample.image, "noise": rng.random(2)}


def _loader(n: int, **options: Any) -> Loader:
    return Loader(Encoder(targets, PixelCache(Numbered(n), None, budget_mb=0), 7), **options)


@given(n=numbers, batch=st.integers(1, 20), seed=seeds, epoch=st.integers(0, 1000))
def test_an_epoch_is_a_permutation_trimmed_to_whole_batches(
    n: int, batch: int, seed: int, epoch: int
) -> None:
    keys = epoch_keys(n, seed=seed, epoch=epoch, batch_size=batch, epoch_size=None)
    assert keys.shape == (max(1, n // batch) * batch, 2)
    assert keys.min() >= 0
    assert keys[:, 1].max() < n
    if n >= batch:
        assert len(set(keys[:, 1].tolist())) == len(keys)
        assert set(keys[:, 0].tolist()) == {epoch}
    again = epoch_keys(n, seed=seed, epoch=epoch, batch_size=batch, epoch_size=None)
    np.testing.assert_array_equal(keys, again)


@given(n=st.integers(1, 9), seed=seeds)
def test_a_set_smaller_than_a_batch_is_repeated_to_fill_it(n: int, seed: int) -> None:
    keys = epoch_keys(n, seed=seed, epoch=3, batch_size=10, epoch_size=None)
    counts = np.bincount(keys[:, 1], minlength=n)
    assert len(keys) == 10
    assert counts.max() - counts.min() <= 2
    assert len({tuple(key) for key in keys.tolist()}) == 10, "repetitions are augmented afresh"


@given(n=numbers, batch=st.integers(1, 8), size=st.integers(1, 100), seed=seeds)
def test_an_epoch_size_cycles_through_whole_passes(
    n: int, batch: int, size: int, seed: int
) -> None:
    options: Any = {"seed": seed, "batch_size": batch, "epoch_size": size}
    epochs = [epoch_keys(n, epoch=epoch, **options) for epoch in range(5)]
    expected = max(1, size // batch) * batch
    assert {len(keys) for keys in epochs} == {expected}
    keys = np.concatenate(epochs)
    assert len({tuple(key) for key in keys.tolist()}) == len(keys)
    whole = [keys[keys[:, 0] == number, 1] for number in range(len(keys) // n)]
    assert all(sorted(order.tolist()) == list(range(n)) for order in whole)


def test_orders_differ_between_epochs_and_seeds() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        keys = epoch_keys(50, seed=seed, epoch=epoch, batch_size=5, epoch_size=None)
        return keys[:, 1].tolist()  # type: ignore[no-any-return]

    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@settings(max_examples=40, deadline=None)
@given(n=numbers, world=st.sampled_from([1, 2, 4]), share=st.integers(1, 4), data=st.data())
def test_any_number_of_processes_shares_out_the_same_batches(
    n: int, world: int, share: int, data: st.DataObject
) -> None:
    size = data.draw(st.none() | numbers)
    options: Any = {"batch_size": world * share, "epoch_size": size}
    alone = list(_loader(n, **options).epoch(2))
    parts = [list(_loader(n, **options, rank=r, world=world).epoch(2)) for r in range(world)]
    assert len(alone) == _loader(n, **options).steps_per_epoch
    for step, batch in enumerate(alone):
        for key, value in batch.items():
            joined = torch.cat([part[step][key] for part in parts])
            assert torch.equal(joined, value)


@settings(max_examples=30, deadline=None)
@given(n=numbers, skip=st.integers(0, 70))
def test_skipping_is_an_offset(n: int, skip: int) -> None:
    loader = _loader(n, batch_size=2)
    everything = list(loader.epoch(1))
    rest = list(loader.epoch(1, skip=skip))
    assert len(rest) == max(0, len(everything) - skip)
    for ours, theirs in zip(rest, everything[skip:], strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert len(loader.batches()) == len(everything)


@pytest.mark.parametrize("workers", [1, 2])
def test_loader_processes_change_nothing_and_outlive_an_epoch(workers: int) -> None:
    alone, shared = _loader(20, batch_size=4), _loader(20, batch_size=4, workers=workers)
    for epoch, skip in ((0, 2), (1, 0)):
        expected = list(alone.epoch(epoch, skip=skip))
        answered = list(shared.epoch(epoch, skip=skip))
        assert len(expected) == len(answered) == 5 - skip
        for ours, theirs in zip(answered, expected, strict=True):
            assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_every_sample_of_every_pass_is_augmented_afresh() -> None:
    loader = _loader(4, batch_size=4)
    noise = [tuple(row) for epoch in (0, 1) for row in next(loader.epoch(epoch))["noise"].tolist()]
    assert len(set(noise)) == 8


def test_a_loader_reads_through_the_cache(tmp_path: Path) -> None:
    cache = PixelCache(Numbered(6), tmp_path / "cache" / "pixels.u8", budget_mb=1)
    loader = Loader(Encoder(targets, cache, 0), batch_size=3)
    seen = [batch["image"][:, 0, 0, 0].tolist() for batch in loader.epoch(0)]
    keys = epoch_keys(6, seed=0, epoch=0, batch_size=3, epoch_size=None)
    assert [index for batch in seen for index in batch] == keys[:, 1].tolist()


def _unreadable(sample: Sample, rng: np.random.Generator) -> dict[str, Any]:
    raise DataError("photo.jpg cannot be read: it is cut.")


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_data_are_named_in_one_sentence_whoever_reads_them(workers: int) -> None:
    encoder = Encoder(_unreadable, PixelCache(Numbered(4), None, budget_mb=0), 0)
    with pytest.raises(DataError) as caught:
        next(Loader(encoder, batch_size=2, workers=workers).epoch(0))
    assert str(caught.value) == "photo.jpg cannot be read: it is cut."


def test_batches_are_pinned_without_loader_processes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []

    def pin_memory(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor)
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin_memory)
    batch = next(_loader(4, batch_size=4, pin=True).epoch(0))
    assert [id(tensor) for tensor in batch.values()] == [id(tensor) for tensor in pinned]
