"""Small line charts as inline SVG: no script, no assets, light and dark by CSS variables.

Colours come from the page's `--series-1` … `--series-6`; text and axes take its `currentColor`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 14, 50
_LEGEND_PX = 20
_COLOURS = ("#2563eb", "#d9480f", "#2f9e44", "#9c36b5", "#0b7285", "#a07400")
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")
_MOST_POINTS = 240
_DOTS_BELOW = 40

Point = tuple[float, float]
Segment = list[Point]
Lines = dict[str, list[Segment]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A line: `y` values at `x`, as long as each other; None, inf and nan leave a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis: the values at its ends, its ticks, and whether it is logarithmic."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one."""
        low, high = (math.log10(v) if self.log else v for v in (self.low, self.high))
        return ((math.log10(value) if self.log else value) - low) / (high - low)


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    unit: str = "",
    x_label: str = "step",
    log: bool = False,
    mark: tuple[float, str] | None = None,
) -> str:
    """An `<svg>` element; empty text if no series holds a finite value.

    Args:
        series: lines that share the axes.
        title: what is shown; read out to those who cannot see it.
        unit: unit of y, written at its axis.
        x_label: name of x, with its unit.
        log: wants a logarithmic y axis; ignored where a value is not positive or all lie
            within a decade.
        mark: (x, word): a vertical line there.
    """
    lines = {one.name: segments for one in series if (segments := _segments(one))}
    points = [point for segments in lines.values() for segment in segments for point in segment]
    if not points:
        return ""
    ys = [y for _, y in points]
    counts = all(isinstance(x, int) for one in series for x in one.x)
    x_axis = linear_axis([x for x, _ in points], n_ticks=5, padded=False, whole=counts)
    y_axis = log_axis(ys) if log and 0 < 10 * min(ys) <= max(ys) else linear_axis(ys, n_ticks=5)
    frame = _Frame(x=x_axis, y=y_axis, top=_TOP + _LEGEND_PX * (len(lines) > 1))
    body = [_y_axis(frame, unit), _x_axis(frame, x_label), _mark(frame, mark)]
    body += [_line(frame, segments, index=i, name=name)
             for i, (name, segments) in enumerate(lines.items())]  # fmt: skip
    body += [_legend(list(lines))] if len(lines) > 1 else []
    told = f"{title}. {_described(lines, x_label)}"
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-size="14" '
        f'fill="currentColor" font-family="inherit" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(told)}</desc>{''.join(body)}</svg>"
    )


# ---- axes


def linear_axis(
    values: Sequence[float], *, n_ticks: int, padded: bool = True, whole: bool = False
) -> Axis:
    """An axis around finite values with about `n_ticks` round ticks; `padded` leaves air, `whole`
    puts ticks at whole numbers alone."""
    low, high = min(values), max(values)
    if low == high:
        spare = abs(low) * 0.1 or 1.0
        low, high = low - spare, high + spare
    elif padded:
        air = 0.04 * (high - low)
        # A quantity that comes near zero is seen from zero, and one that is never negative gets
        # no axis below it.
        low, high = (0.0 if 0 <= low < 0.3 * high else low - air), high + air
    step = max(_round_step((high - low) / n_ticks), 1.0 if whole else 0.0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 2 - math.floor(math.log10(step)))
    ticks = tuple(round(i * step, digits) for i in range(first, last + 1))
    return Axis(low=low, high=high, ticks=ticks)


