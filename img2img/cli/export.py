"""`img2img export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.evaluate import AllowPython
from img2img.cli.options import Data, Quiet, TaskName, Weights

if TYPE_CHECKING:
    from img2img.data.sample import Dataset, Image, Splits
    from img2img.inference.compression import Numbers
    from img2img.inference.export import Verdict
    from img2img.inference.weights import Card
    from img2img.models.network import Network
    from img2img.tasks.base import Task

_N_GATE = 64
"""Validation samples that an exported file is measured on."""
_NUMBERS = {
    ".onnx": ("fp32", "fp16", "int8-weights", "int8"),
    ".xml": ("fp32", "fp16", "int8"),
    ".pt2": ("fp32",),
    ".safetensors": ("fp32", "fp16"),
}
"""The numbers that each kind of file can hold."""


def export(
    task: TaskName,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="The file to write: .onnx; .xml for OpenVINO (with a .bin); .pt2, an archive of "
            "torch.export; .safetensors, the bare weights for torch, not measured.",
        ),
    ],
    weights: Weights = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to int8: smaller, and quicker on most CPUs.")
    ] = False,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="Store weights in fp16: half the size, same arithmetic.")
    ] = False,
    int8_weights: Annotated[
        bool,
        typer.Option(
            "--int8-weights",
            help="Store weights in int8, a scale a channel: a quarter of the size.",
        ),
    ] = False,
    data: Data = None,
    n_calibration: Annotated[
        int, typer.Option(min=1, metavar="N", help="Training samples that --int8 calibrates on.")
    ] = 64,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="X",
            help="What the metric may lose: points of a share (0.005 is half a point of mIoU), "
            "of other metrics a part of the figure.",
        ),
    ] = 0.005,
    download: Annotated[bool, typer.Option("--download", help="Allow downloads of data.")] = False,
    allow_python: AllowPython = False,
    quiet: Quiet = False,
) -> None:
    """Write weights as one file that answers pictures of any size; it is measured first.

    The file appears only if the task's best metric holds on up to 64 validation samples (where
    there are none, on those that `eval` takes); an older one stays otherwise. A .safetensors is
    the weights as they are (with --fp16, rounded) and written unmeasured. Exit codes: 0 done,
    1 the metric is lost, 2 a wrong option, 3 unusable data or weights.
    """
    from tempfile import TemporaryDirectory

    from img2img.cli.console import say
    from img2img.cli.measuring import splits_of
    from img2img.errors import InputError
    from img2img.inference.session import task_of

    numbers = _numbers(task, out, fp16=fp16, int8_weights=int8_weights, int8=int8)
    network, card = loaded(task, weights)
    if out.suffix == ".safetensors":
        _write_weights(network, card, out, fp16=fp16)
        print(out)
        return
    adapter = task_of(card, task, allow_python=allow_python)
    splits = splits_of(adapter, card, data=data, download=download, folded=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
            pictures = calibration(adapter, splits, n_calibration) if int8 else []
            files, verdict = _gated(
                adapter, network, card, validation(splits), file=Path(folder) / out.name,
                numbers=numbers, pictures=pictures, tolerance=tolerance,
            )  # fmt: skip
            n_bytes = sum(file.stat().st_size for file in files)
            for file in files:
                file.replace(out.with_suffix(file.suffix))
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}.") from None
    say(
        f"{verdict.metric} {verdict.exported:.6g}, torch {verdict.reference:.6g}, on "
        f"{verdict.n} samples; {n_bytes / 1e6:.2f} MB",
        quiet=quiet,
    )
    print(out)


def _numbers(task: str, out: Path, **asked: bool) -> "Numbers":
    """What `--out` and the flags ask for.

    Raises:
        UsageError: no such kind of file, one that cannot hold that, or OpenVINO is missing.
    """
    from typing import cast

    from img2img.errors import UsageError
    from img2img.inference.openvino_session import check_openvino

    if out.suffix not in _NUMBERS or out.is_dir():
        raise UsageError(
            f"--out {out} names no {', '.join(_NUMBERS)} file: write for example {task}.onnx."
        )
    chosen = [flag.replace("_", "-") for flag, is_asked in asked.items() if is_asked]
    if len(chosen) > 1:
        raise UsageError("choose one of --int8, --int8-weights and --fp16.")
    numbers = chosen[0] if chosen else "fp32"
    if numbers not in _NUMBERS[out.suffix]:
        fitting = ", ".join(kind for kind, held in _NUMBERS.items() if numbers in held)
        raise UsageError(f"--{numbers} is for {fitting} files, which --out {out} is not.")
    if out.suffix == ".xml":
        check_openvino()
    return cast("Numbers", numbers)


def loaded(task: str, weights: str | None) -> "tuple[Network, Card]":
    """The network in torch, whose answers are the measure."""
    from img2img.errors import WeightsError
    from img2img.inference.weights import KEY, Card, find_weights, read_header
    from img2img.registry import load_task

    load_task(task)
    files = find_weights(weights, task)
    if files.safetensors is None:
        raise WeightsError(f"{files.name} has no .safetensors file beside it to export from.")
    card = Card.from_json(read_header(files.safetensors).get(KEY), str(files.safetensors))
    # Torch takes seconds to load, and a mistake is told before.
    from img2img.inference.torch_session import load_network

    return load_network(files.safetensors, card), card


def _gated(
    adapter: "Task[Any, Any]", network: "Network", card: "Card", samples: "Dataset", *,
    file: Path, numbers: "Numbers", pictures: "list[Image]", tolerance: float,
) -> "tuple[list[Path], Verdict]":  # fmt: skip
    """The files of an exported network that passed the gate, and what it measured there."""
    from img2img.inference.compression import export_form, files_of, open_form
    from img2img.inference.export import gate
    from img2img.inference.torch_session import TorchSession, pick_device

    export_form(network, card, file, numbers=numbers, pictures=pictures)
    reference = TorchSession(network, pick_device("cpu"), card, name="torch")
    return files_of(file), gate(adapter, reference, open_form(file), samples, tolerance=tolerance)


def _write_weights(network: "Network", card: "Card", out: Path, *, fp16: bool) -> None:
    """Writes the network's tensors and card alone, whole or not at all."""
    from img2img.engine.checkpoint import Checkpoint, write_checkpoint
    from img2img.errors import InputError
    from img2img.inference.torch_session import PREFIX

    tensors = {
        f"{PREFIX}{key}": value.half() if fp16 and value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }
    try:
        write_checkpoint(out, Checkpoint(card=card, tensors=tensors, state={}))
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}.") from None


def calibration(adapter: "Task[Any, Any]", splits: "Splits", n: int) -> "list[Image]":
    """Pictures as the network sees them in training, without augmentation."""
    samples = _spread(splits.parts.get("train") or splits.whole, n)
    return [adapter.targets(sample, None)["image"] for sample in samples]


def validation(splits: "Splits", n: int = _N_GATE) -> "Dataset":
    """The samples that the gate measures on."""
    return _spread(splits.parts.get("val") or splits.pick(None)[1], n)


def _spread(samples: "Dataset", n: int) -> "Dataset":
    """At most `n` samples from all over the set, whose neighbours are often of one scene."""
    n = min(n, len(samples))
    return samples.subset([index * len(samples) // n for index in range(n)])
