"""The questions of a task as fields of a form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from img2img.config import option
from img2img.demo.form import Field, fields_of, given, uploaded_file
from img2img.demo.page import _Tab
from img2img.errors import InputError
from img2img.registry import load_task, task_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    loud: bool = option(True, "Say it loud.")
    manner: Literal["plain", "bold"] = option("plain", "How.")
    times: int | None = option(None, "How often.")
    box: tuple[float, ...] = option((1.5, 2.0), "Where.")
    path: str | None = option(None, "A file of this machine.")
    names: tuple[str, ...] = option((), "More of them.")
    camera: str | None = option(None, "A file of the visitor's.", local=True)
    smooth: Literal["none", "filter"] = option("none", "Of frames.", on_page=False)
    weights: str | None = option(None, "A file of its owner's.", local=True, on_page=False)


def test_every_question_gets_the_field_that_fits() -> None:
    assert fields_of(Questions) == [
        Field(name="loud", help="Say it loud.", kind="switch", default=True),
        Field(name="manner", help="How.", kind="choice", default="plain",
              choices=("plain", "bold")),
        Field(name="times", help="How often.", kind="text", default=""),
        Field(name="box", help="Where.", kind="text", default="1.5,2.0"),
        Field(name="camera", help="A file of the visitor's.", kind="file"),
    ]  # fmt: skip


def test_what_is_left_empty_is_not_asked() -> None:
    fields = fields_of(Questions)
    asked = given(fields, [False, "bold", "", "3,4", None])
    assert asked == {"loud": False, "manner": "bold", "box": "3,4"}


@pytest.mark.parametrize("name", task_names())
def test_untouched_fields_ask_what_is_asked_by_default(name: str) -> None:
    kind = load_task(name)
    task = kind(kind.Options())
    fields = fields_of(kind.Questions)
    task.ask(given(fields, [field.default for field in fields]))
    assert task.asked == kind.Questions()


def test_the_label_is_the_name_in_words() -> None:
    assert Field(name="face_box", help="", kind="text").label == "Face box"


# ---- uploads


def test_an_upload_is_a_file_of_the_folder_of_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    (folder / "ab12").mkdir(parents=True)
    (folder / "ab12" / "a.png").touch()
    (tmp_path / "private.png").touch()
    (folder / "link.png").symlink_to(tmp_path / "private.png")
    assert uploaded_file({"path": str(folder / "ab12" / "a.png")}, folder).name == "a.png"
    outside = [tmp_path / "private.png", folder / ".." / "private.png", folder / "link.png",
               folder, folder / "gone.png", "http://h/a.png", "a\0.png", 7, {}, None]  # fmt: skip
    for path in outside:
        with pytest.raises(InputError, match="this is no file that was uploaded to this page"):
            uploaded_file({"path": path if isinstance(path, int | dict) else str(path)}, folder)
    for upload in (str(folder / "ab12" / "a.png"), ["path"], {}, 7):
        with pytest.raises(InputError, match="uploaded"):
            uploaded_file(upload, folder)


class _Gradio:
    @staticmethod
    def update(**told: Any) -> dict[str, Any]:
        return told


class _Desk:
    """Fails where it is asked about anything."""

    fields = (Field(name="camera", help="", kind="file"),)


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}, {"meta": "other"}])
def test_the_page_reads_no_other_file(meta: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "a.png").touch()
    (tmp_path / "private.png").touch()
    tab = _Tab(_Gradio, _Desk(), folder)  # type: ignore[arg-type]
    private = {"path": str(tmp_path / "private.png"), "orig_name": "a.png"} | meta
    own = {"path": str(folder / "a.png")} | meta
    for upload, camera in ((private, None), (own, private), (own, private["path"])):
        problem, *rest = tab._answer(upload, camera)
        assert "uploaded to this page" in problem["value"]
        assert [each for each in rest if each and each["value"]] == []
