"""Which samples a report shows, and how their files are called."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from img2img.data.images import read
from img2img.report.draw import Panel
from img2img.report.gallery import Shown, file_name, ranked, write_sheets
from img2img.tasks.base import Best

UP, DOWN = Best("m", "max"), Best("m", "min")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, None], {"sample": 0}),
        ([None, 0.5], {"sample": 1}),
        ([0.1, 0.9], {"best": 1, "worst-1": 0}),
        ([0.1, 0.9, 0.5], {"best": 1, "median": 2, "worst-1": 0}),
        ([0.1, None, 0.9, 0.5, 0.0], {"best": 2, "median": 0, "worst-1": 4}),
        ([5, 1, 4, 0, 3, 2], {"best": 0, "median": 5, "worst-1": 3, "worst-2": 1}),
    ],
)
def test_ranks(values, expected):
    assert ranked(values, UP, n_worst=3) == expected
    negated = [None if value is None else -value for value in values]
    assert ranked(negated, DOWN, n_worst=3) == expected


def test_every_sample_has_one_rank_and_files_sort_by_it():
    places = ranked([float(i) for i in range(40)], UP, n_worst=12)
    assert len(set(places.values())) == len(places) == 14
    worst = [rank for rank in places if rank.startswith("worst")]
    assert worst == sorted(worst)
    assert places["worst-01"] == 0
    assert ranked([1.0, 2.0, 3.0], UP, n_worst=0) == {"best": 2, "median": 1}


def test_sheets_of_an_earlier_report_go(tmp_path):
    panel = Panel(caption="input", image=np.zeros((30, 30, 3), np.uint8))
    first, second = (Shown(rank="worst-1", id=id, value=0.5, panels=[panel]) for id in ("a", "b"))
    write_sheets(tmp_path, [first])
    (tmp_path / "mine.png").write_bytes(b"")
    assert write_sheets(tmp_path, [second]) == [tmp_path / "worst-1-b.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.png", "worst-1-b.png"]


@pytest.mark.parametrize("sample_id", ["../../etc/passwd", "a/b c.jpg", "..", "日本", "\ud800", ""])
def test_file_names_are_safe(sample_id: str) -> None:
    name = file_name(sample_id)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name)
    assert len(name) < 100


def test_file_names_keep_what_they_can() -> None:
    assert file_name("texture-000012") == "texture-000012"
    assert file_name("a/b") != file_name("a?b")


@pytest.mark.slow
def test_the_sheet_of_the_docs_can_be_drawn_again(tmp_path):
    script = Path(__file__).parents[2] / "examples" / "draw_kitchens.py"
    out = tmp_path / "docs" / "kitchens.jpg"
    subprocess.run([sys.executable, script, out], check=True, timeout=300)
    assert read(out).shape[1] > 1500
    assert out.stat().st_size < 300_000
