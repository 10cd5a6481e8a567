"""`predict` over many pictures: killed and started again, shared out, its reader gone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from support import img2img, sentence

from img2img.data.synth.textures import draw_texture

N_PICTURES = 60
BROKEN = 5


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several sizes, and some that are none."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(N_PICTURES):
        picture = draw_texture(np.random.default_rng(number), 30 + number % 7, 40)
        cv2.imwrite(str(folder / f"{number}.png"), picture[..., ::-1])
    for number in range(BROKEN):
        (folder / f"broken{number}.jpg").write_bytes(b"\xff\xd8\xff no")
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "img2img", "predict", *map(str, arguments)]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


def test_killed_half_way_and_started_again(
    many: Path, segmentation_run: Path, tmp_path: Path
) -> None:
    arguments = ("segmentation", many, "--weights", segmentation_run, "--json", "--out")
    whole = img2img("predict", *arguments, "whole", cwd=tmp_path)
    assert whole.code == 1
    told = [json.loads(line) for line in whole.out.splitlines()]
    assert len(told) == N_PICTURES + BROKEN
    broken = {Path(line["input"]).name for line in told if line["error"]}
    assert broken == {f"broken{number}.jpg" for number in range(BROKEN)}
    assert all(name in whole.err for name in broken)
    assert f"{BROKEN} of {N_PICTURES + BROKEN} inputs failed" in whole.err
    with subprocess.Popen(
        command(*arguments, "again"), cwd=tmp_path, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(N_PICTURES // 2):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    n_before = len(files(tmp_path / "again"))
    assert N_PICTURES // 2 - BROKEN <= n_before < N_PICTURES
    again = img2img("predict", *arguments, "again", "--skip-existing", cwd=tmp_path)
    assert again.code == 1
    skipped = [line for line in map(json.loads, again.out.splitlines()) if line.get("skipped")]
    assert len(skipped) == n_before
    assert files(tmp_path / "again") == files(tmp_path / "whole")


def test_answers_below_the_inputs_are_no_inputs(
    many: Path, segmentation_run: Path, tmp_path: Path
) -> None:
    for name in ("1.png", "2.png", "3.png"):
        (tmp_path / name).write_bytes((many / name).read_bytes())
    arguments = ("predict", "segmentation", ".", "--weights", segmentation_run, "--film", "f.mp4",
                 "--out", "deep/out", "--overlay", "--json")  # fmt: skip
    first = img2img(*arguments, cwd=tmp_path)
    assert (first.code, first.out.count("\n")) == (0, 3)
    assert (tmp_path / "f.mp4").is_file()
    (tmp_path / "deep" / "out" / "2.png").unlink()  # as if it had been killed
    again = img2img(*arguments, "--skip-existing", cwd=tmp_path)
    inputs = [[json.loads(line)["input"] for line in done.out.splitlines()]
              for done in (first, again)]  # fmt: skip
    assert inputs[0] == inputs[1]
    assert (again.code, again.out.count('"skipped": true')) == (0, 2)
    assert len(files(tmp_path / "deep" / "out")) == 6


@pytest.mark.slow
def test_processes_of_torchrun_do_the_same_without_torch(
    many: Path, segmentation_run: Path, tmp_path: Path
) -> None:
    # A module of that name in front of the others: whoever imports it fails.
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "torch.py").write_text("raise AssertionError('torch was imported')")
    arguments = ["segmentation", str(many), "--weights", str(segmentation_run / "best.onnx")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python",
              "--nproc-per-node", "3", "env", f"PYTHONPATH={tmp_path / 'none'}"]  # fmt: skip
    done: dict[str, Any] = {}
    for name, before in (("one", []), ("three", launch)):
        done[name] = subprocess.run(
            [*before, *command(*arguments, "--out", name)], cwd=tmp_path, capture_output=True,
            text=True, timeout=300, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done[name].returncode == 1, done[name].stderr[-2000:]
    one, three = (
        {line["input"]: line for line in map(json.loads, done[name].stdout.splitlines())}
        for name in done
    )
    assert list(one) != list(three), "the answers come as they are ready"
    for name, line in one.items():
        assert three[name] == line | {"mask": line["mask"] and line["mask"].replace("one", "three")}
    for name in done:
        assert done[name].stderr.count(f"{BROKEN} of {N_PICTURES + BROKEN} inputs failed") == 1
    assert files(tmp_path / "one") == files(tmp_path / "three")


def test_ranks_without_a_meeting_place_are_refused(
    many: Path, segmentation_run: Path, tmp_path: Path
) -> None:
    arguments = ("predict", "segmentation", many / "1.png", "--weights", segmentation_run)
    ranks = {"RANK": "0", "WORLD_SIZE": "2"}
    for place in ({}, {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "65536"}):
        refused = img2img(*arguments, cwd=tmp_path, env=ranks | place)
        assert (refused.code, "start them with torchrun" in sentence(refused)) == (2, True)


def test_a_reader_that_goes_away_ends_long_work_quietly(
    many: Path, segmentation_run: Path, tmp_path: Path
) -> None:
    arguments = ("segmentation", many / "[0-9]*.png", "--weights", segmentation_run, "--json")
    with subprocess.Popen(
        command(*arguments), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


# A shell's background jobs, such as a test suite may be, ignore Ctrl-C.
INTERRUPTIBLE = """
import signal
from img2img.cli.app import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def test_ctrl_c_ends_work_and_leaves_whole_files(
    many: Path, segmentation_run: Path, tmp_path: Path
) -> None:
    arguments = ("predict", "segmentation", many, "--weights", segmentation_run, "--out", "out")
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *map(str, arguments)], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, b"")
    assert all(name.endswith(".png") for name in os.listdir(tmp_path / "out"))  # noqa: PTH208


def test_probabilities_and_provenance(many: Path, segmentation_run: Path, tmp_path: Path) -> None:
    arguments = ("predict", "segmentation", many / "3.png", "--weights", segmentation_run)
    done = img2img(*arguments, "--probabilities", "--out", "out", cwd=tmp_path)
    paths = done.json["probabilities"]
    assert paths["egg"] == "out/3_probabilities/egg.png"
    planes = [cv2.imread(str(tmp_path / path), cv2.IMREAD_UNCHANGED) for path in paths.values()]
    stack = np.array(planes)
    assert stack.dtype == np.uint16
    mask = cv2.imread(str(tmp_path / done.json["mask"]), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert stack.shape == (3, *mask.shape)
    likeliest = np.array([0, 128, 255])[stack.argmax(axis=0)]
    assert (likeliest == mask).mean() > 0.999
    assert abs(stack.sum(axis=0, dtype=np.int64) / 65535 - 1).max() < 0.01
    for path in (done.json["mask"], paths["pan"]):
        with PIL.Image.open(tmp_path / path) as seen:
            made = json.loads(seen.info["img2img"])
        assert made["weights"] == done.json["weights"]
    for arguments, words in (
        (("segmentation", "--probabilities"), "--probabilities with JSON on stdout needs --out"),
        (("sobel", "--probabilities", "--out", "o"), "--probabilities does not go with the task"),
    ):
        refused = img2img("predict", arguments[0], many / "3.png", *arguments[1:], cwd=tmp_path)
        assert (refused.code, words in sentence(refused)) == (2, True)
