"""What our own machinery costs: the loop, the loader, a prediction, the start.

Things that are compared run in turns (A B, B A, …), so that a machine that slows down slows both;
a figure is the median over the turns, with the least and the greatest.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from img2img import __version__
from img2img.config import Layer
from img2img.data.images import write
from img2img.data.loader import Loader
from img2img.data.sample import Image
from img2img.data.synth.textures import draw_texture
from img2img.engine.events import JsonLines
from img2img.engine.run import Plan, prepare, resolve, training_samples
from img2img.engine.runtime import Runtime
from img2img.engine.trainer import Batch, Trainer
from img2img.errors import RunError
from img2img.inference.predictor import Predictor, attach
from img2img.inference.session import Session, open_session, task_of
from img2img.inference.weights import find_weights
from img2img.tasks.base import Task

PHOTO_SIZE = (480, 640)
_READY_BATCHES = 8
_SAMPLES = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured quantity; its unit is the end of its name, a ratio or share has none."""

    name: str
    median: float
    low: float
    high: float
    n: int


def figure(name: str, values: list[float]) -> Figure:
    """The figure of repeated measurements."""
    return Figure(
        name=name, median=median(values), low=min(values), high=max(values), n=len(values)
    )


def facts(device: torch.device) -> dict[str, object]:
    """Date, device and versions, without which a figure says nothing."""
    on_gpu = device.type == "cuda"
    packages = ("torch", "numpy", "onnxruntime", "typer")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name(device) if on_gpu else _cpu_name(),
        "threads": torch.get_num_threads(),
        "versions": {"img2img": __version__, "python": platform.python_version()}
        | {name: version(name) for name in packages},
    }


def plan_for(task: str, layers: list[Layer], runtime: Runtime, *, steps: int) -> Plan:
    """The plan whose epochs have `steps` steps, and whose budget never ends."""
    batch_size = resolve(task, layers).train.batch_size
    given: Layer = ("bench", {"train": {"epoch_size": steps * batch_size}})
    few: Layer = ("bench", {"data": {"n_generated": max(_SAMPLES, batch_size)}})
    plan = prepare(resolve(task, [few, *layers, given]), runtime, init=None, fresh=False)
    train = replace(plan.config.train, epochs=1_000_000, steps=None, max_time=None)
    config = replace(plan.config, groups={**plan.config.groups, "train": train})
    return replace(plan, config=config)


@contextmanager
def opened_trainer(plan: Plan, runtime: Runtime) -> Iterator[Trainer]:
    """The Trainer of a plan in a run folder of its own, logging as a training does."""
    samples = training_samples(plan)
    with TemporaryDirectory(prefix="img2img-bench-") as folder:
        trainer = Trainer(
            plan.task, plan.config, plan.network, plan.card, train=samples,
            val=samples.subset([]), runtime=runtime, run=Path(folder),
            listeners=[JsonLines(Path(folder) / "metrics.jsonl", keep=0)],
        )  # fmt: skip
        trainer.start()
        yield trainer


# ---- the loop


def bench_loop(trainer: Trainer, *, repeats: int) -> list[Figure]:
    """An epoch of the Trainer beside a bare loop, on the same network, optimiser and batches.

    The batches are ready in memory, so that only the loop differs; validation and saving happen
    between epochs and are not counted.
    """
    steps = trainer.loader.steps_per_epoch
    ready = ReadyLoader(trainer.loader, steps)
    trainer.loader = ready
    trainer.network.train()
    pairs = in_turns(
        lambda: _timed_epoch(trainer), lambda: _timed_bare(trainer, ready), repeats=repeats
    )
    return [
        figure("ratio", [ours / bare for ours, bare in pairs]),
        figure("overhead_us", [(ours - bare) / steps * 1e6 for ours, bare in pairs]),
        figure("step_ms", [ours / steps * 1e3 for ours, _ in pairs]),
        figure("bare_step_ms", [bare / steps * 1e3 for _, bare in pairs]),
    ]


