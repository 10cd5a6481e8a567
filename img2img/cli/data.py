"""`img2img data`."""

import typer

app = typer.Typer(help="Make, check and look at data.")
