"""What the processes of `torchrun` tell each other in a prediction: lines of JSON to the first one
and back, without the two seconds and half a gigabyte that torch costs each of them.

`engine.runtime.Runtime` has the same methods for trainings, where torch is there anyway.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedRWPair
from typing import Any

from img2img.errors import RunError

_N_PORTS = 16
"""Ports beside that of torchrun, which it uses itself; one of them will be free."""
_LAST_PORT = 65535
_JOIN_S = 120.0
_GREETING_S = 5.0
_WELCOME = b"welcome\n"


class Exchange:
    """This process's place among the others.

    Args:
        rank: its number; the first one, 0, leads.
        world: how many there are.
        lines: to and from the others, where it leads; else to and from the leader.
    """

    def __init__(
        self, rank: int = 0, world: int = 1, lines: list[BufferedRWPair] | None = None
    ) -> None:
        self.rank, self.world = rank, world
        self._lines = lines or []

    @property
    def leads(self) -> bool:
        """Whether this process writes what all share, and talks."""
        return self.rank == 0

    def gather(self, rows: list[Any]) -> list[Any]:
        """The rows of all processes, in every process; of what JSON knows."""
        if self.leads:
            every = [rows, *(self._told(line) for line in self._lines)]
            rows = [row for each in every for row in each]
        else:
            self._tell(rows)
        return list(self.from_leader(rows))

    def from_leader(self, value: Any) -> Any:
        """The leader's value, in every process; of what JSON knows."""
        if not self.leads:
            return self._told(self._lines[0])
        self._tell(value)
        return value

    def barrier(self) -> None:
        """Waits for every process."""
        self.gather([])

    def _tell(self, value: Any) -> None:
        text = json.dumps(value).encode() + b"\n"
        for line in self._lines:
            try:
                line.write(text)
                line.flush()
            except OSError:
                raise _left_alone() from None

    def _told(self, line: BufferedRWPair) -> Any:
        try:
            text = line.readline()
        except OSError:
            text = b""
        if not text.endswith(b"\n"):
            raise _left_alone()
        return json.loads(text)


def _left_alone() -> RunError:
    return RunError("another process of torchrun ended early: see what it says.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Where processes that belong together meet: at a port above `port`, or below it where the
    numbers end, by a common `token`."""

    host: str
    port: int
    token: str

    @property
    def ports(self) -> range:
        fits = self.port + _N_PORTS <= _LAST_PORT
        first = self.port + 1 if fits else self.port - _N_PORTS
        return range(first, first + _N_PORTS)

    @contextmanager
    def joined(self, rank: int, world: int) -> Iterator[Exchange]:
        """This process among the others, once all of them are there.

        Raises:
            RunError: they do not find each other.
        """
        ends_at_s = time.monotonic() + _JOIN_S
        with ExitStack() as stack:
            if rank == 0:
                server = stack.enter_context(self._served())
                found = self._accepted(server, world, ends_at_s)
            else:
                found = [self._called(rank, ends_at_s)]
            for connection in found:
                connection.settimeout(None)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                stack.enter_context(connection)
            lines = [stack.enter_context(each.makefile("rwb")) for each in found]
            yield Exchange(rank, world, lines)

    def _served(self) -> socket.socket:
        for port in self.ports:
            for host in (self.host, ""):
                try:
                    return socket.create_server((host, port))
                except OSError:  # taken, or a name by which only others know this machine
                    continue
        raise self._apart()

    def _accepted(self, server: socket.socket, world: int, ends_at_s: float) -> list[socket.socket]:
        """The connections of all others, in their order; strangers are let go."""
        missing = {self._hello(rank): rank for rank in range(1, world)}
        found: dict[int, socket.socket] = {}
        while missing and (left_s := ends_at_s - time.monotonic()) > 0:
            server.settimeout(left_s)
            try:
                connection, _ = server.accept()
                connection.settimeout(_GREETING_S)
                hello = connection.makefile("rb").readline(200)
                if hello in missing:
                    connection.sendall(_WELCOME)
                    found[missing.pop(hello)] = connection
                else:
                    connection.close()
            except OSError:
                continue
        if missing:
            raise self._apart()
        return [found[rank] for rank in sorted(found)]

    def _called(self, rank: int, ends_at_s: float) -> socket.socket:
        while time.monotonic() < ends_at_s:
            for port in self.ports:
                try:
                    connection = socket.create_connection((self.host, port), _GREETING_S)
                    connection.sendall(self._hello(rank))
                    if connection.recv(len(_WELCOME)) == _WELCOME:
                        return connection
                    connection.close()
                except OSError:
                    continue
            time.sleep(0.05)
        raise self._apart()

    def _hello(self, rank: int) -> bytes:
        return json.dumps(["img2img", self.token, rank]).encode() + b"\n"

    def _apart(self) -> RunError:
        return RunError(
            f"the processes of torchrun do not find each other at {self.host}, ports "
            f"{self.ports[0]} to {self.ports[-1]}: are these open between the machines?"
        )
