"""Draws twelve generated frames of the test part with the eight box corners, and six of a flight.

Usage: python examples/draw_ship.py [OUT.jpg]
Left out: docs/images/ship.jpg.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from img2img.data.sample import Image, Sample
from img2img.data.synth.ship import Flight, Ships
from img2img.report.draw import contact_sheet

N, COLUMNS, SIZE = 12, 6, 256
FRAMES = range(0, 90, 15)


def main(out: Path) -> None:
    """Writes the sheet and prints its size."""
    samples = [*Ships.splits(1, n_val=1, n_test=N, size=SIZE).parts["test"],
               *Flight(FRAMES.stop, seed=1, size=SIZE).subset(FRAMES)]  # fmt: skip
    n_bytes = contact_sheet(out, [marked(sample) for sample in samples], COLUMNS)
    print(f"{out}: {n_bytes / 1000:.0f} kB")


def marked(sample: Sample) -> Image:
    """The picture (H, W, 3) with a dot on each corner of the box: filled where z is high."""
    picture = sample.image.copy()
    points = np.rint(sample.labels["points"] * 16).astype(int).tolist()
    for number, point in enumerate(points):
        weight = cv2.FILLED if number >= 4 else 1
        cv2.circle(picture, point, 36, (0, 255, 0), weight, cv2.LINE_AA, shift=4)
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "docs/images/ship.jpg"))
