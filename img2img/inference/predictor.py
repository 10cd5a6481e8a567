"""From a picture to a result: command → `Predictor.run` → session → `Task.result`."""

from collections.abc import Callable, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data.sample import Image, Sample
from img2img.data.view import View
from img2img.inference.session import Session, answered, task_of
from img2img.inference.tiling import run_blended, run_exact
from img2img.tasks.base import Arrays, Task

AUTO_TILE = 1024
"""Side of the tiles of pictures that are tiled without being asked to."""
_UNTILED_PX = 2048 * 2048


def attach(task: Task[Any, Any], open_weights: Callable[[str, str | None], Session]) -> None:
    """Lets the task's companion look at pictures first, where what the task is asked needs that.

    Args:
        task: has been asked.
        open_weights: the session of weights, given by task and path; None: those that ship.
    """
    if not task.wants_first_look:
        return
    session = open_weights(task.companion, task.companion_weights)
    companion = task_of(session.card, task.companion)
    companion.ask(task.companion_questions)
    task.first_look = Predictor(companion, session, outputs=companion.result_outputs).run


class Predictor:
    """Answers pictures with one task and one session.

    Args:
        task: reads the network's outputs.
        session: runs the network.
        tile: side of the tiles in pixels, of the picture itself even where the task would shrink
            it; None tiles what the network would see above 4 megapixels; 0 never.
        outputs: outputs to compute; empty: all of them.
    """

    def __init__(
        self,
        task: Task[Any, Any],
        session: Session,
        *,
        tile: int | None = None,
        outputs: tuple[str, ...] = (),
    ) -> None:
        self.task = task
        self.session = session
        self.tile = tile
        self.outputs = outputs
        self.seam_difference = 0.0
        """Greatest difference between blended tiles so far, in units of the output."""

    def run(self, image: Image, path: Path | None = None, *, sequence: str = "") -> Any:
        """The task's result for a picture (H, W, 3) uint8 RGB, in original pixels; `sequence` as
        `Task.next_in` is told it.

        Raises:
            InputError: what the task reads beside the file `path` is unusable.
        """
        height, width = image.shape[:2]
        if self.tile and self._side(height, width):
            return self.task.result(self._network(image), View.whole(height, width))
        return self.task.answer_file(path, image, self._network, sequence=sequence)

    def run_sample(self, sample: Sample) -> Any:
        """The task's result for a sample that is measured, in original pixels; samples of a folder
        come in order where the task goes in order."""
        height, width = sample.image.shape[:2]
        if self.tile and self._side(height, width):
            return self.run(sample.image)
        result = self.task.answer_sample(sample, self._network)
        return self.task.next_in(str(Path(sample.id).parent), result, is_video=False)

    def run_batch(
        self,
        images: list[Image],
        paths: Sequence[Path | None] | None = None,
        sequences: Sequence[str] | None = None,
    ) -> list[Any]:
        """Results of several pictures, their files and sequences, if they have some; in one call of
        the network where their shapes allow."""
        task = self.task
        views = [task.view(*image.shape[:2]) for image in images]
        canvases = {(view.canvas_height, view.canvas_width) for view in views}
        looks_once = type(task).answer is Task.answer
        tiled = self.tile and any(self._side(*image.shape[:2]) for image in images)
        if (
            tiled
            or len(images) == 1
            or len(canvases) > 1
            or not looks_once
            or self._side(*canvases.pop())
        ):
            given = zip(images, paths or repeat(None), sequences or repeat(""), strict=False)
            return [self.run(image, path, sequence=sequence) for image, path, sequence in given]
        stack = np.stack([view.apply(image) for view, image in zip(views, images, strict=True)])
        decoded = self.session(stack, self.outputs)
        return [
            task.result({name: array[i] for name, array in decoded.items()}, view)
            for i, view in enumerate(views)
        ]

    def _network(self, image: Image) -> Arrays:
        card = self.session.card
        side = 0 if image.ndim == 4 else self._side(*image.shape[:2])
        if not side:
            return self._whole(image)
        if card.halo_px is not None:
            return run_exact(
                self._whole, image, tile=side, halo_px=card.halo_px, stride=card.stride
            )
        output = self.task.map_outputs[0]
        blended, worst = run_blended(self._whole_output, image, output, tile=side,
                                     stride=card.stride)  # fmt: skip
        self.seam_difference = max(self.seam_difference, worst)
        return self.task.discretise(blended)

    def _side(self, height: int, width: int) -> int:
        """Side of the tiles for a picture of that size, or 0 for none."""
        if not self.task.map_outputs:
            return 0
        if self.tile is None:
            return AUTO_TILE if height * width > _UNTILED_PX else 0
        return self.tile if max(height, width) > self.tile else 0

    def _whole(self, image: Image) -> Arrays:
        return answered(self.session, image, self.outputs)

    def _whole_output(self, image: Image) -> Arrays:
        return answered(self.session, image, self.task.map_outputs[:1])
