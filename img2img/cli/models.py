"""`img2img models`."""


def models() -> None:
    """(being written)"""