class ReadyLoader(Loader):
    """The first batches of another loader, kept in memory and given again and again."""

    def __init__(self, loader: Loader, n_steps: int) -> None:
        batches = loader.epoch(0)
        self._ready = [next(batches) for _ in range(min(n_steps, _READY_BATCHES))]
        if loader._pin:
            self._ready = [{k: v.pin_memory() for k, v in batch.items()} for batch in self._ready]
        self._n_steps = n_steps
        self._batches = loader.batches()

    @property
    def steps_per_epoch(self) -> int:
        return self._n_steps

    def epoch(self, epoch: int, *, skip: int = 0) -> Iterator[Batch]:
        return (self._ready[i % len(self._ready)] for i in range(self._n_steps))


def bare_loop(trainer: Trainer, batches: Iterator[Batch]) -> None:
    """The shortest loop that learns the same, that of an opponent included."""
    network, scaler, game = trainer.network, trainer.scaler, trainer.game
    optimizers = [optimizer for _, optimizer in trainer.players]
    for batch in batches:
        here = {k: v.to(trainer.runtime.device, non_blocking=True) for k, v in batch.items()}
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        with trainer.autocast():
            maps = network(here["image"])
            loss = torch.stack(list(trainer.objective(maps, here).values())).sum()
        scaler.scale(loss).backward()
        if game is not None:
            with trainer.autocast():
                loss = game.judge(maps.detach(), here)["discriminator"]
            scaler.scale(loss).backward()
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()


def in_turns(
    first: Callable[[], float], second: Callable[[], float], *, repeats: int
) -> list[tuple[float, float]]:
    """What two measurements give, run in alternating order after a warm-up of each."""
    first(), second()
    pairs: list[tuple[float, float]] = []
    for turn in range(repeats):
        if turn % 2 == 0:
            a = first()
            b = second()
        else:
            b = second()
            a = first()
        pairs.append((a, b))
    return pairs


def _timed_epoch(trainer: Trainer) -> float:
    start = time.perf_counter()
    trainer.epoch()
    _synchronise(trainer.runtime.device)
    elapsed_s = time.perf_counter() - start
    trainer.progress.epoch += 1
    trainer.progress.step_in_epoch = 0
    return elapsed_s


def _timed_bare(trainer: Trainer, loader: Loader) -> float:
    start = time.perf_counter()
    bare_loop(trainer, loader.epoch(0))
    _synchronise(trainer.runtime.device)
    return time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# ---- the data


def bench_data(trainer: Trainer, *, repeats: int) -> list[Figure]:
    """The loader on a warm cache by itself, and the share of a training step that waits for it."""
    cache = trainer.loader.encoder.cache
    for index in range(len(cache.dataset)):
        cache.sample(index)
    steps, size = trainer.loader.steps_per_epoch, trainer.options.batch_size
    paces: list[float] = []
    shares: list[float] = []
    for turn in range(repeats + 1):
        start = time.perf_counter()
        n_batches = sum(1 for _ in trainer.loader.epoch(turn))
        paces.append(n_batches * size / (time.perf_counter() - start))
        trainer.progress.step = 0  # no row of the log may reset the sum of waits on the way
        trainer.options = replace(trainer.options, log_every=steps + 1)
        trainer.window.reset()
        elapsed_s = _timed_epoch(trainer)
        shares.append(trainer.window.waited_s / elapsed_s)
    return [figure("pictures_per_s", paces[1:]), figure("wait_share", shares[1:])]


# ---- whole processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took: seconds of CPU (user and system) and greatest memory in MiB."""

    cpu_s: float
    peak_mib: float


