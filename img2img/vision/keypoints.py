"""Measures of facial keypoints, on plain arrays: errors over a length of the face itself.

The normalised mean error (NME) of a face is the mean distance of its known points from the labelled
ones over a length of the labelled face, as a fraction of 1: 0.05 is what papers print as 5 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.vision.metrics import Floats
from img2img.vision.schemas import Points, Schema

FOUND_BELOW = 0.15
"""The NME that an answer stays under if it is to be the labelled face at all."""
AUC_LIMIT = 0.08
"""As of C. Sagonas et al., 300 Faces In-The-Wild Challenge, 2016."""
HIT_WITHIN = 0.05
"""Points this near, over the default normaliser, are what a confidence of 1 promises."""
N_BINS = 10
"""Bins of confidence that the calibration is judged in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """What a network saw of a face: `values` (h, w) in 0…1, the greatest of its heatmaps in each
    cell, and `matrix` (2, 3) from pixels of the original picture to cells."""

    values: NDArray[np.float32]
    matrix: Floats


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture.

    `points` (P, 2) float64 are x and y in pixels of the original picture, pixel centres at
    integers; only labelled faces have missing ones, NaN. `confidence` (P,) float64 in 0…1 is how
    sure each point is, and `score` in 0…1 how sure the finder was of the face; 1 for a given box.
    `heat` is there if asked for.
    """

    points: Floats
    confidence: Floats
    score: float = 1.0
    heat: Heat | None = None

    @property
    def box(self) -> Floats:
        """(4,): x0, y0, x1, y1 in pixels round the points; NaN if all are missing."""
        return np.concatenate(
            [np.fmin.reduce(self.points, axis=0), np.fmax.reduce(self.points, axis=0)]
        )


def distinct(faces: Sequence[Face]) -> list[Face]:
    """The faces without those that a surer one already is: whose points lie, on average, within
    `FOUND_BELOW` of its box's diagonal. The surest comes first, by score, then by confidence."""
    surest = sorted(faces, key=lambda face: (face.score, face.confidence.mean()), reverse=True)
    kept: list[Face] = []
    for face in surest:
        if not any(_is_same(face, one) for one in kept):
            kept.append(face)
    return kept


def _is_same(face: Face, other: Face) -> bool:
    diagonal = np.hypot(*(other.box[2:] - other.box[:2]))
    return bool(_mean(_distances(face, other.points)) <= FOUND_BELOW * diagonal)


# ---- one picture


def row(
    faces: Sequence[Face],
    truth: Points,
    schema: Schema,
    *,
    frame: Points,
    scale: float = 1.0,
) -> dict[str, float]:
    """What one picture contributes, lengths in pixels of the original picture.

    The answer that is measured is the one with the least NME, however great that is. What cannot be
    told is NaN, such as `found` where no point, or no default normaliser, is labelled.

    - `error_0` …: the distance of each point, NaN where it is missing or nothing was answered.
    - `n_points`: how many of these are known; `mean_error` and `mean_square`: of these alone.
    - `length_NAME`: each normaliser of the schema.
    - `found`: 1 if the NME by the default normaliser is below `FOUND_BELOW`, else 0.
    - `n_faces`: how many faces were answered.
    - `n_false`: those among them that are not the labelled face. Group photos show others, and each
      of these that is answered counts as false: there precision is a lower bound.
    - `gap_0` …: the points within `HIT_WITHIN`, less the confidence of all, in each of ten bins of
      confidence; `n_sure`: how many points these are of.

    Args:
        faces: the answers, in any order.
        truth: (P, 2) in pixels of the picture measured, NaN where a point is missing.
        schema: what the points are.
        frame: (2,) width and height in pixels of the labelled box, or of the picture.
        scale: pixels of the original picture to one of the picture measured.
    """
    match = min(faces, key=lambda face: _mean(_distances(face, truth)), default=_nothing(schema))
    errors = scale * _distances(match, truth)
    lengths = {name: scale * float(schema.lengths(truth, name, frame))
               for name in schema.normalisers}  # fmt: skip
    relative = errors / lengths[schema.normaliser]
    is_judged = np.isfinite(truth).any() and np.isfinite(lengths[schema.normaliser])
    found = float(_mean(relative) < FOUND_BELOW) if is_judged else np.nan
    return {
        **{f"error_{i}": float(error) for i, error in enumerate(errors)},
        "n_points": float(np.isfinite(errors).sum()),
        "mean_error": _mean(errors),
        "mean_square": _mean(np.square(errors)),
        **{f"length_{name}": length for name, length in lengths.items()},
        "found": found,
        "n_faces": float(len(faces)),
        "n_false": len(faces) - found,
        **_gaps(relative, match.confidence),
    }


