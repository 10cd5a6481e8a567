"""`img2img predict`."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from img2img.cli.options import (
    Camera,
    Device,
    EngineName,
    Finder,
    NoFlip,
    Quiet,
    Smooth,
    TaskName,
    Weights,
)

if TYPE_CHECKING:
    from img2img.cli.answering import Total, Wanted
    from img2img.inference.exchange import Exchange
    from img2img.inference.predictor import Predictor
    from img2img.inference.reading import Reading
    from img2img.inference.sources import Source


def predict(
    task: TaskName,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="File, folder, glob, video, http(s) address, camera:N, Kaggle's test.csv, @FILE "
            "(a list of these, one a line; @-: on stdin), or - (one picture on stdin).",
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
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="segmentation: also write each class's probability as a 16-bit PNG.",
        ),
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
    camera: Camera = None,
    smooth: Smooth = None,
    lasers: Annotated[
        bool,
        typer.Option("--lasers", help="xwing: overlays and films show laser beams, and no box."),
    ] = False,
    film: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write the results drawn over all pictures as one film: .mp4 or .gif.",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=240.0,
            metavar="X",
            help="Frames a second of the film.",
            show_default="those of the first video, else 25",
        ),
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out inputs whose result is there.")
    ] = False,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="The input - is many pictures, each after its length (8 bytes, little-endian).",
        ),
    ] = False,
    max_frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Pictures read of each video, camera or stream.",
            show_default="all; a camera's until Ctrl-C",
        ),
    ] = None,
    max_download_mb: Annotated[
        float, typer.Option(min=0.001, metavar="MB", help="Most that is read from an address.")
    ] = 50.0,
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="Addresses may lie in private networks."),
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
    from contextlib import ExitStack

    from img2img.cli.answering import Wanted, Work
    from img2img.cli.measuring import attach_companion, given, opened
    from img2img.errors import UsageError
    from img2img.inference.predictor import Predictor
    from img2img.inference.reading import Reading
    from img2img.inference.session import task_of
    from img2img.inference.sources import frame_rate

    is_piped = out == "-"
    if is_piped:
        _refuse_beside_pipe(
            json=json, overlay=overlay, probabilities=probabilities, lasers=lasers, film=film,
            skip_existing=skip_existing,
        )  # fmt: skip
    json = json or (not sys.stdout.isatty() and not is_piped)
    wanted = Wanted(
        folder=None if is_piped or (out is None and json) else Path(out or "predictions"),
        overlay=overlay or (lasers and film is None),
        probabilities=probabilities, skip=skip_existing, json=json, quiet=quiet,
    )  # fmt: skip
    _refuse_contradictions(wanted)
    if fps is not None and film is None:
        raise UsageError("--fps is for a film: add --film FILE.mp4, or leave it out.")
    session = opened(task, weights, engine=engine, device=device)
    # The options may name Python code, which only the truth runs, and no prediction asks for it.
    loaded = task_of(session.card, task, allow_python=True)
    asked = given(
        face_box=face_box, whole_image=whole_image or None, finder=finder,
        flip=False if no_flip else None, heatmaps=heatmaps or None, camera=camera, smooth=smooth,
        lasers=lasers or None, probabilities=probabilities or None,
    )  # fmt: skip
    loaded.ask(asked)
    if loaded.columns and skip_existing:
        raise UsageError(f"--skip-existing goes by pictures, but {task} gives rows: leave it out.")
    attach_companion(loaded, engine=engine, device=device)
    predictor = Predictor(loaded, session, tile=tile, outputs=loaded.result_outputs)
    reading = Reading(
        max_frames=max_frames, max_download_mb=max_download_mb, allow_private=allow_private
    )
    with _processes_joined() as exchange, ExitStack() as opened_files:
        if film is not None and exchange.world > 1:
            raise UsageError("--film is one file of all pictures: leave torchrun out.")
        outputs = [path for path in (wanted.folder, film) if path is not None]
        sources = _found(inputs, exchange, is_stream=stream, outputs=outputs)
        if is_piped:
            if exchange.leads:
                _pipe(predictor, sources, reading)
            return
        reel = None
        if film is not None:
            from img2img.inference.film import Film

            reel = opened_files.enter_context(Film(film, fps=fps or frame_rate(sources) or 25))
        ended = opened_files.enter_context(_cameras_ended(sources))
        work = Work(predictor, sources, wanted, reading=reading, exchange=exchange, film=reel,
                    ended=ended)  # fmt: skip
        # What is loaded lives to the end: the interpreter would look through all of it once more
        # then, which takes nearly a tenth of a short process.
        gc.freeze()
        work.answer(batch_size)
        opened_files.close()
        total = work.gathered()
        if exchange.leads:
            total.tell(wanted.folder, json=json, quiet=quiet)
        code = _closing_code(total, is_named=not (json and quiet), is_silent=not exchange.leads)
        # A process that ends with an error makes torchrun end the others: all wait till here, when
        # the first one has told what there is to tell.
        sys.stdout.flush()
        exchange.barrier()
    if code:
        raise typer.Exit(code)


def _closing_code(total: "Total", *, is_named: bool, is_silent: bool) -> int:
    """The exit code; where it is an error's, that is told unless another process does."""
    from img2img.cli.console import say
    from img2img.errors import InputError

    try:
        total.raise_if_failed(is_named=is_named)
    except InputError as error:
        say(f"img2img: {error}", quiet=is_silent)
        return error.exit_code
    return 0


