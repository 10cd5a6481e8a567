"""`img2img predict`."""

import gc
import json as json_module
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.options import Device, EngineName, Finder, NoFlip, Quiet, TaskName, Weights

if TYPE_CHECKING:
    from img2img.engine.runtime import Runtime
    from img2img.inference.predictor import Predictor
    from img2img.inference.sources import Item, Source
    from img2img.inference.submission import Submission


def predict(
    task: TaskName,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="File, folder, glob, video, Kaggle's test.csv, or - for stdin."
        ),
    ],
    weights: Weights = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|-",
            help="Folder of the results (keypoints: keypoints.csv, a row a face); - writes one "
            "picture to stdout.",
            show_default="predictions/ on a terminal, else no files",
        ),
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write the results drawn over the pictures.")
    ] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="JSON Lines on stdout; the default where stdout is no terminal."
        ),
    ] = False,
    device: Device = "auto",
    engine: EngineName = "auto",
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pictures of equal size answered at once.")
    ] = 1,
    tile: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="PX",
            help="Side of tiles (pixels); 0: never tile.",
            show_default="1024 above 4 megapixels",
        ),
    ] = None,
    face_box: Annotated[
        str | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1", help="keypoints: where the face is (pixels); no search."
        ),
    ] = None,
    whole_image: Annotated[
        bool, typer.Option("--whole-image", help="keypoints: each picture is one face.")
    ] = False,
    finder: Finder = None,
    no_flip: NoFlip = False,
    heatmaps: Annotated[
        bool, typer.Option("--heatmaps", help="keypoints: overlays show the heatmaps too.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out inputs whose result is there.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Answer pictures with trained weights; without --weights, with the ones that ship.

    Tasks whose answers are numbers write them to DIR/TASK.csv: input, frame (of a video, from 0 on;
    of Kaggle's CSV its ImageId), then for keypoints face, score, the box x0, y0, x1, y1 and
    NAME_x, NAME_y, NAME_confidence of each point. Where Kaggle's IdLookupTable.csv lies beside
    test.csv, weights of kaggle15 write DIR/submission.csv too.

    Exit codes: 0 done, 1 some inputs failed or are missing (each is named; the rest is done),
    2 a wrong option, 3 unusable weights.
    """
    from img2img.cli.measuring import attach_companion, given, opened, ranks_joined
    from img2img.errors import UsageError
    from img2img.inference.predictor import Predictor
    from img2img.inference.session import task_of
    from img2img.inference.sources import find_sources

    is_piped = out == "-"
    json = json or (not sys.stdout.isatty() and not is_piped)
    folder = None if is_piped or (out is None and json) else Path(out or "predictions")
    _refuse_contradictions(folder, overlay=overlay and not is_piped, skip=skip_existing)
    session = opened(task, weights, engine=engine, device=device)
    sources = find_sources(inputs)
    # The options may name Python code, which only the truth runs, and no prediction asks for it.
    loaded = task_of(session.card, task, allow_python=True)
    asked = given(
        face_box=face_box, whole_image=whole_image or None, finder=finder,
        flip=False if no_flip else None, heatmaps=heatmaps or None,
    )  # fmt: skip
    loaded.ask(asked)
    if loaded.columns and skip_existing:
        raise UsageError(f"--skip-existing goes by pictures, but {task} gives rows: leave it out.")
    attach_companion(loaded, engine=engine, device=device)
    predictor = Predictor(loaded, session, tile=tile, outputs=loaded.result_outputs)
    # What is loaded lives to the end: the interpreter would look through all of it once more then,
    # which takes nearly a tenth of a short process.
    gc.freeze()
    with ranks_joined() as runtime:
        if is_piped:
            if runtime.leads:
                _pipe(predictor, sources)
            return
        work = _Work(predictor, sources, folder, overlay=overlay, skip=skip_existing, json=json,
                     quiet=quiet, runtime=runtime)  # fmt: skip
        work.answer(batch_size)
        total = work.gathered()
        # A process that ends with an error makes torchrun end the others: all wait till here.
        sys.stdout.flush()
        runtime.barrier()
    if runtime.leads:
        total.tell(folder, json=json, quiet=quiet)
    total.raise_if_failed()


def _refuse_contradictions(folder: Path | None, *, overlay: bool, skip: bool) -> None:
    from img2img.errors import UsageError

    if folder is None and overlay:
        raise UsageError("--overlay with JSON on stdout needs --out DIR.")
    if folder is None and skip:
        raise UsageError("--skip-existing needs --out DIR, where the results are looked for.")
    if folder is not None and folder.is_file():
        raise UsageError(f"--out {folder} is a file; name a folder.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Total:
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


class _Work:
    """Answers items in batches and reports each one."""

    def __init__(
        self, predictor: "Predictor", sources: "list[Source]", folder: Path | None, *,
        overlay: bool, skip: bool, json: bool, quiet: bool, runtime: "Runtime",
    ) -> None:  # fmt: skip
        from img2img.inference.writers import OutputNames, ResultTable

        self.predictor, self.sources, self.folder = predictor, sources, folder
        self.runtime = runtime
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
        for source in self.sources[self.runtime.rank :: self.runtime.world]:
            self._add(source, batch_size)
        self._flush()

    def gathered(self) -> _Total:
        """What all processes did, in every one of them; the leader writes what they share."""
        mine = (self.n_done, self.n_failed, self.n_skipped, self.first_problem,
                self.predictor.seam_difference)  # fmt: skip
        done, failed, skipped, problems, seams = zip(*self.runtime.gather([mine]), strict=True)
        tables, open_rows = self._finish_tables()
        return _Total(
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
            results = self.predictor.run_batch([image for _, image in batch])
        except (InputError, RunError, MemoryError) as error:
            if len(batch) > 1:  # one of them may be to blame, or their number
                for entry in batch:
                    self._answer([entry])
                return
            item, image = batch[0]
            reason = str(error) or "out of memory"
            self._report(item, image, None, f"{item.source.name} cannot be answered: {reason}")
            return
        for (item, image), result in zip(batch, results, strict=True):
            try:
                path = self._write(item, image, result)
                self._add_rows(item, result)
            except (InputError, OSError) as error:
                self._report(item, image, None, f"the result cannot be written: {error}")
            else:
                self._report(item, image, (result, path), None)

    def _write(self, item: "Item", image: Any, result: Any) -> Path | None:
        from img2img.inference.writers import write_picture

        if self.names is None:
            return None
        task = self.predictor.task
        if self.overlay:
            write_picture(self.names.overlay(item), task.draw(image, result))
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
            _print_line(self._line(item, image, answer, problem))
        elif answer is not None and answer[1] is not None:
            print(answer[1])

    def _report_skipped(self, item: "Item", path: Path) -> None:
        self.n_skipped += 1
        if self.json:
            key = self.predictor.task.output_key
            line = self._line(item, None, None, None) | {key: str(path), "skipped": True}
            _print_line(line)

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


def _pipe(predictor: "Predictor", sources: "list[Source]") -> None:
    """One picture's answer as PNG on stdout."""
    from img2img.data.images import encode_png
    from img2img.errors import InputError, UsageError
    from img2img.inference.sources import read_source

    if len(sources) != 1 or sources[0].has_frames:
        raise UsageError(f"--out - writes one picture, but there are {len(sources)} inputs.")
    item = next(read_source(sources[0]))
    picture = predictor.task.picture(predictor.run(item.load()))
    if picture is None:
        raise InputError(f"{item.source.name} has no picture as its result.")
    sys.stdout.buffer.write(encode_png(picture))


def _print_line(line: dict[str, Any]) -> None:
    """One JSON line in one write: the processes of `torchrun` share stdout."""
    sys.stdout.write(json_module.dumps(line, allow_nan=False) + "\n")
    sys.stdout.flush()
