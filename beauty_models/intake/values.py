"""What a cell of a table says, however it was written: labels, numbers, dates."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime

import pandas as pd

# Seconds since 1970 have 9 or 10 digits from 1973 on, milliseconds 13 from 2001 on.
UNIX_TIME = r"\d{9,10}|\d{13}"
FIRST_MILLISECONDS = 1e11  # as seconds it would be the year 5138


def plain(value: str) -> str:
    """Return ``value`` so that ``1``, ``1.0`` and ``+1`` are one value; capitals do not count."""
    try:
        number = float(value)
    except ValueError:
        return value.strip().casefold()
    return str(int(number)) if number.is_integer() else str(number)


def meanings(accepted: dict[str, list[str]], name: str) -> dict[str, str]:
    """Return value → meaning, the values made `plain`, for meaning → values.

    Raises:
        ValueError: a value has two meanings; ``name`` is the parameter to mend.
    """
    by_value: dict[str, str] = {}
    for meaning, values in accepted.items():
        for value in map(plain, values):
            first = by_value.setdefault(value, meaning)
            if first != meaning:
                raise ValueError(f"{name}: {value!r} stands for both {first} and {meaning}")
    return by_value


def dates(values: Sequence[str]) -> list[datetime | None]:
    """Return UTC times without a zone, None where a value is no date.

    9, 10 or 13 digits are seconds or milliseconds since 1970.
    """
    cells = pd.Series(values, dtype=object)
    digits = cells.where(cells.str.fullmatch(UNIX_TIME))
    numbers = pd.to_numeric(digits, errors="coerce")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about days that could be months
        written = cells.where(numbers.isna())
        stamps = pd.to_datetime(written, errors="coerce", format="mixed", utc=True)
    seconds = numbers.where(numbers < FIRST_MILLISECONDS, numbers / 1000)
    stamps = stamps.fillna(pd.to_datetime(seconds, unit="s", utc=True))
    times: list[datetime | None] = []
    for stamp in stamps:
        if pd.isna(stamp):
            times.append(None)
        else:
            # All are UTC by now; a mark that says so in every row would only be in the way.
            times.append(stamp.tz_localize(None).to_pydatetime())
    return times
