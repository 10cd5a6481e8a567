"""Device, processes, precision, seeds and signals. The only module that reads ranks."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from img2img.errors import UsageError

if TYPE_CHECKING:
    import torch


def prepare_environment() -> None:
    """Settings that must stand before torch, NumPy and ONNX Runtime load.

    Spinning OpenMP threads make torch 4 to 25 times slower when anything else runs; NumPy's BLAS
    threads triple the CPU time of starting it and nothing here multiplies matrices with it; ONNX
    Runtime's telemetry writes a database into the user's home when it is imported; FFmpeg, inside
    OpenCV, tells of broken videos on stderr in its own words, which our errors tell.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET


def keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks for the next step instead of returning them to the kernel.

    Torch allocates every activation anew; handing megabytes back and forth doubled the time of a
    step on two cores (115 against 52 ms for filternet, batch 16 at 128²). Blocks from 64 MiB on go
    back: glibc cannot fit the next aligned block into one of its size, so that they would pile up
    (measured: 20 GB after 60 passes with 300 MB each). Elsewhere a no-op.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mmap_threshold, trim_threshold = -3, -1  # names from malloc.h
        mallopt(mmap_threshold, 1 << 26)
        mallopt(trim_threshold, 2**31 - 1)


def ranks() -> tuple[int, int]:
    """(number of this process, number of processes) under `torchrun`, else (0, 1)."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def local_world() -> int:
    """Number of processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


@dataclass(slots=True, kw_only=True)
class Signals:
    """Whether SIGTERM or Ctrl-C arrived."""

    caught: bool = False


@contextmanager
def caught_signals() -> Iterator[Signals]:
    """SIGTERM and Ctrl-C set a flag instead of ending the process; a second one ends it."""
    signals = Signals()

    def catch(number: int, frame: FrameType | None) -> None:
        if signals.caught:
            raise KeyboardInterrupt
        signals.caught = True

    before = {number: signal.signal(number, catch) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True, kw_only=True)
class Runtime:
    """Where a training runs: this process's device and its place among the others."""

    device: "torch.device"
    rank: int = 0
    world: int = 1
    _group: Any = field(default=None)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def wrapped(self, network: "torch.nn.Module") -> "torch.nn.Module":
        """The network as all processes train it: their gradients are averaged."""
        if self.world == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        on_gpu = self.device.type == "cuda"
        return DistributedDataParallel(network, device_ids=[self.device] if on_gpu else None)

    def agree(self, *flags: bool) -> list[bool]:
        """Each flag raised in any process, so that all take the same branch."""
        if self.world == 1:
            return list(flags)
        import torch
        from torch import distributed

        votes = torch.tensor(flags, dtype=torch.uint8)
        distributed.all_reduce(votes, op=distributed.ReduceOp.MAX, group=self._group)
        return [bool(vote) for vote in votes]

    def from_leader(self, value: Any) -> Any:
        """The leader's `value`, in every process."""
        if self.world == 1:
            return value
        from torch import distributed

        box = [value]
        distributed.broadcast_object_list(box, src=0, group=self._group)
        return box[0]

    def gather(self, rows: list[Any]) -> list[Any]:
        """The rows of all processes, in every process."""
        if self.world == 1:
            return rows
        from torch import distributed

        boxes: list[list[Any]] = [[] for _ in range(self.world)]
        distributed.all_gather_object(boxes, rows, group=self._group)
        return [row for box in boxes for row in box]

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """The mean over all processes of each value."""
        shares = self.gather([values])
        return {name: sum(share[name] for share in shares) / len(shares) for name in values}

    def copy_from_leader(self, tensors: "Iterable[torch.Tensor]") -> None:
        """Overwrites the tensors of every process with the leader's."""
        if self.world > 1:
            from torch import distributed

            for tensor in tensors:
                distributed.broadcast(tensor, src=0)

    def average(self, tensors: "Iterable[torch.Tensor | None]") -> None:
        """Overwrites the tensors of every process with their mean over the processes."""
        if self.world > 1:
            from torch import distributed

            for tensor in tensors:
                if tensor is not None:
                    distributed.all_reduce(tensor)
                    tensor /= self.world

    def barrier(self) -> None:
        """Waits for every process."""
        self.agree(False)


@contextmanager
def running(device: str = "auto") -> Iterator[Runtime]:
    """The runtime of this process; under `torchrun` the processes are joined (NCCL on GPUs with
    gloo beside it for objects, gloo on CPUs) and parted at the end.

    Raises:
        UsageError: no such device here.
    """
    import torch
    from torch import distributed

    from img2img.inference.torch_session import pick_device

    rank, world = ranks()
    chosen = pick_device(device)
    if chosen.type == "cpu":
        keep_freed_memory()
    if chosen.type == "cuda" and world > 1:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world == 1:
        yield Runtime(device=chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    group = distributed.new_group(backend="gloo")
    try:
        yield Runtime(device=chosen, rank=rank, world=world, _group=group)
    finally:
        distributed.destroy_process_group()


def decide_precision(wanted: str, device: "torch.device", *, in_fp32: bool) -> str:
    """`fp32`, `bf16` or `fp16`: what `auto` means here.

    bf16 on GPUs that have it (else fp16 with a scaler); on a CPU only where a short probe finds
    it at least a tenth faster, because not every CPU that has it gains.

    Raises:
        UsageError: fp16 on a CPU, where it has no fast convolutions.
    """
    import torch

    if wanted == "fp16" and device.type == "cpu":
        raise UsageError("--precision fp16 needs a CUDA device: use bf16 or fp32 on a CPU.")
    if wanted != "auto":
        return wanted
    if in_fp32:
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if probe_step_s("bf16") < 0.9 * probe_step_s("fp32") else "fp32"


def probe_step_s(precision: str) -> float:
    """Seconds of a small convolution forward and backward on the CPU, the best of five."""
    import torch

    layer = torch.nn.Conv2d(32, 32, 3, padding=1).to(memory_format=torch.channels_last)
    image = torch.ones(4, 32, 64, 64).to(memory_format=torch.channels_last)
    times: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            layer(image).sum().backward()
        times.append(time.perf_counter() - start)
    return min(times)


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seeds torch for one step, so that dropout and noise are functions of the step too.

    The generators are seeded one by one: `torch.manual_seed` takes 0.4 ms, because it formats a
    traceback for every backend that is not in use.
    """
    import torch

    number = (seed * 1_000_003 + step) * 1_009 + rank
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device, or the CPU's allocator, had no room."""
    import torch

    on_cpu = "can't allocate memory" in str(error).lower()
    return on_cpu or isinstance(error, torch.OutOfMemoryError)


def use_exact_fp32(*, exact: bool) -> None:
    """TF32 off for tasks that must be exact, on for the others."""
    import torch

    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact


def local_device(name: str) -> str:
    """`cuda`, and `auto` where there is a GPU, as this process's own GPU under `torchrun`; other
    names as they are."""
    if ranks()[1] == 1 or name not in ("auto", "cuda"):
        return name
    import torch

    if name == "auto" and not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
