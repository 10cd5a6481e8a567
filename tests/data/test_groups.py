"""Groups of samples, and folds made of them."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.folders import picture_splits
from img2img.data.groups import group_names
from img2img.data.sample import Image
from img2img.data.split import divide
from img2img.errors import DataError, UsageError

IDS = ["a1.png", "a2.png", "b1.png", "c.png"]


def names(folder: Path, groups: str = "auto", ids: list[str] | None = None) -> list[str]:
    wanted = IDS if ids is None else ids
    return group_names(wanted, [folder / id for id in wanted], DataOptions(groups=groups), folder)


def write_table(folder: Path, *lines: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "groups.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_without_a_table_every_sample_is_alone(tmp_path: Path) -> None:
    assert names(tmp_path) == names(tmp_path, "none") == IDS


def test_the_column_group_is_found_by_itself(tmp_path: Path) -> None:
    write_table(tmp_path, "image,group", "a1.png,film", "a2.png,film", "b1.png,", "x.png,film")
    assert names(tmp_path) == ["film", "film", "b1.png", "c.png"]
    assert names(tmp_path, "none") == IDS


def test_another_column_can_be_named(tmp_path: Path) -> None:
    write_table(tmp_path, "image,scene", "a1.png,1", "a2.png,2", "b1.png,1", "c.png,2")
    assert names(tmp_path, "column:scene") == ["1", "2", "1", "2"]
    assert names(tmp_path) == IDS
    with pytest.raises(DataError, match=r"column 'room', which no groups\.csv"):
        names(tmp_path, "column:room")
    (tmp_path / "groups.csv").unlink()
    with pytest.raises(DataError, match="column 'scene'"):
        names(tmp_path, "column:scene")


def test_the_table_lies_beside_the_pictures_or_above_them(tmp_path: Path) -> None:
    write_table(tmp_path, "image,group", "train/images/a.png,1", "train/b.png,2", "images/d.png,4")
    write_table(tmp_path / "train", "image,group", "c.png,3", "images/e.png,5")
    ids = ["train/images/a.png", "train/b.png", "train/images/c.png", "images/d.png",
           "train/images/e.png"]  # fmt: skip
    assert names(tmp_path, ids=ids) == ["1", "2", "3", "4", "5"]


def test_a_table_that_cannot_be_used(tmp_path: Path) -> None:
    write_table(tmp_path, "picture,group", "a1.png,film")
    with pytest.raises(DataError, match=r"groups\.csv has no column 'image'"):
        names(tmp_path)
    (tmp_path / "groups.csv").write_bytes(b"image,group\n\xff\xfe.png,1\n")
    with pytest.raises(DataError, match=r"groups\.csv cannot be read: .*UTF-8"):
        names(tmp_path)


def test_a_table_saved_by_excel_is_read(tmp_path: Path) -> None:
    table = "image,group\r\na1.png,film\r\na2.png,film\r\n"
    (tmp_path / "groups.csv").write_bytes(table.encode("utf-8-sig"))
    assert names(tmp_path) == ["film", "film", "b1.png", "c.png"]


def test_a_pattern_names_the_group(tmp_path: Path) -> None:
    assert names(tmp_path, r"pattern:^([a-z])\d") == ["a", "a", "b", "c.png"]


@pytest.mark.parametrize("groups", ["", "cluster", "column:", "pattern:", "pattern:(", "pattern:a"])
def test_a_wrong_option_is_a_usage_error(groups: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data\.groups cannot be"):
        names(tmp_path, groups)


def scene(seed: int) -> Image:
    coarse = np.random.default_rng(seed).integers(40, 216, (5, 7, 3), np.uint8)
    smooth: Image = cv2.resize(coarse, (280, 200), interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
    return smooth


def test_pictures_that_look_alike_are_one_cluster(tmp_path: Path) -> None:
    first, other = scene(0), scene(1)
    noise = np.random.default_rng(2).normal(0, 6, first.shape)
    films = {
        "a.png": first[:-20, :-28],
        "b.jpg": cv2.resize(first[:-20, :-28], (126, 90)),
        "c.png": other,
        "d.png": first[20:, 28:],  # a tenth of the picture farther, as of a moving camera
        "e.png": np.clip(other + noise, 0, 255).astype(np.uint8),
        "f.png": scene(3),
    }
    for name, picture in films.items():
        images.write(tmp_path / name, np.ascontiguousarray(picture))
    assert names(tmp_path, "clusters", list(films)) == [
        "a.png", "a.png", "c.png", "a.png", "c.png", "f.png",
    ]  # fmt: skip


def test_clusters_join_through_others(tmp_path: Path) -> None:
    for level in range(0, 60, 6):  # the ends differ by 54 levels, neighbours by 6
        images.write(tmp_path / f"{level:02}.png", np.full((20, 20, 3), 90 + level, np.uint8))
    images.write(tmp_path / "dark.png", np.zeros((20, 20, 3), np.uint8))
    ids = sorted(path.name for path in tmp_path.iterdir())
    assert names(tmp_path, "clusters", ids) == ["00.png"] * 10 + ["dark.png"]
    shuffled = [ids[at] for at in np.random.default_rng(0).permutation(len(ids))]
    found = names(tmp_path, "clusters", shuffled)
    assert len(set(found)) == 2


def test_clusters_of_unreadable_pictures_are_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png is empty"):
        names(tmp_path, "clusters", ["a.png"])
    assert names(tmp_path, "clusters", []) == []


GROUPS = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=40)


@given(groups=GROUPS, folds=st.integers(2, 5), seed=st.integers(0, 3))
def test_every_sample_is_in_the_test_part_of_one_fold(
    groups: list[str], folds: int, seed: int
) -> None:
    shares = {"val_share": 0.2, "test_share": 0.1, "seed": seed}
    if len(set(groups)) < folds:
        with pytest.raises(UsageError, match=r"only \d groups"):
            divide(groups, **shares, folds=folds)
        return
    tested: list[int] = []
    for fold in range(folds):
        parts = divide(groups, **shares, folds=folds, fold=fold)
        assert list(parts) == ["train", "val", "test"]
        assert sorted(at for part in parts.values() for at in part) == list(range(len(groups)))
        owners = {(groups[at], part) for part, found in parts.items() for at in found}
        assert len(owners) == len(set(groups))
        assert parts["test"]
        assert parts["train"]
        tested += parts["test"]
    assert sorted(tested) == list(range(len(groups)))


def test_large_groups_get_a_fold_of_their_own_and_small_ones_share() -> None:
    sizes = {"r": 90, "k": 62, "t": 57, "i": 39, "e": 36, "3": 16, "o": 11, "6": 7, "j": 2}
    groups = [name for name, size in sizes.items() for _ in range(size)]
    tested = []
    for fold in range(6):
        parts = divide(groups, val_share=0.1, test_share=0.1, seed=0, folds=6, fold=fold)
        tested.append(Counter(groups[at] for at in parts["test"]))
    assert [set(found) for found in tested] == [
        {"r"}, {"k"}, {"t"}, {"i"}, {"e"}, {"3", "o", "6", "j"},
    ]  # fmt: skip


def test_the_seed_deals_equal_groups_anew() -> None:
    groups = [str(index) for index in range(30)]

    def tested(seed: int) -> list[int]:
        return divide(groups, val_share=0, test_share=0, seed=seed, folds=3)["test"]

    assert len(tested(0)) == len(tested(1)) == 10
    assert tested(0) == tested(0) != tested(1)


def test_folds_count_from_zero() -> None:
    with pytest.raises(UsageError, match=r"data\.fold is 2, but data\.folds is 2"):
        divide(["a", "b"], val_share=0, test_share=0, seed=0, folds=2, fold=2)


def test_picture_folders_are_divided_by_group_and_into_folds(tmp_path: Path) -> None:
    for index in range(12):
        images.write(tmp_path / f"film{index % 4}_{index}.png", scene(index)[::10, ::10])
    options = {"groups": r"pattern:^(film\d)", "val_share": 0.3}
    whole = picture_splits(DataOptions(**options), tmp_path).whole
    assert Counter(record.group for record in whole.records) == {f"film{n}": 3 for n in range(4)}
    tested = set()
    for fold in range(4):
        splits = picture_splits(DataOptions(**options, folds=4, fold=fold), tmp_path)
        groups = {part: {r.group for r in found.records} for part, found in splits.parts.items()}
        assert not groups["train"] & groups["val"]
        assert len(groups["test"]) == 1
        tested |= groups["test"]
    assert len(tested) == 4


def test_folds_of_a_folder_that_states_its_parts_are_refused(tmp_path: Path) -> None:
    for name in ("train/a.png", "val/b.png"):
        (tmp_path / name).parent.mkdir()
        images.write(tmp_path / name, scene(0)[::10, ::10])
    with pytest.raises(UsageError, match=r"data\.folds .* folders train, val or test"):
        picture_splits(DataOptions(folds=2), tmp_path)


def test_moments_look_alike_and_have_their_objects_in_the_same_places(tmp_path: Path) -> None:
    ids = [f"{index}.png" for index in range(4)]
    for id in ids:
        images.write(tmp_path / id, scene(0))
    layouts = np.zeros((4, 20, 20), np.uint8)
    layouts[0, 2:8, 2:8] = 1
    layouts[1, 3:9, 2:8] = 1  # moved by a sixth
    layouts[2, 12:18, 2:8] = 1
    layouts[3, 12:18, 2:8] = 2  # another class in the same place
    paths = [tmp_path / id for id in ids]

    def grouped(kind: str) -> list[str]:
        return group_names(ids, paths, DataOptions(groups=kind), tmp_path, lambda: layouts)

    assert grouped("moments") == ["0.png", "0.png", "2.png", "3.png"]
    assert grouped("clusters") == ["0.png"] * 4


def test_a_file_of_groups_that_knows_none_of_the_pictures_is_told(tmp_path: Path) -> None:
    images.write(tmp_path / "a.png", scene(0))
    (tmp_path / "groups.csv").write_text("image,group\nb.png,one\n")
    with pytest.raises(DataError, match=r"has a row for any of their pictures, such as a\.png"):
        names(tmp_path, "auto", ["a.png"])
