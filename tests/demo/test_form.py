"""The questions of a task as fields of a form."""

from dataclasses import dataclass
from typing import Literal

import pytest

from img2img.config import option
from img2img.demo.form import Field, fields_of, given
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