_METER = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def cost_of(arguments: list[str], folder: Path | None = None) -> Cost:
    """What a Python process with these arguments costs.

    It is started by a small process of its own: a child's peak includes what its parent held
    when it was started, and this process holds torch.

    Raises:
        RunError: the process failed.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-S", "-c", _METER, sys.executable, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, check=False
    )
    code, cpu_s, peak_mib = json.loads(done.stdout or "[1, 0, 0]")
    if code != 0:
        raise RunError(f"`python {' '.join(arguments)}` failed: {done.stderr.strip()[-300:]}")
    return Cost(cpu_s=cpu_s, peak_mib=peak_mib)


def costs_of(
    processes: Mapping[str, list[str]], *, repeats: int, folder: Path | None = None
) -> list[Figure]:
    """`NAME_cpu_s` and `NAME_peak_mib` of processes that run in turns, after one warm-up."""
    costs: dict[str, list[Cost]] = {name: [] for name in processes}
    for _ in range(repeats + 1):
        for name, arguments in processes.items():
            costs[name].append(cost_of(arguments, folder))
    figures: list[Figure] = []
    for name, found in costs.items():
        figures.append(figure(f"{name}_cpu_s", [cost.cpu_s for cost in found[1:]]))
        figures.append(figure(f"{name}_peak_mib", [cost.peak_mib for cost in found[1:]]))
    return figures


def bench_startup(*, repeats: int) -> list[Figure]:
    """What it costs to ask for help, beside a Python that does nothing."""
    return costs_of(
        {
            "python": ["-c", "pass"],
            "help": ["-m", "img2img", "--help"],
            "train_help": ["-m", "img2img", "train", "--help"],
        },
        repeats=repeats,
    )


def bench_predict(
    task: str, weights: str | None, *, device: str, repeats: int, n_pictures: int
) -> list[Figure]:
    """One picture of 640×480 by a whole process, beside `import torch`; and by an open session.

    Raises:
        WeightsError: the weights cannot be used, or none ship for the task.
    """

    def opened(name: str, given: str | None) -> Session:
        return open_session(find_weights(given, name), device=device)

    session = opened(task, weights)
    loaded = task_of(session.card, task, allow_python=True)
    image = photo_of(loaded)
    attach(loaded, opened)
    predictor = Predictor(loaded, session, outputs=loaded.result_outputs)
    predictor.run(image)
    times_ms = [_timed_answers(predictor, image, n_pictures) for _ in range(repeats)]
    with TemporaryDirectory(prefix="img2img-bench-") as folder:
        photo = Path(folder) / "photo.jpg"
        write(photo, image)
        command = ["-m", "img2img", "predict", task, str(photo), "--device", device]
        command += ["--weights", str(Path(weights).resolve())] if weights is not None else []
        processes = {"predict": command, "import_torch": ["-c", "import torch"]}
        figures = costs_of(processes, repeats=repeats, folder=Path(folder))
    return [*figures, figure("session_ms", times_ms)]


def photo_of(task: Task[Any, Any], *, seed: int = 0) -> Image:
    """A picture (480, 640, 3) with one of the task's own generated ones in the middle."""
    height, width = PHOTO_SIZE
    photo = draw_texture(np.random.default_rng(seed), height, width)
    shown = task.generate(1, size=height, seed=seed)["test"][0].image
    left = (width - height) // 2
    photo[:, left : left + height] = shown
    return photo


def _timed_answers(predictor: Predictor, image: np.ndarray, n_pictures: int) -> float:
    """Milliseconds a picture."""
    start = time.perf_counter()
    for _ in range(n_pictures):
        predictor.run(image)
    return (time.perf_counter() - start) / n_pictures * 1e3


# ---- where


def _cpu_name() -> str:
    try:
        rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        rows = []
    names = [row.partition(":")[2].strip() for row in rows if row.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def to_json(
    task: str, device: torch.device, results: Mapping[str, list[Figure]]
) -> dict[str, object]:
    """The object of `bench --json`."""
    figures = {
        what: {
            entry.name: {k: v for k, v in asdict(entry).items() if k != "name"} for entry in found
        }
        for what, found in results.items()
    }
    return {"task": task, **facts(device), "results": figures}
