"""The task: all that is particular to what is learned. One new task is one new file.

A task knows its domain and never sees devices, ranks, precision, checkpoints or the files of a
run. Module level of a task file imports no torch: the methods that build networks import it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from img2img.config import Config, DataOptions, TaskOptions, parse_option
from img2img.data.sample import Dataset, Image, Sample, Splits
from img2img.data.view import View
from img2img.errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from img2img.data.check import CheckReport
    from img2img.models.network import Head

O = TypeVar("O", bound=TaskOptions)  # noqa: E741  (options)
R = TypeVar("R")  # the task's result, in original pixels

Arrays = dict[str, NDArray[Any]]
Run = Callable[[Image], Arrays]
"""One picture (H, W, 3) uint8 through the network: its decoded outputs without a batch axis; or
several of one size (B, H, W, 3), with it."""


@dataclass(frozen=True, slots=True)
class Best:
    """The metric that chooses the best epoch."""

    metric: str
    mode: Literal["max", "min"]

    def better(self, new: float | None, old: float | None) -> bool:
        """Whether `new` beats `old`; a metric that is None never wins."""
        if new is None or old is None:
            return new is not None
        return new > old if self.mode == "max" else new < old


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures that a metric has too little room for, with names on both sides.

    `values` (rows, columns) float64 are NaN where nothing is known, and `shares` says that they
    are fractions of 1, which are drawn as heat. `about` tells in a sentence what they are, and
    `corner` what the names of rows (and columns) are.
    """

    about: str
    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    shares: bool = False

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON; what is not finite becomes None."""
        values = [[v if np.isfinite(v) else None for v in row] for row in self.values.tolist()]
        return {
            "about": self.about,
            "corner": self.corner,
            "rows": list(self.rows),
            "columns": list(self.columns),
            "values": values,
            "shares": self.shares,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line over an axis: `x` and `y` (N,) float64, with what they are; `about` in a sentence."""

    about: str
    x_label: str
    y_label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoQuestions:
    """What a prediction may be asked beyond its weights: nothing."""


