"""Kaggle's run-length masks: pairs of start and length, counted from 1, column after column."""

from __future__ import annotations

from beauty_models.intake.crops import Box


def box_of(runs: str, height: int, width: int) -> tuple[Box | None, str]:
    """Return the box around the pixels that ``runs`` marks and "", or None and what is wrong.

    ``1 3 10 2`` marks the pixels 1, 2, 3, 10 and 11. Pixel 1 is the one at the top left, 2 the one
    below it; in a picture of 4 rows 5 is the top of the second column.
    """
    cells = runs.split()
    if not cells or len(cells) % 2 or not all(cell.isdecimal() for cell in cells):
        return None, "the mask is not pairs of start and length"
    numbers = list(map(int, cells))
    columns: list[int] = []
    rows: list[int] = []
    for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
        if start < 1 or length < 1:
            return None, f"the mask has a run of {length} from {start}; pixels count from 1"
        first = start - 1
        last = first + length - 1
        if last >= height * width:
            return None, f"the mask goes beyond the {height} × {width} pixels of its picture"
        columns += (first // height, last // height)
        if first // height == last // height:
            rows += (first % height, last % height)
        else:
            # It goes on at the top of the next column.
            rows += (0, height - 1)
    return Box(min(columns), min(rows), max(columns) + 1, max(rows) + 1), ""
