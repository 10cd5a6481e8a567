"""`img2img info`."""


def info() -> None:
    """(being written)"""
