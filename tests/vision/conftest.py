"""What several tests of points share."""

import pytest
from faces15 import faces

from img2img.vision.shape_model import ShapeModel


@pytest.fixture(scope="session")
def model() -> ShapeModel:
    """Shapes of 400 drawn faces of 15 points."""
    return ShapeModel.learn(faces(400, 1))
