"""One self-contained page: no script, no address, readable on a phone, in light and in dark."""

import base64
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from img2img.data.images import encode_png
from img2img.data.sample import Image
from img2img.errors import InputError

JPEG_QUALITY = 88
_CLASS_SOFT, _CLASS_MAIN = ' class="soft"', ' class="main"'

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2024; --soft: #5b6470;
  --line: #dde1e6; --card: #f5f7f9; --series-1: #2563eb; --series-2: #d9480f; --series-3: #2b8a3e;
  --series-4: #9c36b5; --series-5: #0b7285; --series-6: #8f6400; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e6e9ec; --soft: #9aa4af;
  --line: #30363d; --card: #1d2226; --series-1: #74a9ff; --series-2: #ff9a62; --series-3: #69d184;
  --series-4: #dc8df0; --series-5: #4fc6d8; --series-6: #e0b84c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.25rem 1rem 4rem; max-width: 68rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .25rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; border-bottom: 1px solid var(--line);
  padding-bottom: .3rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; } .soft, small { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(46%, 9.5rem), 1fr));
  gap: .6rem; margin: 1rem 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .5rem .75rem; min-width: 0; }
.tile dt { color: var(--soft); font-size: .8rem; }
.tile dd { margin: 0; font-size: 1.1rem; font-weight: 600; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; white-space: nowrap; }
tbody th { font-weight: 500; }
.figures th, .figures td { white-space: nowrap; }
.figures th + th, .figures td { text-align: right; }
tr.main > * { font-weight: 700; }
.heat th + th, .heat td { text-align: right; padding: .3rem .75rem; }
.heat td { background: rgb(37 99 235 / calc(var(--heat, 0) * .55)); }
td small, th small { display: block; font-weight: 400; }
details { margin: .75rem 0; } summary { cursor: pointer; padding: .25rem 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr));
  gap: 1rem; }
.charts figure, .pictures figure { margin: 0; min-width: 0; }
figcaption { font-size: .85rem; color: var(--soft); overflow-wrap: anywhere; }
.charts figure { max-width: 34rem; }
.charts figcaption { font-weight: 600; color: var(--ink); }
svg.chart { width: 100%; height: auto; display: block; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 13rem), 1fr));
  gap: .75rem; }
.pictures img { width: 100%; height: auto; display: block; border: 1px solid var(--line);
  background: var(--card); }
@media print { details { display: block; } }
"""


def page(title: str, sections: Iterable[str]) -> str:
    """The whole document; the policy in its head lets no browser fetch anything for it.

    Args:
        title: plain text.
        sections: markup, as the other functions here give it.
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(sections) + "\n</body>\n</html>\n"
    )


def write_page(path: Path, title: str, sections: Iterable[str]) -> None:
    """Writes a page, whole or not at all.

    Raises:
        OSError: it cannot be written there.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    # Names of files may hold bytes that are no UTF-8.
    beside.write_text(page(title, sections), encoding="utf-8", errors="replace")
    beside.replace(path)


def header(title: str, lead: str, facts: Iterable[tuple[str, str]]) -> str:
    """The top of the page from plain text: what it is about, and its main facts as tiles."""
    return f"<header><h1>{escape(title)}</h1>{paragraph(lead, soft=True)}{tiles(facts)}</header>"


def section(title: str, *parts: str) -> str:
    """Parts, markup, under a heading, plain text; nothing if all parts are empty."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>" if body else ""


def subsection(title: str, *parts: str) -> str:
    """Parts, markup, under a smaller heading, plain text."""
    return f"<h3>{escape(title)}</h3>{''.join(parts)}"


def paragraph(text: str, *, soft: bool = False) -> str:
    """Plain text as a paragraph, `soft` in the colour of remarks."""
    return f"<p{_CLASS_SOFT if soft else ''}>{escape(text)}</p>"


def tiles(facts: Iterable[tuple[str, str]]) -> str:
    """(name, figure) pairs as tiles."""
    cells = (
        f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>'
        for name, value in facts
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | tuple[str, str]]],
    *,
    figures: bool = False,
    main: str | None = None,
) -> str:
    """A table that scrolls sideways in itself where the screen is narrow.

    Args:
        columns: plain text.
        rows: plain text a cell, or (text, remark under it); the first cell names the row.
        figures: whether all but the first column are numbers, set to the right.
        main: the name of the row to stand out.
    """
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(_row(row, stands_out=row[0] == main) for row in rows)
    kind = ' class="figures"' if figures else ""
    return (
        f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def heat_table(columns: Sequence[str], rows: Iterable[tuple[str, Sequence[float | None]]]) -> str:
    """A table of shares whose cells are the darker the nearer they come to 1.

    Args:
        columns: plain text; the first one stands over the rows' names.
        rows: a name and its values in 0…1, None where one is unknown.
    """
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(map(_heat_cell, values))}</tr>'
        for name, values in rows
    )
    return (
        f'<div class="wide"><table class="heat"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def folded(summary: str, content: str) -> str:
    """Markup that a click unfolds under a line of plain text."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def charts(drawings: Iterable[tuple[str, str]]) -> str:
    """(title or nothing, svg) pairs side by side; those without a drawing are left out."""
    figures = [
        f"<figure>{f'<figcaption>{escape(title)}</figcaption>' if title else ''}{svg}</figure>"
        for title, svg in drawings
        if svg
    ]
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


def pictures(title: str, shown: Iterable[tuple[str, Image]]) -> str:
    """(caption, picture (H, W, 3) uint8 RGB) pairs in a row that wraps, under a heading."""
    figures = "".join(
        f'<figure><img src="{data_uri(image)}" width="{image.shape[1]}" '
        f'height="{image.shape[0]}" alt="{escape(f"{title}: {caption}")}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, image in shown
    )
    return subsection(title, f'<div class="pictures">{figures}</div>')


def data_uri(image: Image) -> str:
    """A picture (H, W, 3) uint8 RGB inside the page: PNG or JPEG, whichever is smaller.

    Raises:
        InputError: the picture cannot be encoded.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, buffer = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise InputError(f"a picture of {image.shape} pixels cannot be put into a page.")
    jpeg, png = (
        cast("np.ndarray[tuple[int], np.dtype[np.uint8]]", buffer).tobytes(),
        encode_png(image),
    )
    kind, data = ("png", png) if len(png) <= len(jpeg) else ("jpeg", jpeg)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def share(value: float | None) -> str:
    """A fraction of 1 with four decimals, a dash for None."""
    return "–" if value is None else f"{value:.4f}"


def figure(value: object) -> str:
    """A number in few digits, a dash for None, other values as they are."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return str(value)
    if 10 <= abs(value) < 1e6:
        return f"{value:.2f}"
    # A share just short of 1 is not 1.
    return f"{value:.6g}" if 0.9999 < value < 1 else f"{value:.4g}"


def _row(row: Sequence[str | tuple[str, str]], *, stands_out: bool) -> str:
    cells = [_cell(cell) for cell in row]
    first = f'<th scope="row">{cells[0]}</th>'
    rest = "".join(f"<td>{cell}</td>" for cell in cells[1:])
    return f"<tr{_CLASS_MAIN if stands_out else ''}>{first}{rest}</tr>"


def _cell(cell: str | tuple[str, str]) -> str:
    if isinstance(cell, str):
        return escape(cell)
    text, remark = cell
    return f"{escape(text)}<small>{escape(remark)}</small>" if remark else escape(text)


def _heat_cell(value: float | None) -> str:
    return f'<td style="--heat:{value or 0.0:.3f}">{share(value)}</td>'
