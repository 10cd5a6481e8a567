"""Reading ahead and writing behind: two threads beside the one that runs the network.

Decoding, the network and encoding all let go of Python's lock, so that they run side by side. What
lies between them is bounded in number and in bytes: a thousand pictures take the memory of a few.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

N_BETWEEN = 4
BYTES_BETWEEN = 64 << 20
"""A picture larger than that goes through alone: no other is read while it is worked on."""
_PATIENCE_S = 2.0
"""How long a command that fails waits for a thread inside a call, such as one that reads stdin."""


class _StoppedError(Exception):
    """Nobody takes what is laid down."""


class Belt(Generic[T]):
    """What one thread lays down and another takes, in that order.

    Args:
        n_most: entries it holds.
        weigh: bytes of an entry.
    """

    def __init__(self, n_most: int, weigh: Callable[[T], int]) -> None:
        self._n_most, self._weigh = n_most, weigh
        self._changed = Condition()
        self._entries: deque[T] = deque()
        self._n_bytes = 0
        self._is_ended = self._is_stopped = False
        self._error: BaseException | None = None

    def put(self, entry: T) -> None:
        """Lays an entry down, then waits until there is room for another; what the taker failed
        with is raised."""
        with self._changed:
            self._entries.append(entry)
            self._n_bytes += self._weigh(entry)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._has_room or self._is_stopped)
            if self._is_stopped:
                raise self._error or _StoppedError

    @property
    def _has_room(self) -> bool:
        return len(self._entries) < self._n_most and self._n_bytes < BYTES_BETWEEN

    def __iter__(self) -> Iterator[T]:
        """The entries, each of which counts until the next is asked for; at the end, what the one
        who laid them down failed with is raised."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries or self._is_ended)
                if not self._entries:
                    break
                entry = self._entries[0]
            yield entry
            del entry
            with self._changed:
                self._n_bytes -= self._weigh(self._entries.popleft())
                self._changed.notify_all()
        if self._error is not None:
            raise self._error

    def end(self, error: BaseException | None = None) -> None:
        """No more comes."""
        with self._changed:
            self._is_ended, self._error = True, self._error or error
            self._changed.notify_all()

    def stop(self, error: BaseException | None = None) -> None:
        """No more is taken."""
        with self._changed:
            self._is_stopped, self._error = True, self._error or error
            self._changed.notify_all()


@contextmanager
def read_ahead(
    entries: Iterable[T], weigh: Callable[[T], int], *, n_most: int = N_BETWEEN
) -> Iterator[Iterator[T]]:
    """The entries, made by a thread of their own; leaving the block ends it."""
    belt = Belt(n_most, weigh)

    def lay() -> None:
        try:
            for entry in entries:
                belt.put(entry)
        except _StoppedError:
            return
        except BaseException as error:
            belt.end(error)
        else:
            belt.end()

    reader = Thread(target=lay, name="reader", daemon=True)
    reader.start()
    try:
        yield iter(belt)
    finally:
        belt.stop()
        reader.join(_PATIENCE_S)


@contextmanager
def write_behind(
    write: Callable[[T], None], weigh: Callable[[T], int], *, n_most: int = N_BETWEEN
) -> Iterator[Callable[[T], None]]:
    """A callable that has an entry written by another thread, in order. What that fails with is
    raised by a later call, or when the block is left; by then all that was given is written."""
    belt = Belt(n_most, weigh)
    failure: list[BaseException] = []

    def take() -> None:
        try:
            for entry in belt:
                write(entry)
        except BaseException as error:
            failure.append(error)
            belt.stop(error)

    writer = Thread(target=take, name="writer", daemon=True)
    writer.start()
    try:
        yield belt.put
    except BaseException:  # Ctrl-C too: what was handed over is still written
        belt.end()
        writer.join(_PATIENCE_S)
        raise
    belt.end()
    writer.join()
    if failure:
        raise failure[0]
