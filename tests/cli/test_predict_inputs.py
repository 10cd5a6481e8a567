"""What `predict` takes beside files and folders: lists, streams, addresses, cameras."""

import functools
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import Outcome, img2img, sentence

from img2img.data.synth.textures import draw_texture
from img2img.inference.film import Film


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, a text, and a video of four frames."""
    for name in ("a", "b", "c"):
        picture = draw_texture(np.random.default_rng(ord(name)), 24, 32)
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture[..., ::-1])
    (tmp_path / "text.png").write_text("no picture")
    with Film(tmp_path / "clip.mp4", fps=5) as film:
        for seed in range(4):
            film.add(draw_texture(np.random.default_rng(seed), 24, 32))
    return tmp_path


def predict(run: Path, *arguments: object, cwd: Path, **more: Any) -> Outcome:
    return img2img("predict", "sobel", *arguments, "--weights", run, cwd=cwd, **more)


def lines(outcome: Outcome) -> list[Any]:
    return [json.loads(line, parse_constant=pytest.fail) for line in outcome.out.splitlines()]


def test_a_list_in_a_file_or_on_stdin(exact_run: Path, folder: Path) -> None:
    (folder / "list.txt").write_text("# mine\nc.png\n\ngone.png\n")
    done = predict(exact_run, "@list.txt", "a.png", cwd=folder)
    assert [line["input"] for line in lines(done)] == ["c.png", "gone.png", "a.png"]
    assert (done.code, "gone.png does not exist." in done.err) == (1, True)
    piped = predict(exact_run, "@-", cwd=folder, stdin=b"b.png\na.png\n")
    assert (piped.code, [line["input"] for line in lines(piped)]) == (0, ["b.png", "a.png"])


def test_names_that_are_not_utf8_are_printed_as_they_are(exact_run: Path, folder: Path) -> None:
    name = "\udcff.png"
    (folder / name).write_bytes((folder / "a.png").read_bytes())
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb"):
        done = subprocess.run(
            [sys.executable, "-m", "img2img", "predict", "sobel", name, "--weights", exact_run],
            cwd=folder, stdout=follower, stderr=subprocess.PIPE, timeout=120, check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8:strict"},
        )  # fmt: skip
        os.close(follower)
        told = os.read(leader, 1000)
    assert (done.returncode, told) == (0, b"predictions/\xff.png\r\n"), done.stderr


# ---- streams


def framed(*pictures: bytes) -> bytes:
    return b"".join(len(picture).to_bytes(8, "little") + picture for picture in pictures)


def test_a_stream_is_answered_frame_by_frame(exact_run: Path, folder: Path) -> None:
    a, text, b = ((folder / name).read_bytes() for name in ("a.png", "text.png", "b.png"))
    arguments = ("-", "--stream", "--out", "out")
    done = predict(exact_run, *arguments, cwd=folder, stdin=framed(a, text, b) + framed(b)[:-9])
    first, wrong, last, cut = lines(done)
    assert done.code == 1
    assert [line["frame"] for line in (first, wrong, last, cut)] == [0, 1, 2, 3]
    assert (first["output"], last["output"]) == ("out/stdin/000000.png", "out/stdin/000002.png")
    assert wrong["error"] == "stdin, picture 1 is not a picture."
    assert cut["error"] == f"stdin ends inside picture 3: {len(b) - 9} of its {len(b)} bytes came."
    few = predict(exact_run, "-", "--stream", "--max-frames", 1, cwd=folder, stdin=framed(a, b))
    assert (few.code, len(lines(few))) == (0, 1)


@pytest.mark.parametrize(
    ("stdin", "problem"),
    [
        (b"", "stdin is empty (zero bytes)."),
        (b"\x01\0", "stdin ends inside the length of picture 0."),
        (b"\x89PNG\r\n\x1a\n", "picture 0 would have 727905341920923785 bytes; without --stream"),
    ],
)
def test_what_is_no_stream_is_named(
    stdin: bytes, problem: str, exact_run: Path, folder: Path
) -> None:
    done = predict(exact_run, "-", "--stream", cwd=folder, stdin=stdin)
    assert (done.code, problem in done.err) == (1, True)


def test_answers_of_a_stream_do_not_wait_for_its_end(exact_run: Path, folder: Path) -> None:
    picture = (folder / "a.png").read_bytes()
    command = [sys.executable, "-m", "img2img", "predict", "sobel", "-", "--stream"]
    with subprocess.Popen(
        [*command, "--weights", str(exact_run)], cwd=folder,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(framed(picture))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["frame"] == number
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_stream_without_stdin_is_refused(exact_run: Path, folder: Path) -> None:
    refused = predict(exact_run, "a.png", "--stream", cwd=folder)
    assert (refused.code, "name the input - as well" in sentence(refused)) == (2, True)


# ---- addresses


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_addresses_are_answered_where_they_are_allowed(
    exact_run: Path, folder: Path, site: str
) -> None:
    inputs = (f"{site}/a.png", f"{site}/none.png", f"{site}/clip.mp4")
    done = predict(
        exact_run, *inputs, "a.png", "--allow-private", "--out", "out", "--max-download-mb", 1,
        cwd=folder,
    )  # fmt: skip
    picture, missing, *frames, local = lines(done)
    assert done.code == 1
    assert missing["error"] == f"{site}/none.png answers 404 (Not Found)."
    assert [frame["frame"] for frame in frames] == [0, 1, 2, 3]
    assert frames[3]["output"] == "out/clip/000003.png"
    outputs = [picture["output"], local["output"]]
    assert len(set(outputs)) == 2
    first, second = (cv2.imread(str(folder / output)) for output in outputs)
    assert first is not None
    np.testing.assert_array_equal(first, second)
    refused = predict(exact_run, f"{site}/a.png", cwd=folder)
    assert refused.code == 1
    assert "lies in a private network (127.0.0.1)" in lines(refused)[0]["error"]


# ---- cameras and videos


def test_a_missing_camera_is_one_sentence(exact_run: Path, folder: Path) -> None:
    done = predict(exact_run, "camera:98", "a.png", cwd=folder)
    missing, answered = lines(done)
    assert (done.code, answered["error"]) == (1, None)
    assert missing["error"].startswith("camera:98 cannot be opened: there is no such camera")
    assert done.err.count("\n") == 2  # the sentence, and the one that ends the command


CAMERA = """
import os, sys, signal, numpy, cv2
from img2img.cli.app import main

