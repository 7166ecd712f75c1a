"""What every training loop needs: the device and its precision, batches of like length, schedules, seeds, finite numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

Batch = np.ndarray[tuple[int], np.dtype[np.int64]]


class NotFiniteError(ValueError):
    """Training ran away: a loss, a gradient or a weight is not a number any more. A lower learning rate is the user's to set."""


def not_finite(state: Any, name: str = "") -> str | None:
    """Return where in ``state`` (containers of tensors and numbers) the first value lies that is NaN or infinite, or None."""
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
        if found := not_finite(value, f"{name}.{key}" if name else str(key)):
            return found
    return None


def require_finite(values: torch.Tensor, what: str) -> torch.Tensor:
    """Return ``values``; ``what`` says in the message what they are.

    Raises:
        NotFiniteError: one of them is NaN or infinite.
    """
    if not bool(torch.isfinite(values).all()):
        raise NotFiniteError(
            f"{what} are not finite numbers; set the stage's precision to float32, and where that does "
            "not help, look at the weights that it begins with (make or restore them anew) and the data"
        )
    return values


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_bfloat16() -> bool:
    """Return whether the device computes bfloat16 in hardware; where it does not, it is many times slower than float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def precision(wanted: str) -> AbstractContextManager[None]:
    """Return the autocast context for ``wanted``: auto, float32 or bfloat16. Weights stay in float32."""
    low = wanted == "bfloat16" or (wanted == "auto" and fast_bfloat16())
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=low)


def attention(training: bool) -> str:
    """Return transformers' name of the fastest attention here.

    On a CPU the backward pass of the fused kernel takes longer than all the rest of a BERT layer, plain matrix products do not.
    """
    return "eager" if training and device().type == "cpu" else "sdpa"


def seed_step(seed: int, step: int) -> None:
    """Make the randomness of step ``step`` depend on ``seed`` and ``step`` alone, so that a resumed run repeats it."""
    torch.manual_seed(seed * 1_000_003 + step)


def set_dropout(model: nn.Module, share: float) -> None:
    """Set every dropout of ``model``; attention's own goes off (it forbids the fused kernels and gains nothing here)."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if name.endswith("self.dropout") else share


def batches(
    lengths: np.ndarray[tuple[int], np.dtype[np.int64]],
    size: int,
    seed: int,
    epoch: int,
    pool: int = 64,
) -> list[Batch]:
    """Return shuffled batches of row numbers in which lengths are alike, so that little is spent on padding.

    Rows are shuffled, sorted by length within pools of ``pool`` batches, cut, and the batches shuffled.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    found = []
    for start in range(0, len(order), size * pool):
        part = order[start : start + size * pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        found += [part[i : i + size] for i in range(0, len(part), size)]
    return [found[i] for i in random.permutation(len(found))]


def by_length(lengths: np.ndarray[tuple[int], np.dtype[np.int64]], size: int) -> Iterator[Batch]:
    """Yield all rows once, longest first (the largest batch meets the memory limit at once), ``size`` at a time."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def warmup_linear(step: int, steps: int, warmup: float) -> float:
    """Return the factor on the learning rate: up linearly over the share ``warmup`` of ``steps``, then down to zero."""
    rise = max(1, round(steps * warmup))
    return (step + 1) / rise if step < rise else max(0.0, (steps - step) / max(1, steps - rise))