def _refuse_beside_pipe(**asked: object) -> None:
    from img2img.errors import UsageError

    for name, value in asked.items():
        if value:
            flag = name.replace("_", "-")
            raise UsageError(
                f"--{flag} does not go with --out -, which writes one answer to stdout: name a "
                "folder, or leave one of them out."
            )


def _refuse_contradictions(wanted: "Wanted") -> None:
    from img2img.data.images import is_picture
    from img2img.errors import UsageError

    if wanted.folder is None:
        for is_asked, flag in ((wanted.overlay, "--overlay"),
                               (wanted.probabilities, "--probabilities")):  # fmt: skip
            if is_asked:
                raise UsageError(f"{flag} with JSON on stdout needs --out DIR.")
        if wanted.skip:
            raise UsageError("--skip-existing needs --out DIR, where the results are looked for.")
    elif wanted.folder.is_file():
        raise UsageError(f"--out {wanted.folder} is a file; name a folder.")
    elif not wanted.folder.is_dir() and (
        is_picture(wanted.folder) or wanted.folder.suffix.lower() in (".csv", ".json")
    ):
        raise UsageError(
            f"--out {wanted.folder} would be a folder: name it without the ending of a file "
            "(--out - writes one picture to stdout)."
        )


@contextmanager
def _processes_joined() -> "Iterator[Exchange]":
    """This process among those that torchrun started; torch itself is not needed for that."""
    from img2img.engine.runtime import ranks
    from img2img.inference.exchange import Exchange

    rank, world = ranks()
    if world == 1:
        yield Exchange()
        return
    import os

    from img2img.errors import UsageError
    from img2img.inference.exchange import Meeting

    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT", "")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UsageError(
            f"WORLD_SIZE is {world}, but MASTER_ADDR and MASTER_PORT do not say where the "
            "processes meet: start them with torchrun."
        )
    token = os.environ.get("TORCHELASTIC_RUN_ID", "")
    with Meeting(host=host, port=int(port), token=token).joined(rank, world) as exchange:
        yield exchange


def _found(
    inputs: list[str], exchange: "Exchange", *, is_stream: bool, outputs: list[Path]
) -> "list[Source]":
    """The sources as the leader sees them: another process may look when folders have changed."""
    from dataclasses import asdict

    from img2img.inference.sources import Source, find_sources

    if exchange.world == 1:
        return find_sources(inputs, is_stream=is_stream, outputs=outputs)
    found = []
    if exchange.leads:
        found = find_sources(inputs, is_stream=is_stream, outputs=outputs)
    told = exchange.from_leader([asdict(s) | {"path": str(s.path)} for s in found])
    return [Source(**entry | {"path": Path(entry["path"])}) for entry in told]


@contextmanager
def _cameras_ended(sources: "list[Source]") -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C ended the cameras, which have no other end; what they showed is finished."""
    if not any(source.origin == "camera" for source in sources):
        yield lambda: False
        return
    from img2img.engine.runtime import caught_signals

    with caught_signals() as signals:
        yield lambda: signals.caught


def _pipe(predictor: "Predictor", sources: "list[Source]", reading: "Reading") -> None:
    """One picture's answer as PNG on stdout."""
    from img2img.data.images import encode_png
    from img2img.errors import UsageError
    from img2img.inference.png import provenance, stamped
    from img2img.inference.reading import read_source

    if len(sources) != 1:
        raise UsageError(f"--out - writes one picture, but there are {len(sources)} inputs.")
    if sources[0].has_frames:
        raise UsageError(f"--out - writes one picture, but {sources[0].name} may hold many.")
    item = next(read_source(sources[0], reading))
    task, session = predictor.task, predictor.session
    picture = task.picture(predictor.run(item.load()))
    if picture is None:
        raise UsageError(
            f"--out - writes a picture, and {task.name} gives none: leave it out, for JSON."
        )
    texts = provenance(task.name, session.name, session.sha256)
    sys.stdout.buffer.write(stamped(encode_png(picture), texts))
