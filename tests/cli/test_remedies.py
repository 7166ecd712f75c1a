"""What a user's mistake is answered with.

An option that can be pasted, with the user's own values.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from beauty_models import params
from beauty_models.intake import images
from beauty_models.sentiment.data import ingest

ROOT = Path(__file__).parents[2]
TEXTS = [f"review number {n} speaks of many things" for n in range(40)]


def answer(tmp_path: Path, **columns: list[object]) -> str:
    raw = tmp_path / "raw"
    raw.mkdir()
    pd.DataFrame(columns).to_csv(raw / "own.csv", index=False)
    section = params.load("sentiment", ROOT / "params.yaml").ingest
    with pytest.raises(ValueError) as error:
        ingest(raw=raw, data=tmp_path / "data", params=section)
    return str(error.value)


def test_unknown_columns_name_the_map(tmp_path: Path) -> None:
    said = answer(tmp_path, comment_body=TEXTS, verdict=["good", "bad"] * 20)
    assert "--map text=comment_body,label=verdict" in said


def test_unknown_labels_name_the_sets(tmp_path: Path) -> None:
    said = answer(tmp_path, text=TEXTS, label=["good", "bad"] * 20)
    assert """--set 'sentiment.ingest.labels.positive=["good"]'""" in said
    assert """--set 'sentiment.ingest.labels.negative=["bad"]'""" in said and "a guess" not in said


def test_labels_that_say_nothing_are_called_a_guess(tmp_path: Path) -> None:
    said = answer(tmp_path, text=TEXTS, label=["A", "B"] * 20)
    assert "is a guess here: put each where it belongs" in said and '["a"]' in said


def test_ten_stars_stop_with_the_scale(tmp_path: Path) -> None:
    said = answer(tmp_path, text=TEXTS, rating=[10, 4] * 20)
    assert "20 of 40 ratings are above 5, up to 10" in said
    assert "--set 'sentiment.ingest.ratings.negative=[1, 2, 3, 4]'" in said
    assert "--set 'sentiment.ingest.ratings.positive=[7, 8, 9, 10]'" in said


def test_a_picture_that_jpeg_cannot_hold_is_a_bad_picture() -> None:
    with pytest.raises(images.BadImageError, match="JPEG allows 65,500 a side"):
        images.encode(Image.new("RGB", (32, 65_501)))
