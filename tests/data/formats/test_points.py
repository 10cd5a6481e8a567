"""Which format a folder's points have, in which order they come, and who belongs together."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.cache import PixelCache
from img2img.data.formats.point_formats import Found, find_points
from img2img.data.formats.points import pictures_of, point_splits
from img2img.data.sample import Splits
from img2img.errors import DataError, UsageError
from img2img.vision.schemas import IBUG68, IMM58, KAGGLE15, NOSE, Schema

PAIR = Schema(name="pair", points=("a", "b"))
WHOLE = {"val_share": 0, "test_share": 0}


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8))


def points(n_points: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 12, (n_points, 2)).round(3)


def write_csv(folder: Path, names: list[str], n_points: int = 2) -> Path:
    rows = []
    for seed, name in enumerate(names):
        picture(folder / "images" / name, seed)
        rows.append([name, *points(n_points, seed).ravel()])
    path = folder / "keypoints.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["", *range(2 * n_points)], *rows])
    return path


def write_pts(folder: Path, stem: str, n_points: int = 2, seed: int = 0) -> None:
    picture(folder / f"{stem}.png", seed)
    rows = "\n".join(f"{x} {y}" for x, y in points(n_points, seed) + 1)
    (folder / f"{stem}.pts").write_text(f"version: 1\nn_points: {n_points}\n{{\n{rows}\n}}\n")


def write_asf(folder: Path, stem: str) -> None:
    picture(folder / f"{stem}.jpg")
    rows = "\n".join(
        f"0 4 {x / 16:.8f} {y / 12:.8f} {n} 0 0" for n, (x, y) in enumerate(points(58))
    )
    (folder / f"{stem}.asf").write_text(f"# AAM\n58\n{rows}\n# host image\n{stem}.jpg\n")


def divided(source: Path, schema: Schema = PAIR, **options: object) -> Splits:
    return point_splits(find_points(source), DataOptions(source=str(source), **options), schema)


def groups(splits: Splits) -> dict[str, str]:
    return {record.id: record.group for record in splits.whole.records}


def refusal(source: Path) -> str:
    with pytest.raises(DataError) as caught:
        find_points(source)
    return str(caught.value)


def test_a_folder_of_pts_files_is_found_and_said(tmp_path: Path) -> None:
    for index in range(4):
        write_pts(tmp_path, f"image_{index:04d}", 68, index)
    found = find_points(tmp_path)
    assert found.format == "300-W .pts"
    assert found.schema is IBUG68
    assert found.described() == f"{tmp_path}: 300-W .pts, 4 faces with 68 points (ibug68) each"
    whole = pictures_of(found, DataOptions(), IBUG68)
    assert whole.points == pytest.approx(
        np.stack([points(68, index) for index in range(4)]), abs=1e-4
    )


def test_samples_have_points_in_original_pixels_and_pictures_on_demand(tmp_path: Path) -> None:
    splits = divided(write_csv(tmp_path, ["a.png", "b.png"]), **WHOLE)
    sample = splits.whole[0]
    assert sample.labels.keys() == {"points"}
    assert sample.labels["points"].dtype == np.float32
    assert sample.labels["points"] == pytest.approx(points(2, 0))
    expected = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    assert (sample.image == expected).all()
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        splits.whole[0]


def test_samples_can_be_cached(tmp_path: Path) -> None:
    whole = divided(write_csv(tmp_path, ["a.png", "b.png"])).whole
    cache = PixelCache(whole, tmp_path / "cache", budget_mb=1)
    assert cache.n_cached == 2
    for _ in range(2):
        assert (cache.sample(1).image == whole[1].image).all()
        assert (cache.sample(1).labels["points"] == whole[1].labels["points"]).all()


def test_an_ending_may_lie_about_the_format(tmp_path: Path) -> None:
    source = write_csv(tmp_path, ["a.png", "b.png"])
    image = np.full((12, 16, 3), 77, np.uint8)
    (tmp_path / "images" / "a.png").write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
    assert abs(divided(source, **WHOLE).whole[0].image.astype(int) - 77).max() <= 1


def test_faces_of_one_picture_are_a_sample_each_and_stay_together(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    entries = [(1, 5), (2, 5), (1, 6)]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 0, "name": "face", "keypoints": ["b", "a"]}],
        "annotations": [
            {"id": n, "image_id": image, "category_id": 0, "bbox": [x, 1, 3, 4],
             "keypoints": [x, 1, 2, x, 2, 2]}
            for n, (image, x) in enumerate(entries)
        ],
    }  # fmt: skip
    (tmp_path / "faces.json").write_text(json.dumps(content))
    splits = divided(tmp_path)
    assert groups(splits) == {"a.png#1": "a.png", "b.png": "b.png", "a.png#2": "a.png"}
    by_id = {record.id: index for index, record in enumerate(splits.whole.records)}
    one, two = (splits.whole[by_id[name]] for name in ("a.png#1", "a.png#2"))
    assert one.labels["box"].tolist() == [5, 1, 7, 4]
    assert two.labels["points"].tolist() == [[6, 2], [6, 1]]  # by name: a, then b
    assert (one.image == two.image).all()


def test_video_frames_stay_with_their_person(tmp_path: Path) -> None:
    names = ["Abdel_Al-Hakim_01.jpg", "Abdel_Al-Hakim_52_b.jpg", "Ann_Lee_00.jpg"]
    splits = divided(write_csv(tmp_path, names), **WHOLE)
    assert [*groups(splits).values()] == ["Abdel_Al-Hakim", "Abdel_Al-Hakim", "Ann_Lee"]


def test_numbered_pictures_are_not_taken_for_one_person(tmp_path: Path) -> None:
    names = ["img_01.jpg", "img_02.jpg", "img_03.jpg"]
    splits = divided(write_csv(tmp_path, names), **WHOLE)
    assert [*groups(splits).values()] == names


def test_names_that_are_not_all_of_the_kind_are_left_alone(tmp_path: Path) -> None:
    names = ["Ann_Lee_01.jpg", "Bob_01.jpg", "portrait.jpg"]
    splits = divided(write_csv(tmp_path, names), **WHOLE)
    assert [*groups(splits).values()] == names


def test_imm_faces_stay_with_their_person(tmp_path: Path) -> None:
    for stem in ("01-1m", "01-2m", "07-1f"):
        write_asf(tmp_path, stem)
    found = find_points(tmp_path)
    assert found.format == "AAM shape files .asf"
    assert found.schema is IMM58
    splits = divided(tmp_path, IMM58, **WHOLE)
    assert [*groups(splits).values()] == ["01", "01", "07"]


def test_groups_csv_and_options_come_before_the_rule(tmp_path: Path) -> None:
    names = ["Ann_Lee_00.jpg", "Ann_Lee_01.jpg", "Bob_00.jpg"]
    source = write_csv(tmp_path, names)
    (tmp_path / "groups.csv").write_text("image,group\nAnn_Lee_00.jpg,x\nBob_00.jpg,x\n")
    assert [*groups(divided(source, **WHOLE)).values()] == ["x", "Ann_Lee", "x"]
    assert [*groups(divided(tmp_path, **WHOLE)).values()] == ["x", "Ann_Lee", "x"]
    pattern = groups(divided(source, groups="pattern:_(..).jpg", **WHOLE))
    assert [*pattern.values()] == ["00", "01", "00"]
    assert [*groups(divided(source, groups="none", **WHOLE)).values()] == names


def test_no_person_is_in_two_parts_or_folds(tmp_path: Path) -> None:
    names = [f"Person_{letter}_{n:02d}.png" for letter in "ABCDEFGH" for n in range(3)]
    source = write_csv(tmp_path, names)
    for splits in (divided(source), divided(source, folds=4, fold=1)):
        people = [{record.group for record in part.records} for part in splits.parts.values()]
        assert sum(map(len, people)) == len(set().union(*people)) == 8
        assert all(people)


def test_a_set_is_divided_alone_as_among_others(tmp_path: Path) -> None:
    for index in range(8):
        write_pts(tmp_path / "one", f"image_{index:04d}", seed=index)
    write_csv(tmp_path / "two", [f"Person_{letter}_01.png" for letter in "ABCDEFGHIJ"])
    both = divided(tmp_path)
    assert find_points(tmp_path).format == "300-W .pts and file-name CSV"
    for name in ("one", "two"):
        alone = divided(tmp_path / name)
        for part, samples in alone.parts.items():
            ids = {f"{name}/{record.id}" for record in samples.records}
            assert ids <= {record.id for record in both.parts[part].records}


def test_folders_train_and_test_are_parts(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for index in range(4):
            write_pts(tmp_path / part, f"{index}", seed=index)
    splits = divided(tmp_path)
    assert splits.stated
    assert {record.id for record in splits.parts["test"].records} == {
        f"test/{n}.png" for n in range(4)
    }
    assert len(splits.parts["val"]) > 0


def test_fewer_points_are_derived_from_more(tmp_path: Path) -> None:
    write_pts(tmp_path, "a", 68)
    found = find_points(tmp_path)
    own = pictures_of(found, DataOptions(), IBUG68).points
    assert pictures_of(found, DataOptions(), NOSE).points == pytest.approx(own[:, 30:31])
    assert pictures_of(found, DataOptions(), KAGGLE15).points.shape == (1, 15, 2)


def test_points_of_another_schema_are_refused(tmp_path: Path) -> None:
    write_pts(tmp_path, "a", 58)
    with pytest.raises(DataError, match=r"has 58 points \(imm58\), but the schema ibug68 has 68"):
        divided(tmp_path, IBUG68)
    write_pts(tmp_path, "a", 21)
    assert find_points(tmp_path).schema is None
    with pytest.raises(DataError, match="has 21 points, but the schema ibug68 has 68"):
        divided(tmp_path, IBUG68)


def test_faces_with_other_numbers_of_points_are_refused(tmp_path: Path) -> None:
    write_pts(tmp_path, "a", 68)
    write_pts(tmp_path, "b", 51)
    message = refusal(tmp_path)
    assert "b.pts has 51 points" in message
    assert "a.pts has 68" in message


def test_folders_without_points_or_in_doubt_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "no")
    picture(tmp_path / "a.png")
    (tmp_path / "groups.csv").write_text("image,mask,group\na.png,a.png,x\n")
    (tmp_path / "notes.csv").write_text("hello\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.xml").write_text("<svg/>")
    (tmp_path / "other.json").write_text("{")
    assert "holds no points" in refusal(tmp_path)
    for name in ("a.png", "notes.csv", "empty.csv", "other.xml", "other.json"):
        assert f"{name} has no points" in refusal(tmp_path / name)
    write_csv(tmp_path, ["a.png"])
    (tmp_path / "second.csv").write_bytes((tmp_path / "keypoints.csv").read_bytes())
    assert "several kinds of labels, keypoints.csv and second.csv" in refusal(tmp_path)


def test_two_kinds_of_files_beside_pictures_are_refused(tmp_path: Path) -> None:
    write_pts(tmp_path, "a")
    write_asf(tmp_path, "b")
    assert "several kinds of labels, a.pts and b.asf" in refusal(tmp_path)


def test_a_list_beside_pts_files_is_in_doubt(tmp_path: Path) -> None:
    write_pts(tmp_path, "a")
    write_csv(tmp_path, ["b.png"])
    assert "several kinds of labels, keypoints.csv and a.pts" in refusal(tmp_path)
    assert find_points(tmp_path / "keypoints.csv").format == "file-name CSV"


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_signs_between_cells_are_named(tmp_path: Path, sign: str, name: str) -> None:
    source = write_csv(tmp_path, ["a.png"])
    text = source.read_text()
    for changed in (text.replace(",", sign), text.replace(",", sign).replace(".", ",")):
        source.write_text(changed.replace("a,png", "a.png"))
        for path in (source, tmp_path):
            assert f"keypoints.csv seems to have {name} between its cells" in refusal(path)
    source.write_text(f"nose_tip_x{sign}nose_tip_y{sign}Image\n")
    assert f"keypoints.csv seems to have {name} between its cells" in refusal(source)


def test_faces_without_any_point_are_passed_over_and_counted(tmp_path: Path) -> None:
    source = write_csv(tmp_path, ["a.png", "b.png", "c.png"])
    first, a, b, c = source.read_text().splitlines()
    empty = "b.png" + "," * b.count(",")
    source.write_text("\n".join([first, a, empty, c]))
    found = find_points(source)
    assert found.n_bare == 1
    assert "2 faces with 2 points each; 1 without any point are passed over" in found.described()
    assert [record.id for record in divided(source, **WHOLE).whole.records] == ["a.png", "c.png"]
    source.write_text("\n".join([first, empty]))
    assert "has no labelled point" in refusal(source)


def test_a_linked_folder_is_read_once(tmp_path: Path) -> None:
    write_pts(tmp_path / "one", "a")
    (tmp_path / "one" / "loop").symlink_to(tmp_path)
    (tmp_path / "two").symlink_to(tmp_path / "one")
    found = find_points(tmp_path)
    assert list(found.sets) == ["one/"]


def test_unreadable_pictures_are_counted_and_named(tmp_path: Path) -> None:
    source = write_csv(tmp_path, ["a.png", "b.png", "c.png"])
    for name in ("b.png", "c.png"):
        (tmp_path / "images" / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 3 pictures in .*b\.png is empty"):
        divided(source)


def test_clusters_need_picture_files(tmp_path: Path) -> None:
    source = tmp_path / "training.csv"
    source.write_text("nose_tip_x,nose_tip_y,Image\n1,2," + "0 " * 9216 + "\n")
    found: Found = find_points(source)
    assert found.schema is NOSE
    with pytest.raises(UsageError, match=r"data\.groups=clusters compares picture files"):
        pictures_of(found, DataOptions(groups="clusters"), NOSE)
