"""The small commands as users meet them: real processes, their two streams and exit codes."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import Outcome, img2img, sentence

SIZE_PX = 48


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `data make` writes: 16 training pictures, two each for val and test."""
    base = tmp_path_factory.mktemp("made")
    arguments = ("data", "make", "sobel", "--n", 16, "--size", SIZE_PX, "--out", "pictures")
    made = img2img(*arguments, cwd=base)
    assert (made.code, made.out) == (0, "pictures\n")
    return base / "pictures"


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (["taks"], "'tasks'"),
        (["data", "check", "sobl"], "'sobel'"),
        (["compare", "sobl", "a", "b"], "'sobel'"),
        (["export", "sobl", "--out", "a.onnx"], "'sobel'"),
        (["info", "sobl"], "'sobel'"),
        (["data", "preview", "sobel", "--split", "vall"], "'val'"),
        (["data", "preview", "sobel", "--set", "task.filtr=scharr"], "'task.filter'"),
        (["data", "check", "sobel", "--dta", "x"], "--data"),
        (["eval", "sobel", "--min", "pnsr=3"], "'psnr'"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest_right_one(
    arguments: Sequence[str], suggested: str, tmp_path: Path
) -> None:
    outcome = img2img(*arguments, cwd=tmp_path)
    assert outcome.code == 2
    assert suggested in sentence(outcome)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["predict"], "Missing argument 'TASK'; see {} predict --help."),
        (["data", "make"], "Missing argument 'TASK'; see {} data make --help."),
        (["taks"], "No such command 'taks'. Did you mean 'tasks'?"),
    ],
)
def test_a_command_that_lacks_something_points_to_its_help(
    arguments: Sequence[str], told: str, tmp_path: Path
) -> None:
    outcome = img2img(*arguments, cwd=tmp_path)
    assert outcome.code == 2
    assert sentence(outcome) == f"img2img: {told.format('python -m img2img')}\n"


def test_a_wrong_model_is_told_with_the_nearest_right_one(tmp_path: Path) -> None:
    outcome = img2img("train", "sobel", "--set", "model.name=filtrenet", cwd=tmp_path)
    assert outcome.code == 2
    assert "'filternet'" in sentence(outcome)


def test_tasks_names_tasks_with_description_and_model(tmp_path: Path) -> None:
    listed = img2img("tasks", "--json", cwd=tmp_path)
    sobel = next(task for task in listed.json if task["name"] == "sobel")
    assert listed.code == 0
    assert sobel["model"] == "filternet"
    assert "filter" in sobel["description"]
    assert sobel["shipped"] in (True, False)


