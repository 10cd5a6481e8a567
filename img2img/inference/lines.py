"""What is told of every answered picture, whatever the task: a line of `predict --json`."""

from typing import Any

from img2img.data.sample import Image
from img2img.inference.session import Session
from img2img.tasks.base import Task


def line_begun(
    task: Task[Any, Any], session: Session, name: str, *, image: Image | None, problem: str | None
) -> dict[str, Any]:
    """The JSON object of a picture without its result: what every task's lines begin with.

    Args:
        name: of the input, as its owner calls it.
        image: None where it could not be read.
        problem: why there is no result; None: there is one.
    """
    return {
        "input": name,
        "frame": None,
        "width": None if image is None else int(image.shape[1]),
        "height": None if image is None else int(image.shape[0]),
        "task": task.name,
        "weights": {"name": session.name, "sha256": session.sha256},
        "error": problem,
        task.output_key: None,
    }
