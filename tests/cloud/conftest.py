"""A container that has a channel of photos."""

from pathlib import Path

import pytest
from opt_ml import Container, with_photos


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return with_photos(tmp_path / "ml")
