"""Curves of a task: as files, and in the page beside those of the baselines."""

import csv
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.inference.evaluate import Evaluation, Measurement, collect, measure_rows
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session, task_of
from img2img.inference.weights import find_weights
from img2img.report import sections
from img2img.report.evaluation import write_evaluation
from img2img.tasks.base import Curve
from img2img.tasks.sobel import Sobel


def _curve(*y: float) -> Curve:
    return Curve(
        about="Shares of <pictures>.",
        x_label="error, levels",
        y_label="share",
        x=np.linspace(0, 0.3, len(y)),
        y=np.array(y, np.float64),
    )


def _curves(task: Sobel, rows: Mapping[str, Any], weights: Any) -> Mapping[str, Curve]:
    assert weights.sum() == 2
    assert all(len(column) == 2 for column in rows.values())
    return {"cumulative_error": _curve(0, 0.5, np.nan, 1), "over/all": _curve(0, 1)}


@pytest.fixture
def measurement() -> Measurement:
    """Two generated pictures answered by the shipped Sobel filter, and a baseline."""
    session = open_session(find_weights(None, "sobel"), engine="onnx", device="cpu")
    task = task_of(session.card, "sobel")
    predictor = Predictor(task, session)
    samples = task.splits(DataOptions(n_generated=2)).parts["test"].subset([0, 1])

    def measured() -> Evaluation:
        return collect(measure_rows(task, predictor.run_sample, samples, range(2)))

    return Measurement(
        predictor=predictor, data="generated", part="test", samples=samples,
        evaluation=measured(), baselines={"mean_face": measured()},
    )  # fmt: skip


def _written(measurement: Measurement, out: Path) -> str:
    outcome = {**measurement.to_json(), "thresholds": []}
    write_evaluation(out, measurement, outcome, n_worst=0)
    return (out / "report.html").read_text(encoding="utf-8")


def test_curves_are_files_and_lines_of_the_page(
    measurement: Measurement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sobel, "curves", _curves)
    page = _written(measurement, tmp_path)
    files = sorted(path.name for path in (tmp_path / "curves").iterdir())
    assert files[0] == "cumulative_error.csv"
    assert files[1].startswith("over-all-")
    with (tmp_path / "curves" / files[0]).open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines == [["error, levels", "share"], ["0", "0"], ["0.1", "0.5"], ["0.2", "nan"],
                     ["0.3", "1"]]  # fmt: skip
    assert page.count("<svg") == 2
    assert "<h3>Cumulative error</h3>" in page
    assert "Shares of &lt;pictures&gt;." in page
    assert {"network", "mean face", "share", "error, levels"} <= set(_texts(page))


def test_without_curves_there_is_no_folder(measurement: Measurement, tmp_path: Path) -> None:
    page = _written(measurement, tmp_path)
    assert "<svg" not in page
    assert not (tmp_path / "curves").exists()


def test_a_curve_of_nothing_is_not_drawn() -> None:
    assert sections.curved("empty", {"network": _curve(np.nan, np.nan)}) == ""


def _texts(page: str) -> list[str]:
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            found.append(data)

    Reader().feed(page)
    return found
