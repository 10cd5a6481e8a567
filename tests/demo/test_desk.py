"""A desk answers as `predict` does."""

import json
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support import img2img

from img2img import registry
from img2img.config import option
from img2img.data.images import read, write
from img2img.demo.desk import Desk, Limits, open_desks
from img2img.demo.examples import SIZE_PX, draw_examples
from img2img.demo.files import SHOWN_PX, write_answer
from img2img.errors import UsageError, WeightsError
from img2img.inference.session import open_session
from img2img.inference.weights import find_weights, shipped_folder
from img2img.tasks.sobel import Sobel

SHIPPED = [n for n in registry.task_names() if (shipped_folder() / f"{n}.onnx").is_file()]


def desk_of(task: str, limits: Limits | None = None) -> Desk:
    session = open_session(find_weights(None, task), engine="onnx", device="cpu")
    return Desk(task, session, limits=limits or Limits())


def predicted(task: str, name: str, *arguments: object, cwd: Path) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(img2img("predict", task, name, *arguments, cwd=cwd).out)
    return line


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an example picture of every task, NAME.png."""
    folder = tmp_path_factory.mktemp("pictures")
    for task in SHIPPED:
        first, *_ = draw_examples(desk_of(task).task(), folder)
        first.rename(folder / f"{task}.png")
    return folder


@pytest.mark.parametrize(
    ("task", "asked", "flags"),
    [
        *((task, {}, ()) for task in SHIPPED),
        ("keypoints", {"flip": False, "whole_image": True}, ("--no-flip", "--whole-image")),
        ("keypoints", {"face_box": "40,40,280,280"}, ("--face-box", "40,40,280,280")),
        ("keypoints", {"face_box": "900,900,950,950"}, ("--face-box", "900,900,950,950")),
        ("xwing", {"lasers": True}, ("--lasers", "--out", "lasers")),
    ],
)
def test_the_line_is_that_of_predict(
    task: str, asked: Mapping[str, Any], flags: tuple[str, ...], pictures: Path
) -> None:
    name = f"{task}.png"
    answer = desk_of(task).answer(pictures / name, name, asked)
    told = predicted(task, name, *flags, "--json", cwd=pictures)
    assert json.loads(json.dumps(answer.line)) == told
    assert list(answer.line) == list(told)
    assert (answer.overlay is None) == (told["error"] is not None)


@pytest.mark.parametrize("name", ["cut.png", "empty.png", "text.jpg"])
def test_a_broken_picture_is_told_as_predict_tells_it(
    name: str, pictures: Path, tmp_path: Path
) -> None:
    whole = (pictures / "sobel.png").read_bytes()
    content = {"cut.png": whole[: len(whole) // 2], "empty.png": b"", "text.jpg": b"no picture"}
    (tmp_path / name).write_bytes(content[name])
    answer = desk_of("sobel").answer(tmp_path / name, name, {})
    assert answer.line == predicted("sobel", name, "--json", cwd=tmp_path)
    assert str(answer.line["error"]).startswith(name)
    assert answer.overlay is answer.picture is None


@pytest.mark.parametrize(
    ("name", "limits", "told"),
    [
        ("wide.png", Limits(megapixels=0.01), "has 200×100 pixels, and this page takes 0.01 mega"),
        ("wide.webp", Limits(megapixels=0.01), "has 200×100 pixels"),
        ("wide.png", Limits(upload_mb=0.001), "MB, and this page takes 0.001 MB at most."),
    ],
)
def test_limits(name: str, limits: Limits, told: str, tmp_path: Path) -> None:
    write(tmp_path / name, np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8))
    line = desk_of("sobel", limits).answer(tmp_path / name, name, {}).line
    assert line["error"].startswith(f"{name} has ")
    assert told in line["error"]


def test_a_wrong_option_is_told_without_folders(pictures: Path, tmp_path: Path) -> None:
    camera = tmp_path / "lens.json"
    camera.write_text('{"fx": 3}')
    line = desk_of("xwing").answer(pictures / "xwing.png", "x.png", {"camera": str(camera)}).line
    assert "lens.json" in line["error"]
    assert str(tmp_path) not in line["error"]


def test_what_was_asked_is_forgotten(pictures: Path) -> None:
    desk = desk_of("keypoints")
    path = pictures / "keypoints.png"
    before = desk.answer(path, "k.png", {}).line
    assert desk.answer(path, "k.png", {"face_box": "40,40,280,280"}).line != before
    assert desk.answer(path, "k.png", {}).line == before


def test_files_to_download_have_the_size_of_the_picture(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, SHOWN_PX + 400, 3), np.uint8)
    write(tmp_path / "long.png", image)
    answer = desk_of("sobel").answer(tmp_path / "long.png", "long.png", {})
    (tmp_path / "out").mkdir()
    written = write_answer(answer, tmp_path / "out", "long")
    assert [Path(path).name for path in written.files] == [
        "long_overlay.png", "long.png", "long.json"]  # fmt: skip
    assert read(Path(written.files[0])).shape == image.shape
    assert read(Path(written.files[1])).shape == image.shape
    assert read(Path(str(written.overlay))).shape[1] == SHOWN_PX
    assert read(Path(str(written.picture))).shape[1] == SHOWN_PX
    assert json.loads(Path(written.files[2]).read_text()) == answer.line


def test_probabilities_that_were_asked_for_can_be_downloaded(
    pictures: Path, tmp_path: Path
) -> None:
    path = pictures / "segmentation.png"
    answer = desk_of("segmentation").answer(path, "s.png", {"probabilities": True})
    names = {Path(file).name for file in write_answer(answer, tmp_path, "s").files}
    assert {"s_egg.png", "s_pan.png"} <= names
    values = cv2.imread(str(tmp_path / "s_egg.png"), cv2.IMREAD_UNCHANGED)
    assert (values.dtype, values.shape) == (np.uint16, (SIZE_PX, SIZE_PX))


def test_every_shipped_task_draws_examples(pictures: Path) -> None:
    for task in SHIPPED:
        assert read(pictures / f"{task}.png").shape == (SIZE_PX, SIZE_PX, 3)


# ---- which desks there are


def test_tasks_without_weights_are_told() -> None:
    desks, lacking = open_desks([], limits=Limits())
    assert [desk.name for desk in desks] == SHIPPED
    assert set(lacking) == set(registry.task_names()) - set(SHIPPED)
    assert all("--weights" in reason for reason in lacking.values())


def test_two_weights_of_one_task_are_refused() -> None:
    path = str(shipped_folder() / "sobel.onnx")
    with pytest.raises(UsageError, match=r"task sobel"):
        open_desks([path, path], limits=Limits())


def test_weights_that_only_torch_runs_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"img2img export"):
        open_desks([str(shipped_folder() / "sobel.safetensors")], limits=Limits())


@dataclass(frozen=True, slots=True, kw_only=True)
class FifthQuestions:
    upside_down: bool = option(False, "Turn the picture first.")


class Fifth(Sobel):
    """A fifth task."""

    Questions = FifthQuestions

    def answer(self, image: Any, run: Any) -> Any:
        return super().answer(image[::-1] if self.asked.upside_down else image, run)


@pytest.fixture
def fifth_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Weights of a task that an outside package could bring along."""
    import onnx

    module: Any = types.ModuleType("fifth_task")
    module.Fifth = Fifth
    monkeypatch.setitem(sys.modules, "fifth_task", module)
    monkeypatch.setitem(registry.TASKS, "fifth", "fifth_task:Fifth")
    model = onnx.load(str(shipped_folder() / "sobel.onnx"))
    for entry in model.metadata_props:
        if entry.key == "img2img":
            entry.value = json.dumps(json.loads(entry.value) | {"task": "fifth"})
    path = tmp_path / "fifth.onnx"
    onnx.save(model, str(path))
    return str(path)


def test_a_fifth_task_gets_its_desk_with_no_code(fifth_weights: str, pictures: Path) -> None:
    desks, _ = open_desks([fifth_weights], limits=Limits())
    desk = next(desk for desk in desks if desk.name == "fifth")
    assert (desk.about, [field.name for field in desk.fields]) == ("A fifth task.", ["upside_down"])
    path = pictures / "sobel.png"
    turned = desk.answer(path, "a.png", {"upside_down": True})
    plain = desk.answer(path, "a.png", {})
    assert turned.line["error"] is None
    assert turned.picture is not None
    assert plain.picture is not None
    np.testing.assert_allclose(turned.picture[::-1].astype(int), plain.picture, atol=1)
