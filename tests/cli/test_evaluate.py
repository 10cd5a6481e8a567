"""`eval --out`: a page, pictures, and a row a picture."""

import json
from pathlib import Path

from support import img2img, sentence


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
