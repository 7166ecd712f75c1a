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
    n = len(pictures)
    # On the CPU, here and below, so that a seed gives the same changes on every device.
    random = torch.rand(3, n, 1, 1, 1)
    random = random.to(pictures)
    # -0.5 to 0.5 of pixels that go from -1 to 1; 0 to 2 times the color; 0.5 to 1.5 times the
    # contrast: the ranges of the paper.
    brightness, saturation, contrast = random
    pictures = pictures + brightness - 0.5
    grey = pictures.mean(1, keepdim=True)
    color = pictures - grey
    times = 2 * saturation
    pictures = color * times + grey
    pixels = (1, 2, 3)
    mean = pictures.mean(pixels, keepdim=True)
    apart = pictures - mean
    times = contrast + 0.5
    changed: torch.Tensor = apart * times + mean
    return changed


def _translation(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` moved by an eighth of their side at most; what comes in is grey."""
    n, _, _, side = pictures.shape
    most = side // 8
    padded = pad(pictures, [most] * 4)
    positions = 2 * most + 1
    corners = torch.randint(0, positions, (n, 2))
    moved = []
    for picture, corner in zip(padded, corners.tolist(), strict=True):
        top, left = corner
        rows = picture.narrow(1, top, side)
        window = rows.narrow(2, left, side)
        moved.append(window)
    return torch.stack(moved)


def _cutout(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` with a grey square of half their side somewhere."""
    n, _, _, side = pictures.shape
    line = torch.arange(side)
    # The center may lie at the border: then a part of the square is outside.
    centers = torch.randint(0, side + 1, (n, 2, 1))
    distance = (line - centers).abs()
    near = distance < side // 4  # of rows and of columns [n, 2, side]
    near_rows, near_columns = near.unbind(1)
    rows = near_rows.unsqueeze(2)
    columns = near_columns.unsqueeze(1)
    shown = ~(rows & columns)
    factor = shown.unsqueeze(1).to(pictures)
    return pictures * factor


def random_mirror(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` [n, 3, side, side], about half of them mirrored."""
    n = len(pictures)
    chosen = torch.rand(n, 1, 1, 1) < 0.5
    chosen = chosen.to(pictures.device)
    mirrored = pictures.flip(-1)
    return torch.where(chosen, mirrored, pictures)


Augmentation = Callable[[torch.Tensor], torch.Tensor]

AUGMENTATIONS: dict[str, Augmentation] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}


def augment(pictures: torch.Tensor, policy: Sequence[str]) -> torch.Tensor:
    """Return ``pictures`` [n, 3, side, side] changed at random by each name of ``policy``."""
    for name in policy:
        pictures = AUGMENTATIONS[name](pictures)
    return pictures
