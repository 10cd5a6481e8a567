"""A run folder from its first file to its last: prepare, train, export, report."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from img2img import __version__
from img2img.config import Config, Layer
from img2img.data.sample import Dataset, Splits
from img2img.data.split import check_unchanged, repeated, split_to_json
from img2img.engine.checkpoint import FILE, read_checkpoint, write_checkpoint
from img2img.engine.events import Finished, JsonLines, Listener, Noted
from img2img.engine.runtime import Runtime, decide_precision, local_world, use_exact_fp32
from img2img.engine.trainer import Trainer
from img2img.errors import DataError, RunError, UsageError
from img2img.inference.export import export_onnx
from img2img.inference.session import answered
from img2img.inference.torch_session import TorchSession, load_network
from img2img.inference.weights import KEY, Card, find_weights, read_header
from img2img.models.network import Network
from img2img.models.opponent import Adversarial
from img2img.models.registry import build, options_type
from img2img.registry import load_task
from img2img.tasks.base import Run, Task


def resolve(task_name: str, layers: list[Layer]) -> Config:
    """The configuration of a training: task defaults under `layers`.

    A task may have other defaults for a model; a budget that is given replaces the default one.

    Raises:
        UsageError: an unknown task, model, option or value, or an option without effect.
    """
    kind = load_task(task_name)
    general: Layer = ("task default", kind.defaults)
    layers = [general, *layers]
    named = [groups["model"]["name"] for _, groups in layers if groups.get("model", {}).get("name")]
    model = str(named[-1])
    schema = schema_of(kind, model)
    own = [(source, {"task": groups.get("task", {})}) for source, groups in layers]
    options = Config.resolve(task_name, {"task": kind.Options}, own).task_options
    sources = [
        groups["data"]["source"] for _, groups in layers if "source" in groups.get("data", {})
    ]
    source = sources[-1] if sources else None
    fitting = ("task default", kind.defaults_for(options, model, source=source))
    config = Config.resolve(task_name, schema, [general, fitting, *layers[1:]])
    config.check_effects()
    return replace_budget(config)


def schema_of(kind: type[Task[Any, Any]], model: str) -> dict[str, type]:
    """{group: dataclass} of the options of a task with a model."""
    from img2img.config import DataOptions, TrainOptions

    return {"train": TrainOptions, "data": DataOptions, "model": options_type(model),
            "task": kind.Options, **kind.groups}  # fmt: skip


def replace_budget(config: Config) -> Config:
    """Drops the default budgets where the user gave one."""
    budgets = ("epochs", "steps", "max_time")
    if all(getattr(config.train, budget) is None for budget in budgets):
        raise UsageError("the training would never end: give --epochs, --steps or --max-time.")
    asked = [b for b in budgets if config.origins.get(f"train.{b}", "task default") not in
             ("task default", "default")]  # fmt: skip
    if not asked:
        return config
    dropped: dict[str, Any] = {budget: None for budget in budgets if budget not in asked}
    train = replace(config.train, **dropped)
    origins = {k: v for k, v in config.origins.items() if k.removeprefix("train.") not in dropped}
    return replace(config, groups={**config.groups, "train": train}, origins=origins)


def load_config(run: Path, layers: list[Layer]) -> Config:
    """The configuration a run was started with, its budget and machine options replaced by those
    in `layers`.

    Raises:
        UsageError: `run` is no run folder, or a layer changes what a resumed run cannot change.
    """
    path = run / "config.json"
    if not path.is_file():
        raise UsageError(f"--resume {run} is no run folder: it has no config.json.")
    saved = read_json(path)
    for _, groups in layers:
        for group, options in groups.items():
            for name in options:
                if f"{group}.{name}" not in _MAY_CHANGE:
                    raise UsageError(
                        f"--resume goes on with the options of the run: {group}.{name} cannot "
                        "change; start a new run for that."
                    )
    kind = load_task(saved["task"])
    schema = schema_of(kind, saved["options"]["model"]["name"])
    config = Config.resolve(saved["task"], schema, [("run", saved["options"])])
    resolved = Config.resolve(saved["task"], schema, [("run", saved["options"]), *layers])
    origins = {**saved["origins"], **{k: v for k, v in resolved.origins.items() if v != "run"}}
    return replace(resolved if layers else config, origins=origins)


_MAY_CHANGE = {"train.epochs", "train.steps", "train.max_time", "train.device", "train.workers",
               "train.early_stopping", "train.save_every", "train.log_every", "train.cache_mb",
               "train.track", "train.name", "data.source", "data.download"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a training needs, before a file is written."""

    config: Config
    task: Task[Any, Any]
    splits: Splits
    network: Network
    card: Card
    note: str


