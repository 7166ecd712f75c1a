"""Skin tones, by which faces are counted: groups of the individual typology angle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TONES = ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown"))
"""Least individual typology angle in degrees → group of skin tones (Chardon et al. 1991)."""

DARKEST = "dark"  # the group below the last angle


def typology_angle(lab: NDArray[np.floating]) -> float:
    """Return the individual typology angle of a color (L, a, b), degrees (Chardon et al. 1991)."""
    lightness_above_middle = lab[0] - 50
    return float(np.degrees(np.arctan2(lightness_above_middle, lab[2])))


def tone_group(angle: float) -> str:
    """Return the group of skin tones of an individual typology angle in degrees."""
    for least, name in TONES:
        if angle > least:
            return name
    return DARKEST


def groups() -> list[str]:
    """Return the names of all groups, the lightest one first."""
    return [*(name for _, name in TONES), DARKEST]
