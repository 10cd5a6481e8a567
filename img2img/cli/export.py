"""`img2img export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.evaluate import AllowPython
from img2img.cli.options import Data, Quiet, TaskName, Weights

if TYPE_CHECKING:
    from img2img.data.sample import Dataset, Image, Splits
    from img2img.inference.export import Verdict
    from img2img.inference.weights import Card
    from img2img.models.network import Network
    from img2img.tasks.base import Task

_N_GATE = 64
"""Validation samples that an exported file is measured on."""


def export(
    task: TaskName,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE.onnx",
            help="The file to write; with .safetensors the bare weights for torch.",
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
    """Write weights as one file; an .onnx answers pictures of any size and is measured first.

    The file appears only if the task's best metric holds on up to 64 validation samples (where
    there are none, on those that `eval` takes); an older one stays otherwise. Exit codes: 0 done,
    1 the metric is lost, 2 a wrong option, 3 unusable data or weights.
    """
    from tempfile import TemporaryDirectory

    from img2img.cli.console import say
    from img2img.cli.measuring import splits_of
    from img2img.errors import InputError, UsageError
    from img2img.inference.session import task_of

    if out.suffix not in (".onnx", ".safetensors") or out.is_dir():
        raise UsageError(f"--out {out} is no .onnx file's name: write for example {task}.onnx.")
    if int8 + fp16 + int8_weights > 1:
        raise UsageError("choose one of --int8, --int8-weights and --fp16.")
    if out.suffix != ".onnx" and (int8 or int8_weights):
        raise UsageError("only an .onnx can hold int8: name one with --out, or take --fp16.")
    network, card = _loaded(task, weights)
    if out.suffix == ".safetensors":
        _write_weights(network, card, out, fp16=fp16)
        print(out)
        return
    adapter = task_of(card, task, allow_python=allow_python)
    splits = splits_of(adapter, card, data=data, download=download, folded=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".export-", dir=out.parent) as folder:
            pictures = _calibration(adapter, splits, n_calibration) if int8 else None
            file, verdict = _gated(
                adapter, network, card, splits, folder=Path(folder), pictures=pictures,
                stored="int8" if int8_weights else "fp16" if fp16 else "fp32", tolerance=tolerance,
            )  # fmt: skip
            file.replace(out)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}.") from None
    say(
        f"{verdict.metric} {verdict.exported:.6g}, torch {verdict.reference:.6g}, on "
        f"{verdict.n} samples; {out.stat().st_size / 1e6:.2f} MB",
        quiet=quiet,
    )
    print(out)


def _loaded(task: str, weights: str | None) -> "tuple[Network, Card]":
    """The network in torch, whose answers are the measure."""
    from img2img.errors import WeightsError
    from img2img.inference.torch_session import load_network
    from img2img.inference.weights import KEY, Card, find_weights, read_header
    from img2img.registry import load_task

    load_task(task)
    files = find_weights(weights, task)
    if files.safetensors is None:
        raise WeightsError(f"{files.name} has no .safetensors file beside it to export from.")
    card = Card.from_json(read_header(files.safetensors).get(KEY), str(files.safetensors))
    return load_network(files.safetensors, card), card


def _gated(
    adapter: "Task[Any, Any]", network: "Network", card: "Card", splits: "Splits", *,
    folder: Path, pictures: "list[Image] | None", stored: str, tolerance: float,
) -> "tuple[Path, Verdict]":  # fmt: skip
    """An exported file in `folder` that passed the gate, and what it measured there."""
    from img2img.inference.compression import export_fp16, export_int8, export_int8_weights
    from img2img.inference.export import export_onnx, gate
    from img2img.inference.session import OnnxSession
    from img2img.inference.torch_session import TorchSession, pick_device

    file = folder / "fp32.onnx"
    export_onnx(network, card, file)
    if pictures is not None:
        source, file = file, folder / "int8.onnx"
        export_int8(source, card, file, pictures)
    elif stored != "fp32":
        source, file = file, folder / f"{stored}.onnx"
        (export_fp16 if stored == "fp16" else export_int8_weights)(source, card, file)
    samples = _spread(splits.parts.get("val") or splits.pick(None)[1], _N_GATE)
    reference = TorchSession(network, pick_device("cpu"), card, name="torch")
    exported = OnnxSession(file, name=file.name)
    return file, gate(adapter, reference, exported, samples, tolerance=tolerance)


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


def _calibration(adapter: "Task[Any, Any]", splits: "Splits", n: int) -> "list[Image]":
    """Pictures as the network sees them in training, without augmentation."""
    samples = _spread(splits.parts.get("train") or splits.whole, n)
    return [adapter.targets(sample, None)["image"] for sample in samples]


def _spread(samples: "Dataset", n: int) -> "Dataset":
    """At most `n` samples from all over the set, whose neighbours are often of one scene."""
    n = min(n, len(samples))
    return samples.subset([index * len(samples) // n for index in range(n)])
