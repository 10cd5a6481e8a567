"""`img2img predict`."""

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.options import Device, EngineName, Quiet, TaskName, Weights

if TYPE_CHECKING:
    from img2img.inference.predictor import Predictor
    from img2img.inference.sources import Item, Source
    from img2img.inference.writers import OutputNames


def predict(
    task: TaskName,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="File, folder, glob, video, or - for stdin."),
    ],
    weights: Weights = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|-",
            help="Folder of the results; - writes one picture to stdout.",
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
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out inputs whose result is there.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Answer pictures with trained weights; without --weights, with the ones that ship.

    Exit codes: 0 done, 1 some inputs failed or are missing (each is named; the rest is done),
    2 a wrong option, 3 unusable weights.
    """
    from img2img.cli.console import say
    from img2img.cli.measuring import opened
    from img2img.engine.runtime import ranks
    from img2img.errors import InputError, UsageError
    from img2img.inference.predictor import Predictor
    from img2img.inference.session import task_of
    from img2img.inference.sources import find_sources
    from img2img.inference.writers import OutputNames

    is_piped = out == "-"
    json = json or (not sys.stdout.isatty() and not is_piped)
    if overlay and out is None and json:
        raise UsageError("--overlay with JSON on stdout needs --out DIR.")
    session = opened(task, weights, engine=engine, device=device)
    sources = find_sources(inputs)
    rank, world = ranks()
    loaded = task_of(session.card, task)
    keys = loaded.result_outputs
    predictor = Predictor(loaded, session, tile=tile, outputs=keys)
    if is_piped:
        _pipe(predictor, sources)
        return
    folder = Path(out) if out is not None else None if json else Path("predictions")
    if folder is not None and folder.is_file():
        raise UsageError(f"--out {folder} is a file; name a folder.")
    names = OutputNames(folder, sources) if folder is not None else None
    if not json:
        say(f"writing to {folder}/", quiet=quiet)
    work = _Work(predictor, names, overlay=overlay, skip=skip_existing, json=json, quiet=quiet)
    for source in sources[rank::world]:
        work.add(source, batch_size)
    work.flush()
    if predictor.seam_difference > 0:
        say(
            f"tiles were blended; they differed by at most {predictor.seam_difference:.3g} levels.",
            quiet=quiet,
        )
    if not json:
        skipped = f", {work.n_skipped} already there" if work.n_skipped else ""
        say(f"{work.n_done} done, {work.n_failed} failed{skipped}: {folder}/", quiet=quiet)
    if work.n_failed:
        total = work.n_done + work.n_failed
        raise InputError(f"{work.n_failed} of {total} inputs failed: {work.first_problem}")


class _Work:
    """Answers items in batches and reports each one."""

    def __init__(
        self, predictor: "Predictor", names: "OutputNames | None", *, overlay: bool, skip: bool,
        json: bool, quiet: bool,
    ) -> None:  # fmt: skip
        self.predictor, self.names = predictor, names
        self.overlay, self.skip, self.json, self.quiet = overlay, skip, json, quiet
        self.n_done = self.n_failed = self.n_skipped = 0
        self.first_problem = ""
        self._batch: list[tuple[Item, Any]] = []

    def add(self, source: "Source", batch_size: int) -> None:
        """Decodes every picture of a source; answers whenever a batch is full."""
        from img2img.errors import InputError
        from img2img.inference.sources import read_source

        for item in read_source(source):
            if self.names is not None and self.skip and self.names.picture(item).exists():
                self.n_skipped += 1
                continue
            try:
                self._batch.append((item, item.load()))
            except InputError as error:
                self.flush()
                self._report(item, None, None, str(error))
                continue
            if len(self._batch) >= batch_size:
                self.flush()

    def flush(self) -> None:
        """Answers what was decoded."""
        from img2img.errors import InputError

        batch, self._batch = self._batch, []
        if not batch:
            return
        results = self.predictor.run_batch([image for _, image in batch])
        for (item, image), result in zip(batch, results, strict=True):
            try:
                path = self._write(item, image, result)
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
            print(
                json_module.dumps(self._line(item, image, answer, problem), allow_nan=False),
                flush=True,
            )
        elif answer is not None and answer[1] is not None:
            print(answer[1])

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

    if len(sources) != 1 or sources[0].is_video:
        raise UsageError(f"--out - writes one picture, but there are {len(sources)} inputs.")
    item = next(read_source(sources[0]))
    picture = predictor.task.picture(predictor.run(item.load()))
    if picture is None:
        raise InputError(f"{item.source.name} has no picture as its result.")
    sys.stdout.buffer.write(encode_png(picture))
