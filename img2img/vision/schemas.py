"""Point sets: what their points are called, which change sides in a mirror, how they are drawn,
and what lengths their errors are divided by.

Left and right are the person's own: the right eye lies on the left of the picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from img2img.errors import UsageError, unknown_name

Points = NDArray[np.floating]
"""(…, P, 2): x and y of every point in pixels; NaN where a point is missing."""

Indices = tuple[int, ...]
"""Some of a schema's points, counted from 0."""

BOX = "box_diagonal"
"""The normaliser that is the diagonal of the upright box round the points."""
FRAME = "frame_diagonal"
"""The normaliser that is the diagonal of the labelled box, or of the picture where there is none:
the only one that a single point has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A set of points and their order.

    Attributes:
        pairs: (right, left) points, which change places in a mirror; all others lie on the middle
            line.
        lines: {region: polylines to draw}; a closed one ends at its first point.
        regions: {region: the points whose errors are told together}.
        ends: {normaliser: (points, points)}, the distance between the means of both groups.
        normaliser: the default one.
        sources: {other schema: for each point, which of the other's points it is the mean of}; a
            single one means that it is the same point, several are a stated substitute.
    """

    name: str
    points: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    lines: Mapping[str, tuple[Indices, ...]] = field(default_factory=dict)
    regions: Mapping[str, Indices] = field(default_factory=dict)
    ends: Mapping[str, tuple[Indices, Indices]] = field(default_factory=dict)
    normaliser: str = BOX
    sources: Mapping[str, tuple[Indices, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def can_flip(self) -> bool:
        """Whether a mirrored picture has the same points: without pairs only a single point does,
        as nothing says that all the others lie on the middle line."""
        return bool(self.pairs) or len(self) == 1

    @property
    def flip_order(self) -> NDArray[np.intp]:
        """(P,): points of a mirrored picture, `mirrored[..., flip_order, :]`, have their own names
        again. It is its own inverse."""
        order = np.arange(len(self))
        for one, two in self.pairs:
            order[[one, two]] = two, one
        return order

    @property
    def normalisers(self) -> tuple[str, ...]:
        """The names of the lengths that this schema's errors can be divided by."""
        return (*self.ends, *((BOX,) if len(self) > 1 else ()), FRAME)

    def lengths(self, points: Points, normaliser: str, frame: Points) -> NDArray[np.float64]:
        """(…) in pixels: what errors are divided by; NaN where a point that it needs is missing,
        and where it is 0. The box is that of the points which are not missing.

        Args:
            points: (…, P, 2).
            frame: (…, 2) width and height of the labelled boxes or, without these, the pictures.

        Raises:
            UsageError: the schema has no such normaliser.
        """
        if normaliser not in self.normalisers:
            raise unknown_name(f"normaliser of {self.name}", normaliser, self.normalisers)
        if normaliser == FRAME:
            across = np.asarray(frame)
        elif normaliser == BOX:
            across = np.fmax.reduce(points, axis=-2) - np.fmin.reduce(points, axis=-2)
        else:
            one, two = (points[..., group, :].mean(-2) for group in self.ends[normaliser])
            across = one - two
        length = np.hypot(across[..., 0], across[..., 1], dtype=np.float64)
        return np.where(length > 0, length, np.nan)

    def is_derivable(self, source: "Schema") -> bool:
        """Whether `derived` has a rule for the points of `source`."""
        return source == self or source.name in self.sources

    def derived(self, points: Points, source: "Schema") -> Points:
        """(…, P, 2): the points of this schema from those of another, (…, Q, 2). A point is missing
        wherever one that it comes from is.

        Raises:
            UsageError: there is no rule for the other schema.
        """
        if source == self:
            return points
        if source.name not in self.sources:
            have = ", ".join(self.sources) or "no other schema"
            raise UsageError(
                f"the {len(self)} points of {self.name} cannot be derived from the {len(source)} "
                f"points of {source.name}, only from {have}: choose the schema {source.name}."
            )
        rules = self.sources[source.name]
        return np.stack([points[..., rule, :].mean(-2) for rule in rules], axis=-2)


def schema_of(text: str) -> Schema:
    """The schema of that name, of the TOML file at that path, or of that JSON (`schema_files`).

    Raises:
        UsageError: no built-in schema has the name, or the file is unusable.
    """
    if text in SCHEMAS:
        return SCHEMAS[text]
    if text.endswith(".toml"):
        from img2img.vision.schema_files import read_schema

        return read_schema(Path(text))
    if text.startswith("{"):
        from img2img.vision.schema_files import parse_schema

        return parse_schema(text)
    raise unknown_name("schema (or TOML file)", text, SCHEMAS)


def _span(first: int, last: int) -> Indices:
    return tuple(range(first, last + 1))


def _loop(first: int, last: int) -> Indices:
    return (*_span(first, last), first)


def _named(**counts: int) -> tuple[str, ...]:
    return tuple(f"{part}_{index}" for part, n in counts.items() for index in range(n))


def _mirrored(right: Indices, left: Indices) -> tuple[tuple[int, int], ...]:
    return tuple(zip(right, left, strict=True))


IBUG68 = Schema(
    name="ibug68",
    points=_named(
        jaw=17, right_brow=5, left_brow=5, nose_bridge=4, nose_base=5, right_eye=6, left_eye=6,
        outer_lip=12, inner_lip=8,
    ),
    pairs=(
        *_mirrored(_span(0, 7), _span(9, 16)[::-1]),
        *_mirrored(_span(17, 21), _span(22, 26)[::-1]),
        *_mirrored((31, 32), (35, 34)),
        *_mirrored(_span(36, 41), (45, 44, 43, 42, 47, 46)),
        *_mirrored((48, 49, 50, 59, 58), (54, 53, 52, 55, 56)),
        *_mirrored((60, 61, 67), (64, 63, 65)),
    ),
    lines={
        "jaw": (_span(0, 16),),
        "right_brow": (_span(17, 21),),
        "left_brow": (_span(22, 26),),
        "nose": (_span(27, 30), _span(31, 35)),
        "right_eye": (_loop(36, 41),),
        "left_eye": (_loop(42, 47),),
        "mouth": (_loop(48, 59), _loop(60, 67)),
    },
    regions={
        "jaw": _span(0, 16), "right_brow": _span(17, 21), "left_brow": _span(22, 26),
        "nose": _span(27, 35), "right_eye": _span(36, 41), "left_eye": _span(42, 47),
        "mouth": _span(48, 67),
    },
    ends={
        "outer_eye_corners": ((36,), (45,)),
        "pupils": (_span(36, 41), _span(42, 47)),
    },
    normaliser="outer_eye_corners",
)  # fmt: skip
"""C. Sagonas et al., 300 Faces In-The-Wild Challenge: database and results, 2016."""

IMM58 = Schema(
    name="imm58",
    points=_named(jaw=13, left_eye=8, right_eye=8, left_brow=5, right_brow=5, lip=8, nose=11),
    pairs=(
        *_mirrored(_span(0, 5), _span(7, 12)[::-1]),
        *_mirrored(_span(21, 28), _span(13, 20)),
        *_mirrored(_span(34, 38), _span(29, 33)),
        *_mirrored((39, 40, 46), (43, 42, 44)),
        *_mirrored(_span(47, 51), _span(53, 57)[::-1]),
    ),
    lines={
        "jaw": (_span(0, 12),),
        "left_eye": (_loop(13, 20),),
        "right_eye": (_loop(21, 28),),
        "left_brow": (_span(29, 33),),
        "right_brow": (_span(34, 38),),
        "mouth": (_loop(39, 46),),
        "nose": (_span(47, 57),),
    },
    regions={
        "jaw": _span(0, 12), "left_eye": _span(13, 20), "right_eye": _span(21, 28),
        "left_brow": _span(29, 33), "right_brow": _span(34, 38), "mouth": _span(39, 46),
        "nose": _span(47, 57),
    },
    ends={
        "outer_eye_corners": ((21,), (13,)),
        "pupils": (_span(21, 28), _span(13, 20)),
    },
    normaliser="outer_eye_corners",
)  # fmt: skip
"""M. Nordstrøm et al., The IMM Face Database: an annotated dataset of 240 face images, 2004. The
eyes begin at their outer corners, the brows at their inner ends; the nose's tip has no point."""

# On mean shapes laid over each other (180 frontal and turned IMM faces, 805 lfpw faces) the mean of
# these four lies within 0.01 eye distances of the tip (30) of ibug68.
_IMM_NOSE_TIP = (49, 50, 54, 55)

KAGGLE15 = Schema(
    name="kaggle15",
    points=(
        "left_eye_center", "right_eye_center",
        "left_eye_inner_corner", "left_eye_outer_corner",
        "right_eye_inner_corner", "right_eye_outer_corner",
        "left_eyebrow_inner_end", "left_eyebrow_outer_end",
        "right_eyebrow_inner_end", "right_eyebrow_outer_end",
        "nose_tip", "mouth_left_corner", "mouth_right_corner",
        "mouth_center_top_lip", "mouth_center_bottom_lip",
    ),
    pairs=((1, 0), (4, 2), (5, 3), (8, 6), (9, 7), (12, 11)),
    lines={
        "right_brow": ((9, 8),),
        "left_brow": ((6, 7),),
        "right_eye": ((5, 1, 4),),
        "left_eye": ((2, 0, 3),),
        "mouth": ((12, 13, 11, 14, 12),),
    },
    regions={
        "right_brow": (8, 9), "left_brow": (6, 7), "right_eye": (1, 4, 5), "left_eye": (0, 2, 3),
        "nose": (10,), "mouth": (11, 12, 13, 14),
    },
    ends={"pupils": ((1,), (0,)), "outer_eye_corners": ((5,), (3,))},
    normaliser="pupils",
    sources={
        "ibug68": (
            _span(42, 47), _span(36, 41), (42,), (45,), (39,), (36,), (22,), (26,), (21,), (17,),
            (30,), (54,), (48,), (51,), (57,),
        ),
        "imm58": (
            _span(13, 20), _span(21, 28), (17,), (13,), (25,), (21,), (29,), (33,), (34,), (38,),
            _IMM_NOSE_TIP, (43,), (39,), (41,), (45,),
        ),
    },
)  # fmt: skip
"""The columns of https://www.kaggle.com/c/facial-keypoints-detection, in their order. From ibug68
and imm58 all is exact but the eyes' centres, which are the means of their outlines (a pupil that
looks aside is elsewhere), and imm58's tip of the nose, the mean of four points of its wings."""

NOSE = Schema(
    name="nose",
    points=("nose_tip",),
    regions={"nose": (0,)},
    normaliser=FRAME,
    sources={"kaggle15": ((10,),), "ibug68": ((30,),), "imm58": (_IMM_NOSE_TIP,)},
)
"""The tip of the nose alone: exact from kaggle15 and ibug68, a stated mean from imm58."""

SHIP8 = Schema(
    name="ship8",
    points=tuple(
        f"{side}_{end}_{level}"
        for level in ("bottom", "top") for end in ("nose", "tail") for side in ("right", "left")
    ),
    pairs=((0, 1), (2, 3), (4, 5), (6, 7)),
    lines={
        "bottom": ((0, 1, 3, 2, 0),),
        "top": ((4, 5, 7, 6, 4),),
        "upright": ((0, 4), (1, 5), (2, 6), (3, 7)),
    },
    regions={"bottom": _span(0, 3), "top": _span(4, 7)},
)  # fmt: skip
"""The corners of the ship's box, `pose.CORNERS`. No schema of faces, hence not among `SCHEMAS`."""

SCHEMAS: Mapping[str, Schema] = {schema.name: schema for schema in (NOSE, KAGGLE15, IMM58, IBUG68)}
"""The built-in schemas; no two have the same number of points."""
