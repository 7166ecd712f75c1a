"""Features of pictures by EfficientNet-lite0, as ImageNet taught it, for distances between them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_models.backbones import vision
from beauty_models.device import device

EXTRACTOR = "wheel:efficientnet-lite0"
EXTRACTOR_SIDE = 128  # pixels; at its own 224 it takes three times as long and ranks alike
AT_ONCE = 64  # pictures in the extractor


@lru_cache(maxsize=1)
def _extractor() -> vision.VisionBackbone:
    backbone = vision.load(EXTRACTOR)
    backbone.model.to(device()).eval()
    return backbone


def extractor_missing() -> str:
    """Return why `features` cannot be computed here, "" where they can."""
    try:
        _extractor()
    except ValueError as error:
        return str(error)
    return ""


@torch.no_grad()
def features(images: torch.Tensor) -> NDArray[np.float32]:
    """Return the pooled features of EfficientNet-lite0, as ImageNet taught it [n, 1280].

    ``images`` are uint8 [n, 3, side, side].

    Raises:
        ValueError: the package with the network is not installed.
    """
    backbone = _extractor()
    size = (EXTRACTOR_SIDE, EXTRACTOR_SIDE)
    found = []
    for start in range(0, len(images), AT_ONCE):
        batch = images[start : start + AT_ONCE].float()
        resized = torch.nn.functional.interpolate(batch, size, mode="bilinear", antialias=True)
        # bfloat16 would give equal faces a distance of 0.001.
        answer: Any = backbone.model(pixel_values=backbone.pixels(resized))
        found.append(answer.pooler_output.flatten(1).float().cpu().numpy())
    return np.concatenate(found)
