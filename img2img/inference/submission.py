"""What Kaggle's IdLookupTable.csv asks of the pictures of the test.csv beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from img2img.data.formats.kaggle_csv import Asked, lookup_beside, read_lookup, write_submission
from img2img.errors import UsageError
from img2img.inference.sources import Item, Source
from img2img.inference.writers import Rows

SUBMISSION = "submission.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The answers that are handed in, a coordinate a row, as far as they are known.

    Attributes:
        path: the file to write.
        lookup: the file that says what is asked.
        source: the input whose pictures are asked about.
        answers: {ImageId: the row of results of its surest face}.
    """

    path: Path
    lookup: Path
    source: Source
    asked: tuple[Asked, ...]
    answers: dict[int, dict[str, float | str]] = field(default_factory=dict)

    def refusal(self, columns: Sequence[str]) -> str:
        """Why rows with these columns cannot answer it; empty if they can."""
        unknown = (one.feature for one in self.asked if one.feature not in columns)
        feature = next(unknown, None)
        if feature is None:
            return ""
        return (
            f"no {SUBMISSION}: {self.lookup} asks for {feature}, which weights of the schema "
            "kaggle15 answer and these do not."
        )

    def add(self, item: Item, rows: Rows) -> None:
        """Takes the rows of a picture, if it is one of those asked about."""
        if item.source == self.source and item.frame is not None and rows:
            self.answers[item.frame] = dict(rows[0])

    def write(self) -> str:
        """Writes the file, and gives a sentence about what has no answer, or nothing.

        Raises:
            InputError: the file cannot be written.
        """
        missing = write_submission(self.path, self.asked, self.answers)
        if not missing:
            return ""
        return (
            f"{self.path} lacks {len(missing)} of {len(self.asked)} rows, and Kaggle takes it "
            f"whole only: picture {missing[0].picture} has no answer."
        )


def find_submission(sources: Sequence[Source], folder: Path) -> Submission | None:
    """What is to be handed in, written to `folder`; None if nothing is asked.

    Raises:
        DataError: IdLookupTable.csv is broken.
        UsageError: it is asked of several inputs.
    """
    tables = (source for source in sources if source.is_table)
    found = [(source, path) for source in tables if (path := lookup_beside(source.path))]
    if len(found) > 1:
        first, second = (source.name for source, _ in found[:2])
        raise UsageError(f"{first} and {second} would share a {SUBMISSION}: give one at a time.")
    for source, path in found:
        return Submission(
            path=folder / SUBMISSION, lookup=path, source=source, asked=read_lookup(path)
        )
    return None
