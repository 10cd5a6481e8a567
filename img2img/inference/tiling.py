"""Pictures larger than memory: overlapping tiles, identical to the whole where that is possible."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from img2img.data.sample import Image
from img2img.tasks.base import Arrays, Run


@dataclass(frozen=True, slots=True)
class Span:
    """A tile along one axis: it reads [start, stop) and answers [first, last), in pixels."""

    start: int
    stop: int
    first: int
    last: int


def spans(length: int, tile: int, halo: int, stride: int) -> list[Span]:
    """Tiles along an axis of `length` pixels: cores of about `tile` pixels that cover it without
    overlap, each read with `halo` pixels around it. Every start is a multiple of `stride`, so that
    a network that pads at the far end sees what it would see untiled."""
    core = max(stride, tile // stride * stride)
    margin = -(-halo // stride) * stride
    return [
        Span(max(0, first - margin), min(length, first + core + margin), first,
             min(length, first + core))
        for first in range(0, length, core)
    ]  # fmt: skip


def run_exact(run: Run, image: Image, *, tile: int, halo_px: int, stride: int) -> Arrays:
    """Every output of `run` for `image` (H, W, 3), computed in tiles; equal to the untiled
    outputs, because each pixel sees all that can influence it."""
    outputs: Arrays = {}
    for rows, columns in _grid(image, tile, halo_px, stride):
        answer = run(
            np.ascontiguousarray(image[rows.start : rows.stop, columns.start : columns.stop])
        )
        for name, part in answer.items():
            if name not in outputs:
                outputs[name] = np.empty((*image.shape[:2], *part.shape[2:]), part.dtype)
            outputs[name][rows.first : rows.last, columns.first : columns.last] = part[
                rows.first - rows.start : rows.last - rows.start,
                columns.first - columns.start : columns.last - columns.start,
            ]
    return outputs


def run_blended(
    run: Run, image: Image, output: str, *, tile: int, stride: int
) -> tuple[Arrays, float]:
    """One continuous output for `image` (H, W, 3) from tiles that overlap by half and fade into
    each other, and the greatest difference between two tiles' answers for the same pixel."""
    halo = max(stride, tile // 4)
    total = weight = None
    worst = 0.0
    for rows, columns in _grid(image, max(stride, tile - 2 * halo), halo, stride):
        here = (slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        part = run(np.ascontiguousarray(image[here]))[output].astype(np.float32)
        if total is None or weight is None:
            total = np.zeros((*image.shape[:2], part.shape[2]), np.float32)
            weight = np.zeros((*image.shape[:2], 1), np.float32)
        fade = _fade(rows, image.shape[0])[:, None] * _fade(columns, image.shape[1])[None, :]
        seen = weight[here][..., 0] > 0
        if seen.any():
            before = total[here][seen] / weight[here][seen]
            worst = max(worst, float(np.abs(before - part[seen]).max()))
        total[here] += part * fade[..., None]
        weight[here] += fade[..., None]
    assert total is not None
    assert weight is not None
    return {output: total / weight}, worst


def _grid(image: Image, tile: int, halo: int, stride: int) -> Iterator[tuple[Span, Span]]:
    for rows in spans(image.shape[0], tile, halo, stride):
        for columns in spans(image.shape[1], tile, halo, stride):
            yield rows, columns


def _fade(span: Span, length: int) -> Image:
    """Weights that rise linearly from a tile's edge, but not at the picture's own border."""
    position = np.arange(span.start, span.stop, dtype=np.float32)
    weight = np.ones_like(position)
    ramp = 2.0 * max(1, span.first - span.start, span.stop - span.last)
    if span.start > 0:
        weight = np.minimum(weight, (position - span.start + 1) / ramp)
    if span.stop < length:
        weight = np.minimum(weight, (span.stop - position) / ramp)
    return weight  # type: ignore[return-value]
