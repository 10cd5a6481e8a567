"""Exports the weights that ship in every form, and measures each as the gate of `export` does: a
table of what a form keeps of the task's metric, how large it is and how long its network takes for
one picture. What is done already is not done again.

Usage: export_forms.py [OUT] [--tasks sobel segmentation keypoints xwing] [--tolerance 0.005]
"""

import argparse
import json
import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from img2img.cli.export import calibration, loaded, validation
from img2img.cli.measuring import splits_of
from img2img.data.sample import Image
from img2img.errors import RunError
from img2img.inference.compression import export_form, files_of, open_form
from img2img.inference.export import best_metric, judge
from img2img.inference.session import Session, task_of
from img2img.inference.torch_session import TorchSession
from img2img.inference.weights import find_weights

TASKS = ("sobel", "segmentation", "keypoints", "xwing")
FORMS = {
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


def measured(task: str, file: Path, *, tolerance: float) -> list[dict[str, Any]]:
    """The task's rows, torch first; `file` holds those that were measured before."""
    rows: list[dict[str, Any]] = json.loads(file.read_text()) if file.is_file() else []
    missing = [form for form in ("torch", *FORMS) if form not in {row["form"] for row in rows}]
    if not missing:
        return rows
    network, card = loaded(task, None)
    adapter = task_of(card, task)
    splits = splits_of(adapter, card, data=None, download=False, folded=True)
    samples, pictures = validation(splits), calibration(adapter, splits, N_CALIBRATION)
    for form in missing:
        row: dict[str, Any] = {"task": task, "metric": adapter.best.metric, "form": form}
        row |= {"n": len(samples), "size": pictures[0].shape[:2], "tolerance": tolerance}
        with TemporaryDirectory() as folder:
            try:
                if form == "torch":
                    shipped = find_weights(None, task).safetensors
                    files = [shipped] if shipped is not None else []
                    session: Session = TorchSession(network, torch.device("cpu"), card, name=task)
                else:
                    numbers, suffix = FORMS[form]
                    path = Path(folder) / f"{task}{suffix}"
                    export_form(network, card, path, numbers=numbers, pictures=pictures)  # type: ignore[arg-type]
                    files, session = files_of(path), open_form(path)
                row["value"] = best_metric(adapter, session, samples)
                row["n_bytes"] = sum(entry.stat().st_size for entry in files)
                row["ms"] = cpu_ms(session, pictures[0])
                reference = rows[0]["value"] if rows else row["value"]
                row["passed"] = judge(
                    adapter, reference, row["value"], n=len(samples), tolerance=tolerance
                ).passed
            except RunError as error:
                row["error"] = str(error)
        rows.append(row)
        file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return rows


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
