"""`img2img doctor`."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

Status = Literal["ok", "warning", "problem"]

_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python",
           "opencv-contrib-python-headless")  # fmt: skip
_ONNXRUNTIME = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
_LEAST_FREE_GB = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report: what was looked at, how it is, and what to do about it."""

    what: str
    detail: str
    status: Status = "ok"
    advice: str = ""


def doctor(
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Check the installation, the machine and the shipped weights; takes about ten seconds.

    Exit codes: 0 nothing or only warnings, 1 a problem.
    """
    from img2img.cli.console import print_table, write_json
    from img2img.errors import RunError

    found = [finding for check in _CHECKS for finding in check()]
    problems = [finding for finding in found if finding.status == "problem"]
    if json:
        write_json({"ok": not problems, "checks": [asdict(finding) for finding in found]}, "-")
    else:
        rows = [[finding.status, finding.what, _told(finding)] for finding in found]
        print_table(("", "what", "found"), rows)
    if problems:
        raise RunError(f"problems: {len(problems)}; the first: {_told(problems[0])}")


def _told(finding: Finding) -> str:
    return f"{finding.detail}: {finding.advice}" if finding.advice else finding.detail


def _python() -> Iterator[Finding]:
    from img2img import __version__

    yield Finding(what="img2img", detail=f"{__version__} in {Path(__file__).parent.parent}")
    yield Finding(what="Python", detail=f"{sys.version.split()[0]}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    """Every package that img2img's own metadata ask for, extras as optional, tools for its
    development left out."""
    import re
    from importlib.metadata import PackageNotFoundError, requires

    try:
        wanted = requires("img2img") or []
    except PackageNotFoundError:
        yield Finding(what="packages", detail="img2img is not installed, only on the path",
                      status="warning", advice="install it with pip")  # fmt: skip
        return
    for requirement in wanted:
        if re.search(r"extra == ['\"]dev", requirement):
            continue
        stated = requirement.partition(";")[0].strip()
        name = re.split(r"[^\w.-]", stated)[0]
        version = _version(name)
        if version is not None or "extra ==" in requirement:
            yield Finding(what=name, detail=version or "not installed (optional)")
        else:
            yield Finding(what=name, detail="missing", status="problem",
                          advice=f"pip install '{stated}'")  # fmt: skip


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _doubles() -> Iterator[Finding]:
    """Distributions that overwrite each other's files."""
    for what, rivals in (("OpenCV", _OPENCV), ("ONNX Runtime", _ONNXRUNTIME)):
        here = [name for name in rivals if _version(name) is not None]
        if len(here) > 1:
            removed = " ".join(here)
            advice = f"pip uninstall {removed}, then pip install {rivals[0]}"
            yield Finding(what=what, status="problem", advice=advice,
                          detail=f"{' and '.join(here)} overwrite each other's files")  # fmt: skip
        else:
            yield Finding(what=what, detail=f"one distribution, {''.join(here) or 'none named'}")


def _imports() -> Iterator[Finding]:
    """Whether the heavy libraries load, torchvision with the torch that is here."""
    from importlib import import_module

    together = "install torch and torchvision together, from one index"
    advice = {"torch": together, "torchvision": together}
    for name in ("cv2", "onnxruntime", "torch", "torchvision", "segmentation_models_pytorch"):
        try:
            import_module(name)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            yield Finding(what=f"import {name}", detail=reason, status="problem",
                          advice=advice.get(name, "install it again"))  # fmt: skip
        else:
            yield Finding(what=f"import {name}", detail="works")


def _cuda() -> Iterator[Finding]:
    import shutil

    torch = sys.modules.get("torch")
    if torch is None:
        return
    count = torch.cuda.device_count()
    for index in range(count):
        facts = torch.cuda.get_device_properties(index)
        memory = f"{facts.total_memory / 2**30:.0f} GiB"
        yield Finding(what=f"cuda:{index}", detail=f"{facts.name}, {memory}")
    if count == 0 and shutil.which("nvidia-smi"):
        detail = f"nvidia-smi is here, but torch {torch.__version__} sees no device"
        yield Finding(what="CUDA", detail=detail, status="warning",
                      advice="install a torch built for this driver's CUDA")  # fmt: skip
    elif count == 0:
        yield Finding(what="CUDA", detail="no device; the CPU is used")


def _processor() -> Iterator[Finding]:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else cores
    detail = f"{cores} of {os.cpu_count()} cores to use, torch takes {threads} threads"
    if threads > cores:
        yield Finding(
            what="CPU", detail=detail, status="warning", advice=f"OMP_NUM_THREADS={cores}"
        )
    else:
        yield Finding(what="CPU", detail=detail)
    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    if policy.upper() == "PASSIVE":
        yield Finding(what="OMP_WAIT_POLICY", detail=policy)
    else:
        advice = "unset it: threads that spin slow torch 4 to 25 times"
        yield Finding(what="OMP_WAIT_POLICY", detail=policy, status="warning", advice=advice)


def _precision() -> Iterator[Finding]:
    from img2img.engine.runtime import probe_step_s

    if "torch" not in sys.modules:
        return
    fp32, bf16 = (probe_step_s(precision) * 1e3 for precision in ("fp32", "bf16"))
    verdict = "bf16 is used" if bf16 < 0.9 * fp32 else "fp32 is used"
    detail = f"fp32 {fp32:.1f} ms, bf16 {bf16:.1f} ms a step of the probe: {verdict} on the CPU"
    yield Finding(what="precision", detail=detail)


def _weights() -> Iterator[Finding]:
    """Whether the weights of every built-in task answer a picture of 640 × 480, and how fast."""
    from img2img.errors import Img2ImgError
    from img2img.registry import TASKS

    for task in TASKS:
        what = f"weights of {task}"
        try:
            yield Finding(what=what, detail=_answered(task))
        except FileNotFoundError:
            advice = f"train some with `img2img train {task}` and pass --weights"
            yield Finding(what=what, detail="none ship with this version", status="warning",
                          advice=advice)  # fmt: skip
        except (Img2ImgError, ImportError) as error:
            yield Finding(what=what, detail=str(error), status="problem",
                          advice="install img2img again")  # fmt: skip


def _answered(task: str) -> str:
    """How long the shipped weights take to load and to answer.

    Raises:
        FileNotFoundError: none ship.
        WeightsError: they cannot be used.
    """
    from time import perf_counter

    from img2img.inference.weights import find_weights, shipped_folder

    if not any(shipped_folder().glob(f"{task}.*")):
        raise FileNotFoundError
    import numpy as np

    from img2img.inference.predictor import Predictor
    from img2img.inference.session import open_session, task_of

    start = perf_counter()
    session = open_session(find_weights(None, task))
    adapter = task_of(session.card, task, allow_python=True)
    predictor = Predictor(adapter, session, outputs=adapter.result_outputs)
    loaded = perf_counter()
    predictor.run(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
    answered = perf_counter()
    return (
        f"load in {(loaded - start) * 1e3:.0f} ms, answer 640×480 in "
        f"{(answered - loaded) * 1e3:.0f} ms"
    )


def _disk() -> Iterator[Finding]:
    import shutil

    from img2img.data.sources import cache_folder

    cache = cache_folder()
    held = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    yield Finding(what="cache", detail=f"{cache}, {held / 1e6:.0f} MB")
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    detail = f"{free_gb:.1f} GB free in {Path.cwd()}"
    if free_gb < _LEAST_FREE_GB:
        yield Finding(
            what="disk", detail=detail, status="warning", advice="runs need room: free some"
        )
    else:
        yield Finding(what="disk", detail=detail)


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python, _packages, _doubles, _imports, _cuda, _processor, _precision, _weights, _disk,
)  # fmt: skip
