"""Draws twelve generated faces of the test part with their 68 points, or with those that the
shipped weights answer.

Usage: python examples/draw_faces.py [OUT.jpg] [--answers]
Left out: docs/images/faces.jpg.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from img2img.data.sample import Image, Sample
from img2img.data.synth.faces import Faces
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session, task_of
from img2img.inference.weights import find_weights
from img2img.report.draw import contact_sheet

N, COLUMNS, SIZE = 12, 4, 256


def main(out: Path) -> None:
    """Writes the sheet and prints its size."""
    samples = Faces.splits(1, n_val=1, n_test=N, size=SIZE).parts["test"]
    drawn = answered if "--answers" in sys.argv else marked
    n_bytes = contact_sheet(out, [drawn(sample) for sample in samples], COLUMNS)
    print(f"{out}: {n_bytes / 1000:.0f} kB")


def marked(sample: Sample) -> Image:
    """The picture (H, W, 3) with a dot on each point."""
    picture = sample.image.copy()
    for point in np.rint(sample.labels["points"] * 16).astype(int).tolist():
        cv2.circle(picture, point, 22, (0, 255, 0), cv2.FILLED, cv2.LINE_AA, shift=4)
    return picture


def answered(sample: Sample) -> Image:
    """The picture with the answer as `predict --whole-image --overlay` draws it."""
    session = open_session(find_weights(None, "keypoints"))
    task = task_of(session.card, "keypoints")
    task.ask({"whole_image": True})
    predictor = Predictor(task, session, outputs=task.result_outputs)
    return task.draw(sample.image, predictor.run(sample.image))


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--answers"]
    main(Path(names[0] if names else "docs/images/faces.jpg"))
