"""The shortest loop that runs a network over a folder on ONNX Runtime: what `bench` holds `predict`
against. It reads, shrinks, runs, and throws the answer away."""

import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort


def main(weights: str, folder: str, side_px: int, output: str) -> None:
    """Prints a line a picture. `side_px` is that of the square a picture is laid on; 0: none."""
    session = ort.InferenceSession(weights, providers=["CPUExecutionProvider"])
    for path in sorted(Path(folder).iterdir()):
        read = cv2.imread(str(path))
        assert read is not None
        image = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
        if side_px:
            scale = side_px / max(image.shape)
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = np.zeros((side_px, side_px, 3), np.uint8)
            image[: small.shape[0], : small.shape[1]] = small
        session.run([output], {"input": image[None]})
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
