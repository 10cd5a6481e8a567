"""The report of a run."""


def write_report(*_: object) -> None:
    """(being written)"""
