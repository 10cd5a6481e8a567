"""Trainings that are killed, stopped and resumed, as users run them."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

Command = Callable[..., Any]

FILTERNET = (
    "--model", "filternet", "--set", "train.log_every=2",
    "--set", "train.polish_steps=40", "--set", "train.polish_samples=4",
)  # fmt: skip
UNET = (
    "--model", "unet", "--set", "model.width=2", "--set", "model.depth=2",
    "--set", "train.ema=0.9", "--set", "train.clip_norm=0.5", "--set", "train.log_every=3",
)  # fmt: skip
PIX2PIX = (
    "--model", "pix2pix", "--set", "model.width=2", "--set", "model.depth=4",
    "--set", "adversarial.width=2", "--set", "adversarial.patch=16",
    "--set", "adversarial.features=1", "--set", "train.clip_norm=1", "--set", "train.log_every=3",
)  # fmt: skip
"""With dropout, batch norm and an opponent."""
STEPS = 10


def _options(photos: Path, out: Path, *more: object) -> tuple[object, ...]:
    """Steps 1 to 10 in epochs of three: saves at 2, 4, …, validations at 3, 6, 9, 10."""
    return ("train", "sobel", "--data", photos, "--out", out, "--steps", STEPS, "--save-every", 2,
            "--batch-size", 4, "--epoch-size", 12, "--image-size", 32, "--device", "cpu",
            "--workers", 0, *more)  # fmt: skip


def _assert_equal_runs(run: Path, reference: Path) -> None:
    """Bit-equal tensors, the same state, and the same rows in the log."""
    for name in ("last", "best"):
        ours = load_file(run / name / "checkpoint.safetensors")
        theirs = load_file(reference / name / "checkpoint.safetensors")
        assert ours.keys() == theirs.keys()
        different = [key for key, value in ours.items() if not torch.equal(value, theirs[key])]
        assert different == []
    assert _steps(run) == _steps(reference)
    assert _metrics(run) == _metrics(reference)


def _rows(run: Path) -> list[dict[str, Any]]:
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _steps(run: Path) -> list[tuple[str, int]]:
    return [(row["kind"], row["step"]) for row in _rows(run)]


def _metrics(run: Path) -> list[Any]:
    return [row["metrics"] for row in _rows(run) if row["kind"] == "validation"]


@pytest.fixture(scope="module")
def whole(photos: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted training of filternet."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = command(*_options(photos, out, *FILTERNET))
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def killed(photos: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of filternet killed before step 6, in the middle of its second epoch."""
    out = tmp_path_factory.mktemp("killed") / "run"
    done = command(*_options(photos, out, *FILTERNET), die=(5, signal.SIGKILL))
    assert done.returncode == -signal.SIGKILL
    return out


def test_a_run_that_is_left_alone_logs_and_validates_on_time(whole: Path) -> None:
    steps = [row["step"] for row in _rows(whole) if "l1" in row.get("losses", {})]
    polish = [row["step"] for row in _rows(whole) if "polish" in row.get("losses", {})]
    validations = [row["step"] for row in _rows(whole) if row["kind"] == "validation"]
    assert steps == [2, 4, 6, 8, 10]
    assert polish == [10, 10]
    assert validations == [3, 6, 9, 10, 10]
    assert not (whole / "cache").exists()


def test_a_killed_run_ends_as_if_left_alone(
    whole: Path, killed: Path, command: Command, tmp_path: Path
) -> None:
    run = shutil.copytree(killed, tmp_path / "run")
    # What a kill in the middle of writing leaves behind.
    (run / "last" / ".checkpoint.safetensors.part").write_bytes(b"torn")
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"kind": "step", "step": 99}\n{"kind": "st')
    done = command("train", "sobel", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "step 6:" in done.stderr
    _assert_equal_runs(run, whole)


def test_a_killed_run_goes_on_with_other_workers(
    whole: Path, killed: Path, command: Command, tmp_path: Path
) -> None:
    run = shutil.copytree(killed, tmp_path / "run")
    done = command("train", "sobel", "--resume", run, "--workers", 2)
    assert done.returncode == 0, done.stderr
    _assert_equal_runs(run, whole)


def test_the_number_of_workers_changes_nothing(
    whole: Path, photos: Path, command: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = command(*_options(photos, run, *FILTERNET, "--workers", 2))
    assert done.returncode == 0, done.stderr
    _assert_equal_runs(run, whole)


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGTERM, 6), pytest.param(signal.SIGINT, STEPS - 1, marks=pytest.mark.slow)],
)
def test_a_stopped_run_saves_and_ends_as_if_left_alone(
    number: int, at: int, whole: Path, photos: Path, command: Command, tmp_path: Path
) -> None:
    """Also when the signal comes in the last step, between training and validation."""
    run = tmp_path / "run"
    stopped = command(*_options(photos, run, *FILTERNET), die=(at, number))
    assert stopped.returncode == 75
    assert f"stopped at step {at + 1}" in stopped.stderr
    assert f"--resume {run}" in stopped.stderr
    done = command("train", "sobel", "--resume", run)
    assert done.returncode == 0, done.stderr
    _assert_equal_runs(run, whole)


