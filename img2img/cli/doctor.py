"""`img2img doctor`."""


def doctor() -> None:
    """(being written)"""
