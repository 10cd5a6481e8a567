"""Tiny trainings, as subprocesses of the real command and in this process."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from img2img.config import Config
from img2img.data.images import write
from img2img.data.sample import Dataset, Image, Record, Splits
from img2img.engine.events import Event
from img2img.engine.run import make_card, replace_budget, schema_of
from img2img.engine.runtime import Runtime, decide_precision
from img2img.engine.trainer import Trainer
from img2img.models.registry import build
from img2img.registry import load_task

torch.set_num_threads(1)

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def command() -> Command:
    """Runs `img2img ARGUMENTS…`; `die=(step, signal)` lets it signal itself after that many
    steps: within the next one, or when polishing begins."""

    def run(*arguments: object, die: tuple[int, int] | None = None) -> Any:
        launch = ["-m", "img2img"] if die is None else ["-c", DYING, *map(str, die)]
        return subprocess.run(
            [sys.executable, *launch, *map(str, arguments)],
            capture_output=True, text=True, timeout=120, check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip

    return run


DYING = """
import os, sys
from img2img.cli.app import main
from img2img.engine import trainer
from img2img.engine.trainer import Trainer

at, number = int(sys.argv.pop(1)), int(sys.argv.pop(1))
step, polish = Trainer._step, trainer.polish

def dying_step(self, batch):
    if self.progress.step == at:
        os.kill(os.getpid(), number)
    step(self, batch)

def dying_polish(self):
    if self.progress.step == at:
        os.kill(os.getpid(), number)
    polish(self)

Trainer._step, trainer.polish = dying_step, dying_polish
main()
"""


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small pictures, divided by its subfolders: ten to train, three to validate."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for part, count in (("train", 10), ("val", 3)):
        (folder / part).mkdir()
        for number in range(count):
            size = (int(rng.integers(30, 50)), int(rng.integers(30, 50)), 3)
            write(folder / part / f"{number}.png", rng.integers(0, 256, size, np.uint8))
    return folder


class Noise(Dataset):
    """Soft noise, whose gradients are seldom clipped; drawn anew for every read."""

    def __init__(self, n: int, *, size: int = 40) -> None:
        super().__init__(
            [
                Record(id=f"noise-{i}", digest=str(i), height=size, width=size + i, index=i)
                for i in range(n)
            ]
        )

    def pixels(self, record: Record) -> Image:
        rng = np.random.default_rng(record.index)
        noise = rng.normal(128, 500, (record.height, record.width, 3))
        return cv2.GaussianBlur(noise, (0, 0), 4).clip(0, 255).astype(np.uint8)


Made = tuple[Trainer, list[Event]]


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Made]:
    """Makes a tiny trainer of `sobel` and the list that its events go to.

    Keywords are training options; `model` names the network, `model_options` its options, and
    `more` holds further groups of options.
    """

    def make(
        *,
        model: str = "filternet",
        model_options: Mapping[str, Any] | None = None,
        more: Mapping[str, Mapping[str, Any]] | None = None,
        n_train: int = 8,
        n_val: int = 2,
        run: str = "run",
        **train: Any,
    ) -> Made:
        options = {
            "batch_size": 4, "cache_mb": 1, "log_every": 1, "device": "cpu", "lr": 0.02,
            "weight_decay": 0.0,
        } | train  # fmt: skip
        groups = {
            "train": options,
            "task": {"image_size": 16},
            "model": {"name": model, **(model_options or {})},
            **(more or {}),
        }
        schema = schema_of(load_task("sobel"), model)
        config = replace_budget(Config.resolve("sobel", schema, [("flag", groups)]))
        task = load_task("sobel").configured(config)
        runtime = Runtime(device=torch.device("cpu"))
        precision = decide_precision(config.train.precision, runtime.device, in_fp32=True)
        object.__setattr__(config.train, "precision", precision)
        torch.manual_seed(config.train.seed)
        network = build(config.model.name, config.model, task.head()).network
        events: list[Event] = []
        data = Splits(name="noise", parts={}, stated=True, whole=Noise(n_train + n_val))
        made = Trainer(
            task, config, network, make_card(config, network, runtime),
            train=data.whole.subset(range(n_train)),
            val=data.whole.subset(range(n_train, n_train + n_val)),
            runtime=runtime, run=tmp_path / run, listeners=[events.append],
        )  # fmt: skip
        return made, events

    return make
