"""Prices of the world: amount and currency, or a word on why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from beauty_models.intake import account
from beauty_models.recommend.prices import Price, prices


@pytest.mark.parametrize(
    ("cell", "amount", "currency"),
    [
        ("1.299,00 €", 1299, "EUR"),
        ("€ 19,90", 19.9, "EUR"),
        ("19.99 EUR", 19.99, "EUR"),
        ("$1,299.00", 1299, "$"),
        ("US$12", 12, "USD"),
        ("¥1,299", 1299, "¥"),
        ("￥１２９", 129, "¥"),
        ("99元", 99, "CNY"),
        ("Rs. 1,299/-", 1299, "Rs"),
        ("1,29,900.00", 129900, ""),
        ("CHF 1'299.–", 1299, "CHF"),
        ("CHF 1’299.50", 1299.5, "CHF"),
        ("1.299.- €", 1299, "EUR"),
        ("12,-", 12, ""),
        ("129:-", 129, ""),
        ("1 299,00 zł", 1299, "PLN"),
        ("1\u202f299 ₽", 1299, "RUB"),
        ("R$ 1.299,90", 1299.9, "BRL"),
        ("₺1.299,90", 1299.9, "TRY"),
        ("1.299.000 ₫", 1299000, "VND"),
        ("₩12,000", 12000, "KRW"),
        ("١٢٩٩٫٥٠", 1299.5, ""),
        ("57.0000", 57, ""),
        (".5", 0.5, ""),
        ("0.00", 0, ""),
        # The lower end.
        ("$10.00 - $25.00", 10, "$"),
        ("10,00 € bis 25,00 €", 10, "EUR"),
        ("ab 12,90 €", 12.9, "EUR"),
        ("From $10.00", 10, "$"),
        # A currency in daily use has no three decimals.
        ("1.299 €", 1299, "EUR"),
        ("1,299 kr", 1299, "kr"),
    ],
)
def test_a_price_is_read_as_it_was_written(cell: str, amount: float, currency: str) -> None:
    assert prices([cell], "x") == [Price(amount, currency)]


@pytest.mark.parametrize(
    ("others", "amount"),
    [(["12.50"], 19.9), (["12,50"], 19900), (["1.299,00"], 19900), (["57.0000", ""], 19.9)],
)
def test_the_column_says_what_a_mark_divides(others: list[str], amount: float) -> None:
    assert prices([*others, "19.900"], "x")[-1] == Price(amount, "")


@pytest.mark.parametrize(
    ("written_with", "amounts"),
    [("decimal_point", [1299, 1.299, 9.9]), ("decimal_comma", [1.299, 1299, 9.9])],
)
def test_params_say_what_a_mark_divides(written_with: str, amounts: list[float]) -> None:
    # A cell that can be read in one way only stays as it is.
    read = prices(["1,299", "1.299", "9,90"], "x", written_with)
    assert read == [Price(amount, "") for amount in amounts]


@pytest.mark.parametrize(
    ("cell", "setting"), [("1,299", "decimal_point"), ("1.299", "decimal_comma")]
)
def test_a_price_that_may_be_two_has_a_remedy_to_paste(
    tmp_path: Path, cell: str, setting: str
) -> None:
    with account.opened("recommend", tmp_path, account.AUTO) as book:
        assert prices([cell, "5"], "shop.csv") == [None, Price(5.0, "")]
    [row] = book.content()["aside"]
    assert row["option"] == f"--set recommend.ingest.reading.prices={setting}"
    assert prices([cell], "shop.csv", setting) == [Price(1299.0, "")]


@pytest.mark.parametrize("others", [[], ["12"], ["12.50", "9,90"], ["2.500"]])
def test_where_nobody_says_the_price_is_left_out_and_told(
    others: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert prices([*others, "19.900"], "shop.csv")[-1] is None
    told = capsys.readouterr().out
    assert "shop.csv" in told and "may have thousands or decimals" in told


@pytest.mark.parametrize(
    "cell",
    [
        "3 for 10 €",
        "10 € / 100 ml",
        "-5.00",
        "1,2,3",
        "[PERCENT]10",
        "10 %",
        "25 - 10",
        "on request",
    ],
)
def test_what_is_no_price_is_told(cell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert prices([cell, "12.50"], "x") == [None, Price(12.5, "")]
    assert "not understood" in capsys.readouterr().out


def test_words_for_nothing_are_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert prices(["", "-", "N/A", "null"], "x") == [None] * 4
    assert not capsys.readouterr().out