def _nothing(schema: Schema) -> Face:
    return Face(np.full((len(schema), 2), np.nan), np.full(len(schema), np.nan), 0.0)


def _distances(face: Face, truth: Points) -> Floats:
    """(P,) in pixels: their mean is least for the face with the least NME by any normaliser."""
    offset = face.points - truth
    return np.hypot(offset[:, 0], offset[:, 1], dtype=np.float64)


def _gaps(relative: Floats, confidence: Floats) -> dict[str, float]:
    """What the calibration needs, from errors (P,) over the default normaliser."""
    known = np.isfinite(relative)
    sure = confidence[known]
    bins = np.minimum((sure * N_BINS).astype(np.intp), N_BINS - 1)
    gaps = np.bincount(bins, (relative[known] <= HIT_WITHIN) - sure, minlength=N_BINS)
    return {**{f"gap_{i}": float(gap) for i, gap in enumerate(gaps)}, "n_sure": float(sure.size)}


# ---- many pictures


def metric_names(schema: Schema) -> tuple[str, ...]:
    """The names that `summarise` gives, in the order of tables."""
    others = (f"nme_{name}" for name in schema.normalisers if name != schema.normaliser)
    return ("nme", *others, "fail8", "fail10", "auc8", "rmse_px", "recall", "precision",
            "calibration_error")  # fmt: skip


def of_found(rows: Mapping[str, Floats], weights: Floats) -> Floats:
    """(N,): the weights of pictures whose labelled face was found, and 0 for the others: what is
    searched for and missed has no error of its own."""
    return np.where(rows["found"] == 1, weights, 0.0)


def summarise(
    rows: Mapping[str, Floats], weights: Floats, schema: Schema, *, searched: bool = False
) -> dict[str, float]:
    """The metrics of weighted pictures, each NaN where there is nothing to tell it from.

    - `nme`, `nme_NAME`: the mean NME of the pictures with an answer, by the default normaliser of
      the schema and by each of the others.
    - `fail8`, `fail10`: the share of pictures whose NME is above 0.08 and 0.1, or that have no
      answer.
    - `auc8`: the area under `cumulative` up to `AUC_LIMIT`, over that limit; 1 is best.
    - `rmse_px`: the root of the mean squared error of the single coordinates, x and y, of all
      answered points in pixels of the originals, as Kaggle's facial keypoints competition scores.
    - `recall`: the share of labelled faces that were found.
    - `precision`: the share of answers that are labelled faces; a lower bound on group photos.
    - `calibration_error`: how far confidence is, on average, from the share of points that lie
      within `HIT_WITHIN`; the expected calibration error of ten bins of equal width.

    Source of the last: Guo et al.: On calibration of modern neural networks, ICML 2017.

    Args:
        rows: what `row` gave, as (N,) columns.
        weights: (N,) of the pictures.
        schema: what the points are.
        searched: whether faces were searched for in whole photos. Then errors and calibration are
            those of the faces found, beside `recall`; to `fail8`, `fail10` and `auc8` a face that
            was not found is one without an answer.
    """
    nme = {name: rows["mean_error"] / rows[f"length_{name}"] for name in schema.normalisers}
    worst = _judged(rows, schema)
    answered = of_found(rows, weights) if searched else weights
    squares = _mean(rows["mean_square"], answered * rows["n_points"])
    return {
        "nme": _mean(nme.pop(schema.normaliser), answered),
        **{f"nme_{name}": _mean(values, answered) for name, values in nme.items()},
        "fail8": _mean(_above(worst, 0.08), weights),
        "fail10": _mean(_above(worst, 0.10), weights),
        "auc8": _mean(np.clip(1 - worst / AUC_LIMIT, 0, 1), weights),
        "rmse_px": float(np.sqrt(squares / 2)),
        "recall": _mean(rows["found"], weights),
        "precision": 1 - _mean(_share(rows["n_false"], rows["n_faces"]), weights * rows["n_faces"]),
        "calibration_error": _calibration_error(rows, answered),
    }


