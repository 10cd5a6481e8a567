"""`img2img bench`."""


def bench() -> None:
    """(being written)"""