class Camera:
    def __init__(self, number):
        self.n = 0
    def isOpened(self):
        return True
    def read(self):
        self.n += 1
        if self.n == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return True, numpy.full((24, 32, 3), self.n, numpy.uint8)
    def release(self):
        pass

cv2.VideoCapture = Camera
sys.argv = ["img2img", *sys.argv[1:]]
main()
"""


def test_ctrl_c_ends_a_camera_and_what_it_showed_is_finished(exact_run: Path, folder: Path) -> None:
    arguments = ["predict", "sobel", "camera:0", "--weights", str(exact_run), "--out", "out"]
    done = subprocess.run(
        [sys.executable, "-c", CAMERA, *arguments], cwd=folder, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in told][:2] == [0, 1]
    assert len(list((folder / "out" / "camera0").iterdir())) == len(told)


FULL_FOR_FILMS = """
import sys
from img2img.cli.app import main
from img2img.inference import film

def add(self, image):
    raise OSError(28, "No space left on device")

film._Mp4.add = add
sys.argv = ["img2img", *sys.argv[1:]]
main()
"""


def test_a_film_that_breaks_takes_no_picture_with_it(exact_run: Path, folder: Path) -> None:
    arguments = ["predict", "sobel", "a.png", "b.png", "--weights", str(exact_run), "--out", "out",
                 "--film", "film.mp4"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", FULL_FOR_FILMS, *arguments], cwd=folder, capture_output=True,
        text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120, check=False,
    )  # fmt: skip
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (done.returncode, first["error"]) == (
        1, "film.mp4 cannot be written: no space left on device.")  # fmt: skip
    assert (first["output"], second["error"]) == ("out/a.png", None)
    assert {path.name for path in (folder / "out").iterdir()} == {"a.png", "b.png"}


def test_max_frames_and_film_of_a_video(exact_run: Path, folder: Path) -> None:
    arguments = ("clip.mp4", "--max-frames", 3, "--film", "film.mp4")
    done = predict(exact_run, *arguments, cwd=folder)
    assert (done.code, [line["frame"] for line in lines(done)]) == (0, [0, 1, 2])
    film = cv2.VideoCapture(str(folder / "film.mp4"))
    told = [int(film.get(key)) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS)]
    assert told == [3, 5]
