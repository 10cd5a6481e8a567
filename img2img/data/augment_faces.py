"""Random scenes with faces: photos at any scale and turn, and faces pasted into other pictures."""

import math
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import option
from img2img.data.augment import covered
from img2img.data.augment_points import covered_up
from img2img.data.finder import WITHOUT_FACES, crop_of
from img2img.data.light import Light, LightOptions, redefined
from img2img.data.sample import Dataset, Image
from img2img.data.view import View
from img2img.data.warp import Matrix, warp_image
from img2img.vision.face_maps import Places, cell_centres, distances, moved

CUT_PX = 112
"""Side of a face that is cut out to be pasted."""
ROUND = 1.5
"""The same in sides of the face's crop: hair and some of what is round it come along."""
_N_FACES, _N_BACKGROUNDS = 400, 240
_BACKGROUND_PX = 320
_PASTED = (0.15, 0.7)
"""Sides of pasted faces, as shares of the picture's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions(LightOptions):
    """How training pictures of faces vary."""

    smallest: float = option(
        0.15, "Least side of a face's crop, as a share of the picture's.", low=0.02, high=1.0
    )
    largest: float = option(1.2, "Greatest side of a face's crop.", low=0.1, high=2.0)
    rotation_deg: float = option(20.0, "Deviation of turns.", unit="degrees", low=0.0, high=180.0)
    turned: float = option(
        0.12, "Share of faces that are turned by any angle up to 90°.", low=0.0, high=1.0
    )
    flip: bool = option(True, "Mirror half of the samples.")
    paste: float = option(
        0.45, "Share of samples whose faces are pasted into pictures without faces.",
        low=0.0, high=1.0,
    )  # fmt: skip
    without_faces: str = option(
        "", "Folder of pictures that show no face, to learn from as well.", local=True
    )
    colour: float = redefined("colour", 0.7)
    occlusion: float = option(0.2, "Share of faces that are partly covered.", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """What is pasted: `faces` (CUT_PX, CUT_PX, 3), upright, and what they are pasted into,
    `backgrounds` (H, W, 3)."""

    faces: tuple[Image, ...]
    backgrounds: tuple[Image, ...]

    @classmethod
    def gather(cls, train: Dataset) -> Self:
        """Of training samples, as many as fit in memory, spread evenly."""
        empty = [i for i, r in enumerate(train.records) if r.origin == WITHOUT_FACES]
        others = sorted(set(range(len(train))) - set(empty))
        faces = []
        for index in _spread(others, _N_FACES if empty else 0):
            sample = train[index]
            faces += [cut_out(sample.image, place) for place in sample.labels["places"][:1]]
        backgrounds = [_reduced(train[i].image) for i in _spread(empty, _N_BACKGROUNDS)]
        return cls(faces=tuple(faces), backgrounds=tuple(backgrounds))


def cut_out(image: Image, place: NDArray[Any]) -> Image:
    """(CUT_PX, CUT_PX, 3): a face of a picture, upright, with what is round it."""
    crop = crop_of(place)
    return crop.moved(shift=(0.0, 0.0), scale=ROUND, angle_rad=0.0).apply(image, CUT_PX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`image` (size, size, 3), its `places` (N, 4), and the cells (h, w) that are `known`: whose
    surroundings show no face but these."""

    image: Image
    places: Places
    known: NDArray[np.bool_]


