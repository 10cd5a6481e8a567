"""Addresses: fetched within limits, and never from a private network unless that is allowed."""

import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from img2img.errors import InputError
from img2img.inference import web
from img2img.inference.web import fetch, is_public

BODY = bytes(range(256)) * 400


class _Pages(BaseHTTPRequestHandler):
    """Pages that behave as their names say."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/again/"):
            left = int(path.rpartition("/")[2])
            self._answer(302, b"", Location=f"/again/{left - 1}" if left else "/plain")
        elif path.startswith("/to/"):
            self._answer(302, b"", Location=self.path.removeprefix("/to/"))
        elif path == "/plain":
            self._answer(200, BODY)
        elif path == "/asked":
            self._answer(200, f"{self.path} {self.headers['Host']}".encode())
        elif path == "/cut":
            self._answer(200, BODY[:100], length=len(BODY))
            self.close_connection = True
        elif path == "/endless":
            self._answer(200, BODY, length=None)
            self._send(BODY for _ in range(1000))
        elif path == "/chunked":
            self._answer(200, b"", length=None, **{"Transfer-Encoding": "chunked"})
            self._send(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY, BODY[:7], b""))
        elif path == "/drip":
            self._answer(200, b"", length=1000)
            self._send(_slowly(1000))
        elif path == "/huge.png":
            self._answer(200, _png_of(1 << 15, 1 << 15))
        elif path == "/mute":
            self.server.woken.wait(20)  # type: ignore[attr-defined]
        else:
            self._answer(404, b"no such page")

    def _answer(self, status: int, body: bytes, length: int | None = -1, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.end_headers()
        self._send([body])

    def _send(self, parts: Any) -> None:
        try:
            for part in parts:
                self.wfile.write(part)
        except OSError:
            pass
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def _png_of(height: int, width: int) -> bytes:
    """A few bytes that state so many pixels."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def _slowly(n: int) -> Iterator[bytes]:
    for _ in range(n):
        time.sleep(0.05)
        yield b"x"


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    pages = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    pages.daemon_threads = True
    pages.woken = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=pages.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield pages
    pages.woken.set()  # type: ignore[attr-defined]
    pages.shutdown()
    pages.server_close()
    thread.join()


@pytest.fixture
def site(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def get(address: str, **limits: Any) -> bytes:
    return fetch(address, **{"max_bytes": 200_000, "allow_private": True} | limits)


@pytest.mark.parametrize("path", ["/plain", "/again/4", "/chunked"])
def test_what_is_fetched(path: str, site: str) -> None:
    expected = BODY + BODY[:7] if path == "/chunked" else BODY
    assert get(site + path) == expected


def test_an_address_is_asked_as_it_was_written(site: str) -> None:
    told = get(f"{site}/asked?a=b%20c&d=ü e#part").decode()
    assert told == f"/asked?a=b%20c&d=%C3%BC%20e {site.removeprefix('http://')}"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/none", "answers 404 (Not Found)."),
        ("/cut", "breaks off after 100 of 102400 bytes."),
        ("/again/6", "leads to SITE/again/0, which redirects more than 5 times."),
        ("/to/file:///etc/passwd", "leads to file:///etc/passwd, which is no http or https"),
        ("/to/http://a:b@h/", "which holds a user name"),
        ("/huge.png", "has 32768×32768 pixels, and of an address at most 268 megapixels are"),
    ],
)
def test_what_is_refused(path: str, problem: str, site: str) -> None:
    with pytest.raises(InputError) as refused:
        get(site + path)
    told = str(refused.value)
    assert told.startswith(f"{site}{path} ")
    assert problem.replace("SITE", site) in told


@pytest.mark.parametrize("path", ["/plain", "/endless", "/chunked"])
def test_more_than_the_limit_is_not_read(path: str, site: str) -> None:
    with pytest.raises(InputError, match=r"has more than 0\.05 MB: allow more with --max-download"):
        get(site + path, max_bytes=50_000)


@pytest.mark.parametrize("path", ["/drip", "/mute"])
def test_slow_answers_end(path: str, site: str) -> None:
    with pytest.raises(InputError, match=r"takes more than 0\.3 s\."):
        get(site + path, timeout_s=0.3)


def test_name_servers_that_are_slow_count_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    woken = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: woken.wait(20) and [])
    with pytest.raises(InputError, match=r"http://h/ takes more than 0\.3 s\."):
        get("http://h/", timeout_s=0.3)
    woken.set()


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match="cannot be reached: connection refused"):
            get(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    for address in ("http://no.such.host.invalid/", f"http://{'x' * 80}.org/"):
        with pytest.raises(InputError, match=r"cannot be reached: there is no such host|no proper"):
            get(address)


# ---- private networks

INSIDE = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
          "0.0.0.0", "224.0.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "::", "::1",
          "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
          "2002:7f00:1::", "::7f00:1"]  # fmt: skip
OUTSIDE = ["8.8.8.8", "193.99.144.80", "2606:4700::1", "64:ff9b::808:808"]


def test_which_addresses_are_public() -> None:
    assert [address for address in INSIDE if is_public(address)] == []
    assert [address for address in OUTSIDE if not is_public(address)] == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0"])
def test_this_machine_is_refused(host: str, server: ThreadingHTTPServer) -> None:
    told = r"lies in a private network \((127\.0\.0\.1|0\.0\.0\.0|::1)\), where predict asks only"
    with pytest.raises(InputError, match=told):
        get(f"http://{host}:{server.server_port}/plain", allow_private=False)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """127.0.0.1 is taken for a public address, and `name.test` leads there, but a second answer of
    the name server would be 127.0.0.2; gives the questions that were asked."""
    asked: list[Any] = []
    resolve = socket.getaddrinfo

    def answer(host: str, port: int, **more: Any) -> Any:
        asked.append(host)
        if host == "name.test":
            hosts = ["127.0.0.2"] if asked.count(host) > 1 else ["127.0.0.2", "127.0.0.1"]
            return [place for each in hosts for place in resolve(each, port, **more)]
        return resolve(host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(web, "is_public", lambda address: address == "127.0.0.1")
    return asked


def test_the_address_that_was_looked_at_is_connected_to(
    pretended: list[Any], server: ThreadingHTTPServer
) -> None:
    address = f"http://name.test:{server.server_port}/asked"
    told = get(address, allow_private=False).decode()
    assert told == f"/asked name.test:{server.server_port}"
    assert pretended == ["name.test"]
    with pytest.raises(InputError, match=r"private network \(127\.0\.0\.2\)"):
        get(address, allow_private=False)


def test_redirects_are_looked_at_again(pretended: list[Any], site: str) -> None:
    inside = site.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(InputError, match=f"leads to {inside}/plain, which lies in a private"):
        get(f"{site}/to/{inside}/plain", allow_private=False)


# ---- https


def test_https_where_a_server_speaks_http(site: str) -> None:
    with pytest.raises(InputError, match=r"has no valid TLS connection: wrong version number\.$"):
        get(site.replace("http:", "https:") + "/plain")


def test_https_needs_a_certificate_that_is_known(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    address = f"https://localhost:{server.server_port}/plain"
    with pytest.raises(InputError, match="has no valid TLS connection: self-signed certificate"):
        get(address)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert get(address) == BODY
