"""Where torch computes and how: the device, its precision, its fastest attention."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_bfloat16() -> bool:
    """Return whether the device computes bfloat16 in hardware.

    Where it does not, bfloat16 is many times slower than float32.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # On two cores with AVX512-BF16 a step of a 4-layer BERT went from 8.7 to 79 samples/s, so it is
    # not AMX alone that counts.
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def precision(wanted: str) -> AbstractContextManager[None]:
    """Return the autocast context for ``wanted``: auto, float32 or bfloat16.

    Weights stay in float32.
    """
    low = wanted == "bfloat16" or (wanted == "auto" and fast_bfloat16())
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=low)


def attention(training: bool) -> str:
    """Return transformers' name of the fastest attention here."""
    # On a CPU the backward pass of the fused kernel takes longer than all the rest of a BERT layer:
    # 0.67 of 1.32 s of a 64 × 64 step of 12 layers. Plain matrix products do not.
    return "eager" if training and device().type == "cpu" else "sdpa"