def prepare(config: Config, runtime: Runtime, *, init: str | None, fresh: bool) -> Plan:
    """Reads the data and builds the network; decides the precision once.

    Args:
        init: weights to start from, `shipped` or a path.
        fresh: whether a pretrained encoder is wanted, as a new training does.

    Raises:
        DataError: the data cannot be used.
        WeightsError: the weights of `init` cannot be used.
        UsageError: an option does not fit this machine.
    """
    kind = load_task(config.task)
    task = kind.configured(config)
    use_exact_fp32(exact=kind.in_fp32)
    torch.manual_seed(config.train.seed)
    precision = runtime.from_leader(
        decide_precision(config.train.precision, runtime.device, in_fp32=kind.in_fp32)
    )
    train = replace(config.train, precision=precision, workers=_workers(config, runtime))
    config = replace(config, groups={**config.groups, "train": train})
    if config.data.pseudo is not None and not kind.takes_pseudo:
        raise UsageError(f"--pseudo: {config.task} cannot learn from pictures without labels.")
    splits = task.splits(config.data)
    if not splits.parts.get("train"):
        raise DataError(f"{splits.name} has no training samples.")
    task.prepare(splits.parts["train"])
    # What a sample cannot be made of, or an opponent not judge, is told before a file is written.
    encoded = task.targets(splits.parts["train"][0], np.random.default_rng(0))
    built = build(config.model.name, config.model, task.head(), pretrained=fresh and init is None,
                  download=config.data.download)  # fmt: skip
    objective = task.objective()
    if isinstance(objective, Adversarial):
        objective.opponent.check_size(*encoded["image"].shape[:2])
    note = built.note if init is None else _initialise(built.network, init, config.task)
    card = make_card(config, built.network, runtime)
    return Plan(
        config=config, task=task, splits=splits, network=built.network, card=card, note=note
    )


def make_card(config: Config, network: Network, runtime: Runtime) -> Card:
    """What the weights of this training say of themselves."""
    options = config.to_json()["options"]
    for group, kind in config.groups.items():
        options[group] |= _withheld(kind)
    device = torch.cuda.get_device_name() if runtime.device.type == "cuda" else "cpu"
    return Card(
        task=config.task,
        model=config.model.name,
        options=options,
        stride=network.stride,
        halo_px=network.halo_px,
        outputs=list(network.head.outputs),
        version=__version__,
        facts={"date": datetime.now(UTC).date().isoformat(), "device": device},
    )


def _withheld(options: Any) -> dict[str, Any]:
    """{option: default} of what weights do not tell: paths of the trainer's machine."""
    return {e.name: e.default for e in fields(options) if e.metadata.get("local")}


def train(
    plan: Plan,
    runtime: Runtime,
    *,
    out: Path,
    resume: bool,
    listeners: list[Listener],
    report: Callable[[Path, Task[Any, Any], Splits, list[Listener]], None],
) -> Finished:
    """Trains into the run folder `out` and leaves weights that need no flags to use.

    Raises:
        DataError: a resumed run's data changed.
        Interrupted: stopped by a signal, after saving.
        RunError: the loss became NaN.
    """
    config = plan.config
    if resume:
        check_unchanged(read_json(out / "split.json"), plan.splits)
    if runtime.leads:
        shutil.rmtree(out / "cache", ignore_errors=True)
    runtime.barrier()
    trainer = Trainer(
        plan.task, config, plan.network, plan.card,
        train=training_samples(plan), val=_validation(plan.splits),
        runtime=runtime, run=out, listeners=listeners,
    )  # fmt: skip
    if runtime.leads:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "config.json", config.to_json())
        write_json(out / "split.json", split_to_json(plan.splits))
    if resume:
        trainer.resume()
    log = JsonLines(out / "metrics.jsonl", keep=trainer.progress.n_rows) if runtime.leads else None
    trainer.listeners = [*([log] if log else []), *listeners]
    notes = [plan.note]
    if not trainer.val:
        notes.append("there are no validation samples: the last weights count as the best")
    if trainer.game is not None and config.train.polish_steps:
        notes.append("there is no closing phase: it would undo what the discriminator taught")
    for note, listener in product(notes, trainer.listeners if runtime.leads else []):
        listener(Noted(text=note))
    try:
        finished = trainer.fit()
    finally:
        if runtime.leads:
            shutil.rmtree(out / "cache", ignore_errors=True)
    if runtime.leads:
        settle(plan.task, out, _validation(plan.splits))
        problem = _try_export(out)
        report(out, plan.task, plan.splits, trainer.listeners)
        for listener in trainer.listeners:
            listener(finished)
        if problem is not None:
            raise problem
    runtime.barrier()
    return finished


