"""The same on a GPU: a step equals the CPU's, bf16 trains, a run resumes, predictions agree."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import img2img

from img2img.config import parse_set
from img2img.engine.events import Event
from img2img.engine.run import prepare, resolve, train
from img2img.engine.runtime import running
from img2img.inference.session import open_session
from img2img.inference.weights import find_weights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
TINY = ["train.batch_size=4", "task.image_size=32", "data.n_generated=16", "train.val_samples=2",
        "train.polish_steps=0", "train.log_every=1", "train.steps=1"]  # fmt: skip


def trained(out: Path, device: str, *options: str) -> tuple[dict[str, torch.Tensor], list[Event]]:
    """The parameters after a short training, and its events."""
    events: list[Event] = []
    layers: list[Any] = [("flag", parse_set([*TINY, f"train.device={device}", *options]))]
    config = resolve("sobel", layers)
    with running(device) as runtime:
        plan = prepare(config, runtime, init=None, fresh=False)
        train(plan, runtime, out=out, resume=False, listeners=[events.append],
              report=lambda *_: None)  # fmt: skip
    return {k: v.cpu() for k, v in plan.network.state_dict().items()}, events


@pytest.mark.parametrize("model", ["filternet", "autoencoder", "unet:resnet18"])
def test_one_step_equals_the_cpus(model: str, tmp_path: Path) -> None:
    options = (f"model.name={model}", "train.optimizer=sgd", "train.precision=fp32")
    on_cpu, _ = trained(tmp_path / "cpu", "cpu", *options)
    on_gpu, _ = trained(tmp_path / "cuda", "cuda", *options)
    for name, tensor in on_cpu.items():
        torch.testing.assert_close(on_gpu[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains(precision: str, tmp_path: Path) -> None:
    _, events = trained(tmp_path / "run", "cuda", "model.name=autoencoder", "train.steps=40",
                        f"train.precision={precision}")  # fmt: skip
    losses = [event.losses["l1"] for event in events if hasattr(event, "losses")]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_a_run_resumes_and_predicts_alike(tmp_path: Path) -> None:
    arguments = ("train", "sobel", "--device", "cuda", "--image-size", 32, "--epoch-size", 64)
    assert img2img(*arguments, "--out", "run", "--epochs", 1, cwd=tmp_path).code == 0
    resumed = img2img("train", "sobel", "--resume", "run", "--epochs", 2, cwd=tmp_path)
    assert resumed.code == 0, resumed.err
    files = find_weights(str(tmp_path / "run"), "sobel")
    images = np.random.default_rng(0).integers(0, 256, (1, 40, 50, 3), np.uint8)
    on_cpu = open_session(files)(images)["value"]
    on_gpu = open_session(files, device="cuda")(images)["value"]
    np.testing.assert_allclose(on_gpu, on_cpu, atol=0.05)
