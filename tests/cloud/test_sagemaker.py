"""A training container as SageMaker starts one: its folders, its files, `train`, its signals."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import img2img

from img2img.cloud.job import flags, read_job, train_arguments, train_command
from img2img.cloud.sagemaker import FAILURE_CHARACTERS
from img2img.data.images import write
from img2img.errors import UsageError
from img2img.inference.weights import read_header

TINY = {
    "task": "sobel", "steps": "4", "batch-size": "4", "image-size": "32", "workers": "0",
    "train.polish_steps": "0", "train.log_every": "1", "train.val_samples": "2",
}  # fmt: skip


@dataclass(frozen=True)
class Container:
    """The folder that stands for /opt/ml."""

    root: Path

    def write(self, name: str, content: Any) -> None:
        path = self.root / "input" / "config" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def ask(self, hyperparameters: dict[str, str], *channels: str, **resources: Any) -> None:
        self.write("hyperparameters", hyperparameters)
        self.write("inputdataconfig", {name: {"TrainingInputMode": "File"} for name in channels})
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
        self.write("resourceconfig", hosts | resources)

    def environ(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
        own = {"SAGEMAKER_BASE_DIR": str(self.root), "OMP_NUM_THREADS": "1", "SM_NUM_GPUS": "0",
               "CUDA_VISIBLE_DEVICES": ""}  # fmt: skip
        return kept | own | more

    def train(self, *, until: str | None = None, **more: str) -> tuple[int, str]:
        """(exit code, stderr) of `docker run IMAGE train`, which gets SIGTERM once a line of its
        stderr starts with `until`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "img2img.cloud.sagemaker", "train"], env=self.environ(**more),
            cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        lines = []
        with process:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if until is not None and line.startswith(until):
                    process.send_signal(signal.SIGTERM)
                    until = None
        return process.returncode, "".join(lines)

    @property
    def failure(self) -> str | None:
        path = self.root / "output" / "failure"
        return path.read_text() if path.exists() else None

    @property
    def step(self) -> int:
        header = read_header(self.root / "checkpoints/run/last/checkpoint.safetensors")
        return int(json.loads(header["state"])["step"])


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return with_photos(tmp_path / "ml")


def with_photos(root: Path) -> Container:
    rng = np.random.default_rng(0)
    for number in range(12):
        path = root / "input" / "data" / "training" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, rng.integers(0, 256, (36, 40, 3), np.uint8))
    return Container(root)


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


# ---- the command


def test_every_flag_of_train_is_a_hyperparameter() -> None:
    from typer.main import get_command

    from img2img.cli.app import app

    command: Any = get_command(app)
    options = [option for option in command.commands["train"].params if option.opts[0][0] == "-"]
    switches = {name.removeprefix("--"): option.is_flag for option in options
                for name in option.opts if name.startswith("--")}  # fmt: skip
    ours = {"out", "resume", "set", "dry-run", "help"}
    assert flags() == {name: kind for name, kind in switches.items() if name not in ours}


def test_hyperparameters_become_arguments(container: Container) -> None:
    hyperparameters = {"task": "segmentation", "max-time": "2h", "compile": "true",
                       "download": "False", "data.groups": "pattern:=(.)", "lr": "1"}  # fmt: skip
    container.ask(hyperparameters, "training")
    root = container.root
    assert train_arguments(read_job(container.environ())) == [
        "segmentation", "--out", f"{root}/checkpoints/run", "--max-time=2h", "--compile",
        "--set=data.groups=pattern:=(.)", "--lr=1", f"--data={root}/input/data/training",
    ]  # fmt: skip


def test_variables_come_before_files(container: Container) -> None:
    container.ask({"task": "sobel"}, "training")
    environ = container.environ(
        SM_HPS='{"task": "xwing", "epochs": 3, "compile": true}', SM_CHANNEL_TRAINING="/elsewhere",
        SM_HOSTS='["b", "a"]', SM_CURRENT_HOST="b", SM_MODEL_DIR="/kept", SM_NUM_GPUS="4",
    )  # fmt: skip
    job = read_job(environ)
    assert job.hyperparameters == {"task": "xwing", "epochs": "3", "compile": "true"}
    assert job.channels == {"training": Path("/elsewhere")}
    assert (job.hosts, job.host, job.leads, job.n_gpus) == (["a", "b"], "b", False, 4)
    assert job.model == Path("/kept")


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        ((), []),
        (("train",), ["--data={data}/train"]),
        (("train", "val", "test"), ["--data={data}"]),
        (("training", "pseudo"), ["--pseudo={data}/pseudo", "--data={data}/training"]),
        (("training", "init"), ["--init={data}/init/a.safetensors", "--data={data}/training"]),
    ],
)
def test_channels(container: Container, channels: tuple[str, ...], expected: list[str]) -> None:
    data = container.root / "input" / "data"
    (data / "init").mkdir()
    (data / "init" / "a.safetensors").touch()
    container.ask({"task": "sobel"}, *channels)
    found = train_arguments(read_job(container.environ()))[3:]
    assert found == [text.format(data=data) for text in expected]


@pytest.mark.parametrize(
    ("channels", "named", "message"),
    [
        (("trainnig",), {}, "unknown channel 'trainnig': did you mean 'training'?"),
        (("training", "val"), {}, "training, val must be one channel"),
        (("train", "val", "pseudo"), {}, "train, val must be one channel"),
        (("training",), {"data": "coco"}, "data is both a channel and a hyperparameter"),
        ((), {"compile": "maybe"}, "compile cannot be 'maybe'"),
        ((), {"out": "/tmp"}, "unknown hyperparameter 'out'"),
    ],
)
def test_what_cannot_be_asked(
    container: Container, channels: tuple[str, ...], named: dict[str, str], message: str
) -> None:
    container.ask({"task": "sobel"} | named, *channels)
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        train_arguments(read_job(container.environ()))


def test_one_process_needs_no_launcher(container: Container) -> None:
    container.ask({"task": "sobel", "device": "cuda:1"})
    command = train_command(read_job(container.environ(SM_NUM_GPUS="8")))
    assert command[:5] == [sys.executable, "-m", "img2img", "train", "sobel"]


def test_gpus_and_hosts_are_joined_by_torchrun(container: Container) -> None:
    container.ask({"task": "sobel"})
    command = train_command(read_job(container.environ(SM_NUM_GPUS="8")))
    assert command[1:8] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=8",
                            "-m", "img2img", "train"]  # fmt: skip
    container.ask({"task": "sobel"}, hosts=["algo-2", "algo-1"], current_host="algo-2")
    command = train_command(read_job(container.environ()))
    assert command[3:8] == ["--nnodes=2", "--node-rank=1", "--master-addr=algo-1",
                            "--master-port=29500", "--nproc-per-node=1"]  # fmt: skip


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
