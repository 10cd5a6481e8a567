"""The script that compares models: what a second call does again, and which photos it shows."""

import json
import runpy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from img2img.data.images import write

SCRIPT = Path(__file__).parents[2] / "examples" / "compare_models.py"
FIGURES = ("psnr", "ssim", "border_psnr", "border_ssim")


class Commands:
    """In the place of `img2img`: writes what it would, and is interrupted in the command that
    `stopped_in` names."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.stopped_in = ""

    def __call__(self, arguments: list[str]) -> dict[str, float]:
        given = dict(pairwise(arguments))
        self.ran.append(arguments[0])
        if arguments[0] == "train":
            Path(given["--out"]).mkdir(parents=True)  # refused if it is there
        if arguments[0] == self.stopped_in:
            raise KeyboardInterrupt
        if arguments[0] == "eval":
            metrics = {name: {"value": 1.0} for name in FIGURES}
            Path(given["--json"]).write_text(json.dumps({"metrics": metrics}), encoding="utf-8")
        return {"seconds": 9.0, "cpu_s": 8.0, "memory_mib": 7.0}


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def learn(script: dict[str, Any], tmp_path: Path) -> Callable[[Commands], dict[str, Any]]:
    """Calls the script's `learned` with other commands."""

    def call(commands: Commands) -> dict[str, Any]:
        learned = script["learned"]
        learned.__globals__.update(img2img=commands, speed=lambda run: {"ms": 1.0})
        facts: dict[str, Any] = learned(
            tmp_path / "out" / "sobel-unet", tmp_path, "sobel", "unet", [], "5m"
        )
        return facts

    return call


@pytest.mark.parametrize(
    ("stopped_in", "missing"), [("train", ["train", "eval"]), ("eval", ["eval"])]
)
def test_a_second_call_does_what_is_missing(
    stopped_in: str, missing: list[str], learn: Callable[[Commands], dict[str, Any]]
) -> None:
    commands = Commands()
    commands.stopped_in = stopped_in
    with pytest.raises(KeyboardInterrupt):
        learn(commands)
    commands = Commands()
    facts = learn(commands)
    assert commands.ran == missing
    assert facts == dict.fromkeys(FIGURES, 1.0) | {
        "seconds": 9.0, "cpu_s": 8.0, "memory_mib": 7.0, "ms": 1.0
    }  # fmt: skip
    commands = Commands()
    assert learn(commands) == facts
    assert commands.ran == []


def _photo(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(exist_ok=True)
    write(path, np.zeros((height, width, 3), np.uint8))


def test_small_photos_are_counted_and_not_shown(
    script: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _photo(tmp_path / "val" / "a.png", 127, 300)
    _photo(tmp_path / "val" / "b.png", 140, 128)
    assert script["shown"](tmp_path / "val").shape == (128, 128, 3)
    assert "1 of 2 photos" in capsys.readouterr().err


def test_photos_that_cannot_be_shown_are_told_in_a_sentence(
    script: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="PHOTOS needs train/ and val/"):
        script["shown"](tmp_path / "val")
    _photo(tmp_path / "val" / "a.png", 127, 300)
    with pytest.raises(SystemExit, match=r"none of the 1 photos .* 128 pixels"):
        script["shown"](tmp_path / "val")
