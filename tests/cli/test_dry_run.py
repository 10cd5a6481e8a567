import re
import subprocess
import sys
from pathlib import Path

import pytest

from img2img.cli.dry_run import option_rows, show
from img2img.engine.estimate import Memory, activation_bytes, estimate, forecast, trial
from img2img.engine.run import Plan, prepare, resolve
from img2img.engine.runtime import Runtime, running

SMALL = {
    "task": {"image_size": 32},
    "data": {"n_generated": 20},
    "train": {"batch_size": 4, "device": "cpu"},
}


def plan_of(
    runtime: Runtime,
    *,
    model: str = "filternet",
    size: int = 32,
    adversarial: dict[str, object] | None = None,
    **train: object,
) -> Plan:
    groups = {
        **SMALL,
        "model": {"name": model},
        "task": {"image_size": size},
        "train": {**SMALL["train"], **train},
        "adversarial": adversarial or {},
    }
    return prepare(resolve("sobel", [("flag", groups)]), runtime, init=None, fresh=True)


def value(output: str, name: str) -> str:
    found = re.search(rf"^{re.escape(name)} {{2,}}(.*)$", output, flags=re.MULTILINE)
    assert found is not None, output
    return found[1]


def test_the_command_names_every_origin_and_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nbatch_size = 4\n[data]\nn_generated = 20\n")
    flags = ["--config", "mine.toml", "--image-size", "32", "--steps", "3", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "img2img", "train", "sobel", "--dry-run", *flags],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert value(out, "train.beta1").split() == ["0.9", "default"]
    assert value(out, "model.name").split() == ["filternet", "task", "default"]
    assert value(out, "train.batch_size").split() == ["4", "mine.toml"]
    assert value(out, "task.image_size").split() == ["32", "pixels", "flag"]
    assert value(out, "train.precision").split() == ["fp32", "decided", "here"]
    assert value(out, "steps") == "3"
    assert value(out, "run folder") == "runs/sobel-1"
    assert "train 20" in value(out, "samples")
    assert list(tmp_path.iterdir()) == [file]


def test_every_option_has_a_row() -> None:
    config = resolve("sobel", [("flag", SMALL)])
    rows = option_rows(config)
    assert [row[0] for row in rows] == [key for key, _, _ in config.items()]
    assert all(row[2] for row in rows)


def test_counts() -> None:
    with running("cpu") as runtime:
        plan = plan_of(runtime, epochs=7, epoch_size=18)
        found = estimate(plan, runtime)
    network = plan.network
    assert found.n_parameters == sum(p.numel() for p in network.parameters())
    assert found.samples["train"] == 20
    assert (found.steps_per_epoch, found.total_steps) == (4, 28)
    assert found.micro_batch == 4
    assert found.memory.gradients == 4 * found.n_parameters
    assert found.memory.optimizer == 2 * found.memory.gradients
    assert found.step_s is not None
    assert found.total_s == pytest.approx(28 * (found.step_s + found.load_s))


def test_the_network_that_will_be_trained_stays_as_it_is() -> None:
    with running("cpu") as runtime:
        plan = plan_of(runtime)
        before = {key: tensor.clone() for key, tensor in plan.network.state_dict().items()}
        estimate(plan, runtime)
    after = plan.network.state_dict()
    assert all(after[key].equal(tensor) for key, tensor in before.items())


def test_activations_are_those_of_the_micro_batch() -> None:
    with running("cpu") as runtime:
        # Small pictures, so that parameters would be seen if they were counted.
        trainer = trial(plan_of(runtime, model="autoencoder", size=8), runtime)
        batch = next(trainer.loader.epoch(0))
        whole = forecast(trainer, batch, 4).activations
        assert whole == 2 * forecast(trainer, batch, 2).activations
        # What two samples keep, times two, is what four keep, but for a few small tensors.
        assert activation_bytes(trainer, batch) == pytest.approx(whole, rel=0.02)


def test_an_opponent_needs_memory_as_well() -> None:
    opposed = {"weight": 1, "width": 8, "patch": 16}
    with running("cpu") as runtime:
        alone = trial(plan_of(runtime), runtime)
        batch = next(alone.loader.epoch(0))
        trainer = trial(plan_of(runtime, adversarial=opposed), runtime)
        found = estimate(plan_of(runtime, adversarial=opposed), runtime)
        kept = [activation_bytes(each, batch) for each in (alone, trainer)]
    assert trainer.game is not None
    learned = found.n_parameters + sum(p.numel() for p in trainer.game.opponent.parameters())
    assert found.memory.gradients == 4 * learned
    assert found.memory.optimizer == 2 * found.memory.gradients
    assert found.memory.parameters >= 4 * learned
    # Its first maps alone: of the answers, and of the truths, half a side each.
    assert kept[1] > kept[0] + 2 * 4 * 4 * 8 * 16 * 16


def test_a_batch_that_does_not_fit_is_told_and_not_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("img2img.engine.estimate.available_bytes", lambda device: 1000)
    with running("cpu") as runtime:
        plan = plan_of(runtime, steps=5)
        monkeypatch.setattr("img2img.engine.estimate._one_step", lambda *_: pytest.fail("tried"))
        show(plan, runtime, tmp_path / "run")
    shown = capsys.readouterr()
    assert "do not fit into memory" in shown.err
    assert value(shown.out, "time a step") == "not tried"
    assert list(tmp_path.iterdir()) == []


def test_unknown_memory_is_not_called_too_small() -> None:
    parts = {"parameters": 1, "gradients": 1, "optimizer": 2, "activations": 5}
    assert Memory(**parts, available=None).fits
    assert Memory(**parts, available=9).fits
    assert not Memory(**parts, available=8).fits


def test_limited_time_counts_the_steps_that_fit() -> None:
    with running("cpu") as runtime:
        found = estimate(plan_of(runtime, max_time="2s"), runtime)
    assert found.total_s == pytest.approx(2.0)
    assert found.total_steps is not None
    assert found.total_steps > 1
