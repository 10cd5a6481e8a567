"""The head of the finder, against the maps that it is to learn."""

import numpy as np
import torch

from img2img.models.face_head import FaceHead
from img2img.vision.face_maps import encoded, peaks

PLACES = np.array([[30.0, 41.5, 40.0, -0.3], [100.2, 44.0, 24.0, 2.5]])


def test_the_head_reads_what_was_encoded() -> None:
    maps = encoded(PLACES, (12, 16), 8, sides=(10, 200))
    logits = np.where(maps["heat"] == 1, 8.0, -8.0)[None]
    head = FaceHead(8)
    stacked = np.concatenate([logits, maps["place"]]).astype(np.float32)[None]
    answers = head(torch.from_numpy(stacked))
    assert tuple(answers) == head.outputs
    decoded = {name: answer[0].numpy() for name, answer in answers.items()}
    assert decoded["centre"].shape == (12, 16, 2)
    places, scores = peaks(decoded, least=0.5)
    np.testing.assert_allclose(places[np.argsort(places[:, 0])], PLACES, atol=1e-3)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-8.0)), rtol=1e-5)


def test_wild_maps_stay_finite() -> None:
    answers = FaceHead(8)(torch.full((1, 6, 3, 5), 1e4))
    assert all(torch.isfinite(answer).all() for answer in answers.values())