def test_tasks_lists_an_outside_task_that_cannot_be_imported(tmp_path: Path) -> None:
    metadata = tmp_path / "outside-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1\n")
    points = "[img2img.tasks]\nbroken = no_such_package:Task\n"
    (metadata / "entry_points.txt").write_text(points)
    listed = img2img("tasks", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert listed.code == 1
    assert "no_such_package" in next(x for x in listed.out.splitlines() if x.startswith("broken"))
    assert "sobel" in listed.out
    assert "task 'broken' cannot be loaded" in listed.err


def test_models_lists_own_families_and_every_part_of_smp(tmp_path: Path) -> None:
    listed = img2img("models", "--all", "--json", cwd=tmp_path)
    assert listed.code == 0
    names = [row["name"] for row in listed.json["models"]]
    assert {"filternet", "autoencoder", "unet", "unet:mobilenet_v2"} <= set(names)
    assert "unet" in listed.json["architectures"]
    assert {"resnet18", "tu-mobilenetv4_conv_small"} <= set(listed.json["encoders"])
    table = img2img("models", cwd=tmp_path)
    assert table.code == 0
    assert "14.33 M" in next(x for x in table.out.splitlines() if x.startswith("unet:resnet18"))


def test_info_tells_what_weights_know(exact_run: Path, tmp_path: Path) -> None:
    shown = img2img("info", exact_run, "--json", cwd=tmp_path)
    facts = shown.json
    assert shown.code == 0
    assert (facts["task"], facts["model"]) == ("sobel", "filternet")
    assert (facts["parameters"], facts["stride"], facts["halo_px"]) == (154, 1, 2)
    assert facts["inputs"] == {"input": "uint8 [batch, height, width, 3]"}
    assert facts["outputs"]["image"] == "uint8 [batch, height, width, 1]"
    assert [Path(file["path"]).name for file in facts["files"]] == [
        "best.onnx",
        "checkpoint.safetensors",
    ]
    assert all(len(file["sha256"]) == 64 for file in facts["files"])
    table = img2img("info", exact_run / "best" / "checkpoint.safetensors", cwd=tmp_path)
    assert table.code == 0
    assert ["parameters", "154"] in [line.split() for line in table.out.splitlines()]
    assert ["option", "task.filter", "sobel"] in [x.split() for x in table.out.splitlines()]


def test_info_refuses_what_is_no_weights(sobel_run: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((sobel_run / "best.onnx").read_bytes()[:2000])
    told = img2img("info", cut, cwd=tmp_path)
    assert told.code == 3
    assert "cut.onnx" in sentence(told)
    assert img2img("info", tmp_path / "none.onnx", cwd=tmp_path).code == 3


def test_info_knows_a_task_by_name(tmp_path: Path) -> None:
    shipped = img2img("info", "sobel", "--json", cwd=tmp_path)
    if shipped.code == 0:
        assert shipped.json["task"] == "sobel"
    else:
        assert shipped.code == 3
        assert "no weights ship for sobel" in sentence(shipped)


def test_data_made_is_divided_readable_and_never_overwritten(pictures: Path) -> None:
    counts = {part.name: len(list(part.glob("*.png"))) for part in pictures.iterdir()}
    assert counts == {"train": 16, "val": 2, "test": 2}
    image = cv2.imread(str(next(pictures.glob("train/*.png"))))
    assert image is not None
    assert image.shape == (SIZE_PX, SIZE_PX, 3)
    again = img2img("data", "make", "sobel", "--out", pictures, cwd=pictures)
    assert again.code == 2
    assert "not empty" in sentence(again)


def test_data_made_depends_on_the_seed_alone(pictures: Path, tmp_path: Path) -> None:
    for seed, name in ((0, "same"), (1, "other")):
        arguments = ("--n", 1, "--size", SIZE_PX, "--seed", seed, "--out", name, "--quiet")
        made = img2img("data", "make", "sobel", *arguments, cwd=tmp_path)
        assert (made.code, made.err) == (0, "")
    first = "train/texture-000000.png"
    before = (pictures / first).read_bytes()
    assert (tmp_path / "same" / first).read_bytes() == before
    assert (tmp_path / "other" / first).read_bytes() != before


def test_data_check_warns_and_ends_with_3_where_training_would_fail(
    pictures: Path, tmp_path: Path
) -> None:
    good = img2img("data", "check", "sobel", "--data", pictures, "--json", "-", cwd=tmp_path)
    assert good.code == 0
    assert (good.json["n_pictures"], good.json["problems"]) == (20, [])
    bad = tmp_path / "bad"
    for part in ("train", "val"):
        (bad / part).mkdir(parents=True)
    picture = next(pictures.glob("train/*.png")).read_bytes()
    (bad / "train" / "a.png").write_bytes(picture)
    (bad / "val" / "b.png").write_bytes(picture)
    warned = img2img("data", "check", "sobel", "--data", bad, cwd=tmp_path)
    assert warned.code == 0
    assert warned.out.startswith("warning: duplicate: val/b.png")
    (bad / "train" / "cut.png").write_bytes(picture[:100])
    failed = img2img("data", "check", "sobel", "--data", bad, "--json", "r.json", cwd=tmp_path)
    assert failed.code == 3
    assert "problem: unreadable: train/cut.png" in failed.out
    assert "problems: 1, warnings: 1" in failed.err
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["fatal"] is True
    missing = img2img("data", "check", "sobel", "--data", "absent", cwd=tmp_path)
    assert missing.code == 3
    assert "absent does not exist" in sentence(missing)


def test_data_preview_draws_pictures_beside_their_targets(pictures: Path, tmp_path: Path) -> None:
    common = ("data", "preview", "sobel", "--data", pictures, "--n", 3, "--set",
              f"task.image_size={SIZE_PX}")  # fmt: skip
    for how in ("plain", "augmented"):
        drawn = img2img(*common, f"--{how}", "--out", f"{how}.png", cwd=tmp_path)
        assert (drawn.code, drawn.out, drawn.err) == (0, f"{how}.png\n", "")
    plain, augmented = (cv2.imread(str(tmp_path / f"{how}.png")) for how in ("plain", "augmented"))
    assert plain is not None
    assert augmented is not None
    assert plain.shape == augmented.shape
    assert plain.shape[0] > SIZE_PX
    assert plain.shape[1] > 6 * SIZE_PX
    assert not np.array_equal(plain, augmented)
    wrong = img2img(*common, "--out", "preview.txt", cwd=tmp_path)
    assert wrong.code == 2
    assert "preview.txt" in sentence(wrong)


def test_compare_marks_what_differs_for_sure(
    sobel_run: Path, exact_run: Path, pictures: Path, tmp_path: Path
) -> None:
    common = ("--data", pictures, "--split", "all", "--json")
    told = img2img("compare", "sobel", sobel_run, exact_run, *common, "c.json", cwd=tmp_path)
    assert told.code == 0
    psnr = next(line for line in told.out.splitlines() if line.startswith("psnr"))
    assert psnr.endswith("*")
    result = json.loads((tmp_path / "c.json").read_text(), parse_constant=pytest.fail)
    assert (result["split"], result["n"]) == ("all", 20)
    entry = result["metrics"]["psnr"]
    assert entry["b"] > 80 > entry["a"]
    assert entry["difference"] == pytest.approx(entry["b"] - entry["a"])
    assert 0 < entry["low"] <= entry["difference"] <= entry["high"]
    same = img2img("compare", "sobel", exact_run, exact_run, *common, "-", "-q", cwd=tmp_path)
    assert same.err == ""
    assert all(entry["difference"] == 0 for entry in same.json["metrics"].values())


def test_export_keeps_the_metric_or_writes_nothing(
    exact_run: Path, sobel_run: Path, pictures: Path, tmp_path: Path
) -> None:
    def export(run: Path, *arguments: object) -> Outcome:
        common = ("--weights", run, "--data", pictures, "--out", "out/w.onnx")
        return img2img("export", "sobel", *common, *arguments, cwd=tmp_path)

    out = tmp_path / "out" / "w.onnx"
    written = export(exact_run)
    assert (written.code, written.out) == (0, "out/w.onnx\n")
    assert written.err.startswith("psnr ")
    before = out.read_bytes()
    lost = export(exact_run, "--int8")
    assert lost.code == 1
    assert "psnr falls from" in sentence(lost)
    assert out.read_bytes() == before
    assert [path.name for path in out.parent.iterdir()] == ["w.onnx"]
    quantised = export(sobel_run, "--int8", "--tolerance", 0.5, "--n-calibration", 4, "--quiet")
    assert (quantised.code, quantised.err) == (0, "")
    facts = img2img("info", out, "--json", cwd=tmp_path).json
    assert (facts["facts"]["numbers"], facts["parameters"]) == ("int8", 154)


def test_export_needs_the_network_and_a_right_name(exact_run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.onnx"
    alone.write_bytes((exact_run / "best.onnx").read_bytes())
    told = img2img("export", "sobel", "--weights", alone, "--out", "w.onnx", cwd=tmp_path)
    assert told.code == 3
    assert ".safetensors" in sentence(told)
    wrong = img2img("export", "sobel", "--weights", exact_run, "--out", "w.pt", cwd=tmp_path)
    assert wrong.code == 2
    assert "w.pt" in sentence(wrong)


def test_doctor_names_every_part_and_finds_known_traps(tmp_path: Path) -> None:
    for name in ("opencv_python", "opencv_contrib_python"):
        metadata = tmp_path / f"{name}-5.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 5.0\n")
    env = {"OMP_WAIT_POLICY": "ACTIVE", "PYTHONPATH": str(tmp_path)}
    report = img2img("doctor", "--json", cwd=tmp_path, env=env)
    checks = {check["what"]: check for check in report.json["checks"]}
    assert {"Python", "torch", "import torchvision", "CPU", "precision", "cache", "disk",
            "weights of sobel"} <= set(checks)  # fmt: skip
    assert checks["import torch"]["status"] == "ok"
    assert checks["OMP_WAIT_POLICY"]["status"] == "warning"
    assert (report.code, report.json["ok"]) == (1, False)
    assert checks["OpenCV"]["status"] == "problem"
    assert "pip uninstall" in checks["OpenCV"]["advice"]
    assert "overwrite each other" in report.err
