"""`img2img models`."""

from typing import Annotated, Any

import typer


def models(
    every: Annotated[
        bool, typer.Option("--all", help="Also every architecture and encoder (takes seconds).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List the models worth trying first; with --all every part of ARCHITECTURE:ENCODER.

    Any architecture goes with any encoder that gives a pyramid of features: `unet:resnet34`.
    """
    from img2img.cli.console import print_table, say, write_json

    listed = _listed(every=every)
    if json:
        write_json(listed, "-")
        return
    rows = [_row(row) for row in listed["models"]]
    print_table(("model", "parameters", "for"), rows)
    if not every:
        say("`img2img models --all` lists every architecture and encoder.")
    for title in ("architectures", "encoders") if every else ():
        print(f"\n{title} ({len(listed[title])})")
        print("\n".join(listed[title]))


def _listed(*, every: bool) -> dict[str, Any]:
    """{models: [{name, parameters_m, summary}]}, with `every` also {architectures, encoders}."""
    from dataclasses import asdict

    from img2img.models.registry import RECOMMENDED
    from img2img.registry import model_names

    known = {row.name for row in RECOMMENDED}
    outside = [name for name in model_names() if name not in known]
    bare = {"summary": "Of an installed package.", "parameters_m": None}
    rows = [*map(asdict, RECOMMENDED), *({"name": name, **bare} for name in outside)]
    if not every:
        return {"models": rows}
    from img2img.models.smp import ARCHITECTURES, encoder_names

    return {"models": rows, "architectures": list(ARCHITECTURES), "encoders": encoder_names()}


def _row(row: dict[str, Any]) -> list[str]:
    millions = row["parameters_m"]
    if millions is None:
        return [row["name"], "–", row["summary"]]
    return [row["name"], _millions(millions), row["summary"]]


def _millions(millions: float) -> str:
    if millions >= 0.1:
        return f"{millions:.2f} M"
    return f"{millions * 1e3:.0f} k" if millions >= 1e-3 else f"{millions * 1e6:.0f}"
