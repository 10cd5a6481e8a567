"""What the processes of a prediction tell each other, played by threads."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from img2img.errors import RunError
from img2img.inference import exchange
from img2img.inference.exchange import Exchange, Meeting


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return min(port, 65000)


def play(part: Callable[[Exchange], Any], world: int, meeting: Meeting) -> list[Any]:
    """What `part` gives in every process, or the error it ends with."""

    def run(rank: int) -> Any:
        try:
            with meeting.joined(rank, world) as joined:
                return part(joined)
        except RunError as error:
            return error

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(run, reversed(range(world))))[::-1]


@pytest.fixture
def meeting() -> Meeting:
    return Meeting(host="127.0.0.1", port=free_port(), token="t")


def test_all_are_told_the_same_in_the_order_of_ranks(meeting: Meeting) -> None:
    def part(own: Exchange) -> Any:
        rows = own.gather([[own.rank, "\udc80 ü"]] * own.rank)
        value = own.from_leader({"from": own.rank})
        own.barrier()
        return rows, value, own.leads

    told = play(part, 3, meeting)
    rows = [[1, "\udc80 ü"], [2, "\udc80 ü"], [2, "\udc80 ü"]]
    assert told == [(rows, {"from": 0}, rank == 0) for rank in range(3)]


def test_one_process_needs_nobody() -> None:
    alone = Exchange()
    assert (alone.gather([1, 2]), alone.from_leader("x"), alone.leads) == ([1, 2], "x", True)


def test_taken_ports_and_strangers_are_passed_over(meeting: Meeting) -> None:
    with socket.create_server(("127.0.0.1", meeting.ports[0])) as taken:
        stop = threading.Event()

        def answer_wrongly() -> None:
            taken.settimeout(0.05)
            while not stop.is_set():
                try:
                    with taken.accept()[0] as connection:
                        connection.sendall(b"220 mail\n")
                except OSError:
                    continue

        foreign = threading.Thread(target=answer_wrongly)
        foreign.start()
        try:
            assert play(lambda own: own.gather([own.rank]), 2, meeting) == [[0, 1]] * 2
        finally:
            stop.set()
            foreign.join()


def test_one_that_ends_early_is_told_of(meeting: Meeting) -> None:
    def part(own: Exchange) -> Any:
        return None if own.rank == 1 else own.gather([own.rank])

    leader, gone, other = play(part, 3, meeting)
    assert gone is None
    for error in (leader, other):
        assert "another process of torchrun ended early" in str(error)


@pytest.mark.parametrize("port", [1, 29500, 65519, 65520, 65535])
def test_ports_are_ports_beside_that_of_torchrun(port: int) -> None:
    ports = Meeting(host="127.0.0.1", port=port, token="t").ports
    assert len(ports) == 16
    assert 0 < ports[0] <= ports[-1] <= 65535
    assert port not in ports


def test_those_who_do_not_meet_say_where(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_JOIN_S", 0.2)
    for rank in (0, 1):
        with pytest.raises(RunError, match=r"do not find each other at 127\.0\.0\.1, ports"):
            meeting.joined(rank, 2).__enter__()
