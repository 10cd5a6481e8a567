"""How `predict` works through its inputs: each is answered, written, and reported."""

import json as json_module
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from img2img.engine.runtime import Runtime
    from img2img.inference.film import Film
    from img2img.inference.predictor import Predictor
    from img2img.inference.sources import Item, Source
    from img2img.inference.submission import Submission


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

    def raise_if_failed(self) -> None:
        """Raises InputError with the first problem."""
        from img2img.errors import InputError

        if self.n_failed:
            n = self.n_done + self.n_failed
            others = f"{self.first_problem}" if self.n_failed == 1 else "each is named above."
            raise InputError(f"{self.n_failed} of {n} inputs failed: {others}")
        if self.open_rows:
            raise InputError(self.open_rows)


class Work:
    """Answers items in batches and reports each one."""

    def __init__(
        self, predictor: "Predictor", sources: "list[Source]", folder: Path | None, *,
        overlay: bool, skip: bool, json: bool, quiet: bool, runtime: "Runtime",
        film: "Film | None" = None,
    ) -> None:  # fmt: skip
        from img2img.inference.writers import OutputNames, ResultTable

        self.predictor, self.sources, self.folder = predictor, sources, folder
        self.runtime, self.film = runtime, film
        columns = predictor.task.columns
        self.submission = self._submission(columns)
        tables = [f"{predictor.task.name}.csv"] if columns else []
        tables += [self.submission.path.name] if self.submission else []
        self.names: OutputNames | None = None
        self.table: ResultTable | None = None
        if folder is not None:
            self.names = OutputNames(folder, sources, overlay=overlay, tables=tables)
            if columns:
                self.table = ResultTable(
                    folder / tables[0], columns, sources, is_shared=runtime.world > 1
                )
        self.overlay, self.skip, self.json, self.quiet = overlay, skip, json, quiet
        self.n_done = self.n_failed = self.n_skipped = 0
        self.first_problem = ""
        self._batch: list[tuple[Item, Any]] = []

    def _submission(self, columns: tuple[str, ...]) -> "Submission | None":
        """What is to be handed in; where these weights cannot answer it, that is said."""
        from img2img.cli.console import say
        from img2img.inference.submission import find_submission

        if self.folder is None or not columns or not any(s.is_table for s in self.sources):
            return None
        found = find_submission(self.sources, self.folder)
        if found is None or not (told := found.refusal(columns)):
            return found
        say(told, quiet=not self.runtime.leads)
        return None

    def answer(self, batch_size: int) -> None:
        """Answers this process's share of the sources."""
        from img2img.cli.console import say

        say(f"writing to {self.folder}/", quiet=self.json or self.quiet or not self.runtime.leads)
        for source in self._share():
            self._add(source, batch_size)
        self._flush()

    def _share(self) -> "list[Source]":
        """This process's sources: a sequence whose pictures go in order is answered by one."""
        from img2img.inference.sources import sequence_of

        rank, world = self.runtime.rank, self.runtime.world
        if not self.predictor.task.goes_in_order:
            return self.sources[rank::world]
        numbers: dict[str, int] = {}
        places = [numbers.setdefault(sequence_of(s), len(numbers)) for s in self.sources]
        return [s for s, place in zip(self.sources, places, strict=True) if place % world == rank]

    def gathered(self) -> Total:
        """What all processes did, in every one of them; the leader writes what they share."""
        mine = (self.n_done, self.n_failed, self.n_skipped, self.first_problem,
                self.predictor.seam_difference)  # fmt: skip
        done, failed, skipped, problems, seams = zip(*self.runtime.gather([mine]), strict=True)
        tables, open_rows = self._finish_tables()
        return Total(
            n_done=sum(done),
            n_failed=sum(failed),
            n_skipped=sum(skipped),
            first_problem=next((problem for problem in problems if problem), ""),
            seam_difference=max(seams),
            tables=tables,
            open_rows=self.runtime.from_leader(open_rows),
        )

    def _finish_tables(self) -> tuple[tuple[Path, ...], str]:
        """(the tables that are written, what one of them lacks)."""
        if self.table is None:
            return (), ""
        kept = self.runtime.gather(self.table.kept)
        if self.runtime.leads:
            self.table.finish(kept)
        if self.submission is None:
            return (self.table.path,), ""
        for answers in self.runtime.gather([self.submission.answers]):
            self.submission.answers.update(answers)
        lacking = self.submission.write() if self.runtime.leads else ""
        return (self.table.path, self.submission.path), lacking

    def _add(self, source: "Source", batch_size: int) -> None:
        """Decodes every picture of a source; answers whenever a batch is full."""
        from img2img.errors import InputError
        from img2img.inference.sources import read_source

        for item in read_source(source):
            if self.skip and not item.problem and self.names and self.names.picture(item).exists():
                self._flush()
                self._report_skipped(item, self.names.picture(item))
                continue
            try:
                self._batch.append((item, item.load()))
            except (InputError, MemoryError) as error:
                self._flush()
                self._follow(item, None)
                self._report(item, None, None, str(error) or f"{source.name}: out of memory.")
                continue
            if len(self._batch) >= batch_size:
                self._flush()

    def _flush(self) -> None:
        """Answers what was decoded."""
        batch, self._batch = self._batch, []
        if batch:
            self._answer(batch)

    def _answer(self, batch: "list[tuple[Item, Any]]") -> None:
        from img2img.errors import InputError, RunError

        try:
            results = self.predictor.run_batch(
                [image for _, image in batch], [item.source.file for item, _ in batch]
            )
        except (InputError, RunError, MemoryError) as error:
            if len(batch) > 1:  # one of them may be to blame, or their number
                for entry in batch:
                    self._answer([entry])
                return
            item, image = batch[0]
            reason = str(error) or "out of memory"
            self._follow(item, None)
            self._report(item, image, None, f"{item.source.name} cannot be answered: {reason}")
            return
        for (item, image), answered in zip(batch, results, strict=True):
            result = self._follow(item, answered)
            try:
                path = self._write(item, image, result)
                self._add_rows(item, result)
            except (InputError, OSError) as error:
                self._report(item, image, None, f"the result cannot be written: {error}")
            else:
                self._report(item, image, (result, path), None)

    def _follow(self, item: "Item", result: Any) -> Any:
        """The result as that of the next picture of its sequence; None: there is no picture."""
        from img2img.inference.sources import sequence_of

        source = item.source
        return self.predictor.task.next_in(sequence_of(source), result, is_video=source.is_video)

    def _write(self, item: "Item", image: Any, result: Any) -> Path | None:
        from img2img.inference.writers import write_picture

        task = self.predictor.task
        if self.overlay or self.film is not None:
            drawn = task.draw(image, result)
            if self.film is not None:
                self.film.add(drawn)
            if self.overlay and self.names is not None:
                write_picture(self.names.overlay(item), drawn)
        if self.names is None:
            return None
        picture = task.picture(result)
        if picture is None:
            return None
        path = self.names.picture(item)
        write_picture(path, picture)
        return path

    def _add_rows(self, item: "Item", result: Any) -> None:
        if self.table is None:
            return
        rows = self.predictor.task.rows(result)
        self.table.add(item, rows)
        if self.submission is not None:
            self.submission.add(item, rows)

    def _report(
        self, item: "Item", image: Any, answer: tuple[Any, Path | None] | None, problem: str | None
    ) -> None:
        from img2img.cli.console import say

        if problem is None:
            self.n_done += 1
        else:
            self.n_failed += 1
            self.first_problem = self.first_problem or problem
            say(f"img2img: {problem}", quiet=self.json and self.quiet)
        if self.json:
            _print(self._line(item, image, answer, problem))
        elif answer is not None and answer[1] is not None:
            print(answer[1])

    def _report_skipped(self, item: "Item", path: Path) -> None:
        self.n_skipped += 1
        if self.json:
            key = self.predictor.task.output_key
            line = self._line(item, None, None, None) | {key: str(path), "skipped": True}
            _print(line)

    def _line(
        self, item: "Item", image: Any, answer: tuple[Any, Path | None] | None, problem: str | None
    ) -> dict[str, Any]:
        task, session = self.predictor.task, self.predictor.session
        line: dict[str, Any] = {
            "input": item.source.name,
            "frame": item.frame,
            "width": None if image is None else int(image.shape[1]),
            "height": None if image is None else int(image.shape[0]),
            "task": task.name,
            "weights": {"name": session.name, "sha256": session.sha256},
            "error": problem,
            task.output_key: str(answer[1]) if answer and answer[1] else None,
        }
        return line | (task.to_json(answer[0]) if answer else {})


def _print(line: dict[str, Any]) -> None:
    """One JSON line in one write: the processes of `torchrun` share stdout."""
    sys.stdout.write(json_module.dumps(line, allow_nan=False) + "\n")
    sys.stdout.flush()