def settle(task: Task[Any, Any], run: Path, val: Dataset) -> None:
    """Writes the options that the task settles on after looking at validation samples into the
    best weights."""
    best = run / "best" / FILE
    checkpoint = read_checkpoint(best)
    card = checkpoint.card

    def network(options: Any) -> Run:
        seen = replace(card, options=card.options | {"task": _plain(options)}, outputs=[])
        session = TorchSession(load_network(best, seen), torch.device("cpu"), seen, name=run.name)
        return partial(answered, session)

    settled = task.settle(network, val)
    if settled != task.options:
        outputs = list(type(task)(settled, task.training).head().outputs)
        options = card.options | {"task": _plain(settled) | _withheld(settled)}
        card = replace(card, options=options, outputs=outputs)
        write_checkpoint(best, replace(checkpoint, card=card))


def _plain(options: Any) -> dict[str, Any]:
    """Options as JSON has them."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(options)))
    return plain


def _try_export(run: Path) -> RunError | None:
    """Exports the best weights; a failure waits until the report is written."""
    try:
        export_run(run)
    except RunError as error:
        return error
    return None


def export_run(run: Path) -> Path:
    """Writes `best.onnx` from the run's best checkpoint."""
    best = run / "best" / FILE
    card = Card.from_json(read_header(best).get(KEY), str(best))
    target = run / "best.onnx"
    export_onnx(load_network(best, card), card, target)
    return target


def check_new(out: Path) -> None:
    """Refuses a run folder that holds something.

    Raises:
        UsageError: the folder is not empty, or a file.
    """
    if out.is_file():
        raise UsageError(f"--out {out} is a file: name a new folder.")
    if out.is_dir() and any(out.iterdir()):
        is_run = (out / "config.json").is_file()
        advice = f", or go on with --resume {out}" if is_run else ""
        raise UsageError(f"--out {out} is not empty: choose another folder{advice}.")


def reserve_run_folder(task: str) -> Path:
    """Makes `next_run_folder` at once, so that two trainings started together take two."""
    while True:
        folder = next_run_folder(task)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder


def next_run_folder(task: str, base: Path = Path("runs")) -> Path:
    """`runs/TASK-N`, N one more than the greatest there is."""
    taken = [path.name.removeprefix(f"{task}-") for path in base.glob(f"{task}-*")]
    number = max((int(name) for name in taken if name.isdigit()), default=0) + 1
    return base / f"{task}-{number}"


def training_samples(plan: Plan) -> Dataset:
    """The samples of an epoch, each as often as the task and `data.repeat` say.

    Raises:
        UsageError: a rule of `data.repeat` fits no sample.
    """
    balanced = plan.task.balanced(plan.splits.parts["train"])
    return repeated(balanced, plan.config.data.repeat)


def _validation(splits: Splits) -> Any:
    """The validation samples; the training samples' empty subset where there are none."""
    return splits.parts.get("val") or splits.parts["train"].subset([])


def _workers(config: Config, runtime: Runtime) -> int:
    """Loader processes: none on a CPU, where they take the cores that train (measured)."""
    import os

    if config.train.workers is not None or runtime.device.type != "cuda":
        return config.train.workers or 0
    return min(8, max(0, (os.cpu_count() or 1) // local_world() - 1))


def _initialise(network: Network, init: str, task: str) -> str:
    files = find_weights(init, task)
    if files.safetensors is None:
        raise UsageError(f"--init {init} has no .safetensors file, which training needs.")
    card = Card.from_json(read_header(files.safetensors).get(KEY), str(files.safetensors))
    source = load_network(files.safetensors, card).state_dict()
    ours = network.state_dict()
    wrong = [key for key in ours if key not in source or source[key].shape != ours[key].shape]
    if wrong:
        raise UsageError(
            f"--init {init} holds {card.model} weights that do not fit: {wrong[0]} differs."
        )
    network.load_state_dict({key: source[key] for key in ours})
    return f"started from the weights {files.name}"


def read_json(path: Path, *, advice: str = "train anew") -> dict[str, Any]:
    """The object in a file of a run folder.

    Raises:
        DataError: it cannot be read, or is none; `advice` says what to do.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; {advice}.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} cannot be read: it holds no JSON object; {advice}.")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a file of a run folder, whole or not at all."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(path)