class SceneMaker:
    """Random scenes (size, size, 3) of a sample: functions of it and the generator alone."""

    def __init__(
        self, options: SceneOptions, *, size: int, stride: int, bank: Bank | None = None
    ) -> None:
        self.options = options
        self.size = size
        self.bank = bank if bank is not None and bank.backgrounds and options.paste else None
        side = -(-size // stride)
        self._cells = cell_centres((side, side), stride)
        self._light = Light(options, size=size)

    def __call__(
        self, image: Image, places: Places, reach: float, rng: np.random.Generator
    ) -> Scene:
        """Of a picture (H, W, 3) with places (N, 4), beyond `reach` sides of which nothing is
        known."""
        pastes = self.bank is not None and rng.random() < self._share(self.options.paste)
        if len(places) and pastes:
            chosen = cut_out(image, places[int(rng.integers(len(places)))])
            scene = self._collage(self._background(rng), [chosen], rng)
        elif len(places):
            scene = self._photo(image, places, reach, rng)
        else:
            scene = self._collage(self._window(image, rng), [], rng, none=not pastes)
        canvas = scene.image
        for place in scene.places:
            if rng.random() < self._share(self.options.occlusion):
                canvas = _cover(canvas, place, rng)
        canvas = self._light(canvas, rng)
        return Scene(image=canvas, places=scene.places, known=scene.known)

    def _share(self, share: float) -> float:
        return share * self.options.strength

    # ---- geometry

    def _turn_rad(self, rng: np.random.Generator) -> float:
        if rng.random() < self._share(self.options.turned):
            return float(rng.uniform(-math.pi / 2, math.pi / 2))
        turn = float(np.clip(rng.normal(), -2.5, 2.5)) * self.options.strength
        return math.radians(self.options.rotation_deg) * turn

    def _side(self, low: float, high: float, rng: np.random.Generator) -> float:
        """In pixels, log-uniform between shares of the picture's side."""
        return self.size * float(np.exp(rng.uniform(math.log(low), math.log(high))))

    def _photo(self, image: Image, places: Places, reach: float, rng: np.random.Generator) -> Scene:
        """The picture moved so that one of its faces lies anywhere, at any size."""
        options, size = self.options, self.size
        focus = places[int(rng.integers(len(places)))]
        side = self._side(options.smallest, options.largest, rng)
        margin = min(0.35, 0.3 * side / size)
        goal = rng.uniform(margin, 1 - margin, 2) * size
        flip = options.flip and rng.random() < self._share(0.5)
        matrix = similarity(
            focus[:2], goal, scale=side / focus[2], angle_rad=self._turn_rad(rng), flip=flip
        )
        canvas = warp_image(image, matrix, size, size)
        inside = covered(matrix, image.shape[0], image.shape[1], size)
        fills = self.bank is not None and rng.random() < 0.7
        behind = self._background(rng) if fills else np.zeros_like(canvas)
        canvas = np.where(inside[..., None], canvas, behind)
        laid = moved(places, matrix)
        known = np.ones(self._cells.shape[:2], np.bool_)
        if math.isfinite(reach):
            cells = self._cells.reshape(-1, 2)
            ways = [distances(cells, place) <= reach * place[2] for place in laid]
            columns, rows = np.minimum(self._cells, size - 1).astype(np.intp).transpose(2, 0, 1)
            known = np.any(ways, axis=0).reshape(known.shape) | ~inside[rows, columns]
        return Scene(image=canvas, places=laid, known=known)

    def _window(self, image: Image, rng: np.random.Generator) -> Image:
        """Some part of a picture without faces, from all of its shorter side to fine detail."""
        height, width = image.shape[:2]
        widest = self.size / min(height, width)
        scale = float(np.exp(rng.uniform(math.log(0.8 * widest), math.log(max(widest, 1.5)))))
        spare = np.maximum(np.array([width, height]) - self.size / scale, 0) / 2
        middle = np.array([width - 1, height - 1]) / 2 + rng.uniform(-1, 1, 2) * spare
        matrix = similarity(
            middle, np.full(2, (self.size - 1) / 2), scale=scale, angle_rad=0.0,
            flip=self.options.flip and rng.random() < self._share(0.5),
        )  # fmt: skip
        canvas = warp_image(image, matrix, self.size, self.size)
        inside = covered(matrix, height, width, self.size)
        return np.where(inside[..., None], canvas, 0).astype(np.uint8)

    def _background(self, rng: np.random.Generator) -> Image:
        assert self.bank is not None
        chosen = self.bank.backgrounds[int(rng.integers(len(self.bank.backgrounds)))]
        return self._window(chosen, rng)

    # ---- pasting

    def _collage(
        self, canvas: Image, faces: list[Image], rng: np.random.Generator, *, none: bool = False
    ) -> Scene:
        """Faces, and parts of other pictures with the same edges, pasted into a picture without
        faces: these, and up to three of the bank; or, if there is to be `none`, nothing."""
        known = np.ones(self._cells.shape[:2], np.bool_)
        places = np.zeros((0, 4))
        if none or self.bank is None:
            return Scene(image=canvas, places=places, known=known)
        for _ in range(int(rng.integers(0, 3))):
            cut = cv2.resize(self._background(rng), (CUT_PX, CUT_PX), interpolation=cv2.INTER_AREA)
            place = self._free_place(places, rng)
            canvas = canvas if place is None else paste(canvas, np.asarray(cut), place, rng)
        bank = self.bank.faces
        n_more = int(rng.integers(0, 4)) if bank else 0
        for cut in [*faces, *(bank[int(rng.integers(len(bank)))] for _ in range(n_more))]:
            place = self._free_place(places, rng)
            if place is not None:
                mirrored = self.options.flip and rng.random() < 0.5
                canvas = paste(canvas, cut[:, ::-1] if mirrored else cut, place, rng)
                places = np.vstack([places, place])
        return Scene(image=canvas, places=places, known=known)

    def _free_place(self, taken: Places, rng: np.random.Generator) -> Places | None:
        """(4,) of a face that covers none that is there; None if that was not found soon."""
        for _ in range(8):
            side = self._side(max(_PASTED[0], self.options.smallest), _PASTED[1], rng)
            centre = rng.uniform(0.02, 0.98, 2) * self.size
            place = np.array([*centre, side, self._turn_rad(rng)])
            if (distances(taken, place) > 0.55 * (taken[:, 2] + side)).all():
                return place
        return None


def similarity(
    start: NDArray[Any], goal: NDArray[Any], *, scale: float, angle_rad: float, flip: bool
) -> Matrix:
    """(2, 3) that brings the point `start` to `goal`; mirrored, then turned clockwise as seen."""
    cos, sin = scale * math.cos(angle_rad), scale * math.sin(angle_rad)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if flip else 1.0, 1.0])
    return np.column_stack([linear, goal - linear @ start])