def log_axis(values: Sequence[float]) -> Axis:
    """A logarithmic axis around positive values, with ticks at decades, or at 1, 2 and 5 times
    them where there are few."""
    low, high = min(values) / 1.08, max(values) * 1.08
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(decades) <= 3 else (1,)
    every = max(1, len(decades) // 6)
    ticks = [f * 10.0**d for d in decades if (d - decades[0]) % every == 0 for f in factors]
    inside = tuple(tick for tick in ticks if low <= tick <= high)
    return Axis(low=low, high=high, ticks=inside or (min(values),), log=True)


def tick_text(value: float) -> str:
    """A figure at an axis, short: 1500 as 1.5k, small ones as 1e-4."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:g}M"
    if size >= 1e3:
        return f"{value / 1e3:g}k"
    if 0 < size < 1e-3:
        digits, power = f"{value:.5e}".split("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:g}"


def _round_step(raw: float) -> float:
    """The least of 1, 2 or 5 times a power of ten that is not under `raw`."""
    base: float = 10.0 ** math.floor(math.log10(raw))
    return next(f * base for f in (1, 2, 5, 10) if f * base >= raw * (1 - 1e-9))


# ---- data


def _segments(series: Series) -> list[Segment]:
    """The unbroken pieces of a line, its neighbours averaged where there are too many points."""
    segments: list[Segment] = [[]]
    for x, y in zip(series.x, series.y, strict=True):
        if y is not None and math.isfinite(y):
            segments[-1].append((x, y))
        elif segments[-1]:
            segments.append([])
    size = -(-sum(map(len, segments)) // _MOST_POINTS)
    return [_averaged(segment, size) for segment in segments if segment]


def _averaged(segment: Segment, size: int) -> Segment:
    runs = [segment[i : i + size] for i in range(0, len(segment), size)]
    return [(sum(x for x, _ in r) / len(r), sum(y for _, y in r) / len(r)) for r in runs]


def _described(lines: Lines, x_label: str) -> str:
    """The chart in words: where each line starts and ends, and its extremes."""
    sentences = []
    for name, segments in lines.items():
        points = [point for segment in segments for point in segment]
        ys = [y for _, y in points]
        (x0, y0), (x1, y1) = points[0], points[-1]
        sentences.append(
            f"{name}: {y0:.4g} at {x_label} {x0:g}, {y1:.4g} at {x1:g}, "
            f"between {min(ys):.4g} and {max(ys):.4g}."
        )
    return " ".join(sentences)


# ---- marks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where axes lie in the drawing, in its own units."""

    x: Axis
    y: Axis
    top: int

    def at(self, point: Point) -> Point:
        x = _LEFT + self.x.share(point[0]) * (_WIDTH - _RIGHT - _LEFT)
        y = _HEIGHT - _BOTTOM - self.y.share(point[1]) * (_HEIGHT - _BOTTOM - self.top)
        return round(x, 1), round(y, 1)


def _y_axis(frame: _Frame, unit: str) -> str:
    parts = []
    for tick in frame.y.ticks:
        y = frame.at((frame.x.low, tick))[1]
        parts.append(
            f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke="currentColor" opacity=".15"/>'
            f'<text x="{_LEFT - 6}" y="{y + 5}" text-anchor="end">{tick_text(tick)}</text>'
        )
    name = escape(f"{unit} (log)" if unit and frame.y.log else unit or "log" * frame.y.log)
    middle = (frame.top + _HEIGHT - _BOTTOM) / 2
    turned = f'x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})"'
    return "".join(parts) + (f"<text {turned}>{name}</text>" if name else "")


def _x_axis(frame: _Frame, label: str) -> str:
    bottom = _HEIGHT - _BOTTOM
    parts = [f'<path d="M{_LEFT} {bottom}H{_WIDTH - _RIGHT}" stroke="currentColor" opacity=".5"/>']
    for tick in frame.x.ticks:
        x = frame.at((tick, frame.y.low))[0]
        parts.append(
            f'<path d="M{x} {bottom}v4" stroke="currentColor" opacity=".5"/>'
            f'<text x="{x}" y="{bottom + 19}" text-anchor="middle">{tick_text(tick)}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    name = f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>'
    return "".join(parts) + name


def _mark(frame: _Frame, mark: tuple[float, str] | None) -> str:
    if mark is None or not frame.x.low <= mark[0] <= frame.x.high:
        return ""
    x = frame.at((mark[0], frame.y.low))[0]
    # The word stays inside the drawing on either side.
    side, shift = ("end", -4) if x > _WIDTH / 2 else ("start", 4)
    return (
        f'<path d="M{x} {frame.top}V{_HEIGHT - _BOTTOM}" stroke="currentColor" opacity=".6" '
        f'stroke-dasharray="3 3"/><text x="{x + shift}" y="{_HEIGHT - _BOTTOM - 6}" '
        f'text-anchor="{side}">{escape(mark[1])}</text>'
    )


def _line(frame: _Frame, segments: list[Segment], *, index: int, name: str) -> str:
    colour, dash = _style(index)
    parts = []
    for segment in segments:
        path = "L".join(f"{x} {y}" for x, y in map(frame.at, segment))
        parts.append(
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-linejoin="round" stroke-dasharray="{dash}"/>'
        )
    few = sum(map(len, segments)) <= _DOTS_BELOW
    dotted = [point for one in segments for point in one if few or len(one) == 1]
    for point in dotted:
        x, y = frame.at(point)
        told = f"{escape(name)}: {point[1]:.6g} at {point[0]:g}"
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"><title>{told}</title></circle>'
        )
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    """Names in a row, the longest cut where they do not fit."""
    room = _WIDTH - _LEFT - _RIGHT
    most = max(map(len, names))
    while most > 1 and sum(_entry_px(min(len(name), most)) for name in names) > room:
        most -= 1
    parts = []
    end = float(_LEFT)
    for i, name in enumerate(names):
        colour, dash = _style(i)
        left = end
        text = name if len(name) <= most else name[: most - 1] + "…"
        end += _entry_px(len(text))
        parts.append(
            f'<path d="M{left} 12h20" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"/><text x="{left + 25}" y="16">{escape(text)}</text>'
        )
    return "".join(parts)


def _entry_px(n_letters: int) -> float:
    """Width of a name in the legend, with its line and a gap."""
    return 32 + 7.5 * n_letters


def _style(index: int) -> tuple[str, str]:
    """Colour and dashes: lines stay apart without colour too."""
    i = index % len(_COLOURS)
    return f"var(--series-{i + 1}, {_COLOURS[i]})", _DASHES[i]
