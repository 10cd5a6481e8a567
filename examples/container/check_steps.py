"""Runs every step of the Dockerfile without Docker, then the image's entry as its users do.

Each stage is a folder that stands for the root of a file system; absolute paths in steps are moved
into it. `python` and `pip` are those of a fresh environment. Everything else is run as written: as
root `useradd` and `chown` are the system's, and what follows USER runs under that number.

Usage: python examples/container/check_steps.py [--full] [ARGUMENT=VALUE…]
ARGUMENT=VALUE is what `docker build --build-arg` takes. Left out, --full, the fresh environment
also sees the packages of the interpreter that runs this, and nothing is downloaded but, where it
is missing, hatchling; with it the packages are installed anew (some GB, ten minutes and more).
"""

import json
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTEXT = HERE.parent.parent
STUB = '#!/bin/sh\necho "$(basename "$0") $*, imitated: this is not root"\n'
USERADD = (
    '#!/bin/sh\nexec "$(PATH=/usr/sbin:/sbin:/usr/bin command -v useradd)" --prefix {root} "$@"\n'
)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(keyword, rest) of every instruction of a Dockerfile."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, rest = line.partition(" ")
        yield keyword, rest.strip()


@dataclass
class Stage:
    """One stage of a build: its root, and what its instructions have said so far."""

    root: Path
    full: bool
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: int = 0
    entry: list[str] = field(default_factory=list)
    default: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        environment = self.root / "python"
        venv.create(environment, with_pip=self.full, symlinks=True)
        tools = self.root / "tools"
        tools.mkdir()
        is_root = os.geteuid() == 0
        for name in ("useradd",) if is_root else ("useradd", "chown"):
            (tools / name).write_text(USERADD.format(root=self.root) if is_root else STUB)
            (tools / name).chmod(0o755)
        (self.root / "etc").mkdir()
        plain = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "LANG", "SSL_"))}
        path = f"{environment}/bin:{tools}:/usr/local/bin:/usr/bin:/bin"
        self.environment |= plain | {"PATH": path, "HOME": str(self.root), "OMP_NUM_THREADS": "1"}
        if not self.full:
            packages = next((environment / "lib").glob("python*/site-packages"))
            (packages / "host.pth").write_text("\n".join(site.getsitepackages()) + "\n")
            (tools / "pip").write_text('#!/bin/sh\nexec python -m pip "$@"\n')
            (tools / "pip").chmod(0o755)
            offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
            self.environment |= offline if find_spec("hatchling") else {}

    def inside(self, path: str) -> Path:
        """Where an absolute path, or one relative to WORKDIR, lies on this machine."""
        return self.root / str(Path(self.folder) / path).lstrip("/")

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in WORKDIR as USER. A user of another number may read what root reads,
        as the interpreter may lie in a home, but writes only where it may."""
        if os.geteuid() == 0 and self.user:
            number = str(self.user)
            command = ["setpriv", "--reuid", number, "--regid", number, "--clear-groups",
                       "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--",
                       *command]  # fmt: skip
        folder = self.inside(".")
        return subprocess.run(
            command, cwd=folder, env=self.environment | more, text=True, check=False,
            stdin=subprocess.DEVNULL, capture_output=True,
        )  # fmt: skip


def build(dockerfile: Path, base: Path, given: dict[str, str], *, full: bool) -> Stage:
    """The last stage after all steps; ends the process where one fails."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage = None
    for keyword, rest in instructions(dockerfile.read_text(encoding="utf-8")):
        print(f"{keyword} {rest}", flush=True)
        if keyword == "ARG":
            name, _, default = rest.partition("=")
            arguments[name] = given.get(name, default)
            continue
        if keyword in ("FROM", "COPY", "WORKDIR", "USER"):
            rest = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], rest)
        if keyword == "FROM":
            name = rest.partition(" AS ")[2] or "image"
            stage = stages[name] = Stage(base / name, full)
            continue
        assert stage is not None, "the first instruction but ARG is FROM"
        step(stage, keyword, rest, stages, arguments)
    assert stage is not None
    return stage


def step(
    stage: Stage, keyword: str, rest: str, stages: dict[str, Stage], arguments: dict[str, str]
) -> None:
    """Does what one instruction says."""
    match keyword:
        case "RUN":
            moved = re.sub(r"(?<=[\s=])/(?=[a-z])", f"{stage.root}/", rest)
            done = stage.run(["sh", "-c", moved], **arguments)
            sys.stdout.write(done.stdout[-2000:])
            if done.returncode:
                sys.exit(f"the step ended with {done.returncode}:\n{done.stderr[-4000:]}")
        case "COPY":
            *sources, target = rest.split()
            source = CONTEXT
            if sources[0].startswith("--from="):
                source = stages[sources.pop(0).removeprefix("--from=")].root
            for name in sources:
                copy(source / name.lstrip("/"), stage.inside(target), many=len(sources) > 1)
        case "ENV":
            stage.environment |= dict(pair.split("=", 1) for pair in rest.split())
        case "WORKDIR":
            stage.folder = rest
            stage.inside(".").mkdir(parents=True, exist_ok=True)
        case "USER":
            stage.user = int(rest)
            stage.environment["HOME"] = str(stage.root / "home" / "img2img")
        case "ENTRYPOINT":
            stage.entry = json.loads(rest)
        case "CMD":
            stage.default = json.loads(rest)
        case _:
            sys.exit(f"check_steps.py knows no {keyword}")


def copy(source: Path, target: Path, *, many: bool) -> None:
    """COPY of one source."""
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignored)
    else:
        target.mkdir(parents=True, exist_ok=True) if many else None
        shutil.copy(source, target / source.name if target.is_dir() else target)


def check_entry(image: Stage) -> None:
    """What people and SageMaker do with the image."""
    where = image.run(["python", "-c", "import img2img; print(img2img.__file__)"]).stdout.strip()
    assert where.startswith(str(image.root)), f"{where} is not the image's own package"
    assert image.user != 0, "the image runs as root"
    assert "Usage" in entry(image, *image.default)
    entry(image, "data", "make", "sobel", "--n", "4", "--size", "64", "--out", "pictures")
    lines = entry(image, "predict", "sobel", "pictures", "--out", "answers").splitlines()
    assert lines, "no picture was answered"
    assert all(json.loads(line)["error"] is None for line in lines)
    ml = image.root / "opt" / "ml"
    entry(image, "train", code=2, SAGEMAKER_BASE_DIR=str(ml))
    failure = (ml / "output" / "failure").read_text(encoding="utf-8")
    assert "`task` is missing" in failure, failure
    print(f"SageMaker is told: {failure}")


def entry(image: Stage, *arguments: str, code: int = 0, **more: str) -> str:
    """stdout of `docker run IMAGE ARGUMENTS`."""
    print("$", *image.entry, *arguments, flush=True)
    done = image.run([*image.entry, *arguments], **more)
    assert done.returncode == code, f"it ended with {done.returncode}: {done.stderr}"
    return done.stdout


def main(arguments: list[str]) -> None:
    """Builds in a temporary folder, checks, and says that the image works."""
    given = dict(text.split("=", 1) for text in arguments if text != "--full")
    with tempfile.TemporaryDirectory() as folder:
        full = "--full" in arguments
        image = build(HERE / "Dockerfile", Path(folder).resolve(), given, full=full)
        check_entry(image)
    print("every step of the Dockerfile works")


if __name__ == "__main__":
    main(sys.argv[1:])
