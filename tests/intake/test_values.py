"""Dates: the column says whether the day or the month comes first; where it does not, nobody."""

from __future__ import annotations

from datetime import date

import pytest

from beauty_models.intake.values import Rating, dates, parse_rating

RATINGS = {
    "4": Rating(4),
    " 4.5 ": Rating(4.5),
    "4,5": Rating(4.5),
    "5 stars": Rating(5),
    "1 Star": Rating(1),
    "4 Sterne": Rating(4),
    "4 / 5": Rating(4, 5),
    "8/10": Rating(8, 10),
    "4.0 out of 5 stars": Rating(4, 5),
    "4 von 5": Rating(4, 5),
    "80 %": Rating(80, 100),
    "★★★★☆": Rating(4, 5),
    "★★★½☆": Rating(3.5, 5),
    "⭐️⭐️⭐️": Rating(3),
    "five stars": Rating(5),
    "四星": Rating(4),
    "5星": Rating(5),
}
MARCH_1 = date(2024, 3, 1)


def days(*values: str, files: tuple[str, ...] = ()) -> list[date | None]:
    return [time.date() if time else None for time in dates(values, files).tolist()]


@pytest.mark.parametrize(
    "values",
    [
        ("01.03.2024", "13.03.2024"),
        ("01/03/2024", "13/03/2024 10:15"),
        ("1-3-24", "31-12-23"),
        ("03/01/2024", "03/13/2024"),
        ("3/1/24 9:00 AM", "12/25/23"),
        ("2024-03-01", "13.03.2024"),
        ("2024/3/1", "03/13/2024"),
        ("01.03.2024", "02.03.2024"),
        ("1 March 2024", "13/03/2024"),
        ("1709251200", "13/03/2024"),
    ],
)
def test_the_column_tells_the_order(values: tuple[str, ...]) -> None:
    assert days(*values)[0] == MARCH_1


def test_years_of_two_digits_may_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    first = [f"24-03-{day:02}" for day in range(1, 20)]
    assert days(*first)[4] == date(2024, 3, 5)
    last = [f"{day:02}-03-24" for day in range(1, 20)]
    assert days(*last)[4] == date(2024, 3, 5)
    # Of one date nobody knows.
    assert days("24-03-05") == [None]
    assert "such as '24-03-05'" in capsys.readouterr().out
    assert days("31/03/99") == [date(1999, 3, 31)]


@pytest.mark.parametrize("cell", ["10:30", "today", "now", "March", "05.03", "4 5", "5/3", "Mon"])
def test_no_year_is_added_to_what_has_none(cell: str) -> None:
    assert days(cell) == [None]


def test_an_order_that_nobody_knows_is_left_out_and_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert days("01/03/2024", "04/04/2024", "2024-03-01") == [None, date(2024, 4, 4), MARCH_1]
    told = capsys.readouterr().out
    assert "left aside, may begin with the day or with the month, such as '01/03/2024'" in told
    # A column that holds both orders says nothing of those that fit both.
    assert days("13/03/2024", "03/13/2024", "01/03/2024") == [
        date(2024, 3, 13),
        date(2024, 3, 13),
        None,
    ]


def test_each_file_has_its_own_order() -> None:
    values = ("01/03/2024", "13/03/2024", "03/01/2024", "03/13/2024")
    found = days(*values, files=("eu.csv", "eu.csv", "us.csv", "us.csv"))
    assert found[0] == found[2] == MARCH_1


def test_what_is_no_date_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert days("yesterday", "", "2024-03-01") == [None, None, MARCH_1]
    assert "left aside, not understood, such as 'yesterday'" in capsys.readouterr().out


@pytest.mark.parametrize(("cell", "expected"), RATINGS.items())
def test_ratings_are_read_as_people_write_them(cell: str, expected: Rating) -> None:
    assert parse_rating(cell) == expected


@pytest.mark.parametrize("cell", ["", "good", "4-5", "stars", "2024-03-01", "5 €", "4 5", "☺"])
def test_what_is_no_rating_is_none(cell: str) -> None:
    assert parse_rating(cell) is None
