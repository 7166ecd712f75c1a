"""Text infilling: spans of a text become one mask each (Lewis et al. 2020, Liu et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def infill(
    ids: Sequence[int],
    share: float,
    span_length: float,
    mask: int,
    kept: frozenset[int],
    random: np.random.Generator,
) -> list[int]:
    """Return token ``ids`` with about ``share`` of them in spans that are one ``mask`` each.

    Args:
        ids: of a text.
        share: of the tokens is hidden; what is left of a token after rounding is drawn.
        span_length: tokens of a span on average, Poisson distributed.
        mask: the id that stands for a span.
        kept: ids that are never hidden: nobody could guess a number.
        random: draws all of it.
    """
    wanted = share * len(ids)
    left = int(wanted) + int(random.random() < wanted % 1)
    hidden = np.zeros(len(ids), bool)
    # spans may overlap, so that somewhat fewer are hidden, as in BART
    while left > 0:
        length = min(left, max(1, int(random.poisson(span_length))))
        start = int(random.integers(0, len(ids) - length + 1))
        hidden[start : start + length] = True
        left -= length
    noisy: list[int] = []
    within = False
    for token, is_hidden in zip(ids, hidden, strict=True):
        if not is_hidden or token in kept:
            noisy.append(token)
            within = False
        elif not within:
            noisy.append(mask)
            within = True
    return noisy
