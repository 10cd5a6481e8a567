"""First layers as pictures."""

from pathlib import Path

import numpy as np
from support import img2img

from img2img.data.images import read
from img2img.report.filters import filter_sheet


def test_each_filter_is_a_tile_of_its_own_scale() -> None:
    weights = np.zeros((3, 3, 2, 2))
    weights[0, 0, 0, 0] = 5.0  # red, upper left
    weights[1, 2, 1, 1] = -0.1  # not blue, lower right
    sheet = filter_sheet(weights)
    assert sheet.shape == (2 * 30 + 6, 2 * 30 + 6, 3)
    assert sheet[7, 7].tolist() == [255, 128, 128]
    assert sheet[6 + 23, 6 + 23].tolist() == [128, 128, 128]
    assert sheet[6 + 23, 36 + 23].tolist() == [128, 128, 0]
    assert (sheet[-20, -20] == 255).all()


def test_info_draws_the_filters(tmp_path: Path) -> None:
    done = img2img("info", "sobel", "--filters", "first.png", cwd=tmp_path)
    assert done.code == 0, done.err
    picture = read(tmp_path / "first.png")
    assert picture.shape == (5 * 12 + 12, 2 * (5 * 12 + 6) + 6, 3)
