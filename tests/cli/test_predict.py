"""`predict` on good and bad input: every readable picture right, every other one named."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from support import img2img, sentence

from img2img.data.images import read
from img2img.data.synth.textures import draw_texture
from img2img.vision.filters import make_filter

SIZE_PX = 40


def texture(seed: int, height: int = SIZE_PX, width: int = SIZE_PX + 9) -> Any:
    return draw_texture(np.random.default_rng(seed), height, width)


def save(path: Path, image: Any, **options: Any) -> None:
    Image.fromarray(image).save(path, **options)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder as users have them."""
    folder = tmp_path / "mixed"
    (folder / "deeper").mkdir(parents=True)
    save(folder / "good.jpg", texture(0))
    save(folder / "deeper" / "good.jpg", texture(1))
    save(folder / "good.png", texture(2))
    save(folder / "grey.png", texture(3)[..., 0])
    cv2.imwrite(str(folder / "deep16.png"), texture(4).astype(np.uint16) * 257)
    save(folder / "alpha.png", np.dstack([texture(5), texture(6)[..., :1]]))
    Image.fromarray(texture(7)).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(texture(8)).quantize(32).save(folder / "palette.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    save(folder / "turned.jpg", texture(9), exif=turned)
    save(folder / "dot.png", texture(10, 1, 1))
    save(folder / "line.png", texture(11, 2, 30))
    save(folder / "lies.jpg", texture(12), format="PNG")
    return folder


@pytest.fixture
def broken(mixed: Path) -> list[str]:
    """Files in the same folder that are no whole pictures."""
    whole = (mixed / "good.jpg").read_bytes()
    (mixed / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (mixed / "empty.png").write_bytes(b"")
    (mixed / "text.jpg").write_text("no picture")
    return ["cut.jpg", "empty.png", "text.jpg"]


def test_a_mixed_folder(mixed: Path, broken: list[str], exact_run: Path, tmp_path: Path) -> None:
    done = img2img(
        "predict", "sobel", mixed, "--weights", exact_run, "--out", "answers", cwd=tmp_path
    )
    lines = [json.loads(line, parse_constant=pytest.fail) for line in done.out.splitlines()]
    assert done.code == 1
    assert {Path(line["input"]).name for line in lines if line["error"]} == set(broken)
    for name in broken:
        assert name in done.err
    right = make_filter("sobel")
    outputs = [line["output"] for line in lines if not line["error"]]
    assert len(set(outputs)) == len(outputs) == 12
    for line in lines:
        if line["error"]:
            assert line["output"] is None
            continue
        image = read(Path(line["input"]))
        assert (line["height"], line["width"]) == image.shape[:2]
        answer = cv2.imread(str(tmp_path / line["output"]), cv2.IMREAD_UNCHANGED)
        assert answer.shape == image.shape[:2]
        np.testing.assert_allclose(answer, np.rint(right(image)), atol=1)


def test_the_exif_turn_is_applied(mixed: Path, exact_run: Path, tmp_path: Path) -> None:
    one = img2img("predict", "sobel", mixed / "turned.jpg", "--weights", exact_run, cwd=tmp_path)
    line = json.loads(one.out)
    assert (line["width"], line["height"]) == (SIZE_PX, SIZE_PX + 9)
    assert line["output"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed"]


def test_stdin_to_stdout(mixed: Path, exact_run: Path, tmp_path: Path) -> None:
    arguments = ("predict", "sobel", "-", "--weights", exact_run, "--out", "-")
    content = (mixed / "good.png").read_bytes()
    piped = img2img(*arguments, cwd=tmp_path, stdin=content)
    answer = cv2.imdecode(np.frombuffer(piped.raw, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(answer, np.rint(make_filter("sobel")(texture(2))), atol=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("good.png", "--out", "answer.png"), "--out answer.png would be a folder: name it"),
        (("good.png", "--out", "answer.csv"), "--out answer.csv would be a folder: name it"),
        (("good.png", "--out", "-", "--json"), "--json does not go with --out -"),
        (("good.png", "--out", "-", "--overlay"), "--overlay does not go with --out -"),
        (("good.png", "--out", "-", "--film", "f.mp4"), "--film does not go with --out -"),
        (("good.png", "--fps", "5"), "--fps is for a film: add --film"),
        (("good.png", "good.jpg", "--out", "-"), "but there are 2 inputs"),
        (("clip.mp4", "--out", "-"), "--out - writes one picture, but clip.mp4 may hold many"),
    ],
)
def test_outputs_that_contradict_each_other(
    arguments: tuple[str, ...], words: str, mixed: Path, exact_run: Path
) -> None:
    (mixed / "clip.mp4").touch()
    refused = img2img("predict", "sobel", *arguments, "--weights", exact_run, cwd=mixed)
    assert (refused.code, words in sentence(refused)) == (2, True)
    assert not {"answer.png", "f.mp4"} & {path.name for path in mixed.iterdir()}


def test_a_task_without_pictures_writes_none_to_stdout(mixed: Path, tmp_path: Path) -> None:
    refused = img2img("predict", "keypoints", mixed / "good.png", "--out", "-", cwd=tmp_path)
    assert (refused.code, "and keypoints gives none" in sentence(refused)) == (2, True)


def test_a_failure_is_told_once(exact_run: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.mp4").write_bytes(b"no video")
    arguments = ("predict", "sobel", "cut.mp4", "--weights", exact_run)
    loud = img2img(*arguments, cwd=tmp_path)
    problem = "cut.mp4 cannot be read as a video."
    assert loud.err.splitlines() == [
        f"img2img: {problem}", "img2img: 1 of 1 inputs failed, as named above."]  # fmt: skip
    quiet = img2img(*arguments, "gone.png", "--quiet", cwd=tmp_path)
    assert quiet.err == f"img2img: 2 of 2 inputs failed, the first: {problem}\n"
    assert (loud.code, quiet.code, loud.json["error"]) == (1, 1, problem)


def test_missing_inputs_are_named_and_the_rest_is_done(
    mixed: Path, exact_run: Path, tmp_path: Path
) -> None:
    inputs = ["nowhere.png", "none*.jpg", mixed / "good.png"]
    done = img2img("predict", "sobel", *inputs, "--weights", exact_run, "--out", "a", cwd=tmp_path)
    assert done.code == 1
    assert "nowhere.png does not exist" in done.err
    assert "none*.jpg matches no file" in done.err
    assert (tmp_path / "a" / "good.png").is_file()


def test_skip_existing_leaves_files_alone(mixed: Path, exact_run: Path, tmp_path: Path) -> None:
    arguments = ("predict", "sobel", mixed / "good.png", "--weights", exact_run, "--out", "a")
    img2img(*arguments, cwd=tmp_path)
    target = tmp_path / "a" / "good.png"
    target.write_bytes(b"mine")
    again = img2img(*arguments, "--skip-existing", cwd=tmp_path)
    assert (again.code, target.read_bytes()) == (0, b"mine")
    line = json.loads(again.out)
    assert (line["output"], line["error"], line["skipped"]) == ("a/good.png", None, True)


def test_tiles_and_batches_change_nothing(mixed: Path, exact_run: Path, tmp_path: Path) -> None:
    inputs = [mixed / "good.png", mixed / "good.jpg", mixed / "alpha.png"]
    arguments = ("predict", "sobel", *inputs, "--weights", exact_run)
    for name, extra in {"a": (), "b": ("--tile", 16), "c": ("--batch-size", 3)}.items():
        assert img2img(*arguments, "--out", name, *extra, cwd=tmp_path).code == 0
    answers = {
        name: {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in "abc"
    }
    assert answers["a"] == answers["b"] == answers["c"]
    assert len(answers["a"]) == 3


class Bomb:
    """Unpickling it makes a file."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("exploded"),))


UNUSABLE = ("bomb.pth", "bomb.safetensors", "bomb.onnx", "cut.onnx", "cut.safetensors",
            "foreign.onnx", "foreign.safetensors")  # fmt: skip


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_weights(name: str, exact_run: Path, mixed: Path, tmp_path: Path) -> None:
    import pickle

    path = tmp_path / name
    if name.startswith("bomb"):
        path.write_bytes(pickle.dumps(Bomb()))
    elif name == "cut.onnx":
        path.write_bytes((exact_run / "best.onnx").read_bytes()[:2000])
    elif name == "cut.safetensors":
        path.write_bytes((exact_run / "best" / "checkpoint.safetensors").read_bytes()[:-10])
    elif name == "foreign.safetensors":
        from safetensors.numpy import save_file

        save_file({"x": np.zeros(3)}, path)
    else:
        _write_foreign_onnx(path)
    refused = img2img(
        "predict", "sobel", mixed / "good.png", "--weights", path, "--out", "a", cwd=tmp_path
    )
    assert refused.code == 3
    assert name in sentence(refused)
    assert not (tmp_path / "exploded").exists()
    assert not (tmp_path / "a").exists()


def _write_foreign_onnx(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [out])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


@pytest.mark.parametrize("command", ["train", "eval"])
@pytest.mark.parametrize("data", ["missing", "empty", "file.txt", "broken"])
def test_unusable_data(command: str, data: str, exact_run: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("no folder")
    (tmp_path / "broken").mkdir()
    save(tmp_path / "broken" / "good.png", texture(0))
    (tmp_path / "broken" / "bad.jpg").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    extra = ("--weights", exact_run) if command == "eval" else ("--out", "run")
    refused = img2img(command, "sobel", "--data", data, *extra, "--quiet", cwd=tmp_path)
    assert refused.code == 3
    assert data in sentence(refused)
    assert sorted(tmp_path.rglob("*")) == before


def test_thresholds_end_in_exit_code_4(exact_run: Path, mixed: Path, tmp_path: Path) -> None:
    data = tmp_path / "few"
    data.mkdir()
    save(data / "a.png", texture(0))
    save(data / "b.png", texture(1))
    arguments = ("eval", "sobel", "--weights", exact_run, "--data", data, "--json", "-")
    met = img2img(*arguments, "--min", "psnr=60", "--max", "mae=0.1", cwd=tmp_path)
    assert met.code == 0
    assert [entry["ok"] for entry in met.json["thresholds"]] == [True, True]
    assert (met.json["n"], met.json["split"]) == (2, "all")
    missed = img2img(*arguments, "--max", "psnr=60", "--junit", "t.xml", cwd=tmp_path)
    assert missed.code == 4
    assert missed.json["thresholds"][0]["ok"] is False
    assert 'failures="1"' in (tmp_path / "t.xml").read_text()
    assert "1 of 1 thresholds missed: psnr" in missed.err
    wrong = img2img(*arguments, "--min", "psrn=60", cwd=tmp_path)
    assert (wrong.code, "did you mean 'psnr'?" in wrong.err) == (2, True)


def test_wrong_commands_write_nothing(mixed: Path, exact_run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in mixed.rglob("*.*")}
    common = ("predict", "sobel", mixed / "grey.png", "--weights", exact_run)
    for extra, words in (
        (("--out", mixed), "would overwrite the input"),
        (("--out", "a", "--device", "gpu"), "--device cannot be 'gpu'"),
        (("--skip-existing",), "--skip-existing needs --out"),
    ):
        refused = img2img(*common, *extra, cwd=tmp_path)
        assert refused.code == 2
        assert words in sentence(refused)
    assert before == {path: path.read_bytes() for path in mixed.rglob("*.*")}
    assert [path.name for path in tmp_path.iterdir()] == ["mixed"]


@pytest.mark.slow
def test_a_broken_input_of_one_process_leaves_the_others_alone(
    mixed: Path, broken: list[str], exact_run: Path, tmp_path: Path
) -> None:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "img2img", "predict", "sobel", str(mixed), "--weights",
         str(exact_run), "--out", "a"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Path(line["input"]).name for line in lines if line["error"]} == set(broken)
    assert len(list((tmp_path / "a").iterdir())) == len(lines) - len(broken) == 12
    assert f"3 of {len(lines)} inputs failed" in done.stderr


def test_a_reader_that_goes_away_ends_the_command_quietly(mixed: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    command = f"{sys.executable} -m img2img predict sobel {mixed}"
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    line, code = done.stdout.splitlines()
    assert json.loads(line)["error"] is None
    assert (code, done.stderr) == ("0", "")
