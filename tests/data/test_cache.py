"""The cache gives what decoding gives, whatever fits into it."""

import errno
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.data.cache import PixelCache
from img2img.data.sample import Dataset, Image, Record


class Counting(Dataset):
    """Pictures of several sizes, a function of their index; counts how often each is decoded."""

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        super().__init__(
            [
                Record(id=str(i), digest="", height=h, width=w, index=i)
                for i, (h, w) in enumerate(sizes)
            ]
        )
        self.n_read = np.zeros(len(sizes), int)

    def pixels(self, record: Record) -> Image:
        self.n_read[record.index] += 1
        rng = np.random.default_rng(record.index)
        return rng.integers(0, 256, (record.height, record.width, 3), np.uint8)


SIZES = [(300, 400), (1, 1), (500, 500), (7, 900), (400, 300)]


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=1, max_size=6),
    budget_mb=st.integers(0, 3),
)
def test_pixels_are_those_of_the_data_within_any_budget(
    sizes: list[tuple[int, int]], budget_mb: int, tmp_path_factory: object
) -> None:
    path = tmp_path_factory.mktemp("cache") / "pixels.u8"  # type: ignore[attr-defined]
    data = Counting(sizes)
    cache = PixelCache(data, path, budget_mb=budget_mb)
    for _ in range(2):
        for index in range(len(sizes)):
            sample = cache.sample(index)
            np.testing.assert_array_equal(sample.image, data[index].image)
            assert sample.id == str(index)
    n_bytes = path.stat().st_size - len(sizes) if path.exists() else 0
    assert n_bytes <= budget_mb << 20


def test_each_picture_within_the_budget_is_decoded_once(tmp_path: Path) -> None:
    data = Counting(SIZES)
    # 0.34 MiB, 3 bytes and 0.72 MiB: the third picture is the first that does not fit.
    cache = PixelCache(data, tmp_path / "pixels.u8", budget_mb=1)
    for index in [*range(5), *range(5), 2]:
        cache.sample(index)
    assert data.n_read.tolist() == [1, 1, 3, 2, 2]
    assert cache.n_cached == 2


def test_another_budget_goes_on_with_the_same_file(tmp_path: Path) -> None:
    for budget_mb in (1, 16, 1, 16):
        data = Counting(SIZES)
        cache = PixelCache(data, tmp_path / "pixels.u8", budget_mb=budget_mb)
        for index in (0, 1, 3, 2):
            expected = data.pixels(data.records[index])
            np.testing.assert_array_equal(cache.sample(index).image, expected)
    assert data.n_read.tolist() == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_costs_the_cache_alone(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, start: int, n_bytes: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", full)
    data = Counting(SIZES)
    cache = PixelCache(data, tmp_path / "cache" / "pixels.u8", budget_mb=16)
    assert cache.n_cached == 0
    assert list((tmp_path / "cache").iterdir()) == []
    for _ in range(2):
        np.testing.assert_array_equal(cache.sample(2).image, data[2].image)


def test_the_file_is_no_sparse_one(tmp_path: Path) -> None:
    path = tmp_path / "pixels.u8"
    PixelCache(Counting(SIZES), path, budget_mb=16)
    assert path.stat().st_blocks * 512 >= path.stat().st_size


def test_without_posix_fallocate_there_is_a_cache_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    assert PixelCache(Counting(SIZES), tmp_path / "pixels.u8", budget_mb=16).n_cached == 5


@pytest.mark.parametrize("budget_mb", [0, 16])
def test_pixels_cannot_be_changed_in_place(budget_mb: int, tmp_path: Path) -> None:
    cache = PixelCache(Counting(SIZES), tmp_path / "pixels.u8", budget_mb=budget_mb)
    with pytest.raises(ValueError, match="read-only"):
        cache.sample(0).image[:] = 0


def test_without_a_budget_or_a_file_nothing_is_kept(tmp_path: Path) -> None:
    for path, budget_mb in ((None, 100), (tmp_path / "a" / "pixels.u8", 0)):
        data = Counting(SIZES)
        cache = PixelCache(data, path, budget_mb=budget_mb)
        cache.sample(0)
        cache.sample(0)
        assert data.n_read[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_an_empty_set_has_a_cache(tmp_path: Path) -> None:
    PixelCache(Counting([]), tmp_path / "pixels.u8", budget_mb=1)


def _read_all(path: Path, order: list[int], answers: "multiprocessing.Queue[object]") -> None:
    data = Counting(SIZES)
    cache = PixelCache(data, path, budget_mb=16)
    answers.put([int(cache.sample(index).image.sum()) for index in order])
    answers.put(data.n_read.tolist())


def test_processes_share_one_file(tmp_path: Path) -> None:
    path = tmp_path / "pixels.u8"
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    other = context.Process(target=_read_all, args=(path, [0, 2, 4], answers))
    other.start()
    sums, n_read = answers.get(timeout=60), answers.get(timeout=60)
    other.join()
    data = Counting(SIZES)
    cache = PixelCache(data, path, budget_mb=16)
    assert sums == [int(cache.sample(index).image.sum()) for index in (0, 2, 4)]
    for index in range(5):
        np.testing.assert_array_equal(cache.sample(index).image, data.pixels(data.records[index]))
    assert n_read == [1, 0, 1, 0, 1]
    # What the other process decoded was only decoded here to be compared.
    assert data.n_read.tolist() == [1, 2, 1, 2, 1]
