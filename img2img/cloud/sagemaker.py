"""The entry of a container: `python -m img2img.cloud.sagemaker ARGUMENTS`.

SageMaker starts `docker run IMAGE train`; everything else it says stands in files and variables
(`job.py`). Any other arguments are `img2img`'s own, so that one image serves both.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from img2img.cloud.job import Job, base_folder, read_job, train_command
from img2img.errors import Img2ImgError, Interrupted
from img2img.inference.weights import KEY, read_header

FAILURE_CHARACTERS = 1024
"""As many of the failure file are shown."""
MODEL_FILES = ("best.onnx", "best/checkpoint.safetensors", "config.json", "split.json",
               "metrics.jsonl", "report.html")  # fmt: skip
STOPPED = (Interrupted.exit_code, 128 + signal.SIGTERM)
"""Exit codes of a training that a signal ended, after its first save and before it."""
_SHUTDOWN_S = 100  # of the 120 s that SageMaker leaves between SIGTERM and SIGKILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended: `lines` are the last ones on stderr, `told` the sentences that
    `img2img` wrote for errors."""

    code: int
    lines: list[str]
    told: list[str]
    is_stopped: bool


def main() -> None:
    """`train` alone is SageMaker's; everything else goes to `img2img` as it is."""
    arguments = sys.argv[1:]
    if arguments == ["train"]:
        sys.exit(train_job(os.environ))
    os.execv(sys.executable, [sys.executable, "-m", "img2img", *arguments])  # noqa: S606


def train_job(environ: Mapping[str, str]) -> int:
    """Trains as SageMaker asks and gives the exit code; a failure is told in its failure file."""
    try:
        code, problem = run_job(read_job(environ))
    except Img2ImgError as error:
        code, problem = error.exit_code, str(error)
        sys.stderr.write(f"img2img: {error}\n")
    except PermissionError as error:
        where = f"{error.filename} is forbidden to user {os.getuid()}"
        code, problem = 1, f"{where}: build the image with `--root`."
        sys.stderr.write(f"img2img: {problem}\n")
    except Exception as error:  # the last stop: what is not in the failure file nobody sees
        code, problem = 1, f"an unexpected {type(error).__name__}: {error}."
        sys.stderr.write(f"img2img: {problem}\n")
    if code in (0, *STOPPED):
        return code
    failure = base_folder(environ) / "output" / "failure"
    try:
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(problem[:FAILURE_CHARACTERS], encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"img2img: the failure file cannot be written: {error}.\n")
    return code


def run_job(job: Job) -> tuple[int, str]:
    """(exit code, what went wrong) of the training; what can be used of it is in the model
    folder."""
    command = train_command(job)
    if job.is_started:
        shutil.rmtree(job.run / "cache", ignore_errors=True)  # came back from S3, maybe torn
    else:
        shutil.rmtree(job.run, ignore_errors=True)  # stopped before its first save
        job.started_with.parent.mkdir(parents=True, exist_ok=True)
        job.started_with.write_text(json.dumps(job.hyperparameters), encoding="utf-8")
    outcome = run(command, _environment(job))
    if job.leads:
        keep_model(job)
    return _exit_code(job, outcome), _problem(outcome)


def _environment(job: Job) -> dict[str, str]:
    own = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(_SHUTDOWN_S)}
    if len(job.hosts) > 1 and job.network_interface:
        own |= dict.fromkeys(("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"), job.network_interface)
    return own | os.environ


def run(command: Sequence[str], environment: Mapping[str, str]) -> Outcome:
    """Runs a command, shows its stderr, and sends it the signals that this process gets."""
    caught: list[int] = []
    process: subprocess.Popen[str] | None = None

    def forward(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        if process is not None:
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGTERM, signal.SIGINT)}
    sys.stderr.write(f"{shlex.join(command)}\n")
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    lines: deque[str] = deque(maxlen=100)
    told: list[str] = []
    with process:
        if caught:
            process.send_signal(caught[0])
        for line in process.stderr or ():
            sys.stderr.write(line)
            sys.stderr.flush()
            lines.append(line)
            if line.startswith("img2img: "):
                told.append(line.removeprefix("img2img: ").strip())
    code = process.returncode
    for number, handler in before.items():
        signal.signal(number, handler)
    return Outcome(code=_as_shells_do(code), lines=[*lines], told=told, is_stopped=bool(caught))


def _as_shells_do(code: int) -> int:
    return code if code >= 0 else 128 - code


def _exit_code(job: Job, outcome: Outcome) -> int:
    """The training's exit code, also where torchrun ends with 1 whatever its processes did."""
    if outcome.code and outcome.is_stopped:
        return STOPPED[0] if job.is_started else STOPPED[1]
    first = re.search(r"exitcode\s*: (-?\d+)", "".join(outcome.lines))
    return _as_shells_do(int(first[1])) if first else outcome.code


def _problem(outcome: Outcome) -> str:
    if outcome.told:
        return outcome.told[0]
    killed = ", killed: memory may have run out" if outcome.code == 128 + signal.SIGKILL else ""
    last = "".join(outcome.lines[-5:]).strip()
    return f"the training ended with exit code {outcome.code}{killed}; its last lines: {last}"


def keep_model(job: Job) -> None:
    """Copies what a run needs to be used into the model folder, which `--weights` takes like the
    run itself, with the weights' card as JSON."""
    for name in MODEL_FILES:
        if (job.run / name).is_file():
            (job.model / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(job.run / name, job.model / name)
    best = job.run / "best" / "checkpoint.safetensors"
    if best.is_file():
        card = json.loads(read_header(best)[KEY])
        (job.model / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
