"""Example pictures of our own making: what the tasks' generators draw."""

from pathlib import Path
from typing import Any

from img2img.data.images import write
from img2img.errors import DataError
from img2img.tasks.base import Task

SIZE_PX = 320
SEED = 30
"""Chosen by eye: its pictures show what each task is about."""


def draw_examples(task: Task[Any, Any], folder: Path) -> list[Path]:
    """Two pictures that the task generates, written to `folder`; none if it generates none."""
    try:
        # A test part has an eighth of the number of training samples.
        samples = task.generate(16, size=SIZE_PX, seed=SEED)["test"]
    except DataError:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{task.name}-{index + 1}.png" for index in range(len(samples))]
    for path, sample in zip(paths, samples, strict=True):
        write(path, sample.image)
    return paths
