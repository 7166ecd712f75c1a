"""Cells of other people's data frames: what stands for nothing is no text, as in training."""

from __future__ import annotations

import pandas as pd
import pytest

from beauty_models.serving.frames import cells


@pytest.mark.parametrize("nothing", ["NaN", " N/A ", "NULL", "None", "#REF!", None, float("nan")])
def test_what_programs_write_for_nothing_is_no_text(nothing: object) -> None:
    frame = pd.DataFrame({"text": ["lovely", nothing]}, dtype=object)
    assert cells(frame, "text") == ["lovely", ""]


def test_other_cells_stay_as_they_are() -> None:
    frame = pd.DataFrame({"text": [" none of it fits ", "nan's gift", 7]}, dtype=object)
    assert cells(frame, "text") == [" none of it fits ", "nan's gift", "7"]
    assert cells(frame, "image") == ["", "", ""]
