"""What is refused before the page is built, and where it listens."""

import socket
from pathlib import Path

import pytest
from support import img2img, sentence

from img2img.demo import server
from img2img.errors import UsageError


def test_without_the_extra_the_command_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'img2img\[demo\]'"):
        server.require_gradio()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = img2img("demo", "--quiet", "--port", port, cwd=tmp_path)
    assert done.code == 2
    told = sentence(done)
    assert f"--port {port}" in told
    assert "--port 0 takes a free one" in told


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1", "long" * 20 + ".org"])
def test_a_host_that_is_not_this_machine(host: str) -> None:
    with pytest.raises(UsageError, match=f"--host {host} .*; name a --host of this machine"):
        server.listening(host, 0)


@pytest.mark.parametrize(
    ("host", "told"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"),
                       ("0.0.0.0", "127.0.0.1")]
)  # fmt: skip
def test_the_address_to_open(host: str, told: str) -> None:
    with server.listening(host, 0) as opened:
        assert server.url_of(opened) == f"http://{told}:{opened.getsockname()[1]}"


@pytest.mark.parametrize("weights", ["nowhere.onnx", "no.txt"])
def test_unusable_weights(weights: str, tmp_path: Path) -> None:
    done = img2img("demo", "--quiet", "--port", 0, "--weights", weights, cwd=tmp_path)
    assert done.code == 3
    assert weights in sentence(done)
