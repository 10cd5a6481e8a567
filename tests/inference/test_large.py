"""A picture far larger than a network's memory: bounded, and the same answer."""

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
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.slow
def test_8192_pixels_square_stay_within_memory_and_exact(tmp_path: Path) -> None:
    block = draw_texture(np.random.default_rng(0), 1024, 1024)
    row = np.concatenate([np.roll(block, 131 * k, axis=1) for k in range(8)], axis=1)
    picture = np.concatenate([np.roll(row, 57 * k, axis=1) for k in range(8)], axis=0)
    cv2.imwrite(str(tmp_path / "large.png"), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    command = [sys.executable, "-m", "img2img", "predict", "sobel", "large.png", "--out", "answer"]
    # Started from a small process: a child's peak counts what its parent held when it forked.
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURE, *command],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    code, peak_kb = map(int, measured.stdout.split())
    assert code == 0
    assert peak_kb < LIMIT_KB
    answer = cv2.imread(str(tmp_path / "answer" / "large.png"), cv2.IMREAD_UNCHANGED)
    right, n_equal = make_filter("sobel"), 0
    for top in range(0, SIDE_PX, 1024):
        first, last = max(0, top - 2), min(SIDE_PX, top + 1026)
        strip = np.rint(right(picture[first:last]))[top - first :][:1024]
        n_equal += int((strip == answer[top : top + 1024]).sum())
    assert n_equal / SIDE_PX**2 > 0.999
