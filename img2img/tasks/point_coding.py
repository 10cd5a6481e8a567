"""Points as a network learns and answers them: one object for heads, losses and decoders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from img2img.config import TaskOptions, option
from img2img.errors import UsageError, unknown_name
from img2img.tasks.base import Arrays
from img2img.vision.heatmaps import DECODERS, Maps, Peaks
from img2img.vision.mixture import grouped_points, ordered_points
from img2img.vision.shape_model import Floats, ShapeModel

if TYPE_CHECKING:
    from torch import nn

    from img2img.models.network import Head
    from img2img.models.point_heads import CoordinateHead

GRAPHS = ("least_squares", "softargmax")
"""The decoders that are part of the network; the others read its heatmaps."""
_DEFAULT_LOSS = {
    "heatmaps": "kl", "groups": "mse", "mixture": "mse", "coordinates": "wing",
    "shape": "wing",
}  # fmt: skip
_MAP_LOSSES = ("mse", "bce", "kl", "awing", "softargmax")
_NUMBER_LOSSES = ("l1", "mse", "wing")


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions(TaskOptions):
    """How points are learned and read."""

    way: Literal["heatmaps", "groups", "mixture", "coordinates", "shape"] = option(
        "heatmaps",
        "How they are learned: a heatmap each, a heatmap for each group of points, one for all "
        "(mixture), their coordinates, or the coefficients of their shape.",
    )
    loss: str = option(
        "auto", "mse, bce, kl, awing or softargmax of heatmaps; l1, mse or wing of coordinates."
    )
    stride: Literal[1, 2, 4, 8] = option(
        4, "Pixels of the picture to a cell of a heatmap; left out, 2 where keypoints share some."
    )
    sigma: float = option(1.0, "Deviation of the Gaussians, in cells.", low=0.3, high=16.0)
    decoder: str = option(
        "auto", "How points are read from heatmaps; auto: what is best on validation data."
    )
    components: int = option(12, "Greatest number of components of a shape.", low=1, high=512)
    explained: float = option(
        1.0, "Share of the variance of the shapes that the components are to explain.",
        low=0.0, high=1.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.decoder not in ("auto", *DECODERS):
            raise unknown_name("task.decoder", self.decoder, ("auto", *DECODERS))
        losses = _NUMBER_LOSSES if self.gives_numbers else _MAP_LOSSES
        if self.loss not in ("auto", *losses):
            raise unknown_name(f"task.loss of {self.way}", self.loss, ("auto", *losses))
        if self.shares_maps and self.loss == "softargmax":
            raise UsageError("task.loss=softargmax needs a heatmap for every point.")

    @property
    def gives_numbers(self) -> bool:
        """Whether the network ends in numbers instead of heatmaps."""
        return self.way in ("coordinates", "shape")

    @property
    def shares_maps(self) -> bool:
        """Whether a heatmap shows several points."""
        return self.way in ("groups", "mixture")


class PointCoding:
    """What stands between points in pixels of the network's square picture and its maps.

    Args:
        options: which way.
        n_points: P.
        regions: {name: the points of a heatmap}, where points are learned in groups.
    """

    def __init__(
        self, options: PointOptions, n_points: int, regions: Mapping[str, Sequence[int]]
    ) -> None:
        self.options = options
        self.n_points = n_points
        self.shapes: ShapeModel | None = None
        """Shapes of the training samples, where a way needs them; weights bring their own."""
        self.groups: tuple[tuple[int, ...], ...] | None = None
        if options.way == "mixture":
            self.groups = (tuple(range(n_points)),)
        if options.way == "groups":
            self.groups = tuple(tuple(group) for group in regions.values())
            if sorted(index for group in self.groups for index in group) != [*range(n_points)]:
                raise UsageError(
                    "task.way=groups needs a schema whose regions hold every point once."
                )

    @property
    def needs_shapes(self) -> bool:
        """Whether `learn_shapes` must be called before a training."""
        return self.options.shares_maps or self.options.way == "shape"

    def learn_shapes(self, points: Floats) -> None:
        """Shapes of points (N, P, 2) in pixels of the network's picture, as they are augmented:
        where coefficients are learned, position, size and angle are part of the shape.

        Raises:
            DataError: fewer than two have all their points.
        """
        options = self.options
        limits: dict[str, Any] = {"n_components": options.components}
        if options.explained < 1:
            limits = {"explained": options.explained}
        is_placed = options.way == "shape"
        units = (points + 0.5) * 2 / options.image_size - 1
        self.shapes = ShapeModel.learn(units, aligned=not is_placed, **limits)

    @property
    def loss(self) -> str:
        """The loss by name."""
        given = self.options.loss
        return _DEFAULT_LOSS[self.options.way] if given == "auto" else given

    @property
    def decoder(self) -> str:
        """The decoder by name; before one is chosen, what the loss has in mind."""
        if self.options.decoder != "auto":
            return self.options.decoder
        return "softargmax" if self.loss == "softargmax" else "least_squares"

    def head(self) -> Head:
        """The end of the network."""
        options = self.options
        if options.gives_numbers:
            return self._number_head()
        from img2img.models.point_heads import HeatmapHead, PointHead, SharedHead
        from img2img.vision.heatmap_losses import HEATMAP_LOSSES

        maps: dict[str, Any] = {
            "sigma": options.sigma, "stride": options.stride,
            "activation": HEATMAP_LOSSES[self.loss].activation,
        }  # fmt: skip
        if self.groups is not None:
            return SharedHead(
                len(self.groups), n_points=self.n_points, n_components=options.components,
                model=self.shapes, **maps,
            )  # fmt: skip
        if self.decoder in GRAPHS:
            return PointHead(self.n_points, decoder=self.decoder, **maps)  # type: ignore[arg-type]
        return HeatmapHead(self.n_points, **maps)

    def _number_head(self) -> CoordinateHead:
        from img2img.models.point_heads import CoordinateHead, ShapeHead

        size_px = self.options.image_size
        if self.options.way == "coordinates":
            return CoordinateHead(self.n_points, size_px=size_px)
        return ShapeHead(
            self.n_points, size_px=size_px, n_components=self.options.components, model=self.shapes
        )

    @property
    def needed(self) -> tuple[str, ...]:
        """Decoded outputs that `peaks` reads; empty: all of them."""
        is_graph = self.options.way == "heatmaps" and self.decoder in GRAPHS
        return ("points", "confidence", "covariance") if is_graph else ()

    def objective(self) -> nn.Module:
        """The loss of maps and a batch with `points` (B, P, 2) in pixels, NaN where missing."""
        from img2img.vision.heatmap_losses import COORDINATE_LOSSES, HEATMAP_LOSSES
        from img2img.vision.losses import Terms

        options = self.options
        if options.gives_numbers:
            from img2img.models.point_heads import DecodedLoss

            size_px = (options.image_size, options.image_size)
            loss = COORDINATE_LOSSES[self.loss]("points", size_px=size_px)
            return Terms(**{self.loss: DecodedLoss(self._number_head(), loss)})
        kind = HEATMAP_LOSSES[self.loss]
        made = kind("points", sigma=options.sigma, stride=options.stride, groups=self.groups)
        return Terms(**{self.loss: made})

    def peaks(self, decoded: Arrays) -> Peaks:
        """Points in pixels of the network's picture, of its decoded outputs."""
        if "points" in decoded:
            # Heads that end in numbers know no covariance.
            none = np.zeros((*decoded["points"].shape, 2), np.float32)
            return Peaks(decoded["points"], decoded["confidence"], decoded.get("covariance", none))
        options, maps = self.options, decoded["heatmaps"]
        if self.groups is None:
            return DECODERS[self.decoder](maps, options.sigma).in_pixels(options.stride)
        prefix = "shape_"
        shapes = ShapeModel.from_arrays({
            name.removeprefix(prefix): array
            for name, array in decoded.items() if name.startswith(prefix)
        })  # fmt: skip
        if len(self.groups) == 1:
            peaks = ordered_points(maps[0], shapes, options.sigma)
        else:
            peaks = grouped_points(maps, self.groups, shapes, options.sigma)
        return peaks.in_pixels(options.stride)


def choose_decoder(seen: Iterable[tuple[Maps, Floats, float]], options: PointOptions) -> str:
    """The best decoder of heatmaps that were seen.

    Args:
        seen: heatmaps (P, h, w), the points (P, 2) in pixels of the network's picture, NaN where
            missing, and the length in these that errors are divided by.
        options: how the maps were learned.
    """
    errors = dict.fromkeys(DECODERS, 0.0)
    for maps, truth, length in seen:
        for name, decode in DECODERS.items():
            found = decode(maps, options.sigma).in_pixels(options.stride).points
            error = np.linalg.norm(found - truth, axis=1) / length
            errors[name] += float(error[np.isfinite(error)].sum())
    return best_decoder(errors)


def best_decoder(errors: Mapping[str, float]) -> str:
    """The decoder with the least error; of those within half a percent of it one that is part of
    the network, which is the fastest."""
    least = min(errors.values())
    good = [name for name in errors if errors[name] <= 1.005 * least]
    return next((name for name in GRAPHS if name in good), min(errors, key=errors.__getitem__))
