"""What the page asks beside a picture: the questions of a task, as fields of a form."""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from img2img.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One question: a switch, a choice, a line of text, or a file to upload."""

    name: str
    help: str
    kind: Literal["switch", "choice", "text", "file"]
    default: Any = None
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ").capitalize()


def fields_of(questions: type) -> list[Field]:
    """The fields for the dataclass `Task.Questions`."""
    hints = get_type_hints(questions)
    made = (_field(entry, hints[entry.name]) for entry in dataclasses.fields(questions))
    return [field for field in made if field is not None]


def given(fields: Sequence[Field], values: Sequence[Any]) -> Mapping[str, Any]:
    """{question: value} of what was filled in, for `Task.ask`."""
    filled = zip(fields, values, strict=True)
    return {field.name: value for field, value in filled if value not in (None, "")}


def uploaded_file(upload: Any, folder: Path) -> Path:
    """The file that Gradio says was uploaded, its links followed.

    Gradio compares paths with its folder only where the visitor's browser called them files.

    Raises:
        InputError: it is no file in `folder`.
    """
    try:
        path = Path(upload["path"]).resolve()
        is_uploaded = path.is_relative_to(folder.resolve()) and path.is_file()
    except (TypeError, KeyError, ValueError, OSError):
        is_uploaded = False
    if not is_uploaded:
        raise InputError("this is no file that was uploaded to this page: give it once more.")
    return path


def _field(entry: "dataclasses.Field[Any]", hint: Any) -> Field | None:
    told = {"name": entry.name, "help": entry.metadata.get("help", "")}
    if not entry.metadata.get("on_page", True):
        return None
    if entry.metadata.get("local"):
        return Field(kind="file", **told)
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(arm for arm in get_args(hint) if arm is not type(None))
    if hint is bool:
        return Field(kind="switch", default=entry.default, **told)
    if get_origin(hint) is Literal:
        choices = tuple(map(str, get_args(hint)))
        return Field(kind="choice", default=str(entry.default), choices=choices, **told)
    if hint in (int, float) or (get_origin(hint) is tuple and get_args(hint)[0] in (int, float)):
        return Field(kind="text", default=_as_text(entry.default), **told)
    return None  # a text might name a file of this machine, which visitors shall not read


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
