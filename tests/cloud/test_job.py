"""What SageMaker says, and the command that it becomes."""

import sys
from pathlib import Path
from typing import Any

import pytest
from opt_ml import Container

from img2img.cloud.job import flags, read_job, train_arguments, train_command
from img2img.errors import UsageError


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
