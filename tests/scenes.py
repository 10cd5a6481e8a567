"""Labelled pictures with one object of each of two classes."""

from collections.abc import Sequence

import cv2
import numpy as np

from img2img.data.sample import Dataset, Image, Record, Sample
from img2img.vision.classes import Classes


def scene(height: int, width: int, seed: int = 0) -> tuple[Image, Classes]:
    """Smooth colours with a bright ellipse of class 1 and a dark rectangle of class 2."""
    rng = np.random.default_rng(seed)
    few = rng.integers(80, 160, (4, 4, 3), np.uint8)
    image = np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR))
    classes = np.zeros((height, width), np.uint8)
    cv2.ellipse(
        classes, (width // 3, height // 2), (width // 8 + 1, height // 6 + 1), 20, 0, 360, 1, -1
    )
    cv2.rectangle(classes, (width // 2, height // 4), (3 * width // 4, height // 2), 2, -1)
    image[classes == 1], image[classes == 2] = (250, 240, 230), (10, 15, 20)
    return frozen(image), frozen(classes)


def frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


class Scenes(Dataset):
    def __init__(self, pairs: Sequence[tuple[Image, Classes | None]]) -> None:
        super().__init__([
            Record(id=str(i), digest="", height=image.shape[0], width=image.shape[1], index=i)
            for i, (image, _) in enumerate(pairs)
        ])  # fmt: skip
        self.pairs = pairs

    def pixels(self, record: Record) -> Image:
        return self.pairs[record.index][0]

    def sample(self, record: Record, pixels: Image) -> Sample:
        classes = self.pairs[record.index][1]
        labels = {} if classes is None else {"classes": classes}
        return Sample(id=record.id, group=record.id, image=pixels, labels=labels)
