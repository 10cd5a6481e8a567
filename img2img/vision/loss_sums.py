"""Sums of losses as users write them, read without any tensor library."""

import re
from collections.abc import Collection

from img2img.errors import UsageError, unknown_name

PICTURE_LOSS_NAMES = ("l1", "mse", "charbonnier", "ssim", "ms-ssim", "gradient")
"""What `picture_terms` knows."""


def parse_picture_losses(text: str) -> dict[str, float]:
    """{name: factor} of a sum of `PICTURE_LOSS_NAMES`; raises as `parse_sum` does."""
    return parse_sum(text, PICTURE_LOSS_NAMES, example="l1+0.2*ssim")


def parse_sum(text: str, known: Collection[str], *, example: str) -> dict[str, float]:
    """{name: factor} of a sum such as `l1` or `l1+0.2*ssim`: names each once, with positive factors
    where wanted.

    Args:
        known: the names there are.
        example: what the message for another form shows.

    Raises:
        UsageError: it has another form, or an unknown name.
    """
    factors: dict[str, float] = {}
    for part in text.split("+"):
        form = re.fullmatch(r"\s*(?:([0-9]*\.?[0-9]+)\s*\*)?\s*([a-zA-Z][\w-]*)\s*", part)
        factor, name = (form[1] or "1", form[2]) if form else ("0", "")
        if float(factor) == 0:
            raise UsageError(f"task.loss cannot be {text!r}: write a sum such as {example}.")
        if name not in known:
            raise unknown_name("loss", name, known)
        if name in factors:
            raise UsageError(f"task.loss {text!r} names {name!r} twice: name each loss once.")
        factors[name] = float(factor)
    return factors
