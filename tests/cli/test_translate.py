"""Pictures from pictures as users meet them: folders of pairs, odd sizes, data that are refused."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import Outcome, img2img, sentence

SMALL = (
    "--set", "model.width=8", "--set", "model.depth=2", "--image-size", 32, "--batch-size", 8,
)  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `data make` writes of generated pictures: noisy and clean ones."""
    place = tmp_path_factory.mktemp("made")
    done = img2img(
        "data", "make", "translate", "--n", 16, "--size", 64, "--out", "pairs", cwd=place
    )
    assert done.code == 0, done.err
    return place / "pairs"


@pytest.fixture(scope="module")
def run(pairs: Path) -> Path:
    """A run folder of a small network that learned for a hundred steps."""
    from img2img.config import parse_set
    from img2img.engine.run import prepare, resolve, train
    from img2img.engine.runtime import running

    options = [
        *(f"data.source={pairs}", "model.width=8", "model.depth=2", "task.image_size=32"),
        *("train.steps=100", "train.batch_size=8", "train.lr=0.003", "train.ema=none"),
    ]
    run = pairs.parent / "run"
    with running("cpu") as runtime:
        config = resolve("translate", [("flag", parse_set(options))])
        plan = prepare(config, runtime, init=None, fresh=True)
        train(plan, runtime, out=run, resume=False, listeners=[], report=lambda *_: None)
    return run


def _train(folder: Path, cwd: Path, *more: object) -> Outcome:
    return img2img(
        "train", "translate", "--data", folder, *SMALL, "--steps", 1, "--dry-run", *more, cwd=cwd
    )


