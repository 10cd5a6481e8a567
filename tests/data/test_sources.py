"""What `--data` names, for tasks that need pictures alone."""

import pytest

from img2img.config import DataOptions
from img2img.data.sources import open_pictures
from img2img.errors import UsageError


@pytest.mark.parametrize("source", [None, "cifar100", "coco-minitrain:here"])
def test_folds_of_data_that_state_their_parts_are_refused(source: str | None) -> None:
    with pytest.raises(UsageError, match=r"^data\.folds .* already do.*not divided\.$"):
        open_pictures(DataOptions(source=source, folds=3), n_generated=4)
