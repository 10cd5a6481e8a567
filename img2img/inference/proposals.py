"""Proposed masks as files, in the folder that `train segmentation --pseudo` reads."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from img2img.config import DataOptions
from img2img.data.formats.folders import list_pictures
from img2img.data.formats.masks import (
    PROPOSALS_FILE,
    described,
    find_pairs,
    mask_splits,
    with_open_value,
)
from img2img.data.formats.pairs import IMAGES, MASKS
from img2img.data.groups import GROUPS_FILE
from img2img.data.images import read, write
from img2img.data.sample import Dataset, Image, Sample
from img2img.errors import DataError, InputError
from img2img.inference.evaluate import Evaluation, Row, collect
from img2img.inference.labelling import Proposer
from img2img.vision.classes import IGNORE, Classes, ClassSet
from img2img.vision.masks import value_text
from img2img.vision.paint import tinted

if TYPE_CHECKING:
    from img2img.tasks.segmentation import Segmentation

OVERLAYS = "overlays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truths:
    """How to read the sample of each picture that is scored, and what to say of the others."""

    samples: Mapping[Path, Callable[[], Sample]]
    note: str = ""


class ProposalFolder:
    """Pictures, their masks and, if asked for, drawings of them, under the same names.

    `unlabelled` is the grey value or #rrggbb of mask pixels without a label, far from the values of
    the classes. The folder can be used after every `add`.
    """

    def __init__(self, folder: Path, classes: ClassSet, *, overlays: bool = False) -> None:
        self._folder = folder
        self._classes = with_open_value(classes)
        self._overlays = overlays
        self._is_empty = True

    @property
    def unlabelled(self) -> str:
        value = self._classes.ignore or (0, 0, 0)
        return value_text(value[0] if self._classes.is_grey else value)

    def add(self, picture: Path, name: str, image: Image, classes: Classes) -> None:
        """Copies the picture and writes the mask of `classes` (H, W), `IGNORE` being open."""
        copy, mask = self._place(IMAGES, name), self._place(MASKS, f"{name}.png")
        if self._is_empty:
            self._tell({})
            self._append("image", "mask")
            self._is_empty = False
        self._append(name, f"{name}.png")  # harmless as long as there is no such picture
        if self._overlays:
            write(self._place(OVERLAYS, f"{name}.png"), tinted(image, classes))
        # A picture without a mask, or the reverse, would spoil the folder: both appear at once.
        beside = copy.with_name(f".{copy.name}.part")
        try:
            shutil.copyfile(picture, beside)
            write(mask, self._classes.to_mask(classes))
            beside.replace(copy)
        finally:
            beside.unlink(missing_ok=True)
            if not copy.is_file():
                mask.unlink(missing_ok=True)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Writes `facts` beside what open pixels are."""
        if not self._is_empty:
            self._tell(facts)

    def _place(self, kind: str, name: str) -> Path:
        path = self._folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _append(self, *row: str) -> None:
        """A row of the file that says which mask belongs to which picture."""
        mode = "w" if self._is_empty else "a"
        with (self._folder / GROUPS_FILE).open(mode, encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(row)

    def _tell(self, facts: Mapping[str, Any]) -> None:
        """Writes how the masks are to be read, and `facts`, whole or not at all."""
        told = {"unlabelled": self.unlabelled, "classes": described(self._classes), **facts}
        path = self._folder / PROPOSALS_FILE
        beside = path.with_name(f".{path.name}.part")
        beside.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        beside.replace(path)


def truths_of(folder: Path, classes: ClassSet, examples: Dataset | None) -> Truths:
    """The samples of a folder whose pictures all have masks, without the groups from which an
    example comes: what was named by its own labels measures nothing.

    Raises:
        DataError: a picture or mask is unusable.
    """
    if not ((folder / IMAGES).is_dir() and (folder / MASKS).is_dir()):
        return Truths(samples={})
    alone = find_pairs(folder, classes)[1]
    if alone:
        return Truths(samples={}, note=f"the proposals are not scored: {alone[0].message}")
    options = DataOptions(source=str(folder), val_share=0, test_share=0)
    samples = mask_splits(options, classes).whole
    digests = {record.digest for record in examples.records} if examples else set()
    known = {record.group for record in samples.records if record.digest in digests}
    scored = {
        record.path: partial(samples.__getitem__, index)
        for index, record in enumerate(samples.records)
        if record.path is not None and record.group not in known
    }
    n_known = len(samples) - len(scored)
    note = f"not scored: {n_known} pictures of groups that are among the examples"
    return Truths(samples=scored, note=note if n_known else "")


def pictures_in(folder: Path) -> dict[str, Path]:
    """{path below the pictures' folder, with slashes: picture} of `images` in the folder, or of the
    folder itself.

    Raises:
        DataError: there are none, or masks among them.
    """
    source = folder / IMAGES if (folder / IMAGES).is_dir() else folder
    pictures = list_pictures(source)
    for path in pictures:
        parent = path.parent
        if parent.name == MASKS and (parent.parent / IMAGES).is_dir():
            raise DataError(
                f"{folder} holds masks among its pictures: give a folder with {IMAGES} in it, such "
                f"as {parent.parent}."
            )
    return {path.relative_to(source).as_posix(): path for path in pictures}


def propose_all(
    task: "Segmentation",
    propose: Proposer,
    pictures: Mapping[str, Path],
    written: ProposalFolder,
    *,
    truths: Truths,
    progress: Callable[[], None] = lambda: None,
) -> tuple[Evaluation | None, list[InputError]]:
    """Writes a proposal for every picture; (the measurements of those in `truths`, where what is
    left open counts as background; what could not be read)."""
    from img2img.tasks.segmentation import Segmented

    rows: list[Row] = []
    failures = []
    for name, path in pictures.items():
        try:
            sample = truths.samples[path]() if path in truths.samples else None
            image = sample.image if sample else read(path)
        except InputError as error:
            failures.append(error)
            progress()
            continue
        classes = propose(image)
        written.add(path, name, image, classes)
        if sample:
            closed = np.where(classes == IGNORE, 0, classes).astype(np.uint8)
            answer = Segmented(closed, np.ones(closed.shape, np.float32))
            rows.append((len(rows), sample.id, sample.group, task.measure(answer, sample)))
        progress()
    return (collect(rows) if rows else None), failures
