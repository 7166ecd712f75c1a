"""Which fill serves a hole in a photo of any size: the best on validation, tried on the photo.

Validation's photos are small and whole; a scratch in a large photo is another task. What lies
beside a hole is known, so that fills can be asked for it: holes of the same shape, beside the real
one. Where another fill than validation's is clearly nearer to the truth there, it serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from beauty_models.editing import fills
from beauty_models.editing.crop import Filled, inpaint_large
from beauty_models.editing.extent import extent

if TYPE_CHECKING:
    from beauty_models.editing.model import Editor

Picture = NDArray[np.uint8]  # sRGB [h, w, 3]
Hole = NDArray[np.bool_]  # [h, w]

PATCH_SIDE = 128  # pixels that the patch fill sees: it compares all with all
CONTEXT = 32  # pixels around a hole that the other fills without learning look at
SPAN = 96  # pixels a side of the piece of a hole that is tried elsewhere
PLACES = 4  # at which it is tried, at most
FAR = 3  # its own lengths that such a place is away, at most
FLAT = 2.0  # standard deviation in levels below which a place tells nothing: any fill is right
# As MSE, how much nearer another fill has to be than validation's: 1 dB. Few places are chance.
CLEARLY = 10 ** (-1 / 10)


class Choice(NamedTuple):
    """Which fill serves a hole, and why."""

    name: str
    note: str


def choose(photo: Picture, hole: Hole, model: Editor, kind: str) -> Choice:
    """Return which fill serves ``hole``, which is like a ``kind`` of `holes.KINDS`."""
    served = model.served[kind]
    validated = f"filled by {served}, the best on validation for holes like this one ({kind})"
    piece = _piece(hole)
    trials = _trials(photo, hole, piece)
    if not trials:
        return Choice(served, validated)
    candidates = dict.fromkeys([served, "patch", "navier_stokes", "telea"])
    errors = {name: _error(photo, hole, trials, name, model) for name in candidates}
    best = min(errors, key=lambda name: errors[name])
    if errors[best] > CLEARLY * errors[served]:
        return Choice(served, validated)
    return Choice(
        best,
        f"filled by {best}: at {len(trials)} places beside the hole, where the truth is known, it "
        f"is {_decibels(errors[served] / errors[best]):.1f} dB nearer to it than {served}, the "
        f"best on validation for holes like this one ({kind})",
    )


def fill(photo: Picture, hole: Hole, name: str, model: Editor) -> Filled:
    """Return ``photo`` with ``hole`` filled by the fill called ``name``."""
    if name in fills.FILLS and name != "patch":
        box = extent(hole, CONTEXT)
        filled = photo.copy()
        filled[box] = fills.FILLS[name](photo[box], hole[box])
        return Filled(filled, 1.0)
    side = PATCH_SIDE if name == "patch" else model.side
    return inpaint_large(photo, hole, model.fills()[name], side)


def _decibels(ratio: float) -> float:
    return 10 * float(np.log10(ratio))


def _piece(hole: Hole) -> tuple[slice, slice]:
    """Return the box of a hole, or of its widest part where it is larger than `SPAN`."""
    padded = np.pad(hole.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    rows, columns = extent(hole)
    box = []
    for whole, middle in ((rows, int(row)), (columns, int(column))):
        first = max(whole.start, middle - SPAN // 2)
        box.append(slice(first, min(whole.stop, first + SPAN)))
    return box[0], box[1]


def _trials(photo: Picture, hole: Hole, piece: tuple[slice, slice]) -> list[Hole]:
    """Return holes of the shape of a ``piece`` of ``hole`` where nothing is missing, near first."""
    shape = hole[piece]
    tall, wide = shape.shape
    rows, columns = piece
    near_hole = cv2.dilate(hole.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    trials: list[Hole] = []
    for top, left in _shifts(tall, wide):
        first_row = rows.start + top
        first_column = columns.start + left
        fits = first_row >= 0 and first_column >= 0
        fits &= first_row + tall <= hole.shape[0] and first_column + wide <= hole.shape[1]
        if not fits:
            continue
        place = (slice(first_row, first_row + tall), slice(first_column, first_column + wide))
        truth = photo[place][shape]
        if (near_hole[place] & shape).any() or truth.std(0).max() < FLAT:
            continue
        trial = np.zeros_like(hole)
        trial[place] = shape
        trials.append(trial)
        if len(trials) == PLACES:
            break
    return trials


def _shifts(tall: int, wide: int) -> list[tuple[int, int]]:
    """Return by how much a piece is moved down and right, the nearest places first."""
    # A long hole is moved across, too: by its width it is soon beside itself.
    step = max(8, min(tall, wide))
    shifts = []
    for down in range(-FAR, FAR + 1):
        for right in range(-FAR, FAR + 1):
            shifts.append((down * step, right * step))
    shifts.remove((0, 0))
    return sorted(shifts, key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift))


def _error(photo: Picture, hole: Hole, trials: list[Hole], name: str, model: Editor) -> float:
    """Return the mean squared error of a fill over ``trials``, in levels²."""
    total = 0.0
    for trial in trials:
        # Nobody needs more of the photo; and what the real hole hides is no truth to fill from.
        box = extent(trial, PATCH_SIDE)
        missing = trial[box] | hole[box]
        filled = fill(photo[box], missing, name, model).image
        difference = filled[trial[box]].astype(np.float64) - photo[trial]
        total += float(np.square(difference).mean())
    return max(total / len(trials), 1 / 12)  # what rounding to bytes alone costs
