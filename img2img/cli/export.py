"""`img2img export`."""


def export() -> None:
    """(being written)"""
