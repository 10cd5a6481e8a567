"""The image: every step of its Dockerfile in a plain environment, and the script that builds it."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "examples" / "container"
STEPS = runpy.run_path(str(CONTAINER / "check_steps.py"))


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CONTAINER / "check_steps.py", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_every_step_works() -> None:
    done = check()
    assert done.returncode == 0, done.stdout + done.stderr
    text = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")
    for keyword, rest in STEPS["instructions"](text):
        assert f"{keyword} {rest}" in done.stdout
    assert done.stdout.endswith("every step of the Dockerfile works\n")


@pytest.mark.slow
@pytest.mark.skipif(
    "IMG2IMG_TEST_IMAGE" not in os.environ,
    reason="downloads some GB and takes ten minutes and more: set IMG2IMG_TEST_IMAGE",
)
def test_every_step_works_with_nothing_installed() -> None:
    # CPU builds of torch lie in an index of their own, which not every network reaches.
    done = check("--full", "DEVICE=cuda")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_step_that_fails_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM x\nARG A=1\nRUN test "$A" = 1\nRUN exit 3\nRUN x\n')
    with pytest.raises(SystemExit, match="the step ended with 3"):
        STEPS["build"](tmp_path / "Dockerfile", tmp_path / "base", {}, full=False)


def test_an_unknown_device_ends_the_build(tmp_path: Path) -> None:
    text = (CONTAINER / "Dockerfile").read_text(encoding="utf-8")
    last = text[text.index("ARG DEVICE") : text.index("COPY --from")]
    (tmp_path / "Dockerfile").write_text(f"FROM x\n{last}")
    with pytest.raises(SystemExit, match="DEVICE is cpu or cuda, not gpu"):
        STEPS["build"](tmp_path / "Dockerfile", tmp_path / "base", {"DEVICE": "gpu"}, full=False)


# ---- build.sh


def build(*arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", CONTAINER / "build.sh", *arguments], capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": f"{path}:{os.environ['PATH']}"},
    )  # fmt: skip


def built(*, device: str, tag: str, run_as: int = 1000) -> str:
    return (
        f"docker build --file {CONTAINER}/Dockerfile --build-arg DEVICE={device} "
        f"--build-arg RUN_AS={run_as} --tag {tag} {ROOT}"
    )


def test_a_dry_run_prints_the_commands() -> None:
    from img2img import __version__

    local = f"img2img:{__version__}-cpu"
    assert build("--dry-run").stdout.splitlines() == [built(device="cpu", tag=local), local]
    arguments = ("--registry", "r.example.com/team/", "--cuda", "--root", "--tag", "t", "--push")
    remote = "r.example.com/team/img2img:t"
    assert build(*arguments, "--dry-run").stdout.splitlines() == [
        built(device="cuda", tag=remote, run_as=0), f"docker push {remote}", remote,
    ]  # fmt: skip


def test_what_a_dry_run_prints_is_run(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "docker $*"\n')
    docker.chmod(0o755)
    arguments = ("--registry", "r.example.com", "--push")
    done = build(*arguments, path=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == build(*arguments, "--dry-run").stdout


def test_a_failed_build_is_not_pushed(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "docker $1"\nexit 5\n')
    docker.chmod(0o755)
    done = build("--registry", "r.example.com", "--push", path=str(tmp_path))
    assert (done.returncode, done.stdout) == (5, "docker build\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--push"], "--push needs --registry"),
        (["--tag"], "--tag needs a value"),
        (["--gpu"], "unknown argument --gpu"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], message: str) -> None:
    done = build(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"build.sh: {message}\nUsage: ")
