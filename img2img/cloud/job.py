"""What SageMaker says of a training, and the `img2img train` that it becomes.

The files are those of "How Amazon SageMaker AI Provides Training Information" in its developer
guide; the environment variables are those of its training toolkit, and come first.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from img2img.config import DataOptions, ModelOptions, TaskOptions, TrainOptions
from img2img.errors import UsageError, unknown_name
from img2img.option_values import parse_value

DATA_CHANNELS = ("training", "train", "val", "valid", "validation", "test")
_MASTER_PORT = 29500


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What SageMaker says of one training.

    `hyperparameters` are as written, those of SageMaker's own left out; `channels` {name: folder}.
    """

    hyperparameters: dict[str, str]
    channels: dict[str, Path]
    hosts: list[str]
    host: str
    network_interface: str
    n_gpus: int
    root: Path
    model: Path

    @property
    def run(self) -> Path:
        """The run, in the folder that SageMaker copies to S3, and back after an interruption."""
        return self.root / "checkpoints" / "run"

    @property
    def started_with(self) -> Path:
        """The hyperparameters that the run was started with."""
        return self.root / "checkpoints" / "hyperparameters.json"

    @property
    def is_started(self) -> bool:
        """Whether the run was saved before."""
        return (self.run / "last" / "checkpoint.safetensors").is_file()

    @property
    def leads(self) -> bool:
        """Whether this host writes the run."""
        return self.host == self.hosts[0]


# ---- what SageMaker says


def base_folder(environ: Mapping[str, str]) -> Path:
    """/opt/ml, or what takes its place in tests; the variable is that of SageMaker's toolkits."""
    return Path(environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def read_job(environ: Mapping[str, str]) -> Job:
    """The job, by its files; variables of SageMaker's training toolkit come first.

    Raises:
        UsageError: a file is no JSON object, or this host is not among the hosts.
    """
    root = base_folder(environ)
    config = root / "input" / "config"
    resources = _stated(environ, "SM_RESOURCE_CONFIG", config / "resourceconfig.json")
    host = environ.get("SM_CURRENT_HOST") or resources.get("current_host", "algo-1")
    hosts = json.loads(environ.get("SM_HOSTS", "null")) or resources.get("hosts", [host])
    if host not in hosts:
        raise UsageError(f"this host, {host}, is not among the hosts {', '.join(hosts)}.")
    written = _stated(environ, "SM_HPS", config / "hyperparameters.json")
    return Job(
        hyperparameters={
            name: _text(value)
            for name, value in written.items()
            if not name.startswith(("sagemaker_", "_"))
        },
        channels=_channels(environ, root),
        hosts=sorted(hosts),
        host=host,
        network_interface=resources.get("network_interface_name", ""),
        n_gpus=int(environ["SM_NUM_GPUS"]) if "SM_NUM_GPUS" in environ else count_gpus(),
        root=root,
        model=Path(environ.get("SM_MODEL_DIR", root / "model")),
    )


def _stated(environ: Mapping[str, str], variable: str, path: Path) -> dict[str, Any]:
    """The JSON object in an environment variable, else in a file."""
    return parse_object(environ[variable], variable) if variable in environ else read_object(path)


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is no file."""
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else "{}"
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    return parse_object(text, str(path))


def parse_object(text: str, where: str) -> dict[str, Any]:
    """The JSON object in a text that came from `where`.

    Raises:
        UsageError: it is none.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where} is no JSON: {error}.") from None
    if not isinstance(content, dict):
        raise UsageError(f"{where} holds no JSON object.")
    return content


def _text(value: Any) -> str:
    """A hyperparameter as it was meant: SageMaker's files hold strings, its SDKs may put JSON
    into them."""
    if not isinstance(value, str):
        return json.dumps(value)
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value


def _channels(environ: Mapping[str, str], root: Path) -> dict[str, Path]:
    folder = root / "input" / "data"
    prefix = "SM_CHANNEL_"
    stated = {name.removeprefix(prefix).lower(): Path(path)
              for name, path in environ.items() if name.startswith(prefix)}  # fmt: skip
    file = root / "input" / "config" / "inputdataconfig.json"
    return {name: folder / name for name in _stated(environ, "SM_INPUT_DATA_CONFIG", file)} | stated


def count_gpus() -> int:
    """GPUs of this machine; asking the driver's tool spares loading torch (2 s)."""
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(
        ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False
    )
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


