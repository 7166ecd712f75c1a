"""What stops a training that runs away: a number that is NaN or infinite is found and named."""

from __future__ import annotations

import math
from typing import Any

import torch


class NotFiniteError(ValueError):
    """Training ran away: a loss, a gradient or a weight is not a number any more.

    It is a ValueError: a lower learning rate is the user's to set.
    """


def not_finite(state: Any, name: str = "") -> str | None:
    """Return where in ``state`` the first value lies that is NaN or infinite, or None.

    ``state`` are containers of tensors and numbers; ``name`` is what it is called in the answer.
    """
    if isinstance(state, torch.Tensor):
        return None if bool(torch.isfinite(state).all()) else name
    if isinstance(state, float):
        return None if math.isfinite(state) else name
    if isinstance(state, dict):
        pairs = list(state.items())
    elif isinstance(state, list | tuple):
        pairs = list(enumerate(state))
    else:
        return None
    for key, value in pairs:
        place = not_finite(value, f"{name}.{key}" if name else str(key))
        if place is not None:
            return place
    return None


def require_finite(values: torch.Tensor, what: str) -> torch.Tensor:
    """Return ``values``; ``what`` says in the message what they are.

    Raises:
        NotFiniteError: one of them is NaN or infinite.
    """
    if not bool(torch.isfinite(values).all()):
        raise NotFiniteError(
            f"{what} are not finite numbers; set the stage's precision to float32, and where that "
            "does not help, look at the weights that it begins with (make or restore them anew) "
            "and the data"
        )
    return values
