"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import img2img

from img2img.data.images import read, write
from img2img.demo.examples import draw_examples
from img2img.registry import load_task

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TIMEOUT_S = 240
"""Loading Gradio and its page takes seconds, and many times that where others want the cores."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: apt-get install chromium"),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="gradio is not installed")


@dataclass
class Served:
    url: str
    process: "subprocess.Popen[str]"
    temporary: Path
    workplace: Path
    err: Path

    @property
    def folders(self) -> list[Path]:
        return [*self.temporary.iterdir()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo on a port of its own, with limits that a picture of the camera just keeps."""
    temporary, workplace = (tmp_path_factory.mktemp(name) for name in ("tmp", "workplace"))
    err = tmp_path_factory.mktemp("talk") / "stderr"
    with err.open("w") as talk:
        process = subprocess.Popen(
            [sys.executable, "-m", "img2img", "demo", "--port", "0", "--max-mb", "2",
             "--max-megapixels", "2.8"],
            cwd=workplace, stdout=subprocess.PIPE, stderr=talk, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        yield Served(process.stdout.readline().strip(), process, temporary, workplace, err)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-fake-device-for-media-stream",
                  "--use-fake-ui-for-media-stream"],
        )  # fmt: skip
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page(served: Served, browser: Any) -> Iterator[Any]:
    """The page, which noted every address that it asked for in `page.asked`."""
    context = browser.new_context(permissions=["camera"], accept_downloads=True)
    context.set_default_timeout(TIMEOUT_S * 1000)
    opened = context.new_page()
    opened.asked = []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(served.url)
    yield opened
    context.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face, and files that are refused."""
    folder = tmp_path_factory.mktemp("pictures")
    kind = load_task("keypoints")
    first, *_ = draw_examples(kind(kind.Options()), folder)
    first.rename(folder / "face.png")
    whole = (folder / "face.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "<b>text.jpg").write_text("no picture")
    write(folder / "wide.png", np.zeros((1700, 1800, 3), np.uint8))
    write(folder / "heavy.bmp", np.zeros((900, 900, 3), np.uint8))
    return folder


def tab(page: Any, task: str) -> None:
    page.get_by_role("tab", name=task, exact=True).click()


def upload(page: Any, task: str, path: Path) -> None:
    """Gives a picture in the tab of the task, in the place of the one before it."""
    tab(page, task)
    remove = page.locator(f"#{task}-picture").get_by_role("button", name="Remove Image")
    if remove.count():
        remove.click()
    page.locator(f"#{task}-picture input[type=file]").set_input_files(path)


def downloaded(page: Any, task: str, name: str, target: Path) -> Path:
    with page.expect_download() as waiting:
        page.locator(f"#{task}-files a[download='{name}']").click()
    waiting.value.save_as(target / name)
    return target / name


def test_a_picture_is_answered_and_nothing_leaves_this_machine(
    page: Any, served: Served, pictures: Path, tmp_path: Path
) -> None:
    assert served.url.startswith("http://127.0.0.1:")
    upload(page, "keypoints", pictures / "face.png")
    page.locator("#keypoints-overlay img").wait_for()
    line = json.loads(downloaded(page, "keypoints", "face.json", tmp_path).read_text())
    done = img2img("predict", "keypoints", "face.png", "--json", cwd=pictures)
    assert line == done.json
    shown = page.locator("#keypoints-json").inner_text()
    assert "".join(shown.split()).count('"keypoints"') == 3  # the task, its weights, the points
    overlay = read(downloaded(page, "keypoints", "face_overlay.png", tmp_path))
    assert overlay.shape == read(pictures / "face.png").shape
    assert (overlay != read(pictures / "face.png")).any()
    allowed = (served.url, "blob:", "data:")
    assert [url for url in page.asked if not url.startswith(allowed)] == []
    assert "img2img-demo" in str(served.folders)
    assert [*served.workplace.iterdir()] == []
    maps = Path(f"/proc/{served.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "libtorch" not in maps


def test_an_option_changes_the_answer(page: Any, pictures: Path, tmp_path: Path) -> None:
    upload(page, "keypoints", pictures / "face.png")
    page.locator("#keypoints-files a[download='face.json']").wait_for()
    box = page.locator("#keypoints-face_box textarea, #keypoints-face_box input")
    box.fill("40,40,280")
    box.press("Enter")
    alert = page.locator("#keypoints-problem").get_by_role("alert")
    alert.wait_for()
    assert "--face-box takes x0,y0,x1,y1" in alert.inner_text()
    box.fill("40,40,280,280")
    box.press("Enter")
    alert.wait_for(state="hidden")
    line = json.loads(downloaded(page, "keypoints", "face.json", tmp_path).read_text())
    assert line["faces"][0]["score"] == 1.0
    box.fill("")


def test_an_example_is_answered(page: Any) -> None:
    tab(page, "segmentation")
    page.locator("#tab-segmentation .gallery-item").first.click()
    page.locator("#segmentation-overlay img").wait_for()
    page.locator("#segmentation-answer img").wait_for()
    page.locator("#segmentation-files a[download='segmentation-1.json']").wait_for()


def test_a_camera_takes_the_picture(page: Any) -> None:
    tab(page, "xwing")
    camera = page.locator("#xwing-picture")
    camera.get_by_role("button", name="Capture from camera").click()
    camera.get_by_role("button", name="Click to Access Webcam").click()
    page.wait_for_function("[...document.querySelectorAll('video')].some(v => v.readyState === 4)")
    camera.get_by_role("button", name="capture photo").click()
    page.locator("#xwing-overlay img").wait_for()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cut.png", "cut.png is truncated: the PNG file ends before its picture."),
        ("<b>text.jpg", "text.jpg is not a picture."),
        ("wide.png", "wide.png has 1800×1700 pixels, and this page takes 2.8 megapixels at most"),
    ],
)
def test_what_cannot_be_answered_is_told(page: Any, pictures: Path, name: str, told: str) -> None:
    upload(page, "sobel", pictures / name)
    alert = page.locator("#sobel-problem").get_by_role("alert").filter(has_text=told)
    alert.wait_for()
    assert "Traceback" not in page.content()


def test_a_file_that_is_too_heavy_is_told(page: Any, pictures: Path) -> None:
    upload(page, "sobel", pictures / "heavy.bmp")
    page.get_by_text("exceed the maximum allowed size").first.wait_for()


# ---- what a visitor could try


def fetched(url: str, body: Any = None) -> tuple[int, str]:
    """(status, content) of an address."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


