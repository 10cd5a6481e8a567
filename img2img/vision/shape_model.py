"""Shapes of points: alignment, their mean, and the few ways in which they vary (PCA).

Source: Cootes, Taylor, Cooper, Graham: Active Shape Models, CVIU 1995; Gower: Generalized
Procrustes Analysis, Psychometrika 1975. Points (P, 2) are x and y; NaN where one is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.errors import DataError, WeightsError

Floats = NDArray[np.float64]
_N_ROUNDS = 100
_TOLERANCE = 1e-10
_LEAST_NOISE = 1e-9
"""Variance that keeps a shape model without any left-over variance determined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Turning, scaling and shifting the plane. With (x, y) as the number x + iy it is a product
    with `factor` and a sum with `shift`."""

    factor: complex = 1.0
    shift: complex = 0.0

    @property
    def scale(self) -> float:
        return abs(self.factor)

    @property
    def angle_rad(self) -> float:
        """From x to y: clockwise where y points down."""
        return float(np.angle(self.factor))

    def apply(self, points: NDArray[np.floating[Any]]) -> Floats:
        """(…, 2) of points (…, 2)."""
        return _to_points(_to_numbers(points) * self.factor + self.shift)


def align(
    source: NDArray[np.floating[Any]],
    target: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]] | None = None,
) -> Similarity:
    """The similarity that brings points `source` (P, 2) nearest to `target` (P, 2), in squares
    weighted by `weights` (P,). Points missing in either count for nothing; of one point the
    shift alone is found.

    Raises:
        DataError: they have no point in common.
    """
    z, goal = _to_numbers(source), _to_numbers(target)
    seen = np.isfinite(z) & np.isfinite(goal)
    weight = np.where(seen, 1.0 if weights is None else weights, 0.0)
    total = weight.sum()
    if not total > 0:
        raise DataError("two shapes without a common point cannot be aligned.")
    z, goal = np.where(seen, z, 0), np.where(seen, goal, 0)
    middle, centre = (weight * z).sum() / total, (weight * goal).sum() / total
    z, goal = z - middle, goal - centre
    size = (weight * np.abs(z) ** 2).sum()
    factor = (weight * z.conj() * goal).sum() / size if size > 0 else 1.0
    factor = factor if factor != 0 else 1.0
    return Similarity(factor=complex(factor), shift=complex(centre - factor * middle))


def procrustes(shapes: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    """Shapes (N, P, 2) aligned with their common mean, and that mean (P, 2): its centre is 0, the
    root mean square of its points' distances from there is 1, and it stands as upright as the
    shapes do on average.

    Raises:
        DataError: a point is missing, or a shape is a single spot.
    """
    z = _to_numbers(shapes)
    if not np.isfinite(z).all():
        raise DataError("shapes with missing points cannot be aligned with each other.")
    z = z - z.mean(axis=1, keepdims=True)
    sizes = _rms(z)
    if not (sizes > 0).all():
        raise DataError("a shape whose points all coincide has no size: leave it out.")
    z = z / sizes
    mean = z[0]
    for _ in range(_N_ROUNDS):
        factors = z.conj() @ mean / z.shape[1]
        before, mean = mean, (z * factors[:, None]).mean(axis=0)
        mean = mean / _rms(mean)
        if np.abs(mean - before).max() < _TOLERANCE:
            break
    factors = z.conj() @ mean / z.shape[1]
    turn = np.exp(1j * np.angle(factors)).mean()
    upright = np.conj(turn) / abs(turn) if abs(turn) > 1e-9 else 1.0
    return _to_points(z * factors[:, None] * upright), _to_points(mean * upright)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeFit:
    """A shape model laid over points: `points` (P, 2), all of them; `coefficients` (K,); and
    `pose`, from the model's frame to theirs."""

    points: Floats
    coefficients: Floats
    pose: Similarity


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeModel:
    """Shapes as a mean and how much of each component they have, in a frame of their own.

    `mean` (P, 2), `components` (K, P, 2) orthonormal, `variances` (K,) of their coefficients in
    descending order, and `noise_variance`, the mean variance of a coordinate that they leave over.
    """

    mean: Floats
    components: Floats
    variances: Floats
    noise_variance: float

    @classmethod
    def learn(
        cls,
        shapes: NDArray[np.floating[Any]],
        *,
        n_components: int | None = None,
        explained: float = 0.98,
        aligned: bool = True,
    ) -> "ShapeModel":
        """Of shapes (N, P, 2).

        Args:
            shapes: those with a missing point are left out.
            n_components: how many there are at most; none: as many as `explained` needs.
            explained: the share of the variance that the components cover together.
            aligned: whether the shapes are brought over each other first (`procrustes`). If not,
                the model's frame is theirs, and the components hold position, size and angle too.

        Raises:
            DataError: fewer than two shapes have all their points.
        """
        whole = shapes[np.isfinite(shapes).all(axis=(1, 2))].astype(np.float64)
        if len(whole) < 2:
            raise DataError(
                f"{len(whole)} of {len(shapes)} shapes have all their points; a shape model needs "
                "two at least."
            )
        mean = whole.mean(axis=0)
        if aligned:
            whole, mean = procrustes(whole)
        flat = (whole - mean).reshape(len(whole), -1)
        _, sizes, axes = np.linalg.svd(flat, full_matrices=False)
        variances = sizes**2 / (len(whole) - 1)
        n = _n_needed(variances, explained) if n_components is None else n_components
        n = min(n, len(variances))
        # Signs that no library decides: the greatest entry of a component is positive.
        largest = np.abs(axes).argmax(axis=1)
        axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
        left = variances[n:].sum() / flat.shape[1]
        return cls(
            mean=mean,
            components=axes[:n].reshape(n, *mean.shape),
            variances=variances[:n],
            noise_variance=float(left),
        )

    def shape(self, coefficients: NDArray[np.floating[Any]]) -> Floats:
        """(…, P, 2) in the model's frame, of coefficients (…, K)."""
        return self.mean + np.tensordot(coefficients, self.components, axes=1)

    def coefficients(self, shape: NDArray[np.floating[Any]]) -> Floats:
        """(…, K) of the nearest shape to `shape` (…, P, 2), which is in the model's frame."""
        return np.tensordot(shape - self.mean, self.components, axes=([-2, -1], [1, 2]))

    def fit(
        self,
        points: NDArray[np.floating[Any]],
        weights: NDArray[np.floating[Any]] | None = None,
        *,
        noise_px: float = 0.0,
    ) -> ShapeFit:
        """Pose and coefficients whose shape is nearest to points (P, 2), some of which may be
        missing: least squares, where a coefficient costs by its variance, as points of which many
        are missing would otherwise bend the shape at will.

        Args:
            points: in any frame.
            weights: (P,), how much each point counts.
            noise_px: deviation of the points' own error, in their frame.

        Raises:
            DataError: all points are missing.
        """
        z, mean, ways = (_to_numbers(each) for each in (points, self.mean, self.components))
        weight = np.isfinite(z) * (1.0 if weights is None else weights)
        z = np.where(np.isfinite(z), z, 0)
        pose = align(self.mean, points, weights)
        coefficients = np.zeros(len(ways))
        flat = np.ones_like(mean)
        for _ in range(_N_ROUNDS):  # Gauss–Newton, over real unknowns of complex residuals
            shape = mean + coefficients @ ways
            slopes = np.concatenate([[shape, 1j * shape, flat, 1j * flat], pose.factor * ways])
            noise = (self.noise_variance + _LEAST_NOISE) * pose.scale**2 + noise_px**2
            ridge = np.concatenate([np.zeros(4), noise / np.maximum(self.variances, 1e-12)])
            normal = ((slopes * weight) @ slopes.conj().T).real + np.diag(ridge)
            # A hint of damping, for points too few to fix a pose.
            normal += 1e-9 * np.trace(normal) * np.eye(len(slopes))
            miss = weight * (z - pose.factor * shape - pose.shift)
            pull = (slopes.conj() @ miss).real
            pull[4:] -= ridge[4:] * coefficients
            step = np.linalg.solve(normal, pull)
            pose = Similarity(
                factor=pose.factor + complex(*step[:2]), shift=pose.shift + complex(*step[2:4])
            )
            coefficients = coefficients + step[4:]
            if (
                np.abs(step[:4]).max() < 1e-7 * pose.scale
                and np.abs(step[4:]).max(initial=0) < 1e-7
            ):
                break
        whole = pose.apply(self.shape(coefficients))
        return ShapeFit(points=whole, coefficients=coefficients, pose=pose)

    def draw(self, n: int, rng: np.random.Generator, *, most: float = 2.5) -> Floats:
        """(n, P, 2) random shapes in the model's frame, no coefficient beyond `most` deviations."""
        normal = rng.standard_normal((n, len(self.variances))).clip(-most, most)
        return self.shape(normal * np.sqrt(self.variances))

    def to_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Plain arrays, from which `from_arrays` makes the model again."""
        numbers = {
            "mean": self.mean,
            "components": self.components,
            "variances": self.variances,
            "noise_variance": np.array([self.noise_variance]),
        }
        return {name: array.astype(np.float32) for name, array in numbers.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.floating[Any]]]) -> "ShapeModel":
        """Of what `to_arrays` gave.

        Raises:
            WeightsError: an array is missing, or their shapes do not go together.
        """
        try:
            mean, components, variances = (
                np.asarray(arrays[name], np.float64) for name in ("mean", "components", "variances")
            )
            noise = float(arrays["noise_variance"][0])
        except KeyError as error:
            raise WeightsError(f"the shape model has no {error}.") from error
        fits = components.shape == (len(variances), *mean.shape) and mean.shape[1:] == (2,)
        if not fits:
            raise WeightsError(
                f"a shape model of {mean.shape} has components of {components.shape}."
            )
        return cls(mean=mean, components=components, variances=variances, noise_variance=noise)


def _to_numbers(points: NDArray[np.floating[Any]]) -> NDArray[np.complex128]:
    return np.asarray(points[..., 0] + 1j * points[..., 1], np.complex128)


def _to_points(numbers: NDArray[np.complex128]) -> Floats:
    return np.stack([numbers.real, numbers.imag], axis=-1)


def _rms(numbers: NDArray[np.complex128]) -> Any:
    """(…, 1) root mean square distance of (…, P) from 0."""
    return np.sqrt(np.square(np.abs(numbers)).mean(axis=-1, keepdims=True))


def _n_needed(variances: Floats, explained: float) -> int:
    """How many of the variances sum up to `explained` of them all."""
    total = variances.sum()
    if total == 0:
        return 0
    return int(np.searchsorted(np.cumsum(variances) / total, explained - 1e-12) + 1)
