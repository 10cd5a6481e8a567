"""What lies at http(s) addresses, bounded in size, pixels, time and redirects, and never from a
private network unless that is allowed.

A name is resolved once, and the very address that was looked at is connected to: a name server that
answers differently the second time gains nothing. Proxies are not used, because they would resolve
the name again.
"""

import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from img2img import __version__
from img2img.errors import InputError
from img2img.inference.picture_header import stated_size

N_REDIRECTS = 5
TIMEOUT_S = 20.0
"""From the first question, that for the host's name, to the last byte, redirects included."""
MOST_PIXELS = 1 << 28
"""A picture of a few MB can state many more; WebP, whose header is not read, has no more."""

_REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_LEFT_AS_IS = "%/:@!$&'()*+,;=~?"


def fetch(
    address: str, *, max_bytes: int, allow_private: bool = False, timeout_s: float = TIMEOUT_S
) -> bytes:
    """The bytes at an address.

    Raises:
        InputError: one sentence naming the address: it cannot be reached, lies in a private
            network, answers with an error, is too large or too slow, or a picture of too many
            pixels.
    """
    ask = _Ask(
        ends_at_s=time.monotonic() + timeout_s, max_bytes=max_bytes, allow_private=allow_private
    )
    here = address
    try:
        for _ in range(N_REDIRECTS + 1):
            body, there = ask.once(here)
            if there is None:
                return body
            # Quoted, because it will be shown, and another wrote it.
            here = quote(urljoin(here, there), safe=_LEFT_AS_IS + "#[]")
        raise InputError(f"redirects more than {N_REDIRECTS} times.")
    except TimeoutError:
        problem = f"takes more than {timeout_s:g} s."
    except InputError as error:
        problem = str(error)
    except ssl.SSLError as error:
        reason = str(error.reason or error).replace("_", " ").lower()
        problem = f"has no valid TLS connection: {getattr(error, 'verify_message', reason)}."
    except OSError as error:
        problem = f"cannot be reached: {(error.strerror or str(error)).lower()}."
    except (HTTPException, ValueError) as error:
        problem = f"gives no proper answer ({type(error).__name__})."
    via = "" if here == address else f" leads to {here}, which"
    raise InputError(f"{address}{via} {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """The limits of one download."""

    ends_at_s: float
    max_bytes: int
    allow_private: bool

    def once(self, address: str) -> tuple[bytes, str | None]:
        """(the body, None), or (nothing, where it is instead).

        Raises:
            InputError: what is wrong, as the rest of a sentence that begins with the address.
        """
        parts, host, port = _parsed(address)
        with self._connected(host, port) as plain:
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            connection = kind(host, port)
            if parts.scheme == "https":
                context = ssl.create_default_context()
                plain.settimeout(_left_s(self.ends_at_s))
                plain = context.wrap_socket(plain, server_hostname=host)
            with plain:
                connection.sock = _Patient(plain, self.ends_at_s)
                target = quote(parts._replace(scheme="", netloc="", fragment="").geturl() or "/",
                               safe=_LEFT_AS_IS)  # fmt: skip
                headers = {"User-Agent": f"img2img/{__version__}", "Accept-Encoding": "identity"}
                connection.request("GET", target, headers=headers)
                return self._answer(connection.getresponse())

    def _answer(self, response: HTTPResponse) -> tuple[bytes, str | None]:
        if response.status in _REDIRECTS and (there := response.headers.get("Location")):
            return b"", there
        if response.status != HTTPStatus.OK:
            known = {status.value: f" ({status.phrase})" for status in HTTPStatus}
            raise InputError(f"answers {response.status}{known.get(response.status, '')}.")
        promised = response.length or 0
        body = response.read(self.max_bytes + 1) if promised <= self.max_bytes else b""
        if max(promised, len(body)) > self.max_bytes:
            raise InputError(
                f"has more than {self.max_bytes / 1e6:g} MB: allow more with --max-download-mb."
            )
        if len(body) < promised:
            raise InputError(f"breaks off after {len(body)} of {promised} bytes.")
        height, width = stated_size(body)
        if height * width > MOST_PIXELS:
            raise InputError(
                f"has {width}×{height} pixels, and of an address at most {MOST_PIXELS / 1e6:.0f} "
                "megapixels are decoded: download it and name the file."
            )
        return body, None

    def _connected(self, host: str, port: int) -> socket.socket:
        """A connection to the first address of the host that may be asked and answers."""
        try:
            found = _resolved(host, port, self.ends_at_s)
        except socket.gaierror:
            raise InputError("cannot be reached: there is no such host.") from None
        places = list(dict.fromkeys((family, place) for family, _, _, _, place in found))
        if not self.allow_private:
            hidden = [place[0] for _, place in places if not is_public(str(place[0]))]
            places = [(family, place) for family, place in places if place[0] not in hidden]
            if not places:
                raise InputError(
                    f"lies in a private network ({hidden[0]}), where predict asks only with "
                    "--allow-private."
                )
        error: OSError | None = None
        for family, place in places:
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.settimeout(_left_s(self.ends_at_s))
                connection.connect(place)
            except OSError as refused:
                connection.close()
                error = refused
            else:
                return connection
        raise error or OSError


def _parsed(address: str) -> tuple[SplitResult, str, int]:
    """(its parts, host, port)."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise InputError("is no address.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError("is no http or https address.")
    if parts.username is not None:
        raise InputError("holds a user name: addresses with a log-in are not supported.")
    return parts, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet: not to this machine, its networks, a group of
    receivers or nobody, nor to an IPv4 address of that kind inside an IPv6 one."""
    ip = ipaddress.ip_address(address)
    return all(
        each.is_global
        and not (each.is_multicast or each.is_reserved or each.is_unspecified)
        # fec0::/10, deprecated by RFC 3879, and still routed inside some networks
        and not (isinstance(each, ipaddress.IPv6Address) and each.is_site_local)
        for each in _meant(ip)
    )


def _meant(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address, and those that routers may find in it."""
    if isinstance(ip, ipaddress.IPv6Address) and ip in _NAT64:
        yield ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)  # reserved itself, but for this use
        return
    yield ip
    if isinstance(ip, ipaddress.IPv6Address):
        yield from (inner for inner in (ip.ipv4_mapped, ip.sixtofour) if inner is not None)
        yield from ip.teredo or ()


def _resolved(host: str, port: int, ends_at_s: float) -> list[Any]:
    """What `getaddrinfo` finds before then; it takes no limit, so that a thread waits for it, which
    does not keep the process from ending.

    Raises:
        TimeoutError: the name servers take longer.
    """
    answers: SimpleQueue[list[Any] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:  # raised where it is waited for
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=_left_s(ends_at_s))
    except Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _left_s(ends_at_s: float) -> float:
    """Seconds until then.

    Raises:
        TimeoutError: none are left.
    """
    left_s = ends_at_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


class _Patient(io.RawIOBase):
    """A socket as `http.client` uses it, whose every wait ends at one time: a server that sends a
    byte now and then would never run into a timeout of its own."""

    def __init__(self, connection: socket.socket, ends_at_s: float) -> None:
        super().__init__()
        self._connection = connection
        self._ends_at_s = ends_at_s

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(_left_s(self._ends_at_s))
        self._connection.sendall(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left_s(self._ends_at_s))
        return self._connection.recv_into(buffer)

    def close(self) -> None:
        """Does nothing: the answer is read on after `http.client` lets go of the connection."""
