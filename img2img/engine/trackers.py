"""Trackers as listeners: TensorBoard and Weights & Biases, both optional extras."""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from img2img.data.images import read
from img2img.engine.events import (
    Event,
    Finished,
    Listener,
    Pictured,
    Started,
    Stepped,
    Validated,
)
from img2img.errors import UsageError

if TYPE_CHECKING:
    from img2img.config import Config


def tracker(config: "Config", run: Path) -> Listener:
    """The listener that `--track` names; it writes into the run folder.

    Raises:
        UsageError: the extra of the package that it needs is not installed.
    """
    kinds: Mapping[str, Callable[[Config, Path], Listener]] = {
        "tensorboard": TensorBoard,
        "wandb": WeightsAndBiases,
    }
    return kinds[config.train.track](config, run)


def scalars(event: Stepped | Validated) -> dict[str, float]:
    """{name: figure} of an event, under `train/` or `val/`; figures that are None are left out."""
    if isinstance(event, Validated):
        return {f"val/{name}": value for name, value in event.metrics.items() if value is not None}
    losses = {f"train/{name}": value for name, value in event.losses.items()}
    return losses | {
        "train/lr": event.lr,
        "train/samples_per_s": event.samples_per_s,
        "train/wait_share": event.wait_share,
    }


class TensorBoard:
    """Writes event files to `tensorboard/` in the run folder.

    A resumed training adds a file whose first entry tells TensorBoard to drop what the killed
    one had written beyond the checkpoint.
    """

    def __init__(self, config: "Config", run: Path) -> None:
        _required("torch.utils.tensorboard", "tensorboard")
        self._folder = run / "tensorboard"
        self._config = config
        self._writer: Any = None

    def __call__(self, event: Event) -> None:
        match event:
            case Started(step=step):
                self._open(step)
            case Stepped() | Validated():
                for name, value in scalars(event).items():
                    self._writer.add_scalar(name, value, event.step)
            case Pictured(step=step, path=path):
                self._writer.add_image(path.stem, read(path), step, dataformats="HWC")
            case Finished():
                # Pictures of the report may still come; the writer opens by itself for them.
                self._writer.close()
        if self._writer is not None:
            # Whatever ends the process, the rows so far are there.
            self._writer.flush()

    def _open(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=step + 1 if step else None)
        if step == 0:
            title = self._config.train.name or self._folder.parent.name
            self._writer.add_text("run", f"{title}: {self._config.task}, {self._config.model.name}")


class WeightsAndBiases:
    """Logs to Weights & Biases, with its files under `wandb/` in the run folder.

    W&B's own settings hold, `WANDB_MODE=offline` among them; `wandb sync` uploads such a run
    later. A resumed training goes on under the same id.
    """

    def __init__(self, config: "Config", run: Path) -> None:
        self._wandb = _required("wandb", "wandb")
        self._folder = run
        self._config = config
        self._opened: Any = None

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self._log({}, 0)
            case Stepped() | Validated():
                self._log(scalars(event), event.step)
            case Pictured(step=step, path=path):
                self._log({path.stem: self._wandb.Image(str(path))}, step)
            case Finished() if self._opened is not None:
                self._opened.finish()
                self._opened = None

    def _log(self, row: dict[str, Any], step: int) -> None:
        """Logs a row; the pictures of the report, after the end, open the run once more."""
        if self._opened is None:
            self._opened = self._open()
        if row:
            self._opened.log(row, step=step)

    def _open(self) -> Any:
        id_file = self._folder / "wandb" / "id"
        if not id_file.is_file():
            id_file.parent.mkdir(parents=True, exist_ok=True)
            id_file.write_text(os.urandom(4).hex(), encoding="utf-8")
        try:
            return self._wandb.init(
                project="img2img",
                id=id_file.read_text(encoding="utf-8"),
                resume="allow",
                name=self._config.train.name or self._folder.name,
                dir=str(self._folder),
                config=self._config.to_json()["options"],
                settings=self._wandb.Settings(console="off"),
            )
        except self._wandb.errors.Error as error:
            raise UsageError(
                f"--track wandb: {error}; log in with `wandb login`, or set WANDB_MODE=offline."
            ) from None


def _required(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise UsageError(
            f"--track {extra} needs an extra: pip install 'img2img[{extra}]'."
        ) from None
