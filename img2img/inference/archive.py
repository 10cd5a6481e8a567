"""`torch.export` archives (`.pt2`), which torch's compilers take without this package."""

from pathlib import Path

import numpy as np

from img2img.data.sample import Image
from img2img.errors import WeightsError
from img2img.inference.session import failed
from img2img.inference.weights import KEY, Card, sha256
from img2img.tasks.base import Arrays


class ArchiveSession:
    """Runs an archive in torch, on the CPU.

    Only for files that this process wrote: what torch cannot load as plain tensors it unpickles,
    which runs whatever code the file holds. No command takes an archive as `--weights`.

    Raises:
        WeightsError: torch cannot load it.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        from zipfile import BadZipFile

        import torch

        extra = {KEY: ""}  # torch fills no empty one
        try:
            self._run = torch.export.load(path, extra_files=extra).module()
        except (RuntimeError, ValueError, OSError, BadZipFile) as error:
            raise WeightsError(f"{path} is cut or no torch.export archive.") from error
        self.card = Card.from_json(extra[KEY] or None, str(path))
        self.name = name
        self.sha256 = sha256(path)

    def __call__(self, images: Image, outputs: tuple[str, ...] = ()) -> Arrays:
        import torch

        try:
            with torch.inference_mode():
                answers = self._run(torch.from_numpy(np.ascontiguousarray(images)))
        except (RuntimeError, MemoryError, AssertionError) as error:  # its guards assert
            raise failed("torch.export", images, error) from error
        named = dict(zip(self.card.outputs, answers, strict=True))
        return {name: named[name].numpy() for name in outputs or named}