class Task(ABC, Generic[O, R]):
    """Adapter between data and the shared machinery, generic over its options and its result.

    Its docstring's first line is its description in `img2img tasks`.
    """

    Options: ClassVar[type[TaskOptions]] = TaskOptions
    groups: ClassVar[Mapping[str, type]] = {}
    """Further option groups of a training {name: dataclass}; a prediction needs none of them."""
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Task defaults {group: {option: value}} over the general ones."""
    best: Best
    """The metric that chooses the best epoch; it may follow from the options."""
    metrics: tuple[str, ...]
    """Names that `summarise` gives, in the order of tables; they may follow from the options."""
    in_fp32: ClassVar[bool] = False
    """Whether `--precision auto` must mean fp32 without TF32."""
    n_generated: ClassVar[int] = 512
    """Training samples of the task's own generated data."""
    map_outputs: ClassVar[tuple[str, ...]] = ()
    """Decoded outputs with a value a pixel of the network's input, all that `result` needs:
    a picture can then be answered in tiles. The first one is continuous and can be blended."""
    takes_pseudo: ClassVar[bool] = False
    """Whether it can learn from pictures without labels, `--pseudo`."""
    result_outputs: tuple[str, ...] = ()
    """Decoded outputs that a prediction needs, empty: all; an evaluation gets all of them."""
    is_shown_drawn: ClassVar[bool] = False
    """Whether a report shows a result drawn over its picture, although it is a picture itself."""
    Questions: ClassVar[type] = NoQuestions
    """Dataclass of what one prediction may be asked beyond its weights, with a default each: flags
    of `predict` and `eval` that go with this task."""
    companion: ClassVar[str] = ""
    """Another task whose shipped weights look at a picture first, such as a finder of faces."""
    name: ClassVar[str] = ""

    def __init__(self, options: O, groups: Mapping[str, Any] | None = None) -> None:
        self.options = options
        given = groups or {}
        self.training = {name: given.get(name) or kind() for name, kind in self.groups.items()}
        self.asked = self.Questions()
        self.first_look: Callable[[Image], Any] | None = None
        """What the companion answers to a picture, where a prediction has it at hand."""

    @classmethod
    def configured(cls, config: Config) -> Self:
        """The task as a training's configuration has it."""
        return cls(config.task_options, {name: config.groups[name] for name in cls.groups})

    @classmethod
    def defaults_for(
        cls, options: O, model: str, *, source: str | None
    ) -> Mapping[str, Mapping[str, Any]]:
        """Defaults that follow from the task's own options, the model's name, and the data: None
        where they are generated."""
        return {}

    # ---- data

    @abstractmethod
    def splits(self, data: DataOptions) -> Splits:
        """The samples, divided.

        Raises:
            DataError: missing, empty or unusable data.
        """

    def prepare(self, train: Dataset) -> None:
        """Looks at the training samples once, before the first batch and before the objective is
        asked for: class weights, cut-outs to paste, a mean shape."""
        return

    def balanced(self, train: Dataset) -> Dataset:
        """The training samples, each as often as an epoch shows it; `data.repeat` comes on top."""
        return train

    @abstractmethod
    def targets(self, sample: Sample, rng: np.random.Generator | None) -> Arrays:
        """What one training sample gives to a batch: `image` (h, w, 3) uint8 and the targets,
        all of one shape for every sample. Depends on the sample and `rng` alone; without `rng`
        nothing is augmented."""

    def generate(self, n: int, *, size: int, seed: int) -> Mapping[str, Dataset]:
        """{part: samples} of the task's own generated data: `n` training samples of `size` ×
        `size` pixels, and an eighth of that for each of val and test, at least one.

        Raises:
            DataError: the task generates none.
        """
        raise DataError(f"{self.name} generates no data: give some with --data.")

    def write_sample(self, folder: Path, sample: Sample) -> None:
        """Writes a sample below `folder` in the files that `splits` reads back.

        Raises:
            InputError: it cannot be written there.
        """
        from img2img.data.images import write

        write(folder / f"{sample.id}.png", sample.image)

    def check(self, data: DataOptions) -> CheckReport:
        """What is wrong with the data, before a training finds out; of pictures alone by default,
        and only of those in a folder: named data sets are checked by their readers.

        Raises:
            DataError: missing or empty data.
        """
        from img2img.data.check import CheckReport, check_pictures

        if data.source is not None and Path(data.source).exists():
            return check_pictures(Path(data.source), data)
        return CheckReport(n_pictures=len(self.splits(data).whole), problems=())

    def preview(self, encoded: Arrays) -> list[Image]:
        """What `targets` gave, as pictures (h, w, 1 or 3): the image, then every target that is
        a map of its size, with values in 0…255. Tasks with other targets override this."""
        size = encoded["image"].shape[:2]
        shapes = ((*size, 1), (*size, 3))
        maps = [array for array in encoded.values() if array.shape in shapes]
        return [np.clip(np.rint(array), 0, 255).astype(np.uint8) for array in maps]

    # ---- network

    @abstractmethod
    def head(self) -> Head:
        """How many maps the network puts out, and how they are decoded."""

    @abstractmethod
    def objective(self) -> nn.Module:
        """Module (maps, batch) → {name: scalar loss}; the sum is minimised. Nothing of it is in a
        checkpoint but the opponent of one that is `Adversarial`."""

    def polish_objective(self) -> nn.Module:
        """The objective of the closing L-BFGS phase, which wants a smooth one."""
        return self.objective()

    # ---- inference

    def view(self, height: int, width: int) -> View:
        """How a picture is laid before the network."""
        return View.whole(height, width)

    @abstractmethod
    def result(self, decoded: Arrays, view: View) -> R:
        """The result in original pixels from decoded outputs without a batch axis."""

    def answer(self, image: Image, run: Run) -> R:
        """The result for one picture. Tasks that look more than once override this."""
        view = self.view(*image.shape[:2])
        return self.result(run(view.apply(image)), view)

    def answer_file(self, path: Path | None, image: Image, run: Run, *, sequence: str = "") -> R:
        """The result for one picture of a file. Tasks that read what lies beside it, such as its
        camera, or look where `next_in` told them to, override this.

        Args:
            path: None where the picture comes from no file, such as a camera.
            sequence: what the picture is part of, as `next_in` is told it.

        Raises:
            InputError: what lies beside it is unusable.
        """
        return self.answer(image, run)

    @property
    def goes_in_order(self) -> bool:
        """Whether what is asked makes a result depend on the pictures before it: `next_in` must
        then see every picture of a sequence, in order."""
        return False

    def next_in(self, sequence: str, result: R | None, *, is_video: bool) -> R | None:
        """What a result becomes as that of the next picture of a sequence. Tasks that follow what
        they see through frames override this.

        Args:
            sequence: name of a video, or of a folder, whose pictures come in natural order.
            result: None where the picture could not be read.
        """
        return result

    def ask(self, given: Mapping[str, Any]) -> None:
        """Takes what one prediction is asked beyond its weights, {question: value}.

        Raises:
            UsageError: the task has no such question, or the value does not fit.
        """
        known = {entry.name for entry in fields(self.Questions)}
        for name in given:
            if name not in known:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} does not go with the task {self.name}.")
        parsed = {n: parse_option(self.Questions, "ask", n, value) for n, value in given.items()}
        self.asked = self.Questions(**parsed)

    @property
    def companion_weights(self) -> str | None:
        """Path of the companion's weights; None: those that ship."""
        return None

    @property
    def companion_questions(self) -> Mapping[str, Any]:
        """What the companion is asked, {question: value}."""
        return {}

    @property
    def wants_first_look(self) -> bool:
        """Whether the companion is needed for what is asked."""
        return False

    def answer_sample(self, sample: Sample, run: Run) -> R:
        """The result for a sample that is measured. Tasks that a user tells where to look override
        this, and take no more from the labels than a user would tell."""
        return self.answer(sample.image, run)

    def settle(self, network: Callable[[O], Run], val: Dataset) -> O:
        """The options of the finished weights: what is best chosen by looking at validation
        samples, such as a decoder.

        Args:
            network: the trained network, decoded as those options ask for.
            val: may be empty.
        """
        return self.options

    def discretise(self, decoded: Arrays) -> Arrays:
        """Adds the outputs that follow from `map_outputs[0]`, after tiles were blended."""
        return decoded

    @abstractmethod
    def picture(self, result: R) -> Image | None:
        """The result as a picture to be written, or None if the result is none."""

    def probabilities(self, result: R) -> dict[str, NDArray[np.float32]]:
        """{name: values (H, W) in 0…1} of a result that was asked for them, to be written."""
        return {}

    output_key: ClassVar[str] = "output"
    """JSON key of that picture's path."""

    @abstractmethod
    def to_json(self, result: R) -> dict[str, Any]:
        """The task's own part of the JSON object, without paths."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table of results that `predict` writes; empty if the task has none."""
        return ()

    def rows(self, result: R) -> list[dict[str, float | str]]:
        """The rows of that table that a picture gives, {column: value} each; NaN is not known."""
        return []

    @abstractmethod
    def draw(self, image: Image, result: R) -> Image:
        """The result drawn over the picture (H, W, 3) uint8 RGB."""

    # ---- measuring

    @abstractmethod
    def measure(self, result: R, sample: Sample) -> dict[str, float]:
        """What one picture contributes to the metrics, as plain numbers."""

    def summarise(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        """The metrics of weighted pictures.

        Args:
            rows: what `measure` gave, as (N,) columns.
            weights: (N,) non-negative weights of the pictures, not all zero.
        """
        total = weights.sum()
        return {name: float(weights @ column / total) for name, column in rows.items()}

    def tables(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> Mapping[str, Table]:
        """{name: table} beside the metrics of weighted pictures, of what `summarise` gets: a
        confusion matrix, figures of each point."""
        return {}

    def curves(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> Mapping[str, Curve]:
        """{name: curve} of weighted pictures, of what `summarise` gets."""
        return {}

    def baselines(self) -> Mapping[str, Callable[[Sample], R]]:
        """Honest baselines that every evaluation shows beside the network."""
        return {}

    def truth(self, sample: Sample) -> R | None:
        """The result that a perfect network would give, for pictures beside the answer."""
        return None
