"""Serving the page: one socket, one folder, and nothing that leaves the machine."""

import atexit
import errno
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from img2img.demo.desk import Desk, Limits
from img2img.errors import UsageError


def require_gradio() -> None:
    """Raises UsageError where the extra is not installed."""
    if find_spec("gradio") is None:
        raise UsageError("demo needs an extra: pip install 'img2img[demo]'.")


def listening(host: str, port: int) -> socket.socket:
    """A socket that connections wait at until `serve` takes them; port 0: any that is free.

    Raises:
        UsageError: no such host, or the port is taken or forbidden.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        return _bound(socket.socket(family, kind, protocol), address)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        is_port = getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES)
        advice = "--port 0 takes a free one" if is_port else "name a --host of this machine"
        raise UsageError(
            f"cannot listen on --host {host} --port {port}: {reason.lower()}; {advice}."
        ) from None


def _bound(opened: socket.socket, address: Any) -> socket.socket:
    """The socket, listening at the address; where it cannot, it is closed."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen()
    except OSError:
        opened.close()
        raise
    return opened


def url_of(opened: socket.socket) -> str:
    """Where a browser on this machine finds the page."""
    host, port = opened.getsockname()[:2]
    told = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host)  # noqa: S104
    return f"http://{told or (f'[{host}]' if ':' in host else host)}:{port}"


def serve(
    desks: Sequence[Desk], opened: socket.socket, *, limits: Limits, ready: Callable[[], None]
) -> None:
    """Serves the page until SIGINT or SIGTERM; `ready` is called as soon as it can be asked for.

    Uploads and answers lie in a temporary folder, which is gone afterwards.
    """
    # So that the folder is gone then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="img2img-demo-"))
    # Not before threads ended: one may be writing the answer that nobody waits for any more.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with suppress(KeyboardInterrupt):
        app = _app(desks, folder, limits)
        uvicorn = import_module("uvicorn")
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
        ready()
        uvicorn.Server(config).run(sockets=[opened])


def _app(desks: Sequence[Desk], folder: Path, limits: Limits) -> Any:
    # Gradio reads them when it is imported, and when a page is built.
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder)}
    gradio = import_module("gradio")
    from img2img.demo.page import build_page, look

    _fetch_nothing()
    page = build_page(desks, folder, limits=limits)
    app = import_module("fastapi").FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    n_bytes = round(limits.upload_mb * 1e6)
    mounted = gradio.mount_gradio_app(app, page, path="/", max_file_size=n_bytes, **look())
    # Only a page that was launched checks that files it is told to read were uploaded to it.
    page.has_launched = True
    return mounted


def _fetch_nothing() -> None:
    """Gradio fetches pictures that are given as addresses, for whoever asks; this page does not."""

    async def refuse(host: str) -> str:
        raise ValueError(f"this page fetches nothing from elsewhere, as from {host}")

    safehttpx: Any = import_module("safehttpx")
    safehttpx.async_validate_url = refuse
