"""`img2img label`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from img2img.cli.options import Quiet

if TYPE_CHECKING:
    from img2img.data.sample import Dataset
    from img2img.inference.labelling import Proposer, Segmenter
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
        Literal["kmeans", "encoder-kmeans", "sam", "model"],
        typer.Option(
            help="Regions from k-means on colour and position, from k-means on the features of a "
            "pretrained encoder, or from a Segment Anything network; or a trained network's "
            "confident pixels."
        ),
    ] = "model",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An empty or new folder.", show_default="FOLDER-labels"),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A few pictures with masks (images/, masks/) by which regions are named.",
            show_default="eggs and pans by colour and shape",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="model: an .onnx, a .safetensors or a run folder; sam: the folder of a SamModel "
            "of transformers.",
            show_default="model: the shipped weights",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="P",
            help="Least confidence of a pixel (model) or of a mask (sam).",
            show_default="model 0.9, sam 0.88",
        ),
    ] = None,
    clusters: Annotated[
        int, typer.Option(min=2, max=64, metavar="K", help="kmeans: clusters a picture.")
    ] = 8,
    encoder: Annotated[
        str, typer.Option(metavar="NAME", help="encoder-kmeans: the encoder.")
    ] = "tu-tf_efficientnet_lite0",
    points: Annotated[
        int, typer.Option(min=1, max=128, metavar="N", help="sam: N × N points are asked.")
    ] = 16,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="task.OPTION=VALUE",
            help="Options of the task: task.classes, task.ignore_value.",
        ),
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also draw the proposals over the pictures.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Propose masks for pictures without labels, ready for `train segmentation --pseudo DIR`.

    Writes images/, masks/, groups.csv, which pairs them, and proposals.json: the value of mask
    pixels without a label (64, unless a class lies near it), and the score. Exit codes: 0 done, 1
    some pictures could not be read, 2 a wrong option, 3 unusable pictures, examples or weights.
    """
    from img2img.cli.console import number, print_table, progress_bar, say
    from img2img.errors import UsageError
    from img2img.inference.proposals import ProposalFolder, pictures_in, propose_all, truths_of

    if task != "segmentation":
        raise UsageError(f"label proposes masks for the task segmentation, not for {task!r}.")
    target = out or folder.resolve().parent / f"{folder.resolve().name}-labels"
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(f"--out {target} is not empty: choose another folder.")
    pictures = pictures_in(folder)
    shown: Dataset | None = None
    if method == "model":
        if examples is not None or set_:
            raise UsageError(
                "--method model takes its classes from the weights: leave out --examples and --set."
            )
        adapter, propose, note = _by_model(weights, 0.9 if confidence is None else confidence)
        truths = truths_of(folder, adapter.classes, None)
    else:
        adapter = _adapter(set_ or [])
        shown = _examples(examples, adapter)
        truths = truths_of(folder, adapter.classes, shown)
        segment, how = _segmenter(
            method, weights=weights, confidence=confidence, clusters=clusters, encoder=encoder,
            points=points,
        )  # fmt: skip
        propose, named = _named(segment, shown, adapter, quiet=quiet)
        note = f"{how}; {named}"
    for told in filter(None, (note, truths.note)):
        say(told, quiet=quiet)
    written = ProposalFolder(target, adapter.classes, overlays=overlay)
    with progress_bar("labelling", len(pictures), quiet=quiet) as advance:
        evaluation, failures = propose_all(
            adapter, propose, pictures, written, truths=truths, progress=advance
        )
    score: dict[str, Any] = {"n_scored": 0, "metrics": None}
    if evaluation is not None:
        metrics = evaluation.metrics(adapter)
        score = {"n_scored": len(evaluation.ids), "metrics": metrics}
        title = f"proposals against the masks of {folder} ({len(evaluation.ids)} pictures)"
        print_table(["metric", "value"], [[k, number(v)] for k, v in metrics.items()], title=title)
    written.finish({"method": method, "note": note, **score})
    print(f"value of pixels without a label: {written.unlabelled}")
    print(target)
    for failure in failures:
        say(f"img2img: {failure}")
    if failures:
        raise typer.Exit(1)


