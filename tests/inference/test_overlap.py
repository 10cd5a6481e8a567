"""Reading ahead and writing behind: in order, bounded, and errors arrive."""

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from img2img.inference import overlap
from img2img.inference.overlap import read_ahead, write_behind

WAIT_S = 10.0


def nothing(_entry: object) -> int:
    return 0


def test_entries_keep_their_order() -> None:
    written: list[int] = []
    with (
        write_behind(written.append, nothing) as hand_on,
        read_ahead(iter(range(500)), nothing) as entries,
    ):
        for entry in entries:
            hand_on(entry)
    assert written == list(range(500))


class _Counted:
    """Entries 0, 1, 2 …, and how many were asked for."""

    def __init__(self) -> None:
        self.n_made = 0
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[int]:
        while True:
            with self._changed:
                self.n_made += 1
                self._changed.notify_all()
            yield self.n_made - 1

    def reaches(self, n: int, within_s: float = WAIT_S) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.n_made >= n, within_s)


@pytest.mark.parametrize(("n_bytes", "n_most"), [(0, 4), (30 << 20, 3), (100 << 20, 1)])
def test_what_is_read_ahead_is_bounded(n_bytes: int, n_most: int) -> None:
    source = _Counted()
    with read_ahead(iter(source), lambda _entry: n_bytes) as entries:
        assert source.reaches(n_most)
        assert not source.reaches(n_most + 1, within_s=0.1)
        for n_taken in range(1, 4):
            assert next(entries) == n_taken - 1
            # An entry counts until the next one is asked for.
            assert source.reaches(n_most + n_taken - 1)
            assert not source.reaches(n_most + n_taken, within_s=0.1)


def test_one_who_reads_for_ever_is_ended() -> None:
    before = threading.active_count()
    with suppress(KeyError), read_ahead(iter(_Counted()), nothing) as entries:
        assert next(entries) == 0
        raise KeyError
    assert threading.active_count() == before


def test_errors_of_the_reader_come_after_what_it_read() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    seen: list[int] = []
    with (
        pytest.raises(ValueError, match="third"),
        read_ahead(broken(), nothing) as entries,
    ):
        seen.extend(entries)
    assert seen == [1, 2]


def test_errors_of_the_writer_stop_the_work() -> None:
    written: list[int] = []

    def write(entry: int) -> None:
        if entry == 3:
            raise BrokenPipeError
        written.append(entry)

    source = _Counted()
    with pytest.raises(BrokenPipeError), write_behind(write, nothing) as hand_on:
        any(map(hand_on, source))
    assert written == [0, 1, 2]
    assert source.n_made <= 3 + overlap.N_BETWEEN


def test_an_error_of_the_last_entry_is_not_lost() -> None:
    def write(entry: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), write_behind(write, nothing) as hand_on:
        hand_on(1)


def test_what_was_given_is_written_where_the_work_fails() -> None:
    written: list[int] = []
    with suppress(KeyboardInterrupt), write_behind(written.append, nothing) as hand_on:
        for entry in range(3):
            hand_on(entry)
        raise KeyboardInterrupt
    assert written == [0, 1, 2]
