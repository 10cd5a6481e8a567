"""`img2img label`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from img2img.cli.options import Quiet, Weights

if TYPE_CHECKING:
    from img2img.inference.labelling import Proposer
    from img2img.tasks.segmentation import Segmentation


def label(
    task: Annotated[str, typer.Argument(metavar="segmentation", help="The task.")],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Pictures; with images/ and masks/ in it, proposals are scored."
        ),
    ],
    method: Annotated[
        Literal["kmeans", "encoder-kmeans", "model"],
        typer.Option(
            help="k-means on colour and position, k-means on the features of a pretrained "
            "encoder, or a trained network's confident pixels."
        ),
    ] = "model",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An empty or new folder.", show_default="FOLDER-labels"),
    ] = None,
    weights: Weights = None,
    confidence: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, metavar="P", help="model: least confidence of a pixel."),
    ] = 0.9,
    clusters: Annotated[
        int, typer.Option(min=2, max=64, metavar="K", help="kmeans: clusters a picture.")
    ] = 8,
    encoder: Annotated[
        str, typer.Option(metavar="NAME", help="encoder-kmeans: the encoder.")
    ] = "tu-tf_efficientnet_lite0",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also draw the proposals over the pictures.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Propose masks for pictures without labels, ready for `train segmentation --pseudo DIR`.

    Writes images/, masks/ (value 64: no opinion) and groups.csv, which pairs them. Exit codes: 0
    done, 1 some pictures could not be read, 2 a wrong option, 3 no pictures or unusable weights.
    """
    from img2img.cli.console import say
    from img2img.errors import UsageError

    if task != "segmentation":
        raise UsageError(f"label proposes masks for the task segmentation, not for {task!r}.")
    target = out or folder.with_name(f"{folder.resolve().name}-labels")
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(f"--out {target} is not empty: choose another folder.")
    adapter, propose, note = _proposer(
        method, weights=weights, confidence=confidence, clusters=clusters, encoder=encoder
    )
    say(note, quiet=quiet)
    failed = _write_all(adapter, propose, folder, target, overlay=overlay, quiet=quiet)
    if (folder / "masks").is_dir():
        _score(adapter, propose, folder, quiet=quiet)
    print(target)
    if failed:
        raise typer.Exit(1)


def _proposer(
    method: str, *, weights: str | None, confidence: float, clusters: int, encoder: str
) -> "tuple[Segmentation, Proposer, str]":
    from img2img.inference import labelling
    from img2img.tasks.segmentation import Segmentation, SegmentationOptions

    clustering = labelling.Clustering(n_clusters=clusters)
    if method == "model":
        from img2img.cli.measuring import opened
        from img2img.inference.predictor import Predictor
        from img2img.inference.session import task_of

        session = opened("segmentation", weights, engine="auto", device="auto")
        adapter: Any = task_of(session.card, "segmentation")
        predictor = Predictor(adapter, session, outputs=adapter.result_outputs)
        note = f"pixels of {session.name} with a confidence of {confidence:g} or more"
        return adapter, labelling.by_model(predictor, confidence), note
    adapter = Segmentation(SegmentationOptions())
    if method == "kmeans":
        note = "k-means on colour and position; regions are named by colour and shape"
        return adapter, labelling.by_colour(clustering), note
    propose, note = labelling.by_encoder(encoder, clustering)
    return adapter, propose, note


def _write_all(
    adapter: "Segmentation",
    propose: "Proposer",
    folder: Path,
    target: Path,
    *,
    overlay: bool,
    quiet: bool,
) -> int:
    """Writes a proposal for every picture; how many could not be read."""
    import csv
    import shutil

    from img2img.cli.console import progress_bar, say
    from img2img.data.formats.folders import list_pictures
    from img2img.data.formats.masks import UNLABELLED
    from img2img.data.images import read, write
    from img2img.errors import InputError
    from img2img.vision.classes import IGNORE
    from img2img.vision.paint import tinted

    source = folder / "images" if (folder / "images").is_dir() else folder
    rows, failed = [], 0
    pictures = list_pictures(source)
    with progress_bar("labelling", len(pictures), quiet=quiet) as advance:
        for path in pictures:
            name = path.relative_to(source).as_posix()
            try:
                image = read(path)
            except InputError as error:
                say(f"img2img: {error}")
                failed += 1
                continue
            classes = propose(image)
            mask = adapter.classes.to_mask(classes)
            mask[classes == IGNORE] = UNLABELLED[: mask.shape[2]]
            for kind in ("images", "masks", *(["overlays"] if overlay else [])):
                (target / kind / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / "images" / name)
            write(target / "masks" / f"{name}.png", mask)
            if overlay:
                write(target / "overlays" / f"{name}.png", tinted(image, classes))
            rows.append([name, f"{name}.png"])
            advance()
    if rows:
        with (target / "groups.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["image", "mask"], *rows])
    return failed


def _score(adapter: "Segmentation", propose: "Proposer", folder: Path, *, quiet: bool) -> None:
    """Prints how the proposals compare with the masks that are there; what they leave open counts
    as background."""
    import numpy as np

    from img2img.cli.console import number, print_table, progress_bar
    from img2img.config import DataOptions
    from img2img.data.formats.masks import mask_splits
    from img2img.engine.evaluate import collect, measure_rows
    from img2img.tasks.segmentation import Segmented
    from img2img.vision.classes import IGNORE

    samples = mask_splits(DataOptions(source=str(folder)), adapter.classes).whole

    def answer(sample: Any) -> Segmented:
        classes = propose(sample.image)
        classes = np.where(classes == IGNORE, 0, classes).astype(np.uint8)
        return Segmented(classes, np.ones(classes.shape, np.float32))

    with progress_bar("scoring", len(samples), quiet=quiet) as advance:
        rows = measure_rows(adapter, answer, samples, range(len(samples)), advance)
    metrics = collect(rows).metrics(adapter)
    title = f"proposals against the masks of {folder} ({len(samples)} pictures)"
    print_table(["metric", "value"], [[k, number(v)] for k, v in metrics.items()], title=title)