def per_point(rows: Mapping[str, Floats], weights: Floats, schema: Schema) -> Floats:
    """(P,): the NME of each point by the default normaliser, over weighted pictures with an answer
    and this point; NaN where there are none."""
    length = rows[f"length_{schema.normaliser}"]
    return np.array([_mean(rows[f"error_{i}"] / length, weights) for i in range(len(schema))])


def per_region(rows: Mapping[str, Floats], weights: Floats, schema: Schema) -> dict[str, float]:
    """{region: the NME of its points by the default normaliser}, each the mean over weighted
    pictures of the mean of the region's points that are known."""
    length = rows[f"length_{schema.normaliser}"]
    found = {}
    for region, points in schema.regions.items():
        errors = np.stack([rows[f"error_{i}"] for i in points])
        n_known = np.isfinite(errors).sum(axis=0)
        found[region] = _mean(_share(np.nansum(errors, axis=0), n_known) / length, weights)
    return found


def cumulative(
    rows: Mapping[str, Floats],
    weights: Floats,
    schema: Schema,
    limit: float = 0.1,
    n: int = 101,
) -> tuple[Floats, Floats]:
    """(n,) errors from 0 to `limit`, and (n,) shares of the weighted pictures whose NME by the
    default normaliser is at most that; a picture without an answer never is."""
    thresholds = np.linspace(0, limit, n)
    worst = _judged(rows, schema)
    shares = np.array([1 - _mean(_above(worst, threshold), weights) for threshold in thresholds])
    return thresholds, shares


def _judged(rows: Mapping[str, Floats], schema: Schema) -> Floats:
    """(N,): the NME by the default normaliser, infinite where nothing was answered, NaN where the
    labels cannot judge an answer."""
    nme = rows["mean_error"] / rows[f"length_{schema.normaliser}"]
    return np.where(np.isfinite(rows["found"]), np.where(np.isnan(nme), np.inf, nme), np.nan)


def _calibration_error(rows: Mapping[str, Floats], weights: Floats) -> float:
    gaps = [abs(float(weights @ rows[f"gap_{i}"])) for i in range(N_BINS)]
    total = float(weights @ rows["n_sure"])
    return sum(gaps) / total if total > 0 else float("nan")


def _above(values: Floats, limit: float) -> Floats:
    """1 where a value is above the limit, 0 where it is not, NaN where it is NaN."""
    return np.where(np.isnan(values), np.nan, values > limit)


def _share(part: Floats, whole: NDArray[Any]) -> Floats:
    """`part` / `whole`, NaN where `whole` is 0."""
    share: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return share


def _mean(values: Floats, weights: Floats | None = None) -> float:
    """The weighted mean of what is not NaN; NaN if nothing that has a weight is left."""
    known = ~np.isnan(values)
    counted = np.ones(known.sum()) if weights is None else weights[known]
    total = counted.sum()
    return float(counted @ values[known] / total) if total > 0 else float("nan")