def paste(canvas: Image, cut: Image, place: Places, rng: np.random.Generator) -> Image:
    """A copy with a cut-out face at a place (4,), its edges soft, its light a little different."""
    middle = np.full(2, (CUT_PX - 1) / 2)
    matrix = similarity(middle, place[:2], scale=ROUND * place[2] / CUT_PX,
                        angle_rad=float(place[3]), flip=False)  # fmt: skip
    lit = np.clip(cut * rng.uniform(0.65, 1.15), 0, 255).astype(np.uint8)
    layer = warp_image(np.dstack([lit, _soft_mask(rng)]), matrix, *canvas.shape[:2])
    share = layer[..., 3:].astype(np.float32) / 255
    return np.rint(canvas * (1 - share) + layer[..., :3] * share).astype(np.uint8)


def _soft_mask(rng: np.random.Generator) -> Image:
    """(CUT_PX, CUT_PX): 255 about the face, an ellipse or a rectangle, 0 at the border."""
    side = CUT_PX / ROUND
    mask = np.zeros((CUT_PX, CUT_PX), np.uint8)
    half = (side * rng.uniform((0.38, 0.5), (0.6, 0.68))).clip(max=CUT_PX / 2 - 6).astype(int)
    middle = CUT_PX // 2, round(CUT_PX / 2 - 0.04 * side)
    if rng.random() < 0.75:
        cv2.ellipse(mask, middle, half.tolist(), 0, 0, 360, 255, -1)
    else:
        cv2.rectangle(mask, (middle - half).tolist(), (middle + half).tolist(), 255, -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.8, 5.0)), np.uint8)
    mask[[0, -1]] = 0
    mask[:, [0, -1]] = 0
    return mask


def _cover(canvas: Image, place: Places, rng: np.random.Generator) -> Image:
    """A copy with something over part of a face, if all of it is in the picture."""
    side = round(float(place[2]))
    left, top = (round(float(edge)) for edge in place[:2] - side / 2)
    if side < 8 or min(left, top) < 0 or max(left, top) + side > canvas.shape[0]:
        return canvas
    canvas = canvas.copy()
    there = np.s_[top : top + side, left : left + side]
    canvas[there] = covered_up(canvas[there], rng)
    return canvas


def _spread(indices: list[int], n: int) -> list[int]:
    """Up to `n` of them, evenly."""
    picked = np.linspace(0, len(indices) - 1, min(n, len(indices))).round().astype(int)
    return [indices[i] for i in picked.tolist()]


def _reduced(image: Image) -> Image:
    height, width = image.shape[:2]
    return View.scaled(height, width, min(1.0, _BACKGROUND_PX / max(height, width))).apply(image)