FILE = {"meta": {"_type": "gradio.FileData"}}
"""What a browser says beside the path of an upload."""


def asked_to_answer(served: Served, path: str, said: Any = FILE) -> str:
    """What the queue says where a visitor gives `path` as an upload in the tab of sobel."""
    _, config = fetched(f"{served.url}/config")
    calls = json.loads(config)["dependencies"]
    number = next(call["id"] for call in calls if call["api_name"] == "sobel")
    upload = {"path": path, "orig_name": "a.png"} | said
    visitor = f"visitor{abs(hash((path, str(said))))}"
    body = {"data": [upload], "fn_index": number, "session_hash": visitor}
    fetched(f"{served.url}/gradio_api/queue/join", body)
    hash_ = body["session_hash"]
    return fetched(f"{served.url}/gradio_api/queue/data?session_hash={hash_}")[1]


def test_files_of_this_machine_are_not_read(served: Served, pictures: Path) -> None:
    status, _ = fetched(f"{served.url}/gradio_api/file={pictures / 'face.png'}")
    assert status == 403
    told = asked_to_answer(served, str(pictures / "face.png"))
    assert "was not uploaded by a user" in told
    assert '"success":false' in told
    for said in ({}, {"meta": {"_type": "other"}}):
        for path in (str(pictures / "face.png"), "/etc/passwd", "http://example.org/a.png"):
            told = asked_to_answer(served, path, said)
            assert "this is no file that was uploaded to this page" in told


def test_addresses_are_not_fetched(served: Served) -> None:
    status, _ = fetched(f"{served.url}/gradio_api/file=http://example.org/a.png")
    assert status == 403
    assert "fetches nothing from elsewhere" in asked_to_answer(served, "http://example.org/a.png")


def test_an_interrupt_ends_it_quietly_and_leaves_nothing(served: Served, page: Any) -> None:
    """Comes last: the browser still holds the connections of its page."""
    before = served.err.read_text()
    served.process.send_signal(signal.SIGINT)
    out, _ = served.process.communicate(timeout=TIMEOUT_S)
    assert (served.process.returncode, out) == (0, "")
    assert served.err.read_text() == before
    assert served.folders == []
