"""Draws twelve generated kitchens of the test part: what is true beside what weights answer.

Usage: python examples/draw_kitchens.py [OUT.jpg] [WEIGHTS]
Left out: docs/images/kitchens.jpg, and the weights that ship.
"""

import sys
from pathlib import Path

from img2img.config import DataOptions
from img2img.data.sample import Image
from img2img.inference.evaluate import collect
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session, task_of
from img2img.inference.weights import find_weights
from img2img.report.draw import contact_sheet, side_by_side

N, COLUMNS = 12, 3


def main(out: Path, weights: str | None) -> None:
    """Writes the sheet and prints its size."""
    session = open_session(find_weights(weights, "segmentation"))
    task = task_of(session.card, "segmentation")
    predictor = Predictor(task, session)
    samples = task.splits(DataOptions()).parts["test"]
    pairs: list[Image] = []
    for index in range(N):
        sample = samples[index]
        answer = predictor.run(sample.image)
        row = (index, sample.id, sample.group, task.measure(answer, sample))
        miou = collect([row]).metrics(task)["miou"]
        drawn = [task.draw(sample.image, result) for result in (task.truth(sample), answer)]
        pairs.append(side_by_side(drawn, [f"truth of {index}", f"answer: mean IoU {miou:.2f}"]))
    n_bytes = contact_sheet(out, pairs, COLUMNS)
    print(f"{out}: {session.name}, {n_bytes / 1000:.0f} kB")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0] if given else "docs/images/kitchens.jpg"), given[1] if given[1:] else None)
