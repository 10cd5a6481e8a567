"""Fixtures that several test modules share."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from img2img.engine.runtime import prepare_environment

# Threads that spin or fight for cores make the suite several times slower.
prepare_environment()
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def sobel_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of four training steps: everything is in it, and the answers are bad."""
    from img2img.config import parse_set
    from img2img.engine.run import prepare, resolve, train
    from img2img.engine.runtime import running

    options = ["train.steps=4", "train.batch_size=4", "task.image_size=32", "data.n_generated=16",
               "train.val_samples=2", "train.polish_steps=0"]  # fmt: skip
    config = resolve("sobel", [("flag", parse_set(options))])
    run = tmp_path_factory.mktemp("runs") / "sobel-1"
    with running("cpu") as runtime:
        plan = prepare(config, runtime, init=None, fresh=True)
        train(plan, runtime, out=run, resume=False, listeners=[], report=lambda *_: None)
    return run


@pytest.fixture(scope="session")
def exact_run(sobel_run: Path) -> Path:
    """The same run with the parameters that are Sobel's filter: its answers are right."""
    import torch

    from img2img.engine.checkpoint import FILE, read_checkpoint, write_checkpoint
    from img2img.engine.run import export_run

    run = sobel_run.with_name("sobel-exact")
    shutil.copytree(sobel_run, run)
    path = run / "best" / FILE
    checkpoint = read_checkpoint(path)
    blur, slope = np.array([1, 2, 1]) / 4, np.array([-1, 0, 1])
    smooth, edge = np.convolve([1, 2, 1], blur), np.convolve(slope, blur)
    kernels = np.stack([np.outer(smooth, edge), np.outer(edge, smooth)])
    grey = np.array([0.299, 0.587, 0.114])
    exact = {
        "network.body.responses.weight": kernels[:, None] * grey[:, None, None],
        "network.body.signed.weight": np.zeros((1, 2, 1, 1)),
        "network.body.signed.bias": np.zeros(1),
        "network.body.magnitudes.weight": np.ones((1, 1, 1, 1)),
    }
    for key, value in exact.items():
        assert checkpoint.tensors[key].shape == value.shape
        checkpoint.tensors[key] = torch.from_numpy(value).float()
    write_checkpoint(path, checkpoint)
    export_run(run)
    return run


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures with masks in three groups: a light disc (egg) and a red one (pan) each."""
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    lines = ["image,mask,group"]
    for index in range(6):
        image = rng.integers(0, 60, (40, 48, 3), np.uint8)
        mask = np.zeros((40, 48), np.uint8)
        cv2.circle(mask, (16 + 2 * index, 20), 8, 128, -1)
        cv2.circle(mask, (40, 8), 5, 255, -1)
        image[mask == 128] = 230
        image[mask == 255] = (30, 30, 200)
        cv2.imwrite(str(folder / "images" / f"{index}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
        lines.append(f"{index}.png,{index}.png,scene{index % 3}")
    (folder / "groups.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def segmentation_run(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a tiny U-Net that knows light discs from red ones."""
    from img2img.config import parse_set
    from img2img.engine.run import prepare, resolve, train
    from img2img.engine.runtime import running

    options = [
        f"data.source={labelled}",
        *("data.val_share=0", "data.test_share=0", "model.name=unet", "model.width=8"),
        *("model.depth=2", "task.image_size=48", "train.steps=60", "train.batch_size=6"),
        *("train.ema=0.9", "train.warmup_steps=0", "train.lr=0.01", "augment.strength=0"),
    ]
    run = tmp_path_factory.mktemp("runs") / "segmentation-1"
    with running("cpu") as runtime:
        config = resolve("segmentation", [("flag", parse_set(options))])
        plan = prepare(config, runtime, init=None, fresh=True)
        train(plan, runtime, out=run, resume=False, listeners=[], report=lambda *_: None)
    return run
