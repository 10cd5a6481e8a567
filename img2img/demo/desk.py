"""A desk answers the pictures of one task: from an uploaded file to what the page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.data.images import decode, probe, read_bytes
from img2img.data.sample import Image
from img2img.demo.form import Field, fields_of
from img2img.errors import Img2ImgError, InputError, RunError, UsageError, WeightsError
from img2img.inference.lines import line_begun
from img2img.inference.predictor import Predictor, attach
from img2img.inference.session import Session, open_session, task_of
from img2img.inference.weights import find_weights
from img2img.registry import load_task, task_names
from img2img.tasks.base import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be uploaded: bytes of a file, pixels of a picture."""

    upload_mb: float = 20.0
    megapixels: float = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the page shows of one picture.

    `line` is the object of `predict --json`, whose `error` is None or says what is wrong. `overlay`
    is the result drawn over the picture, `picture` the result where it is one, `probabilities`
    {name: (H, W) in 0…1} what was asked for beside it.
    """

    line: dict[str, Any]
    overlay: Image | None = None
    picture: Image | None = None
    probabilities: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class Desk:
    """Answers pictures with the weights of one session, as `predict` does.

    Args:
        task: name of the task.
        session: the weights.
        limits: what is refused.
    """

    def __init__(self, task: str, session: Session, *, limits: Limits) -> None:
        self.name = task
        self.session = session
        self.limits = limits

    @property
    def about(self) -> str:
        """What the task does, in a sentence."""
        return next(iter((self.task().__doc__ or "").strip().splitlines()), "")

    @property
    def fields(self) -> list[Field]:
        """What may be asked beside a picture."""
        return fields_of(self.task().Questions)

    def task(self) -> Task[Any, Any]:
        """The task with the options of the weights; a new one, since asking changes it."""
        # Options may name Python code, which only the truth runs; no prediction asks for it.
        return task_of(self.session.card, self.name, allow_python=True)

    def answer(self, path: Path, name: str, asked: Mapping[str, Any]) -> Answer:
        """The answer to the picture in the file `path` that its owner calls `name`.

        Args:
            asked: {question: value} for `Task.ask`.
        """
        task = self.task()
        image = None
        try:
            predictor = self._asked(task, asked)
            image = self._read(path, name)
            result = self._result(predictor, image, path, name)
            line = line_begun(task, self.session, name, image=image, problem=None)
            return Answer(
                line=line | task.to_json(result),
                overlay=task.draw(image, result),
                picture=task.picture(result),
                probabilities=task.probabilities(result),
            )
        except Img2ImgError as error:
            problem = _without_folders(error, asked, path)
        except MemoryError:
            problem = f"{name}: out of memory."
        return Answer(line=line_begun(task, self.session, name, image=image, problem=problem))

    def _asked(self, task: Task[Any, Any], asked: Mapping[str, Any]) -> Predictor:
        """What answers with the task, which is asked."""
        task.ask(asked)
        attach(task, open_weights)
        return Predictor(task, self.session, outputs=task.result_outputs)

    def _result(self, predictor: Predictor, image: Image, path: Path, name: str) -> Any:
        try:
            result = predictor.run(image, path)
        except (InputError, RunError) as error:
            raise InputError(f"{name} cannot be answered: {error}") from None
        return predictor.task.next_in(name, result, is_video=False)

    def _read(self, path: Path, name: str) -> Image:
        data = read_bytes(path)
        most = self.limits.upload_mb
        if len(data) > most * 1e6:
            told = f"{len(data) / 1e6:.1f} MB, and this page takes {most:g} MB at most."
            raise InputError(f"{name} has {told}")
        # The header tells it of JPEG and PNG; what else is too large, OpenCV refuses to decode.
        height, width = probe(data, name)
        if height * width > self.limits.megapixels * 1e6:
            raise InputError(
                f"{name} has {width}×{height} pixels, and this page takes "
                f"{self.limits.megapixels:g} megapixels at most: make it smaller."
            )
        return decode(data, name)


@cache
def open_weights(task: str, path: str | None) -> Session:
    """The session of weights on ONNX Runtime, opened once; None: those that ship.

    Raises:
        WeightsError: there are none, or they have no .onnx file.
    """
    return open_session(find_weights(path, task), engine="onnx", device="cpu")


def open_desks(weights: Sequence[str], *, limits: Limits) -> tuple[list[Desk], dict[str, str]]:
    """(a desk for every task with weights, {task: why it has none}).

    Args:
        weights: used instead of those that ship; each tells its task.

    Raises:
        WeightsError: weights that cannot be used, or none at all.
        UsageError: two of them are of one task.
    """
    sessions: dict[str, Session] = {}
    for path in weights:
        session = open_weights("", path)
        if session.card.task in sessions:
            raise UsageError(
                f"--weights {path} are of the task {session.card.task}, as others before: give one."
            )
        sessions[session.card.task] = session
    desks, lacking = [], {}
    for task in dict.fromkeys([*task_names(), *sessions]):
        try:
            load_task(task)
            desk = Desk(task, sessions.get(task) or open_weights(task, None), limits=limits)
            desk.task()
        except (UsageError, WeightsError) as error:
            if task in sessions:
                raise
            lacking[task] = str(error)
        else:
            desks.append(desk)
    if not desks:
        raise WeightsError("no task has weights: train some and pass --weights.")
    return desks, lacking


def _without_folders(error: Img2ImgError, asked: Mapping[str, Any], path: Path) -> str:
    """What an error says, uploaded files by their names: their folders tell a visitor nothing."""
    problem = str(error)
    for file in (path, *(Path(value) for value in asked.values() if isinstance(value, str))):
        if file.is_absolute():
            problem = problem.replace(str(file), file.name)
    return problem
