"""`img2img predict`."""

import gc
import sys
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
    from img2img.inference.predictor import Predictor
    from img2img.inference.sources import Source


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

    from img2img.cli.answering import Work
    from img2img.cli.measuring import attach_companion, given, opened, ranks_joined
    from img2img.errors import UsageError
    from img2img.inference.predictor import Predictor
    from img2img.inference.session import task_of
    from img2img.inference.sources import find_sources, frame_rate

    is_piped = out == "-"
    json = json or (not sys.stdout.isatty() and not is_piped)
    folder = None if is_piped or (out is None and json) else Path(out or "predictions")
    overlay = overlay or (lasers and film is None)
    _refuse_contradictions(folder, overlay=overlay and not is_piped, skip=skip_existing)
    session = opened(task, weights, engine=engine, device=device)
    sources = find_sources(inputs)
    # The options may name Python code, which only the truth runs, and no prediction asks for it.
    loaded = task_of(session.card, task, allow_python=True)
    asked = given(
        face_box=face_box, whole_image=whole_image or None, finder=finder,
        flip=False if no_flip else None, heatmaps=heatmaps or None, camera=camera, smooth=smooth,
        lasers=lasers or None,
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
        with ExitStack() as opened_files:
            reel = None
            if film is not None:
                from img2img.inference.film import Film

                reel = opened_files.enter_context(Film(film, fps=fps or frame_rate(sources) or 25))
            work = Work(predictor, sources, folder, overlay=overlay, skip=skip_existing, json=json,
                        quiet=quiet, runtime=runtime, film=reel)  # fmt: skip
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
