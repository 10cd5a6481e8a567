"""Where the 68 points of a face lie from the front: the average, a person's own, an expression.

Points are those of iBUG 68 (`img2img.vision.schemas.IBUG68`). The unit is the distance of the
pupils of an average face, about 63 mm; the origin lies between them, x to the picture's right (the
person's left), y down.
"""

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np

from img2img.data.synth.kitchen_canvas import Points, Rng
from img2img.vision.schemas import IBUG68

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
RIGHT_BROW, LEFT_BROW = slice(17, 22), slice(22, 27)
JAW, NOSE, MOUTH = slice(0, 17), slice(27, 36), slice(48, 68)

# The half of the face at the picture's right, and what lies in the middle, from the usual measures
# of adults: face 138 mm wide, eyes 31 x 8 mm at a distance of 63, nose 35 mm wide, mouth 52 mm.
_HALF = {
    16: (1.10, 0.00), 15: (1.08, 0.29), 14: (1.05, 0.58), 13: (0.99, 0.87), 12: (0.89, 1.14),
    11: (0.73, 1.38), 10: (0.53, 1.58), 9: (0.28, 1.75), 8: (0.0, 1.80),
    22: (0.20, -0.24), 23: (0.38, -0.32), 24: (0.57, -0.35), 25: (0.76, -0.32), 26: (0.91, -0.21),
    27: (0.0, -0.02), 28: (0.0, 0.18), 29: (0.0, 0.38), 30: (0.0, 0.58),
    33: (0.0, 0.76), 34: (0.11, 0.73), 35: (0.215, 0.685),
    42: (0.31, 0.02), 43: (0.42, -0.07), 44: (0.57, -0.07), 45: (0.69, 0.0), 46: (0.58, 0.055),
    47: (0.44, 0.06),
    51: (0.0, 0.97), 52: (0.12, 0.945), 53: (0.28, 0.98), 54: (0.43, 1.04), 55: (0.285, 1.19),
    56: (0.13, 1.26), 57: (0.0, 1.275),
    62: (0.0, 1.055), 63: (0.12, 1.045), 64: (0.37, 1.045), 65: (0.12, 1.075), 66: (0.0, 1.085),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What tells people apart; all are factors around 1 or shifts around 0, in the unit."""

    width: float
    taper: float
    chin: float
    middle: float
    eye_gap: float
    eye_size: float
    eye_tall: float
    eye_slant: float
    brow_lift: float
    brow_arch: float
    brow_slant: float
    nose_long: float
    nose_wide: float
    nose_out: float
    mouth_wide: float
    upper_lip: float
    lower_lip: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """How the face is moved: `jaw` is how far it drops in the unit, `smile` -1…1, `pout` and
    `eyes` (0 closed, 1 as usual) factors, `brows` (right, left) shifts up."""

    jaw: float
    smile: float
    pout: float
    lips_apart: float
    eyes: tuple[float, float]
    brows: tuple[float, float]
    frown: float
    skew: float


def average_layout() -> Points:
    """(68, 2): symmetric, with a closed mouth."""
    layout = np.full((68, 2), np.nan)
    layout[[*_HALF]] = [*_HALF.values()]
    mirrored = layout[IBUG68.flip_order] * (-1, 1)
    return np.where(np.isnan(layout), mirrored, layout)


def random_person(rng: Rng) -> Person:
    """Deviations are those of adults from all over the world, a little widened."""

    def factor(spread: float) -> float:
        return float(np.exp(rng.normal(0, spread)))

    def shift(spread: float) -> float:
        return float(rng.normal(0, spread))

    return Person(
        width=1.05 * factor(0.06), taper=shift(0.1), chin=factor(0.09), middle=factor(0.06),
        eye_gap=factor(0.035), eye_size=factor(0.07), eye_tall=factor(0.22), eye_slant=shift(4),
        brow_lift=shift(0.045), brow_arch=factor(0.4), brow_slant=shift(5),
        nose_long=factor(0.07), nose_wide=factor(0.14), nose_out=factor(0.2),
        mouth_wide=factor(0.09), upper_lip=factor(0.3), lower_lip=factor(0.28),
    )  # fmt: skip


def random_expression(rng: Rng) -> Expression:
    """Half of all mouths are closed or nearly so, a tenth of all eyes shut."""
    jaw = float(rng.choice([0.0, rng.uniform(0, 0.12), rng.uniform(0.05, 0.6)], p=[0.5, 0.3, 0.2]))
    smile = float(rng.choice([0.0, rng.uniform(0, 1), rng.uniform(-0.6, 0)], p=[0.3, 0.55, 0.15]))
    apart = rng.uniform(0, 0.16) * max(smile, 0) * (rng.random() < 0.75)
    eyes = rng.choice(
        [
            rng.uniform(0.85, 1.1),
            rng.uniform(0.0, 0.15),
            rng.uniform(0.3, 0.8),
            rng.uniform(1.1, 1.6),
        ],
        p=[0.55, 0.08, 0.22, 0.15],
    )
    wink = rng.uniform(0, 1, 2) if rng.random() < 0.05 else np.array([1.0, 1.0])
    brows = rng.choice([0.0, rng.uniform(0, 0.2), rng.uniform(-0.12, 0)], p=[0.5, 0.3, 0.2])
    uneven = rng.normal(0, 0.02, 2) + (rng.uniform(0, 0.12, 2) if rng.random() < 0.06 else 0)
    return Expression(
        jaw=jaw, smile=smile, pout=max(float(rng.normal(-0.4, 0.4)), 0.0), lips_apart=float(apart),
        eyes=(float(eyes * wink[0]), float(eyes * wink[1])),
        brows=(float(brows + uneven[0]), float(brows + uneven[1])),
        frown=max(float(rng.normal(-0.3, 0.4)), 0.0), skew=float(rng.normal(0, 0.25)),
    )  # fmt: skip


def layout_of(person: Person, expression: Expression) -> Points:
    """(68, 2) of this face from the front."""
    layout = average_layout()
    _own_eyes_and_brows(layout, person)
    _own_nose_and_mouth(layout, person)
    _own_jaw(layout, person)
    _moved_eyes_and_brows(layout, expression)
    _moved_mouth(layout, expression)
    return layout


def _own_eyes_and_brows(layout: Points, person: Person) -> None:
    sides = ((RIGHT_EYE, RIGHT_BROW, -1), (LEFT_EYE, LEFT_BROW, 1))
    for eye, brow, side in sides:
        middle = np.array([side * 0.5 * person.eye_gap, 0.0])
        own = (layout[eye] - (side * 0.5, 0)) * person.eye_size
        own[:, 1] *= person.eye_tall
        layout[eye] = _turned(own, -side * person.eye_slant) + middle
        arch = layout[brow] - (side * 0.55, -0.29)
        arch[:, 1] *= person.brow_arch
        arch[:, 0] *= (person.eye_size + person.width) / 2
        middle = np.array([side * 0.55 * person.eye_gap, -0.29 - person.brow_lift])
        layout[brow] = _turned(arch, -side * person.brow_slant) + middle


def _turned(points: Points, degrees: float) -> Points:
    c, s = cos(radians(degrees)), sin(radians(degrees))
    turned: Points = points @ np.array([[c, s], [-s, c]])
    return turned


def _own_nose_and_mouth(layout: Points, person: Person) -> None:
    base = layout[33, 1]
    layout[NOSE, 0] *= person.nose_wide
    layout[NOSE, 1] *= person.nose_long * person.middle
    drop = layout[33, 1] - base
    mouth = layout[MOUTH]
    line = 1.05
    upper, lower = mouth[:, 1] < line, mouth[:, 1] >= line
    mouth[upper, 1] = line + (mouth[upper, 1] - line) * person.upper_lip
    mouth[lower, 1] = line + (mouth[lower, 1] - line) * person.lower_lip
    mouth[:, 0] *= person.mouth_wide
    # A thick upper lip grows down rather than into the nose.
    mouth[:, 1] += drop + 0.04 * (person.upper_lip - 1) + 0.03 * (person.middle - 1)


def _own_jaw(layout: Points, person: Person) -> None:
    jaw = layout[JAW]
    low = np.clip(jaw[:, 1] / 1.8, 0, 1)
    jaw[:, 0] *= person.width * (1 + person.taper * low)
    below = layout[57, 1] - 1.275
    jaw[:, 1] *= 1 + (0.35 * (person.chin - 1) + 0.6 * below / 1.8) * low
    jaw[:, 1] += (0.5 * (person.chin - 1) + 0.4 * below) * np.clip((low - 0.5) * 2, 0, 1)


def _moved_eyes_and_brows(layout: Points, expression: Expression) -> None:
    sides = ((RIGHT_EYE, RIGHT_BROW, 0), (LEFT_EYE, LEFT_BROW, 1))
    for eye, brow, side in sides:
        own, tall = layout[eye], expression.eyes[side]
        # Lids close downwards: the upper one moves, the lower one hardly.
        ends = own[[0, 3]]
        upper, lower = [1, 2], [4, 5]
        share = (own[:, :1] - ends[0, 0]) / (ends[1, 0] - ends[0, 0])
        chord = ends[0, 1] + share[:, 0] * (ends[1, 1] - ends[0, 1])
        shut = chord + 0.035
        own[upper, 1] = shut[upper] + (own[upper, 1] - shut[upper]) * tall
        own[lower, 1] += (1 - min(tall, 1)) * 0.01 - 0.02 * max(expression.smile, 0)
        own[lower, 1] = np.maximum(own[lower, 1], own[upper[::-1], 1])
        layout[brow, 1] -= expression.brows[side] + 0.02 * (tall - 1)
        inward = np.array([0, 0.1, 0.3, 0.65, 1.0])
        inward = inward if side == 0 else inward[::-1]
        layout[brow, 1] += 0.12 * expression.frown * inward
        layout[brow, 0] += (0.05 if side == 0 else -0.05) * expression.frown * inward


def _moved_mouth(layout: Points, expression: Expression) -> None:
    jaw = layout[JAW]
    jaw[:, 1] += 0.8 * expression.jaw * np.clip((jaw[:, 1] - 0.5) / 1.1, 0, 1) ** 1.5
    jaw[:, 0] *= 1 - 0.06 * expression.jaw * np.clip(jaw[:, 1] - 0.3, 0, 1)
    mouth = layout[MOUTH]
    half = mouth[6, 0]
    across = np.clip(mouth[:, 0] / half, -1, 1)
    lower = np.zeros(20)
    lower[[7, 11, 8, 10, 9]] = 0.75, 0.75, 0.97, 0.97, 1
    lower[[17, 19, 18]] = 0.95, 0.95, 1
    upper = np.zeros(20)
    upper[[1, 5, 2, 4, 3, 13, 15, 14]] = 0.6, 0.6, 1, 1, 1, 0.9, 0.9, 1
    gap = expression.jaw + expression.lips_apart
    smile, pout = expression.smile, expression.pout
    mouth[:, 1] += lower * (0.92 * gap) - upper * (0.1 * gap + 0.04 * max(smile, 0))
    corners = np.abs(across) ** 2
    mouth[:, 1] += corners * (0.3 * expression.jaw - 0.09 * smile)
    mouth[:, 0] *= (
        1 + 0.2 * max(smile, 0) + 0.05 * min(smile, 0) - 0.2 * expression.jaw - 0.22 * pout
    )
    mouth[:, 1] += pout * 0.05 * (lower * 0.9 - upper * 0.6)
    # One corner rises more than the other.
    mouth[:, 1] -= across * corners * 0.05 * expression.skew
    mouth[:, 0] += 0.03 * expression.skew * (1 + expression.jaw)
    layout[NOSE, 1] -= 0.02 * max(smile, 0)
    layout[31:36, 0] *= 1 + 0.1 * max(smile, 0)