@pytest.mark.slow
def test_a_run_stopped_while_polishing_ends_as_if_left_alone(
    whole: Path, photos: Path, command: Command, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    stopped = command(*_options(photos, run, *FILTERNET), die=(STEPS, signal.SIGTERM))
    assert stopped.returncode == 75, stopped.stderr
    done = command("train", "sobel", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "finished already" not in done.stderr
    _assert_equal_runs(run, whole)


@pytest.mark.slow
def test_batch_statistics_average_and_clipping_survive_a_kill(
    photos: Path, command: Command, tmp_path: Path
) -> None:
    left_alone, run = tmp_path / "left_alone", tmp_path / "run"
    assert command(*_options(photos, left_alone, *UNET)).returncode == 0
    killed = command(*_options(photos, run, *UNET), die=(7, signal.SIGKILL))
    assert killed.returncode == -signal.SIGKILL
    done = command("train", "sobel", "--resume", run)
    assert done.returncode == 0, done.stderr
    tensors = load_file(run / "last" / "checkpoint.safetensors")
    assert any(not torch.equal(v, tensors[f"network.{k.removeprefix('raw.')}"])
               for k, v in tensors.items() if k.startswith("raw."))  # fmt: skip
    _assert_equal_runs(run, left_alone)


def test_both_networks_of_pix2pix_survive_a_kill(
    photos: Path, command: Command, tmp_path: Path
) -> None:
    left_alone, run = tmp_path / "left_alone", tmp_path / "run"
    assert command(*_options(photos, left_alone, *PIX2PIX)).returncode == 0
    killed = command(*_options(photos, run, *PIX2PIX), die=(7, signal.SIGKILL))
    assert killed.returncode == -signal.SIGKILL
    done = command("train", "sobel", "--resume", run)
    assert done.returncode == 0, done.stderr
    tensors = load_file(run / "last" / "checkpoint.safetensors")
    assert any(key.startswith("objective.opponent.") for key in tensors)
    assert any(key.startswith("opponent_optimizer.") for key in tensors)
    _assert_equal_runs(run, left_alone)
    losses = [row["losses"] for row in _rows(run) if "losses" in row]
    assert losses == [row["losses"] for row in _rows(left_alone) if "losses" in row]
    assert losses[0].keys() == {
        "l1", "gan", "features", "discriminator", "discriminator_accuracy", "spread"
    }  # fmt: skip


def test_a_finished_run_says_so(whole: Path, command: Command, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    done = command("train", "sobel", "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "finished already, at step 10" in done.stderr
    _assert_equal_runs(run, whole)


def test_a_finished_run_goes_on_with_a_greater_budget(
    whole: Path, command: Command, tmp_path: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    done = command("train", "sobel", "--resume", run, "--steps", STEPS + 2)
    assert done.returncode == 0, done.stderr
    polished = [("step", 12), ("step", 12), ("validation", 12)]
    assert _steps(run) == [*_steps(whole), ("step", 12), ("validation", 12), *polished]


@pytest.mark.parametrize("change", ["added", "with other content"])
def test_changed_data_are_refused_by_name(
    change: str, whole: Path, photos: Path, command: Command, tmp_path: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    data = shutil.copytree(photos, tmp_path / "data")
    name = "new.png" if change == "added" else "3.png"
    shutil.copy(photos / "train" / "0.png", data / "train" / name)
    before = _contents(run)
    done = command("train", "sobel", "--resume", run, "--data", data)
    assert done.returncode == 3
    assert change in done.stderr
    assert f"train/{name}" in done.stderr
    assert _contents(run) == before


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--lr", "0.1"), "train.lr"),
        (("--set", "task.filter=scharr"), "task.filter"),
        (("--out", "elsewhere"), "--out"),
    ],
)
def test_changed_options_are_refused_by_name(
    more: tuple[str, ...], named: str, whole: Path, command: Command
) -> None:
    before = _contents(whole)
    done = command("train", "sobel", "--resume", whole, *more)
    assert done.returncode == 2
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert _contents(whole) == before


def test_a_folder_that_is_no_run_is_refused(command: Command, tmp_path: Path) -> None:
    done = command("train", "sobel", "--resume", tmp_path)
    assert done.returncode == 2
    assert "no run folder" in done.stderr
    assert _contents(tmp_path) == {}


def test_a_full_out_is_refused_untouched(photos: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = command(*_options(photos, tmp_path, *FILTERNET))
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert _contents(tmp_path) == {"mine.txt": b"precious"}


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
