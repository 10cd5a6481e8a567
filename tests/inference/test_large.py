"""A picture far larger than a network's memory: bounded, and the same answer."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from img2img.data.synth.textures import draw_texture
from img2img.vision.filters import make_filter

SIDE_PX = 8192
LIMIT_KB = 1.5e6


@pytest.mark.slow
def test_8192_pixels_square_stay_within_memory_and_exact(tmp_path: Path) -> None:
    block = draw_texture(np.random.default_rng(0), 1024, 1024)
    row = np.concatenate([np.roll(block, 131 * k, axis=1) for k in range(8)], axis=1)
    picture = np.concatenate([np.roll(row, 57 * k, axis=1) for k in range(8)], axis=0)
    cv2.imwrite(str(tmp_path / "large.png"), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    command = [sys.executable, "-m", "img2img", "predict", "sobel", "large.png", "--out", "answer"]
    child = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    assert usage.ru_maxrss < LIMIT_KB
    answer = cv2.imread(str(tmp_path / "answer" / "large.png"), cv2.IMREAD_UNCHANGED)
    right, n_equal = make_filter("sobel"), 0
    for top in range(0, SIDE_PX, 1024):
        first, last = max(0, top - 2), min(SIDE_PX, top + 1026)
        strip = np.rint(right(picture[first:last]))[top - first :][:1024]
        n_equal += int((strip == answer[top : top + 1024]).sum())
    assert n_equal / SIDE_PX**2 > 0.999
