"""CIELAB, in which a distance between two colors is about what the eye sees of it; in torch."""

from __future__ import annotations

import torch

# sRGB (IEC 61966-2-1) → XYZ of CIE 1931, divided by the white point D65: white is (1, 1, 1)
TO_XYZ = torch.tensor(
    [
        [0.4339532, 0.3762183, 0.1898286],
        [0.2126727, 0.7151518, 0.0721755],
        [0.0177566, 0.1094680, 0.8727754],
    ]
)
FROM_XYZ = torch.linalg.inv(TO_XYZ)
DARK = 6 / 29  # below its cube the cube root is replaced by its tangent (CIE 15:2004)


def _times(matrix: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
    # Not as a matrix product, which autocast would round to bfloat16: L would be off by a quarter.
    first, second, third = colors.unbind(1)
    rows = []
    for a, b, c in matrix.tolist():
        rows.append(a * first + b * second + c * third)
    return torch.stack(rows, 1)


def from_pictures(pictures: torch.Tensor) -> torch.Tensor:
    """Return L (0 to 100), a and b of ``pictures`` [n, 3, ...], sRGB from -1 to 1, same shape."""
    srgb = ((pictures.float() + 1) / 2).clamp(0, 1)
    # `where` computes both sides; a base of 0 would have an infinite slope.
    bright = srgb.clamp(min=0.04)
    curved = ((bright + 0.055) / 1.055) ** 2.4
    straight = srgb / 12.92
    linear = torch.where(srgb > 0.04045, curved, straight)
    xyz = _times(TO_XYZ, linear)
    root = xyz.clamp(min=DARK**3) ** (1 / 3)
    tangent = xyz / (3 * DARK**2) + 4 / 29
    f = torch.where(xyz > DARK**3, root, tangent)
    x, y, z = f.unbind(1)
    lightness = 116 * y - 16
    red = 500 * (x - y)
    yellow = 200 * (y - z)
    return torch.stack([lightness, red, yellow], 1)


def to_pictures(lab: torch.Tensor) -> torch.Tensor:
    """Return the pictures of ``lab`` [n, 3, ...], clipped to what sRGB has, -1 to 1."""
    lightness, a, b = lab.float().unbind(1)
    y = (lightness + 16) / 116
    x = y + a / 500
    z = y - b / 200
    f = torch.stack([x, y, z], 1)
    tangent = 3 * DARK**2 * (f - 4 / 29)
    xyz = torch.where(f > DARK, f**3, tangent)
    # What no screen shows is clipped in linear light, where colors add up.
    linear = _times(FROM_XYZ, xyz).clamp(0, 1)
    # A base of 0 would have an infinite slope here, too.
    bright = linear.clamp(min=0.003)
    curved = 1.055 * bright ** (1 / 2.4) - 0.055
    straight = 12.92 * linear
    srgb = torch.where(linear > 0.0031308, curved, straight)
    return srgb * 2 - 1
