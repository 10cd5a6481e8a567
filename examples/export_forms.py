"""Exports the weights that ship in every form, and measures each as the gate of `export` does: a
table of what a form keeps of the task's metric, how large it is and how long its network takes for
one picture. What is done already is not done again.

Usage: export_forms.py [OUT] [--tasks sobel segmentation keypoints xwing] [--tolerance 0.005]
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch

from img2img.cli.export import calibration, loaded, validation
from img2img.cli.measuring import splits_of
from img2img.data.sample import Dataset, Image
from img2img.errors import RunError
from img2img.inference.compression import Numbers, export_form, files_of, open_form
from img2img.inference.export import best_metric, judge
from img2img.inference.session import Session, task_of
from img2img.inference.torch_session import TorchSession
from img2img.inference.weights import Card, find_weights
from img2img.models.network import Network
from img2img.tasks.base import Task

TASKS = ("sobel", "segmentation", "keypoints", "xwing")
FORMS: dict[str, tuple[Numbers, str]] = {
    "ONNX": ("fp32", ".onnx"),
    "ONNX, weights in fp16": ("fp16", ".onnx"),
    "ONNX, weights in int8": ("int8-weights", ".onnx"),
    "ONNX, int8": ("int8", ".onnx"),
    "OpenVINO": ("fp32", ".xml"),
    "OpenVINO, weights in fp16": ("fp16", ".xml"),
    "OpenVINO, int8": ("int8", ".xml"),
    "torch.export": ("fp32", ".pt2"),
}
N_CALIBRATION = 64


def main() -> None:
    """Measures what is missing, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/export-forms"))
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--tolerance", type=float, default=0.005)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    on_one_core()
    rows = []
    for task in given.tasks:
        rows += measured(task, given.out / f"{task}.json", tolerance=given.tolerance)
    table = as_markdown(rows)
    (given.out / "table.md").write_text(table, encoding="utf-8")
    print(table)


def on_one_core() -> None:
    """Every engine computes on one thread from here on."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """The weights that ship for a task, and what a form of them is measured on."""

    task: Task[Any, Any]
    network: Network
    card: Card
    samples: Dataset
    pictures: list[Image]

    @classmethod
    def of(cls, name: str) -> Self:
        network, card = loaded(name, None)
        task = task_of(card, name)
        splits = splits_of(task, card, data=None, download=False, folded=True)
        return cls(
            task=task, network=network, card=card, samples=validation(splits),
            pictures=calibration(task, splits, N_CALIBRATION),
        )  # fmt: skip

    def opened(self, form: str, folder: Path) -> tuple[list[Path], Session]:
        """The files of a form, and what runs them.

        Raises:
            RunError: the network cannot take that form.
        """
        name = self.task.name
        if form == "torch":
            file = find_weights(None, name).safetensors
            session = TorchSession(self.network, torch.device("cpu"), self.card, name=name)
            return [file] if file is not None else [], session
        numbers, suffix = FORMS[form]
        path = folder / f"{name}{suffix}"
        export_form(self.network, self.card, path, numbers=numbers, pictures=self.pictures)
        return files_of(path), open_form(path)


def measured(task: str, file: Path, *, tolerance: float) -> list[dict[str, Any]]:
    """The task's rows, torch first; `file` holds those measured before, of which those that were
    judged by another tolerance are measured again."""
    kept: list[dict[str, Any]] = json.loads(file.read_text()) if file.is_file() else []
    rows = [row for row in kept if row["tolerance"] == tolerance]
    missing = [form for form in ("torch", *FORMS) if form not in {row["form"] for row in rows}]
    if not missing:
        return rows
    shipped = Shipped.of(task)
    for form in missing:
        reference = rows[0]["value"] if rows else None
        row = {"task": task, "form": form, "tolerance": tolerance}
        rows.append(row | _figures(shipped, form, reference=reference, tolerance=tolerance))
        file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return rows


def _figures(
    shipped: Shipped, form: str, *, reference: float | None, tolerance: float
) -> dict[str, Any]:
    """What a row says of a form, or why there is none; without a `reference` it is its own."""
    task, samples, picture = shipped.task, shipped.samples, shipped.pictures[0]
    row: dict[str, Any] = {"metric": task.best.metric, "n": len(samples), "size": picture.shape[:2]}
    with TemporaryDirectory() as folder:
        try:
            files, session = shipped.opened(form, Path(folder))
            value = best_metric(task, session, samples)
            reference = value if reference is None else reference
            verdict = judge(task, reference, value, n=len(samples), tolerance=tolerance)
            row |= {"value": value, "n_bytes": sum(file.stat().st_size for file in files)}
            return row | {"ms": cpu_ms(session, picture), "passed": verdict.passed}
        except RunError as error:
            return row | {"error": str(error)}


def cpu_ms(session: Session, picture: Image, *, n: int = 15) -> float:
    """Milliseconds of CPU for one picture, the median of `n`: what others compute on the same core
    lengthens the time, and hardly this."""
    batch = np.ascontiguousarray(picture[None])
    session(batch)
    times = []
    for _ in range(n):
        started = time.process_time()
        session(batch)
        times.append(time.process_time() - started)
    return 1e3 * median(times)


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The table."""
    head = ["task", "form", "metric", "torch", "this form", "MB", "ms", "gate"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        if row["form"] == "torch":
            ours = row["value"]
        cells = [row["task"], row["form"], f"`{row['metric']}`", f"{ours:.4g}"]
        if "error" in row:
            cells += ["–", "–", "–", row["error"]]
        else:
            verdict = "passed" if row["passed"] else "**failed**"
            cells += [f"{row['value']:.4g}", f"{row['n_bytes'] / 1e6:.3g}", f"{row['ms']:.3g}",
                      "the measure" if row["form"] == "torch" else verdict]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