def test_noise_is_taken_away(run: Path, pairs: Path, tmp_path: Path) -> None:
    done = img2img(
        "eval", "translate", "--weights", run, "--data", pairs, "--split", "all", "--json", "-",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert list(done.json["metrics"]) == ["psnr", "ssim", "ms_ssim", "mae"]
    before = done.json["baselines"]["identity"]["psnr"]
    assert done.json["metrics"]["psnr"]["value"] > before + 1


@pytest.mark.parametrize("size", [(40, 48), (57, 91), (1, 30), (1, 1)])
def test_answers_have_the_pictures_size(size: tuple[int, int], run: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    done = img2img(
        "predict", "translate", "photo.png", "--weights", run, "--out", "answers", "--overlay",
        "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    answer = cv2.imread(str(tmp_path / done.json["output"]), cv2.IMREAD_UNCHANGED)
    assert answer.shape == (*size, 3)
    assert len(list((tmp_path / "answers").iterdir())) == 2


def test_tiles_answer_as_the_whole_picture_does(run: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (150, 130, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    answers = [
        img2img("predict", "translate", "photo.png", "--weights", run, "--out", "-", "--tile", tile,
                cwd=tmp_path).raw
        for tile in (0, 48)
    ]  # fmt: skip
    whole, tiled = (cv2.imdecode(np.frombuffer(one, np.uint8), 1).astype(int) for one in answers)
    assert np.abs(whole - tiled).max() <= 1


def test_without_weights_it_says_that_none_ship(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((8, 8, 3), np.uint8))
    for command in (("predict", "translate", "photo.png"), ("eval", "translate")):
        done = img2img(*command, cwd=tmp_path)
        assert done.code == 3
        assert "no weights ship for translate" in sentence(done)


# ---- data


def test_pairs_are_made_of_a_folder_of_pictures(pairs: Path, tmp_path: Path) -> None:
    for index in range(12):
        name = f"{index}.jpg" if index else "sub/scene 0.jpg"
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        picture = np.random.default_rng(index).integers(0, 256, (20 + index, 33, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "photos" / name), picture)
    made = img2img(
        "data", "make", "translate", "--filter", "grey", "--data", "photos", "--n", 8, "--out",
        "pairs", cwd=tmp_path,
    )  # fmt: skip
    assert made.code == 0, made.err
    files = sorted(path for path in (tmp_path / "pairs").rglob("*.png"))
    n_train = sum("train" in path.parts for path in files) // 2
    assert 0 < n_train <= 8
    assert {path.relative_to(tmp_path / "pairs").parts[1] for path in files} == {"input", "target"}
    inputs = [path for path in files if "input" in path.parts]
    for path in inputs:
        grey = cv2.imread(str(path))
        assert (grey == grey[..., :1]).all()
    checked = img2img("data", "check", "translate", "--data", "pairs", "--json", "-", cwd=tmp_path)
    assert checked.code == 0, checked.err
    assert checked.json["n_pictures"] == len(inputs)
    refused = img2img(
        "data", "make", "translate", "--data", "photos", "--filter", "grey", "--size", 32,
        "--out", "again", cwd=tmp_path,
    )  # fmt: skip
    assert refused.code == 2
    assert "--size" in sentence(refused)


def test_a_preview_shows_both(pairs: Path, tmp_path: Path) -> None:
    done = img2img(
        "data", "preview", "translate", "--data", pairs, "--n", 2, "--set", "task.image_size=32",
        "--out", "seen.png", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert cv2.imread(str(tmp_path / "seen.png")).shape[1] > 2 * 2 * 32


def test_an_unknown_filter_is_named(tmp_path: Path) -> None:
    done = img2img("data", "make", "translate", "--filter", "nois", cwd=tmp_path)
    assert done.code == 2
    assert "did you mean 'noise'" in sentence(done)
    other = img2img("data", "make", "segmentation", "--filter", "noise", cwd=tmp_path)
    assert other.code == 2
    assert "task.filter" in sentence(other)


def test_a_filter_of_pairs_is_refused_by_every_command(pairs: Path, tmp_path: Path) -> None:
    filtered = ("--set", "task.filter=noise")
    for done in (
        img2img("data", "make", "translate", "--data", pairs, "--filter", "noise", cwd=tmp_path),
        img2img("data", "check", "translate", "--data", pairs, *filtered, cwd=tmp_path),
        img2img("data", "preview", "translate", "--data", pairs, *filtered, cwd=tmp_path),
        _train(pairs, tmp_path, *filtered),
    ):
        assert done.code == 2
        assert "holds pairs already: leave task.filter out" in sentence(done)


def test_what_does_not_fit_is_named(pairs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pairs, tmp_path / "data")
    targets = sorted((folder / "train" / "target").iterdir())
    assert _train(folder, tmp_path).code == 0
    cv2.imwrite(str(targets[1]), np.zeros((64, 60, 3), np.uint8))
    done = _train(folder, tmp_path)
    assert done.code == 3
    assert f"{targets[1].name} has 60x64" in sentence(done)
    targets[0].unlink()
    done = _train(folder, tmp_path)
    assert done.code == 3
    assert f"{targets[0].name} has no partner" in sentence(done)
    checked = img2img("data", "check", "translate", "--data", folder, "--json", "-", cwd=tmp_path)
    assert checked.code == 3
    kinds = {problem["kind"] for problem in json.loads(checked.out)["problems"]}
    assert {"alone", "mismatch"} <= kinds


def test_an_odd_width_side_by_side_is_named(tmp_path: Path) -> None:
    (tmp_path / "sides").mkdir()
    for index in range(3):
        cv2.imwrite(
            str(tmp_path / "sides" / f"{index}.png"), np.zeros((8, 15 + index, 3), np.uint8)
        )
    done = _train(tmp_path / "sides", tmp_path, "--set", "task.layout=side-by-side")
    assert done.code == 3
    assert "pixels wide" in sentence(done)


def test_grey_targets_make_a_network_of_one_channel(pairs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(pairs, tmp_path / "data")
    for path in folder.rglob("target/*.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    done = img2img(
        "train", "translate", "--data", folder, *SMALL, "--steps", 1, "--out", "run", cwd=tmp_path
    )
    assert done.code == 0, done.err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["task"]["channels"] == 1
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((9, 11, 3), 90, np.uint8))
    answered = img2img(
        "predict", "translate", "photo.png", "--weights", "run", "--out", "answers", "--json",
        cwd=tmp_path,
    )  # fmt: skip
    assert answered.code == 0, answered.err
    answer = cv2.imread(str(tmp_path / answered.json["output"]), cv2.IMREAD_UNCHANGED)
    assert answer.shape == (9, 11)
