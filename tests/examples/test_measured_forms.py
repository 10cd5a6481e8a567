"""The script that measures every form of the weights that ship."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "export_forms.py"


class Figures:
    """In the place of what measures a form: every one has the value 1."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float | None]] = []

    def __call__(
        self, _: object, form: str, *, reference: float | None, tolerance: float
    ) -> dict[str, float]:
        self.asked.append((form, reference))
        return {"value": 1.0}


def test_what_is_measured_again(tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    measured, figures, file = script["measured"], Figures(), tmp_path / "sobel.json"
    shipped: Any = type("Shipped", (), {"of": staticmethod(str)})
    measured.__globals__.update(_figures=figures, Shipped=shipped)
    every = [("torch", None), *((form, 1.0) for form in script["FORMS"])]
    rows = measured("sobel", file, tolerance=0.005)
    assert figures.asked == every
    assert measured("sobel", file, tolerance=0.005) == rows == json.loads(file.read_text())
    assert figures.asked == every

    file.write_text(json.dumps(rows[:-2]))
    assert measured("sobel", file, tolerance=0.005) == rows
    assert figures.asked == [*every, *every[-2:]]

    figures.asked.clear()
    assert {row["tolerance"] for row in measured("sobel", file, tolerance=0.01)} == {0.01}
    assert figures.asked == every


@pytest.mark.slow
def test_every_form_of_a_task_has_its_row(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "--tasks", "sobel"], check=True, capture_output=True,
        timeout=600, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    rows = json.loads((tmp_path / "sobel.json").read_text())
    exact = {row["form"] for row in rows if row["passed"]}
    assert {"torch", "ONNX", "OpenVINO", "torch.export"} <= exact
    for row in rows:
        assert 0 < row["value"] <= rows[0]["value"] == 100
        assert min(row["n_bytes"], row["ms"], row["n"]) > 0
    assert (tmp_path / "table.md").read_text().count("\n") == 2 + len(rows)
