"""Measures poses on real frames that show the ship with a red dot on each corner of its box.

The dots are found by their colour; which is which, the answered pose says: each is taken for the
nearest corner, one to one. From them comes a pose that the answered one is compared with.

Usage: python examples/real_ships.py PICTURE... [--weights WEIGHTS]
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from img2img.data.images import read
from img2img.vision.assignment import assignment
from img2img.vision.camera import Camera
from img2img.vision.metrics import Floats
from img2img.vision.pose import CORNERS, rotation_error_deg, solve_pose


def main(arguments: list[str]) -> None:
    """Prints a row a picture; the arguments are those of `img2img predict xwing`."""
    command = [sys.executable, "-m", "img2img", "predict", "xwing", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(f"{'picture':<16}{'dots':>5}{'corner px at 256':>18}{'rotation °':>12}{'stated °':>10}")
    for line in done.stdout.splitlines():
        told = json.loads(line)
        dots = red_dots(read(Path(told["input"])))
        name = Path(told["input"]).name
        if told["pose"] is None:
            print(f"{name:<16}{len(dots):>5}  no pose: {told['pose_reason']}")
            continue
        gap, turned = measured(told, dots)
        print(f"{name:<16}{len(dots):>5}{gap:>18.2f}{turned:>12.2f}"
              f"{told['rotation_deviation_deg']:>10.2f}")  # fmt: skip


def measured(told: dict[str, Any], dots: Floats) -> tuple[float, float]:
    """(mean distance of the answered pose's corners from the dots in pixels of a frame of 256,
    degrees between the answered rotation and that of the dots)."""
    camera, pose = Camera.default(told["width"], told["height"]), np.array(told["pose"])
    gaps = np.linalg.norm(camera.project(CORNERS, pose)[:, None] - dots, axis=-1)
    corners, chosen = assignment(gaps)
    points = np.full((8, 2), np.nan)
    points[corners] = dots[chosen]
    fit = solve_pose(points, camera)
    turned = np.nan if fit.pose is None else float(rotation_error_deg(fit.pose, pose))
    scale = 256 / max(told["width"], told["height"])
    return float(gaps[corners, chosen].mean()) * scale, turned


def red_dots(image: np.ndarray[Any, Any]) -> Floats:
    """(N, 2) the middles of pure red spots in pixels."""
    red, green, blue = (image[..., channel].astype(int) for channel in range(3))
    mask = ((red > 200) & (green < 70) & (blue < 70)).astype(np.uint8)
    return np.asarray(cv2.connectedComponentsWithStats(mask, connectivity=8)[3][1:], np.float64)


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    main(sys.argv[1:])
