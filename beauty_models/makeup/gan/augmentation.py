"""DiffAugment: changes of pictures that gradients go through (Zhao et al. 2020).

Photos and samples are changed alike before the discriminator sees them: it cannot learn the few
photos by heart, and the generator does not learn the changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import pad


def _color(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` in other brightness, saturation and contrast."""
    brightness, saturation, contrast = torch.rand(3, len(pictures), 1, 1, 1).to(pictures)
    pictures = pictures + brightness - 0.5
    grey = pictures.mean(1, keepdim=True)
    pictures = (pictures - grey) * (2 * saturation) + grey
    mean = pictures.mean((1, 2, 3), keepdim=True)
    changed: torch.Tensor = (pictures - mean) * (contrast + 0.5) + mean
    return changed


def _translation(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` moved by an eighth of their side at most; what comes in is grey."""
    side = pictures.shape[-1]
    most = side // 8
    padded = pad(pictures, [most] * 4)
    corners = torch.randint(0, 2 * most + 1, (len(pictures), 2))
    moved = []
    for picture, (top, left) in zip(padded, corners.tolist(), strict=True):
        moved.append(picture[:, top : top + side, left : left + side])
    return torch.stack(moved)


def _cutout(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` with a grey square of half their side somewhere."""
    side = pictures.shape[-1]
    line = torch.arange(side)
    centers = torch.randint(0, side + 1, (len(pictures), 2, 1))
    near = (line - centers).abs() < side // 4  # of rows and of columns [n, 2, side]
    rows = near[:, 0, :, None]
    columns = near[:, 1, None, :]
    hidden = rows & columns
    return pictures * (~hidden)[:, None].to(pictures)


AUGMENTATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}


def augment(pictures: torch.Tensor, policy: Sequence[str]) -> torch.Tensor:
    """Return ``pictures`` [n, 3, side, side] changed at random by each name of ``policy``."""
    for name in policy:
        pictures = AUGMENTATIONS[name](pictures)
    return pictures
