"""`img2img compare`."""


def compare() -> None:
    """(being written)"""
