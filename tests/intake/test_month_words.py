"""Dates with month words: read in the column's language, left out where two languages disagree."""

from __future__ import annotations

from datetime import datetime

import pytest

from beauty_models.intake import values


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("12 août 2024", datetime(2024, 8, 12)),
        ("lundi 12 août 2024 à 14:30", datetime(2024, 8, 12, 14, 30)),
        ("3. März 2024", datetime(2024, 3, 3)),
        ("1 de mayo de 2024", datetime(2024, 5, 1)),
        ("1 Mayıs 2024", datetime(2024, 5, 1)),
        ("7 września 2024", datetime(2024, 9, 7)),
        ("1 мая 2024 г.", datetime(2024, 5, 1)),
        ("2024年3月1日", datetime(2024, 3, 1)),
        ("2024年3月1日 14:30:05", datetime(2024, 3, 1, 14, 30, 5)),
        ("2024년 3월 1일", datetime(2024, 3, 1)),
        ("1 มีนาคม 2567", datetime(2024, 3, 1)),
        ("5 Mar 2024", datetime(2024, 3, 5)),
        # Without a year, or no date at all.
        ("1 de mayo", None),
        ("vor 3 Tagen", None),
        ("size 38 fits", None),
    ],
)
def test_a_date_in_words_is_read(cell: str, day: datetime | None) -> None:
    assert values.dates([cell]).tolist() == [day]


def test_the_column_says_which_language(capsys: pytest.CaptureFixture[str]) -> None:
    # October in Croatian, November in Polish.
    assert values.dates(["5 listopada 2024"], ["a.csv"]).tolist() == [None]
    told = capsys.readouterr().out
    assert "pl and hr read other months" in told and "a.csv" in told
    assert values.dates(["5 listopada 2024", "7 września 2024", "2024-01-02"]).tolist() == [
        datetime(2024, 11, 5),
        datetime(2024, 9, 7),
        datetime(2024, 1, 2),
    ]
    assert "month words of pl" in capsys.readouterr().out
