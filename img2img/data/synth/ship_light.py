"""Light on the ship: a few lamps far away, and a sky that is brighter on one side."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from img2img.data.synth.ship_pose import EYE_Z, Matrix, Rng

Field = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Lamps far away and the sky around, in the world: `towards` (L, 3) are unit vectors to the
    lamps of `colours` (L, 3); `above` and `below` (3,) is what comes from all of the sky along
    `up` (3,) and against it. The `eye` (3,) is where highlights are seen from; a larger
    `sharpness` makes them smaller."""

    towards: Field
    colours: Field
    up: Field
    above: Field
    below: Field
    eye: Field = field(default_factory=lambda: np.array([0, 0, EYE_Z]))
    sharpness: float = 24.0

    def seen_from(self, pose: Matrix) -> Self:
        """The same in the model frame of a pose (4, 4)."""
        turn = pose[:3, :3]
        return replace(
            self, towards=self.towards @ turn, up=self.up @ turn,
            eye=(self.eye - pose[:3, 3]) @ turn,
        )  # fmt: skip

    @classmethod
    def studio(cls) -> Self:
        """A soft white light from behind the camera, above it."""
        towards = np.array([[-0.35, 0.55, 0.75], [0.7, -0.2, 0.55]])
        return cls(
            towards=towards / np.linalg.norm(towards, axis=1, keepdims=True),
            colours=np.array([[0.38, 0.38, 0.37], [0.14, 0.14, 0.14]]),
            up=np.array([0, 0.6, 0.8]), above=np.full(3, 0.58), below=np.full(3, 0.46),
        )  # fmt: skip

    @classmethod
    def random(cls, rng: Rng) -> Self:
        """One to three lamps, mostly on the camera's side, of almost white light."""
        n = int(rng.integers(1, 4))
        towards = rng.standard_normal((n, 3))
        towards[:, 2] = np.abs(towards[:, 2]) if rng.random() < 0.8 else towards[:, 2]
        up = rng.standard_normal(3)
        strength = rng.uniform(0.12, 0.6) / np.arange(1, n + 1)[:, None]
        sky = rng.uniform(0.38, 0.75) * np.exp(rng.normal(0, 0.08, 3))
        return cls(
            towards=towards / np.linalg.norm(towards, axis=1, keepdims=True),
            colours=strength * np.exp(rng.normal(0, 0.1, (n, 3))),
            up=up / np.linalg.norm(up), above=sky, below=sky * rng.uniform(0.45, 1),
            sharpness=float(np.exp(rng.uniform(1.8, 4.2))),
        )  # fmt: skip

    def on(self, points: Field, normals: Field) -> tuple[Field, Field]:
        """What falls on matter (T, K, 3), after Lambert, and the strength of highlights (T, K),
        after Blinn, at points with unit normals (T, K, 3)."""
        upward = (normals @ self.up + 1)[..., None] / 2
        lamps = normals @ self.towards.T
        matter = self.below + upward * (self.above - self.below)
        matter += np.maximum(lamps, 0) @ self.colours
        to_eye = self.eye - points
        to_eye /= np.sqrt(np.einsum("tkc,tkc->tk", to_eye, to_eye))[..., None]
        # The half vector's length follows from the angle between lamp and eye.
        halves = np.sqrt(np.maximum(2 + 2 * (to_eye @ self.towards.T), 1e-6))
        facing = lamps + np.einsum("tkc,tkc->tk", normals, to_eye)[..., None]
        shine = np.maximum(facing / halves, 0).astype(np.float32) ** np.float32(self.sharpness)
        return matter, shine @ self.colours.mean(1)
