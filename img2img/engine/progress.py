"""How far a training is: its state, its budget, and the interval that the next log row tells of."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from img2img.config import TrainOptions
from img2img.option_values import parse_duration_s
from img2img.vision.adversarial import CollapseWatch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a training came; everything of it that is not a tensor."""

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    elapsed_s: float = 0.0
    best: float | None = None
    best_step: int = 0
    bad_validations: int = 0
    plateau_factor: float = 1.0
    plateau_bad: int = 0
    micro_batch: int = 0
    validated_step: int = -1
    loss_scale: dict[str, Any] | None = None
    polished: bool = False
    n_rows: int = 0
    collapse: CollapseWatch = field(default_factory=CollapseWatch)

    def __post_init__(self) -> None:
        from_json: Any = self.collapse
        if isinstance(from_json, dict):
            self.collapse = CollapseWatch(**from_json)

    def validated(self, options: TrainOptions, value: float | None, *, better: bool) -> None:
        """Takes in what a validation found; on a plateau the learning rate falls to a tenth."""
        if better:
            self.best, self.best_step = value, self.step
            self.bad_validations = self.plateau_bad = 0
            return
        self.bad_validations += 1
        self.plateau_bad += 1
        if options.schedule == "plateau" and self.plateau_bad > options.plateau_patience:
            self.plateau_factor /= 10
            self.plateau_bad = 0

    def look(self, losses: dict[str, float]) -> str | None:
        """A sentence where the row of means shows that two networks no longer learn from each
        other."""
        if "discriminator" not in losses:
            return None
        return self.collapse.look(
            accuracy=losses["discriminator_accuracy"],
            gan_loss=losses["gan"],
            spread=losses["spread"],
        )


class Budget:
    """When a training ends: epochs, steps, time or no more gain, whatever is first.

    Args:
        options: the limits.
        steps_per_epoch: optimiser steps of an epoch.
    """

    def __init__(self, options: TrainOptions, steps_per_epoch: int) -> None:
        self._options = options
        self._steps_per_epoch = steps_per_epoch
        self.max_time_s = parse_duration_s(options.max_time) if options.max_time else math.inf

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole budget; None if only time limits it."""
        by_epochs = (self._options.epochs or 0) * self._steps_per_epoch or None
        limits = [limit for limit in (self._options.steps, by_epochs) if limit is not None]
        return min(limits, default=None)

    def share_used(self, progress: Progress, elapsed_s: float) -> float:
        """Share of the budget used, 0…1, by steps or by time, whichever is further."""
        total = self.total_steps
        by_steps = progress.step / total if total else 0.0
        return min(1.0, max(by_steps, elapsed_s / self.max_time_s))

    def reached(self, progress: Progress, elapsed_s: float) -> str | None:
        """The limit that ends the training now, if one does."""
        options, patience = self._options, self._options.early_stopping
        limits = {
            "epochs": progress.epoch >= (options.epochs or math.inf),
            "steps": progress.step >= (options.steps or math.inf),
            "time": elapsed_s >= self.max_time_s,
            "early stopping": patience is not None and progress.bad_validations >= patience,
        }
        return next((reason for reason, is_reached in limits.items() if is_reached), None)


class Window:
    """Sums over the steps since the last row of the log; nothing in it waits for the device."""

    def __init__(self) -> None:
        self.reset()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the window was opened."""
        return time.perf_counter() - self._started_at_s

    def add(self, losses: "dict[str, Tensor]") -> None:
        """Counts one step with its detached losses."""
        self.n_steps += 1
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0) + loss

    def losses(self) -> dict[str, float]:
        """Mean losses; waits for the device."""
        return {name: float(total) / self.n_steps for name, total in self._sums.items()}

    def timed(self, batches: "Iterator[dict[str, Tensor]]") -> "Iterator[dict[str, Tensor]]":
        """The batches, with the time spent waiting for each added up in `waited_s`."""
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited_s += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out what is no step: validating and saving."""
        start = time.perf_counter()
        yield
        self._started_at_s += time.perf_counter() - start

    def reset(self) -> None:
        """Opens the window anew."""
        self._sums: dict[str, Any] = {}
        self.n_steps = 0
        self.waited_s = 0.0
        self._started_at_s = time.perf_counter()