def _by_model(weights: str | None, confidence: float) -> "tuple[Segmentation, Proposer, str]":
    from img2img.cli.measuring import opened
    from img2img.inference.labelling import by_model
    from img2img.inference.predictor import Predictor
    from img2img.inference.session import task_of

    session = opened("segmentation", weights, engine="auto", device="auto")
    adapter: Any = task_of(session.card, "segmentation")
    predictor = Predictor(adapter, session, outputs=adapter.result_outputs)
    note = f"pixels of {session.name} with a confidence of {confidence:g} or more"
    return adapter, by_model(predictor, confidence), note


def _adapter(sets: list[str]) -> "Segmentation":
    """The task with the classes that `--set` names."""
    from img2img.config import Config, parse_set
    from img2img.tasks.segmentation import Segmentation
    from img2img.tasks.segmentation_options import SegmentationOptions

    flags: Any = ("flag", parse_set(sets))
    config = Config.resolve("segmentation", {"task": SegmentationOptions}, [flags])
    options: Any = config.task_options
    return Segmentation(options)


def _examples(folder: Path | None, adapter: "Segmentation") -> "Dataset | None":
    """The pictures of `--examples`; without them the classes must be those of the rule."""
    from img2img.config import DataOptions
    from img2img.data.formats.masks import mask_splits
    from img2img.errors import UsageError
    from img2img.tasks.segmentation_options import EGGS_AND_PANS
    from img2img.vision.classes import ClassSet

    if folder is not None:
        options = DataOptions(source=str(folder), val_share=0, test_share=0)
        return mask_splits(options, adapter.classes).whole
    known = ClassSet.parse(EGGS_AND_PANS).names
    if adapter.classes.names != known:
        raise UsageError(
            f"colour and shape name only {', '.join(known)}: for other classes give a few "
            "pictures with masks, --examples DIR."
        )
    return None


def _segmenter(
    method: str,
    *,
    weights: str | None,
    confidence: float | None,
    clusters: int,
    encoder: str,
    points: int,
) -> "tuple[Segmenter, str]":
    from img2img.inference.labelling import Clustering, by_colour, by_encoder

    if method == "sam":
        import dataclasses

        from img2img.inference.sam import Prompting, by_sam

        prompting = Prompting(n_side=points)
        if confidence is not None:
            prompting = dataclasses.replace(prompting, least_iou=confidence)
        note = f"masks of {weights} at {points} × {points} points"
        return by_sam(weights, prompting), note
    if method == "kmeans":
        clustering = Clustering(n_clusters=clusters)
        return by_colour(clustering), "k-means on colour and position"
    segment, note = by_encoder(encoder, Clustering(n_clusters=clusters))
    return segment, f"k-means on features, {note}"


def _named(
    segment: "Segmenter", shown: "Dataset | None", adapter: "Segmentation", *, quiet: bool
) -> "tuple[Proposer, str]":
    """Regions with names by rule, or by examples, and a sentence that says which."""
    from img2img.cli.console import progress_bar, say
    from img2img.errors import DataError
    from img2img.inference.labelling import by_examples, by_rule, examples_of

    if shown is None:
        return by_rule(segment), "regions are named by colour and shape"
    with progress_bar("looking at examples", len(shown), quiet=quiet) as advance:

        def seen(image: Any) -> Any:
            advance()
            return segment(image)

        known = examples_of(seen, shown)
    if not len(known.names):
        raise DataError("no pixel of the examples has a label: give masks with classes in them.")
    for index, name in enumerate(adapter.classes.names):
        if index not in known.names:
            say(f"no region of the examples is {name}: it will not be proposed", quiet=quiet)
    return by_examples(segment, known), f"regions are named by {len(shown)} labelled pictures"
