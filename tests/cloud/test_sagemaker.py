"""A training container as SageMaker starts one: its folders, its files, `train`, its signals."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from opt_ml import TINY, Container, with_photos
from support import img2img

from img2img.cloud.sagemaker import FAILURE_CHARACTERS, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """A training of four steps, with what SageMaker's SDKs and tuner add to hyperparameters; it
    was killed before, and nothing was saved."""
    container = with_photos(tmp_path_factory.mktemp("trained") / "ml")
    theirs = {"sagemaker_program": '"train.py"', "_tuning_objective_metric": "psnr"}
    container.ask(TINY | theirs | {"task": '"sobel"'}, "training")
    (container.root / "checkpoints" / "run").mkdir(parents=True)
    (container.root / "checkpoints" / "run" / "config.json").write_text("torn")
    code, err = container.train()
    assert code == 0, err
    return container


# ---- trains


def test_a_training_leaves_what_is_needed_to_use_it(trained: Container, tmp_path: Path) -> None:
    assert trained.failure is None
    assert trained.step == 4
    model = trained.root / "model"
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert files == {"best.onnx", "best/checkpoint.safetensors", "card.json", "config.json",
                     "metrics.jsonl", "report.html", "split.json"}  # fmt: skip
    assert json.loads((model / "card.json").read_text())["task"] == "sobel"
    assert json.loads((model / "config.json").read_text())["options"]["train"]["batch_size"] == 4
    picture = trained.root / "input/data/training/0.png"
    answer = img2img("predict", "sobel", picture, "--weights", model, cwd=tmp_path)
    assert answer.json["error"] is None


def test_other_arguments_are_those_of_img2img(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "img2img.cloud.sagemaker", "train", "--help"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Train a network" in done.stdout


# ---- fails


def test_an_unknown_hyperparameter_is_one_sentence(container: Container) -> None:
    container.ask(TINY | {"batchsize": "4"}, "training")
    code, err = container.train()
    assert code == 2
    assert container.failure == "unknown hyperparameter 'batchsize': did you mean 'batch-size'?"
    assert err == f"img2img: {container.failure}\n"
    assert not (container.root / "checkpoints").exists()


def test_missing_data_are_told(container: Container) -> None:
    shutil.rmtree(container.root / "input" / "data")
    container.ask(TINY, "training")
    code, _ = container.train()
    assert code == 3
    assert container.failure == f"{container.root}/input/data/training does not exist: give a " + (
        "folder of pictures."
    )


def test_bytes_that_are_no_text_are_told_as_they_can_be() -> None:
    code = "import sys; sys.stderr.buffer.write(b'caf\\xe9\\nimg2img: over.\\n'); sys.exit(3)"
    outcome = run([sys.executable, "-c", code], os.environ)
    assert (outcome.code, outcome.told) == (3, ["over."])
    assert outcome.lines[0] == "caf\ufffd\n"


def test_a_long_failure_is_cut(container: Container) -> None:
    container.ask(TINY | {"x" * 3000: "1"})
    code, _ = container.train()
    assert code == 2
    assert container.failure is not None
    assert len(container.failure) == FAILURE_CHARACTERS


def test_a_failure_file_that_cannot_be_written_is_told(container: Container) -> None:
    container.ask({})
    (container.root / "output").write_text("a file")
    code, err = container.train()
    assert code == 2
    assert "the hyperparameter `task` is missing" in err
    assert "the failure file cannot be written" in err


# ---- is interrupted, and resumes


def test_an_interrupted_training_goes_on(container: Container) -> None:
    container.ask(TINY | {"steps": "100000"}, "training")
    code, err = container.train(until="step 2")
    assert code == 75, err
    assert container.failure is None
    stopped_at = container.step
    assert 2 <= stopped_at < 100000

    container.ask(TINY | {"steps": str(stopped_at + 2)}, "training")
    code, err = container.train()
    assert code == 0, err
    assert container.step == stopped_at + 2
    rows = (container.root / "model" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(row)["step"] for row in rows if json.loads(row)["kind"] == "step"]
    assert steps == [*range(1, stopped_at + 3)]


def test_a_run_does_not_go_on_with_other_options(trained: Container, tmp_path: Path) -> None:
    container = Container(shutil.copytree(trained.root, tmp_path / "ml"))
    container.ask(TINY | {"lr": "0.5"}, "training")
    code, err = container.train()
    assert code == 2
    assert container.failure is not None
    assert "train.lr cannot change" in container.failure
    assert err.count(container.failure) == 1


# ---- several processes


@pytest.mark.slow
def test_two_processes_are_interrupted_and_go_on(container: Container) -> None:
    container.ask(TINY | {"steps": "100000"}, "training")
    code, err = container.train(until="step 2", SM_NUM_GPUS="2")
    assert code == 75, err
    assert container.failure is None
    container.ask(TINY | {"steps": str(container.step + 2)}, "training")
    code, err = container.train(SM_NUM_GPUS="2")
    assert code == 0, err
    assert (container.root / "model" / "best.onnx").is_file()


@pytest.mark.slow
def test_the_exit_code_of_two_processes_is_theirs(container: Container) -> None:
    shutil.rmtree(container.root / "input" / "data")
    container.ask(TINY, "training")
    code, err = container.train(SM_NUM_GPUS="2")
    assert code == 3, err
    assert container.failure is not None
    assert "does not exist" in container.failure
