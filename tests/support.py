"""The command line as users meet it: a real process, its two streams and exit code."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=pytest.fail)


def img2img(
    *arguments: object, cwd: Path, env: dict[str, str] | None = None, stdin: bytes = b""
) -> Outcome:
    """Runs the command in `cwd`; `raw` holds the bytes of stdout."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (env or {})
    done = subprocess.run(
        [sys.executable, "-m", "img2img", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, input=stdin, timeout=120, check=False,
    )  # fmt: skip
    err = done.stderr.decode()
    assert "Traceback" not in err
    return Outcome(done.returncode, done.stdout.decode(errors="replace"), err, done.stdout)


def sentence(outcome: Outcome) -> str:
    """The one line on stderr of a command that failed with nothing on stdout."""
    assert outcome.out == ""
    assert outcome.err.startswith("img2img: ")
    assert outcome.err.count("\n") == 1
    return outcome.err
