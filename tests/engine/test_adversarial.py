"""A training against an opponent: what the loop, a resume and a benchmark make of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from img2img.engine.benchmark import bare_loop
from img2img.engine.events import Event, Stepped
from img2img.engine.run import resolve
from img2img.engine.trainer import Trainer
from img2img.errors import UsageError

Make = Callable[..., tuple[Trainer, list[Event]]]

OPPOSED = {"adversarial": {"weight": 1.0, "patch": 16, "width": 2}}


def _state(trainer: Trainer) -> dict[str, Tensor]:
    """Of both players."""
    return {
        f"{number}.{key}": value.clone()
        for number, (player, _) in enumerate(trainer.players)
        for key, value in player.state_dict().items()
    }


def test_the_opponent_is_told_of_optimiser_steps(trainer: Make) -> None:
    made, _ = trainer(steps=3, micro_batch=2, more=OPPOSED)
    assert made.game is not None
    judge, seen = made.game.judge, list[int]()

    def counted(maps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        assert made.game is not None
        seen.append(made.game.step)
        return judge(maps, batch)

    made.game.judge = counted  # type: ignore[method-assign]
    made.fit()
    assert seen == [0, 0, 1, 1, 2, 2]


def test_against_an_opponent_there_is_no_closing_phase(
    photos: Path, command: Callable[..., Any], tmp_path: Path
) -> None:
    done = command(
        "train", "sobel", "--data", photos, "--out", tmp_path / "run", "--steps", 2,
        "--batch-size", 2, "--image-size", 16, "--set", "adversarial.weight=1",
        "--set", "adversarial.patch=16", "--set", "adversarial.width=2", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no closing phase" in done.stderr
    assert "polish" not in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8")


def test_the_bare_loop_of_a_benchmark_learns_the_same(trainer: Make) -> None:
    options = {"epochs": 1, "schedule": "constant", "more": OPPOSED}
    ours, _ = trainer(**options)
    before = _state(ours)
    ours.start()
    ours.epoch()
    bare, _ = trainer(**options)
    bare_loop(bare, bare.loader.epoch(0))
    after = _state(ours)
    torch.testing.assert_close(_state(bare), after)
    assert all(not torch.equal(after[key], before[key]) for key in after if "weight" in key)


def test_frozen_features_are_not_saved_and_a_resume_reads_them_again(
    trainer: Make, tmp_path: Path
) -> None:
    encoder = smp.encoders.get_encoder("resnet18", weights=None)
    file = tmp_path / "encoder.safetensors"
    save_file({key: value.contiguous() for key, value in encoder.state_dict().items()}, file)
    perceptual = {"weight": 0.1, "encoder": "resnet18", "weights": str(file)}
    options: dict[str, Any] = {
        "steps": 4, "save_every": 2, "n_val": 0, "more": OPPOSED | {"perceptual": perceptual},
    }  # fmt: skip
    whole, _ = trainer(**options, run="whole")
    whole.fit()
    half, _ = trainer(**options, run="half")

    def stop(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 3:
            raise ZeroDivisionError

    half.listeners.append(stop)
    with pytest.raises(ZeroDivisionError):
        half.fit()
    resumed, events = trainer(**options, run="half")
    resumed.resume()
    assert resumed.progress.step == 2
    resumed.fit()
    assert "perceptual" in next(e for e in events if isinstance(e, Stepped)).losses
    torch.testing.assert_close(_state(resumed), _state(whole), atol=0, rtol=0)
    saved = load_file(half.run / "last" / "checkpoint.safetensors")
    parts = {key.split(".")[0] for key in saved}
    assert parts == {"network", "objective", "optimizer", "opponent_optimizer"}
    assert not any(".encoder." in key for key in saved)


def test_pictures_too_small_for_the_opponent_are_told_before_a_folder_is_made(
    photos: Path, command: Callable[..., Any], tmp_path: Path
) -> None:
    done = command(
        "train", "sobel", "--data", photos, "--out", tmp_path / "run", "--steps", 2,
        "--image-size", 16, "--set", "adversarial.weight=1",
    )  # fmt: skip
    assert done.returncode == 2
    assert "at least 24 a side, not 16×16" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("sobel", {"adversarial": {"patch": "16"}}, "no effect without adversarial.weight"),
        ("sobel", {"perceptual": {"encoder": "vgg16"}}, "no effect without perceptual.weight"),
        ("segmentation", {"semi": {"weight": "2"}}, "no effect without --pseudo"),
        (
            "segmentation",
            {"semi": {"believed": "0.5"}, "data": {"pseudo": "more"}},
            "no effect without semi.adversarial",
        ),
        (
            "segmentation",
            {"semi": {"confidence": "0.5", "adversarial": "1"}, "data": {"pseudo": "more"}},
            "no effect with semi.adversarial",
        ),
    ],
)
@pytest.mark.parametrize("source", ["flag", "mine.toml"])
def test_options_without_effect_are_refused(
    source: str, task: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(task, [(source, given)])


def test_options_whose_switch_is_on_are_taken() -> None:
    assert resolve("sobel", [("flag", OPPOSED)]).groups["adversarial"].patch == 16
    pix2pix = {"model": {"name": "pix2pix"}, "adversarial": {"patch": "16"}}
    assert resolve("sobel", [("flag", pix2pix)]).groups["adversarial"].patch == 16
