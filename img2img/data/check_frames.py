"""What is wrong with frames and their poses, before a training finds out."""

from pathlib import Path

from img2img.config import DataOptions
from img2img.data.check import CheckReport, Problem, examined, picture_problems
from img2img.data.formats.frames import frame_splits, refused_frames
from img2img.data.split import PARTS


def check_frames(data: DataOptions, camera: str | None) -> CheckReport:
    """Read every frame of the folder `data.source` with its pose and its camera.

    Args:
        data: where the frames are, and how they are divided.
        camera: a file that is taken instead of every `camera_info.json`.

    Raises:
        DataError: the folder is missing, a file, forbidden or without pictures.
        UsageError: the data cannot be divided as asked.
    """
    folder, file = Path(str(data.source)), None if camera is None else Path(camera)
    facts, unreadable = examined(folder)
    n_pictures = len(facts) + len(unreadable)
    told = {problem.path for problem in unreadable}
    refused = [
        Problem(path=one.id, kind="frame", message=one.reason, fatal=True)
        for one in refused_frames(folder, file) if one.id not in told
    ]  # fmt: skip
    if unreadable or refused:
        return CheckReport(n_pictures=n_pictures, problems=(*unreadable, *refused))
    splits = frame_splits(data, folder, file)
    known = {fact.id: fact for fact in facts}
    used = {part: samples.records for part, samples in splits.parts.items()}
    members = {part: [known[record.id] for record in used.get(part, ())] for part in PARTS}
    whole = splits.whole
    n_groups = len({record.group or record.id for record in whole.records})
    first = whole.sample(whole.records[0], whole.pixels(whole.records[0]))
    size = f"{first.image.shape[1]} × {first.image.shape[0]}"
    notes = (
        f"{len(whole)} frames, the first of {size} pixels, in {n_groups} groups of successive "
        "frames whose poses are near.",
    )
    problems = tuple(picture_problems(facts, members))
    return CheckReport(n_pictures=n_pictures, problems=problems, notes=notes)
