"""Flags of options: what the shell completes; and what the door says of the system's errors."""

import errno
from pathlib import Path
from typing import Any

import pytest
import typer
from support import img2img
from typer.main import get_command

from img2img.cli import app as door
from img2img.cli.options import with_option_flags
from img2img.registry import model_names


def _completions(flag: str, incomplete: str) -> list[str]:
    app = typer.Typer()
    app.command()(with_option_flags(lambda *, flags: None))
    command: Any = get_command(app)
    found = next(parameter for parameter in command.params if flag in parameter.opts)
    context = command.context_class(command)
    return [item.value for item in found.shell_complete(context, incomplete)]


def test_model_names_complete_the_model_and_nothing_else() -> None:
    assert _completions("--model", "") == model_names()
    assert _completions("--model", "fi") == ["filternet"]
    assert _completions("--name", "") == []


def test_choices_complete_their_flag() -> None:
    assert _completions("--schedule", "co") == ["constant", "cosine"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "/x: Permission denied."),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("cannot load it"), "OSError: cannot load it"),
        (OSError(errno.EXDEV, "Cross-device link", "a", None, "b"), "a -> b: Cross-device link."),
    ],
)
def test_errors_of_the_system_are_told_in_one_sentence(
    error: OSError, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door._explain(error) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"img2img: {sentence}")
    assert told.count("\n") == 1
    assert "a bug of ours" not in told


def test_a_folder_that_may_not_be_made_is_no_bug(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "run"
    done = img2img("train", "sobel", "--steps", 1, "--device", "cpu", "--out", out, cwd=tmp_path)
    assert done.code == 1
    assert str(tmp_path / "file") in done.err
    assert "a bug of ours" not in done.err
