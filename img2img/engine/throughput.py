"""What `predict` makes of many pictures: its pace beside a bare loop on ONNX Runtime, and the peak
of its memory on the way."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from img2img.data.images import write
from img2img.data.view import View
from img2img.engine.benchmark import PHOTO_SIZE, Figure, figure, photo_of
from img2img.errors import RunError, UsageError, WeightsError
from img2img.inference.session import open_session, task_of
from img2img.inference.weights import find_weights
from img2img.tasks.base import Task

_DISTINCT = 16
"""Pictures that are drawn; the others are the same files under other names."""
_SHARES = (25, 50, 75, 100)
"""Per cent of the pictures after which the peak of memory is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """How a process went over a folder: pictures a second, from its start to its end, and {per cent
    of the pictures: the peak of its memory until then in MiB}, where the system tells it."""

    pictures_per_s: float
    peaks_mib: dict[int, float] = field(default_factory=dict)


def bench_throughput(
    task: str, weights: str | None, *, repeats: int, n_pictures: int
) -> list[Figure]:
    """`predict --json` and a bare loop over the same 640×480 JPEG files, whole processes in turns.

    Raises:
        WeightsError: the weights cannot be used, or none ship for the task.
        UsageError: the task looks at a picture more than once, a bare loop does not.
    """
    files = find_weights(weights, task)
    if files.onnx is None:
        raise WeightsError(f"{files.name} has no .onnx file; run `img2img export` first.")
    card = open_session(files, engine="onnx").card
    loaded = task_of(card, task, allow_python=True)
    if type(loaded).answer is not Task.answer or loaded.companion:
        raise UsageError(f"{task} looks at a picture several times, which no bare loop does.")
    view = loaded.view(*PHOTO_SIZE)
    side = 0 if view == View.whole(*PHOTO_SIZE) else view.canvas_width
    with TemporaryDirectory(prefix="img2img-bench-") as folder:
        pictures = Path(folder) / "pictures"
        _draw(loaded, pictures, n_pictures)
        ours = ["-m", "img2img", "predict", task, str(pictures), "--json", "--engine", "onnx"]
        ours += ["--weights", str(Path(weights).resolve())] if weights is not None else []
        output = (loaded.result_outputs or tuple(card.outputs))[0]
        bare = ["-m", "img2img.inference.bare", str(files.onnx), str(pictures), str(side), output]
        pairs = [_pair(ours, bare, n_pictures, turn) for turn in range(repeats)]
    figures = [
        figure("ratio", [own.pictures_per_s / other.pictures_per_s for own, other in pairs]),
        figure("pictures_per_s", [own.pictures_per_s for own, _ in pairs]),
        figure("bare_pictures_per_s", [other.pictures_per_s for _, other in pairs]),
    ]
    for share in _SHARES:
        peaks = [own.peaks_mib[share] for own, _ in pairs if share in own.peaks_mib]
        figures += [figure(f"peak_at_{share}_percent_mib", peaks)] if peaks else []
    return figures


def _draw(task: Task[Any, Any], folder: Path, n_pictures: int) -> None:
    folder.mkdir()
    for number in range(n_pictures):
        path = folder / f"{number:06d}.jpg"
        if number < _DISTINCT:
            write(path, photo_of(task, seed=number))
        else:
            os.link(folder / f"{number % _DISTINCT:06d}.jpg", path)


def _pair(ours: list[str], bare: list[str], n_pictures: int, turn: int) -> tuple[Passage, Passage]:
    """What both did; in every other turn the second goes first."""
    order = (ours, bare) if turn % 2 == 0 else (bare, ours)
    first, second = (passage(arguments, n_pictures) for arguments in order)
    return (first, second) if turn % 2 == 0 else (second, first)


def passage(arguments: list[str], n_pictures: int) -> Passage:
    """What a Python process with these arguments does that prints a line a picture.

    Raises:
        RunError: it failed.
    """
    start = time.perf_counter()
    peaks: dict[int, float] = {}
    due = {max(1, n_pictures * share // 100): share for share in _SHARES}
    # Its talk goes to a file: a pipe that nobody reads yet would fill, and both would wait.
    with (
        TemporaryFile() as talk,
        subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=talk
        ) as process,
    ):
        assert process.stdout is not None
        n_lines = 0
        for n_lines, _ in enumerate(process.stdout, start=1):
            if n_lines in due and (peak := _peak_mib(process.pid)) is not None:
                # The kernel's figure can be some pages behind.
                peaks[due[n_lines]] = max([peak, *peaks.values()])
        process.wait()
        elapsed_s = time.perf_counter() - start
        talk.seek(0)
        told = talk.read().decode(errors="replace")
    if process.returncode or n_lines != n_pictures:
        raise RunError(f"`python {' '.join(arguments)}` failed: {told.strip()[-300:]}")
    return Passage(pictures_per_s=n_pictures / elapsed_s, peaks_mib=peaks)


def _peak_mib(process: int) -> float | None:
    """Greatest resident memory of a running process so far, where the system tells it."""
    try:
        rows = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kib = next((row.split()[1] for row in rows if row.startswith("VmHWM")), None)
    return None if kib is None else int(kib) / 1024
