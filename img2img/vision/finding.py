"""Measures of a finder of faces, on plain arrays; places are those of `face_maps`."""

from collections.abc import Mapping

import numpy as np

from img2img.vision.face_maps import Places, distances
from img2img.vision.metrics import Floats

CENTRE_WITHIN = 0.25
"""How far the centre of a face that is found may be off, in sides of the labelled one."""
SIDE_WITHIN = 1.5
"""The factor by which its side may be off."""
N_RANKED = 100
"""How many of a picture's answers, the surest, the average precision looks at: more faces than that
are not found in one picture."""
METRICS = ("average_precision", "recall", "precision", "false_per_picture", "centre_error",
           "side_error", "angle_error_deg")  # fmt: skip


def is_found(places: Places, truth: Places) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(N,): which of places (N, 4) show the face at (4,)."""
    ratio = np.abs(np.log(np.maximum(places[:, 2], 1e-9) / truth[2]))
    near = distances(places, truth) <= CENTRE_WITHIN * truth[2]
    return np.asarray(near & (ratio <= np.log(SIDE_WITHIN)))


def row(
    places: Places, scores: Floats, truth: Places, *, reach: float, threshold: float
) -> dict[str, float]:
    """What one picture contributes; NaN is what cannot be told.

    - `n_truth`, `n_found`: labelled faces, and those found with a score from `threshold` on.
    - `n_answers`, `n_false`: answers from there on, and those that are no labelled face. Where one
      face is labelled the picture may show others, which count as false here.
    - `is_complete`: 1 where all faces are labelled, or there are none; else 0.
    - `score_0` …, `hit_0` …: the surest answers, and whether they are a labelled face (1) or none
      (0); those beyond `reach` are left out.
    - `centre_error`, `side_error`, `angle_error_deg`: means over the faces found: shares of the
      labelled side, and degrees.

    Args:
        places, scores: (N, 4) and (N,), the answers.
        truth: (M, 4), the labelled faces.
        reach: labels say nothing of what lies beyond this many sides of the labelled faces.
    """
    order = np.argsort(-scores, kind="stable")
    places, scores = places[order], scores[order]
    match = _matched(places, truth)
    sure = scores >= threshold
    judged = match >= 0
    for face in truth:
        judged |= distances(places, face) <= reach * face[2]
    judged |= not np.isfinite(reach)
    ranked = np.flatnonzero(judged)[:N_RANKED]
    hits = np.full((N_RANKED, 2), np.nan)
    hits[: len(ranked)] = np.column_stack([scores[ranked], match[ranked] >= 0])
    found = sure & (match >= 0)
    return {
        "n_truth": float(len(truth)),
        "n_found": float(found.sum()),
        "n_answers": float(sure.sum()),
        "n_false": float((sure & (match < 0)).sum()),
        "is_complete": float(not np.isfinite(reach)),
        **{f"score_{i}": float(score) for i, score in enumerate(hits[:, 0])},
        **{f"hit_{i}": float(hit) for i, hit in enumerate(hits[:, 1])},
        **_errors(places[found], truth[match[found]]),
    }


def _matched(places: Places, truth: Places) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """(N,): the index of the face that each place shows, or -1; a face counts once, for the surest,
    which comes first."""
    match = np.full(len(places), -1, np.intp)
    for index, face in enumerate(truth):
        shown = np.flatnonzero(is_found(places, face) & (match < 0))
        match[shown[:1]] = index
    return match


def _errors(found: Places, truth: Places) -> dict[str, float]:
    names = ("centre_error", "side_error", "angle_error_deg")
    if not len(found):
        return dict.fromkeys(names, np.nan)
    off = np.hypot(*(found[:, :2] - truth[:, :2]).T) / truth[:, 2]
    side = np.abs(found[:, 2] / truth[:, 2] - 1)
    turn = (found[:, 3] - truth[:, 3] + np.pi) % (2 * np.pi) - np.pi
    values = (off, side, np.degrees(np.abs(turn)))
    return {name: float(value.mean()) for name, value in zip(names, values, strict=True)}


def summarise(rows: Mapping[str, Floats], weights: Floats) -> dict[str, float]:
    """The metrics of weighted pictures, each NaN where there is nothing to tell it from.

    - `average_precision`: the area under precision over recall, with what labels say nothing of
      left out.
    - `recall`: the share of labelled faces that are found.
    - `precision`: the share of answers that are labelled faces; a lower bound where pictures show
      faces without labels.
    - `false_per_picture`: false answers a picture, of pictures whose faces are all labelled, or
      that have none.
    - `centre_error`, `side_error`, `angle_error_deg`: means over pictures with a face found.
    """
    total = _share(rows["n_found"], rows["n_truth"], weights)
    complete = weights * rows["is_complete"]
    errors = ("centre_error", "side_error", "angle_error_deg")
    return {
        "average_precision": average_precision(rows, weights),
        "recall": total,
        "precision": 1 - _share(rows["n_false"], rows["n_answers"], weights),
        "false_per_picture": _share(rows["n_false"], np.ones_like(complete), complete),
        **{name: _mean(rows[name], weights) for name in errors},
    }


def average_precision(rows: Mapping[str, Floats], weights: Floats) -> float:
    """The area under the precision at each recall, which is the best at that recall or above.

    Source: Everingham et al.: The PASCAL Visual Object Classes Challenge, IJCV 2010, as of 2010 on.
    """
    faces = float(weights @ rows["n_truth"])
    if faces == 0:
        return np.nan
    # Ranks are filled from the first on, mostly a few of them.
    unused = (i for i in range(1, N_RANKED) if np.isnan(rows[f"score_{i}"]).all())
    ranks = range(next(unused, N_RANKED))
    scores = np.stack([rows[f"score_{i}"] for i in ranks], axis=1)
    hits = np.stack([rows[f"hit_{i}"] for i in ranks], axis=1)
    known = np.isfinite(scores)
    of_answers = np.repeat(weights[:, None], len(ranks), axis=1)[known]
    # Answers of one score come together, so that a picture twice is a picture of twice the weight.
    levels, level = np.unique(-scores[known], return_inverse=True)
    n_hits, n_all = np.zeros(len(levels)), np.zeros(len(levels))
    np.add.at(n_hits, level, of_answers * hits[known])
    np.add.at(n_all, level, of_answers)
    found = np.cumsum(n_hits)
    precision = found / np.maximum(np.cumsum(n_all), 1e-300)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.diff(found, prepend=0.0) @ best / faces)


def _share(part: Floats, whole: Floats, weights: Floats) -> float:
    total = float(weights @ whole)
    return float(weights @ part) / total if total else np.nan


def _mean(values: Floats, weights: Floats) -> float:
    known = np.isfinite(values) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan
