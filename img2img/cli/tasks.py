"""`img2img tasks`."""


def tasks() -> None:
    """(being written)"""
