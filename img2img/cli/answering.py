"""How `predict` works through its inputs: they are read, answered, written and reported."""

import json as json_module
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from img2img.data.sample import Image
    from img2img.inference.exchange import Exchange
    from img2img.inference.film import Film
    from img2img.inference.predictor import Predictor
    from img2img.inference.reading import Reading
    from img2img.inference.sources import Item, Source
    from img2img.inference.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is made of the answers.

    Attributes:
        folder: of all files; None: none are written.
        skip: leave out inputs whose files are there.
        json: write JSON Lines to stdout.
    """

    folder: Path | None
    overlay: bool
    probabilities: bool
    skip: bool
    json: bool
    quiet: bool

    @property
    def beside(self) -> tuple[str, ...]:
        """Ends of what is written beside each answer."""
        from img2img.inference.writers import OVERLAY, PROBABILITIES

        return (OVERLAY,) * self.overlay + (PROBABILITIES,) * self.probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What all processes did together."""

    n_done: int
    n_failed: int
    n_skipped: int
    first_problem: str
    seam_difference: float
    tables: tuple[Path, ...]
    open_rows: str

    def tell(self, folder: Path | None, *, json: bool, quiet: bool) -> None:
        """The closing words on stderr; on a terminal, the tables' paths on stdout."""
        from img2img.cli.console import say

        if self.seam_difference > 0:
            worst = f"{self.seam_difference:.3g}"
            say(f"tiles were blended; they differed by at most {worst} levels.", quiet=quiet)
        if not json:
            skipped = f", {self.n_skipped} already there" if self.n_skipped else ""
            say(f"{self.n_done} done, {self.n_failed} failed{skipped}: {folder}/", quiet=quiet)
            for path in self.tables:
                print(path)
        say(f"img2img: {self.open_rows}", quiet=not (self.open_rows and self.n_failed))

    def raise_if_failed(self, *, is_named: bool) -> None:
        """Raises InputError; with the first problem where none was named as it came."""
        from img2img.errors import InputError

        if self.n_failed:
            told = f"{self.n_failed} of {self.n_done + self.n_failed} inputs failed"
            which = ", the first" if self.n_failed > 1 else ""
            raise InputError(
                f"{told}, as named above." if is_named else f"{told}{which}: {self.first_problem}"
            )
        if self.open_rows:
            raise InputError(self.open_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An input on its way: read, then answered. `problem` says why it ends without a result."""

    item: "Item"
    image: Any = None
    result: Any = None
    problem: str = ""
    is_skipped: bool = False

    def weight(self) -> int:
        """Bytes of its picture."""
        return 0 if self.image is None else int(self.image.nbytes)


class Work:
    """Answers inputs in batches, while others are read and written, and reports each in order.

    Args:
        ended: whether no more inputs are to be read.
    """

    def __init__(
        self, predictor: "Predictor", sources: "list[Source]", wanted: Wanted, *,
        reading: "Reading", exchange: "Exchange", film: "Film | None" = None,
        ended: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        from img2img.inference.png import provenance
        from img2img.inference.writers import OutputNames, ResultTable

        self.predictor, self.sources, self.wanted = predictor, sources, wanted
        self.reading, self.exchange, self.film, self.ended = reading, exchange, film, ended
        task, session, folder = predictor.task, predictor.session, wanted.folder
        self.texts = provenance(task.name, session.name, session.sha256)
        self.submission = self._submission(task.columns)
        tables = [f"{task.name}.csv"] if task.columns else []
        tables += [self.submission.path.name] if self.submission else []
        self.names: OutputNames | None = None
        self.table: ResultTable | None = None
        if folder is not None:
            self.names = OutputNames(folder, sources, beside=wanted.beside, tables=tables)
            if task.columns:
                self.table = ResultTable(
                    folder / tables[0], task.columns, sources, is_shared=exchange.world > 1
                )
        self.n_done = self.n_failed = self.n_skipped = 0
        self.first_problem = ""

    def _submission(self, columns: tuple[str, ...]) -> "Submission | None":
        """What is to be handed in; where these weights cannot answer it, that is said."""
        from img2img.cli.console import say
        from img2img.inference.submission import find_submission

        folder = self.wanted.folder
        if folder is None or not columns or not any(s.is_table for s in self.sources):
            return None
        found = find_submission(self.sources, folder)
        if found is None or not (told := found.refusal(columns)):
            return found
        say(told, quiet=not self.exchange.leads)
        return None

    def answer(self, batch_size: int) -> None:
        """Answers this process's share of the sources."""
        from img2img.cli.console import say
        from img2img.inference.overlap import N_BETWEEN, read_ahead, write_behind

        wanted = self.wanted
        is_silent = wanted.json or wanted.quiet or not self.exchange.leads
        say(f"writing to {wanted.folder}/", quiet=is_silent)
        n_most = max(N_BETWEEN, batch_size)
        batch: list[Taken] = []
        with (
            write_behind(self._finish, Taken.weight, n_most=n_most) as hand_on,
            read_ahead(self._read(), Taken.weight, n_most=n_most) as everything,
        ):
            for taken in everything:
                if taken.image is not None:
                    batch.append(taken)
                    if len(batch) < batch_size:
                        continue
                self._answer(batch, hand_on)
                batch = []
                if taken.image is None:
                    if not taken.is_skipped:
                        self._follow(taken.item, None)
                    hand_on(taken)
            self._answer(batch, hand_on)

    # ---- the reading thread

    def _read(self) -> "Iterator[Taken]":
        """Every picture of this process's share, decoded."""
        from img2img.errors import InputError
        from img2img.inference.reading import read_source

        for source in self._share():
            for item in read_source(source, self.reading):
                if self.ended():
                    return
                try:
                    is_there = self._is_there(item)
                    taken = Taken(
                        item=item, is_skipped=is_there, image=None if is_there else item.load()
                    )
                except (InputError, OSError, MemoryError) as error:
                    problem = str(error) or f"{source.name}: out of memory."
                    taken = Taken(item=item, problem=problem)
                yield taken

    def _is_there(self, item: "Item") -> bool:
        names = self.names if self.wanted.skip and not item.problem else None
        return names is not None and names.all_there(item)

    def _share(self) -> "list[Source]":
        """This process's sources: a sequence whose pictures go in order is answered by one."""
        from img2img.inference.sources import sequence_of

        rank, world = self.exchange.rank, self.exchange.world
        if not self.predictor.task.goes_in_order:
            return self.sources[rank::world]
        numbers: dict[str, int] = {}
        places = [numbers.setdefault(sequence_of(s), len(numbers)) for s in self.sources]
        return [s for s, place in zip(self.sources, places, strict=True) if place % world == rank]

    # ---- the network

    def _answer(self, batch: list[Taken], hand_on: Callable[[Taken], None]) -> None:
        from img2img.errors import InputError, RunError
        from img2img.inference.sources import sequence_of

        if not batch:
            return
        try:
            results = self.predictor.run_batch(
                [taken.image for taken in batch],
                [taken.item.source.file for taken in batch],
                [sequence_of(taken.item.source) for taken in batch],
            )
        except (InputError, RunError, MemoryError) as error:
            if len(batch) > 1:  # one of them may be to blame, or their number
                for taken in batch:
                    self._answer([taken], hand_on)
                return
            (taken,) = batch
            reason = str(error) or "out of memory"
            self._follow(taken.item, None)
            problem = f"{taken.item.source.name} cannot be answered: {reason}"
            hand_on(Taken(item=taken.item, image=taken.image, problem=problem))
            return
        for taken, answered in zip(batch, results, strict=True):
            result = self._follow(taken.item, answered)
            hand_on(Taken(item=taken.item, image=taken.image, result=result))

    def _follow(self, item: "Item", result: Any) -> Any:
        """The result as that of the next picture of its sequence; None: there is no picture."""
        from img2img.inference.sources import sequence_of

        source = item.source
        return self.predictor.task.next_in(sequence_of(source), result, is_video=source.is_video)

    # ---- the writing thread

    def _finish(self, taken: Taken) -> None:
        """Writes and reports what was read and answered."""
        from img2img.errors import InputError

        written: dict[str, Any] = {}
        problem = taken.problem
        if not problem and not taken.is_skipped:
            try:
                drawn = self._drawn(taken)
                written = self._write(taken, drawn)
                self._add_rows(taken.item, taken.result)
                self._show(drawn)  # last: a film that breaks takes nothing else with it
            except InputError as error:
                problem = str(error)
            except OSError as error:
                problem = f"the result cannot be written: {error}"
        self._report(taken, written, problem)

    def _drawn(self, taken: Taken) -> "Image | None":
        if self.film is None and not self.wanted.overlay:
            return None
        return self.predictor.task.draw(taken.image, taken.result)

    def _write(self, taken: Taken, drawn: "Image | None") -> dict[str, Any]:
        """The paths of what was written, as JSON has them; the answer itself comes last, so that
        where it is, the rest is."""
        from img2img.inference.png import write_png, write_probabilities
        from img2img.inference.writers import OVERLAY, PROBABILITIES

        task, item, names, texts = self.predictor.task, taken.item, self.names, self.texts
        if names is None:
            return {}
        written: dict[str, Any] = {}
        if self.wanted.probabilities:
            maps = task.probabilities(taken.result)
            paths = write_probabilities(names.path(item, PROBABILITIES), maps, texts)
            written["probabilities"] = {name: str(path) for name, path in paths.items()}
        if self.wanted.overlay and drawn is not None:
            write_png(names.path(item, OVERLAY), drawn, texts)
        if (picture := task.picture(taken.result)) is not None:
            write_png(names.picture(item), picture, texts)
            written[task.output_key] = str(names.picture(item))
        return written

    def _show(self, drawn: "Image | None") -> None:
        """Adds a picture to the film; one that cannot be written is told once."""
        from img2img.errors import InputError

        if self.film is None or drawn is None:
            return
        try:
            self.film.add(drawn)
        except InputError:
            self.film = None
            raise

    def _add_rows(self, item: "Item", result: Any) -> None:
        if self.table is None:
            return
        rows = self.predictor.task.rows(result)
        self.table.add(item, rows)
        if self.submission is not None:
            self.submission.add(item, rows)

    def _report(self, taken: Taken, written: dict[str, Any], problem: str) -> None:
        from img2img.cli.console import say

        key = self.predictor.task.output_key
        if problem:
            self.n_failed += 1
            self.first_problem = self.first_problem or problem
            say(f"img2img: {problem}", quiet=self.wanted.json and self.wanted.quiet)
        elif taken.is_skipped:
            self.n_skipped += 1
            written = {key: str(self.names.picture(taken.item)) if self.names else None,
                       "skipped": True}  # fmt: skip
        else:
            self.n_done += 1
        if self.wanted.json:
            line = self._line(taken, problem) | written
            with _stdout_alone(is_shared=self.exchange.world > 1):
                sys.stdout.write(json_module.dumps(line, allow_nan=False) + "\n")
                sys.stdout.flush()
        elif key in written and not taken.is_skipped:
            print(written[key])

    def _line(self, taken: Taken, problem: str) -> dict[str, Any]:
        """The JSON of a picture without paths of files."""
        from img2img.inference.lines import line_begun

        task, item = self.predictor.task, taken.item
        line = line_begun(
            task, self.predictor.session, item.source.name, image=taken.image,
            problem=problem or None,
        )  # fmt: skip
        line["frame"] = item.frame
        return line if problem or taken.result is None else line | task.to_json(taken.result)

    # ---- the end

    def gathered(self) -> Total:
        """What all processes did, in every one of them; the leader writes what they share."""
        mine = (self.n_done, self.n_failed, self.n_skipped, self.first_problem,
                self.predictor.seam_difference)  # fmt: skip
        done, failed, skipped, problems, seams = zip(*self.exchange.gather([mine]), strict=True)
        tables, open_rows = self._finish_tables()
        return Total(
            n_done=sum(done),
            n_failed=sum(failed),
            n_skipped=sum(skipped),
            first_problem=next((problem for problem in problems if problem), ""),
            seam_difference=max(seams),
            tables=tables,
            open_rows=self.exchange.from_leader(open_rows),
        )

    def _finish_tables(self) -> tuple[tuple[Path, ...], str]:
        """(the tables that are written, what one of them lacks)."""
        if self.table is None:
            return (), ""
        kept = self.exchange.gather(self.table.kept)
        if self.exchange.leads:
            self.table.finish(kept)
        if self.submission is None:
            return (self.table.path,), ""
        # As pairs: the keys of a JSON object are text.
        self.submission.answers.update(self.exchange.gather([*self.submission.answers.items()]))
        lacking = self.submission.write() if self.exchange.leads else ""
        return (self.table.path, self.submission.path), lacking


@contextmanager
def _stdout_alone(*, is_shared: bool) -> Iterator[None]:
    """No other process of `torchrun` writes to stdout meanwhile: a pipe keeps only 4 KB whole."""
    if not is_shared:
        yield
        return
    import fcntl

    # Not everything that stdout may be can be locked.
    with suppress(OSError):
        fcntl.lockf(1, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.lockf(1, fcntl.LOCK_UN)