# ---- the command it becomes


def train_command(job: Job) -> list[str]:
    """The command line of this host; several processes are started by torchrun.

    Raises:
        UsageError: a hyperparameter or channel that does not exist, or no task.
    """
    arguments = ["-m", "img2img", "train", *train_arguments(job)]
    on_all = job.hyperparameters.get("device", "auto") in ("auto", "cuda")
    n_processes = max(1, job.n_gpus) if on_all else 1
    if n_processes == len(job.hosts) == 1:
        return [sys.executable, *arguments]
    place = ["--standalone"]
    if len(job.hosts) > 1:
        place = [f"--nnodes={len(job.hosts)}", f"--node-rank={job.hosts.index(job.host)}",
                 f"--master-addr={job.hosts[0]}", f"--master-port={_MASTER_PORT}"]  # fmt: skip
    return [sys.executable, "-m", "torch.distributed.run", *place,
            f"--nproc-per-node={n_processes}", *arguments]  # fmt: skip


def train_arguments(job: Job) -> list[str]:
    """What follows `img2img train`.

    A run that goes on keeps its options: it is told only those that are others now, and
    `img2img train` refuses by name what cannot change.
    """
    named = dict(job.hyperparameters)
    if "task" not in named:
        raise UsageError("the hyperparameter `task` is missing, such as task=segmentation.")
    task = named.pop("task")
    options = {name: _option(name, value) for name, value in named.items()}
    sources = _sources(job, named)
    if not job.is_started:
        return [task, "--out", str(job.run), *filter(None, options.values()), *sources.values()]
    before = read_object(job.started_with)
    changed = [text for name, text in options.items() if text and named[name] != before.get(name)]
    data = [sources["data"]] if "data" in sources else []
    return [task, "--resume", str(job.run), *changed, *data]


def flags() -> dict[str, bool]:
    """{flag of `img2img train` without its dashes: whether it is a switch}."""
    found = {"config": False, "init": False, "quiet": True}
    for kind in (DataOptions, TaskOptions, ModelOptions, TrainOptions):
        hints = get_type_hints(kind)
        for entry in fields(kind):
            if entry.metadata.get("flag"):
                found[entry.metadata["flag"].removeprefix("--")] = hints[entry.name] is bool
    return found


def _option(name: str, value: str) -> str:
    """The argument that a hyperparameter stands for; empty for a switch that is off."""
    if "." in name:
        return f"--set={name}={value}"
    known = flags()
    if name not in known:
        raise unknown_name("hyperparameter", name, ["task", *known])
    if not known[name]:
        return f"--{name}={value}"
    try:
        return f"--{name}" if parse_value(bool, value) else ""
    except ValueError as error:
        raise UsageError(f"the hyperparameter {name} cannot be {value!r}: {error}.") from None


def _sources(job: Job, named: Mapping[str, str]) -> dict[str, str]:
    """{flag: argument} of the channels."""
    folders = {name: path for name, path in job.channels.items() if name in ("pseudo", "init")}
    if data := {name: path for name, path in job.channels.items() if name not in folders}:
        folders["data"] = _data_folder(data, alone=not folders)
    if "init" in folders:
        folders["init"] = _weights_in(folders["init"])
    for name in sorted({*folders} & {*named}):
        raise UsageError(f"{name} is both a channel and a hyperparameter: give one.")
    return {name: f"--{name}={path}" for name, path in folders.items()}


def _data_folder(channels: Mapping[str, Path], *, alone: bool) -> Path:
    """The folder of the one channel, or that of channels which are parts by their names: there
    `img2img` finds them."""
    for name in channels:
        if name not in DATA_CHANNELS:
            raise unknown_name("channel", name, [*DATA_CHANNELS, "pseudo", "init"])
    first = next(iter(channels.values()))
    if len(channels) == 1:
        return first
    if "training" in channels or not alone:
        raise UsageError(
            f"the channels {', '.join(sorted(channels))} must be one channel, training, with "
            "subfolders for the parts: parts in channels of their own go with no other channel."
        )
    return first.parent


def _weights_in(folder: Path) -> Path:
    """The only .safetensors file of a folder, else the folder, which may be a run."""
    files = list(folder.glob("*.safetensors"))
    return files[0] if len(files) == 1 else folder
