"""`eval --out`: a page, pictures, and a row a picture."""

import dataclasses
import json
from pathlib import Path

import pytest
from support import img2img, sentence

from img2img.cli.measuring import chosen_samples, division, fold_of
from img2img.inference.session import task_of
from img2img.inference.weights import Card


def _eval(run: Path, data: Path, *more: object, cwd: Path):
    return img2img(
        "eval", "segmentation", "--weights", run, "--data", data, "--quiet", *more, cwd=cwd
    )


def test_rows_pictures_and_the_page_are_written(
    segmentation_run: Path, labelled: Path, tmp_path: Path
) -> None:
    options = ("--worst", 2, "--min", "miou=0.1", "--json", "result.json", "--out", "looked/at")
    done = _eval(segmentation_run, labelled, *options, cwd=tmp_path)
    assert done.code == 0, done.err
    out = tmp_path / "looked" / "at"
    outcome = json.loads((tmp_path / "result.json").read_text())
    rows = [json.loads(line) for line in (out / "pictures.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"{index}.png" for index in range(6)]
    assert {row["group"] for row in rows} == {"scene0", "scene1", "scene2"}
    assert all(row["metrics"].keys() == outcome["metrics"].keys() for row in rows)
    assert all(row["baselines"].keys() == outcome["baselines"].keys() for row in rows)
    accuracy = sum(row["metrics"]["pixel_accuracy"] for row in rows) / 6
    assert abs(outcome["metrics"]["pixel_accuracy"]["value"] - accuracy) < 1e-9
    of_id = {row["id"]: row["metrics"]["miou"] for row in rows}
    ranks = sorted(path.name.split("-")[0] for path in (out / "samples").iterdir())
    assert ranks == ["best", "median", "worst", "worst"]
    (worst,) = (out / "samples").glob("worst-1-*.png")
    assert of_id[worst.name.removeprefix("worst-1-").removesuffix(".png")] == min(of_id.values())
    page = (out / "report.html").read_text()
    assert page.count("<img") == 4 * 3
    assert "Confusion" in page
    assert "miou &gt;= 0.1" in page
    again = _eval(segmentation_run, labelled, "--worst", 1, "--out", "looked/at", cwd=tmp_path)
    assert again.code == 0, again.err
    assert len(list((out / "samples").iterdir())) == 3


def test_the_confusion_matrix_is_printed_and_in_the_json(
    segmentation_run: Path, labelled: Path, tmp_path: Path
) -> None:
    done = _eval(segmentation_run, labelled, "--no-baselines", "--json", "e.json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "truth ↓ answer →  background  egg" in done.out
    table = json.loads((tmp_path / "e.json").read_text())["tables"]["confusion"]
    assert table["rows"] == table["columns"] == ["background", "egg", "pan"]
    assert all(abs(sum(row) - 1) < 1e-9 for row in table["values"])


def test_a_missed_threshold_still_leaves_the_report(
    segmentation_run: Path, labelled: Path, tmp_path: Path
) -> None:
    done = _eval(segmentation_run, labelled, "--max", "miou=0.1", "--out", "looked", cwd=tmp_path)
    assert done.code == 4
    assert "missed" in (tmp_path / "looked" / "report.html").read_text()


def test_a_folder_that_cannot_be_written_is_refused_first(
    segmentation_run: Path, labelled: Path, tmp_path: Path
) -> None:
    run = _eval(segmentation_run, labelled, "--out", segmentation_run, cwd=tmp_path)
    assert run.code == 2
    assert "is a run" in sentence(run)
    (tmp_path / "file").write_bytes(b"")
    file = _eval(segmentation_run, labelled, "--out", "file", cwd=tmp_path)
    assert file.code == 2
    assert "is a file" in sentence(file)


@pytest.fixture(scope="module")
def fold_run(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one of three folds."""
    from img2img.config import parse_set
    from img2img.engine.run import prepare, resolve, train
    from img2img.engine.runtime import running

    options = [
        f"data.source={labelled}",
        *("data.val_share=0", "data.folds=3", "data.fold=1", "model.name=unet", "model.width=4"),
        *("model.depth=2", "task.image_size=32", "train.steps=1", "train.batch_size=2"),
    ]
    run = tmp_path_factory.mktemp("runs") / "fold-1"
    with running("cpu") as runtime:
        plan = prepare(
            resolve("segmentation", [("flag", parse_set(options))]), runtime, init=None, fresh=False
        )
        train(plan, runtime, out=run, resume=False, listeners=[], report=lambda *_: None)
    return run


def _card(run: Path) -> Card:
    from img2img.engine.checkpoint import FILE
    from img2img.inference.weights import KEY, read_header

    path = run / "best" / FILE
    return Card.from_json(read_header(path).get(KEY), str(path))


def test_the_weights_of_a_fold_are_measured_on_what_it_held_out(
    fold_run: Path, labelled: Path, tmp_path: Path
) -> None:
    held_out = set(json.loads((fold_run / "split.json").read_text())["test"])
    options = ("--no-baselines", "--json", "-")
    done = _eval(fold_run, labelled, *options, "--split", "test", "--out", "looked", cwd=tmp_path)
    assert done.code == 0, done.err
    rows = (tmp_path / "looked" / "pictures.jsonl").read_text().splitlines()
    assert {json.loads(row)["id"] for row in rows} == held_out
    everything = _eval(fold_run, labelled, *options, cwd=tmp_path)
    assert everything.code == 0, everything.err
    assert (everything.json["split"], everything.json["n"]) == ("all", 6)


def test_the_weights_of_a_fold_fit_data_that_are_divided(
    fold_run: Path, labelled: Path, tmp_path: Path
) -> None:
    for part in ("train", "test"):
        for kind in ("images", "masks"):
            folder = tmp_path / "data" / part / kind
            folder.mkdir(parents=True)
            name = f"{len(part)}.png"
            (folder / name).write_bytes((labelled / kind / name).read_bytes())
    done = _eval(fold_run, tmp_path / "data", "--json", "-", cwd=tmp_path)
    assert done.code == 0, done.err
    assert (done.json["split"], done.json["n"]) == ("test", 1)
    card = _card(fold_run)
    assert fold_of(card) == {"folds": 3, "fold": 1}
    task = task_of(card, "segmentation")
    for split, n in ((None, 64), ("test", 64), ("val", 32)):
        _, _, samples = chosen_samples(task, card, data=None, split=split, download=False)
        assert len(samples) == n


def test_the_weights_of_a_fold_are_exported(fold_run: Path, labelled: Path, tmp_path: Path) -> None:
    for data in ((), ("--data", labelled)):
        done = img2img(
            "export", "segmentation", "--weights", fold_run, *data, "--out", "new.onnx",
            cwd=tmp_path,
        )  # fmt: skip
        assert done.code == 0, done.err


def test_folds_are_told_apart_from_the_shares(fold_run: Path) -> None:
    card = _card(fold_run)
    assert division(card)["val_share"] == 0
    assert not {"folds", "fold"} & division(card).keys()
    alone = dataclasses.replace(card, options={"data": {"folds": None, "fold": 0}})
    assert fold_of(alone) == {}


@pytest.mark.parametrize("text", ["miou=1.2.3", "miou=.", "miou=1e999", "miou=nan", "miou"])
def test_a_threshold_that_is_no_number_is_refused(
    text: str, segmentation_run: Path, labelled: Path, tmp_path: Path
) -> None:
    done = _eval(segmentation_run, labelled, "--min", text, cwd=tmp_path)
    assert done.code == 2
    assert f"not {text!r}" in sentence(done)
