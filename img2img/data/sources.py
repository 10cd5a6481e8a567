"""`--data` of tasks that need pictures alone: a folder, a data set by name, or generated."""

import os
from pathlib import Path

from img2img.config import DataOptions
from img2img.data.sample import Splits
from img2img.data.split import refuse_folds


def cache_folder() -> Path:
    """The user's cache folder, where data sets are downloaded to: $XDG_CACHE_HOME/img2img or
    ~/.cache/img2img."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "img2img"


def open_pictures(data: DataOptions, *, n_generated: int) -> Splits:
    """The pictures that `data.source` names, divided.

    Raises:
        DataError: missing, empty or unusable data.
        UsageError: folds are asked of data that state their parts.
    """
    if data.source is None:
        from img2img.data.synth.textures import Textures

        refuse_folds(data.folds, "the parts of generated pictures")
        return Textures.splits(data.n_generated or n_generated)
    from img2img.data.formats.torchvision_sets import NAMES, torchvision_splits

    if data.source.partition(":")[0] in NAMES and not Path(data.source).exists():
        refuse_folds(data.folds, f"the parts of {data.source}")
        return torchvision_splits(
            data.source,
            root=cache_folder(),
            download=data.download,
            val_share=data.val_share,
            split_seed=data.split_seed,
        )
    from img2img.data.formats.folders import picture_splits

    return picture_splits(data, Path(data.source))
