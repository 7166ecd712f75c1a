"""What a cell of a table says, however it was written: labels, numbers, dates."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.intake import account, month_words

# Seconds since 1970 have 9 or 10 digits from 1973 on, milliseconds 13 from 2001 on.
UNIX_TIME = r"\d{9,10}|\d{13}"
FIRST_MILLISECONDS = 1e11  # as seconds it would be the year 5138
FULL_STARS = ("★", "⭐", "🌟")
EMPTY_STARS = ("☆", "✩")
STARS = re.compile("[★⭐🌟☆✩½\ufe0f\\s]*[★⭐🌟☆✩½][\ufe0f\\s]*")
STAR_WORD = re.compile(
    r"(?:stars?|sternen?|étoiles?|estrellas?|estrelas?|stelle|stella|gwiazd\w*|yıldız|зв[её]зд\w*|"
    r"points?|punkte?n?|颗?星|つ星|分|点|점)$"
)
RATED = re.compile(
    r"(?P<number>\d+(?:[.,]\d+)?)\s*"
    r"(?:(?P<percent>%)|(?:/|out of|of|von|sur|de|su|z|из)\s*(?P<scale>\d+))?"
)
RATED_OF = re.compile(r"(?P<scale>\d+)\s*つ星のうち\s*(?P<number>\d+(?:[.,]\d+)?)")  # Japan's
HALF = re.compile(r"(\d)(?:\s*½|\s+1/2)$")
NUMBER_WORDS = {
    word: number
    for number, words in enumerate(
        ("zero", "one 一", "two 二 两", "three 三", "four 四", "five 五"), start=0
    )
    for word in words.split()
}
# 13.03.2024, 3/13/24, 13-3-2024 and what may follow, such as a time
DAY_AND_MONTH = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(?:\d{4}|\d{2})(?!\d)")

# 24-03-05, which may be a day of March 2024 or of 2005
SHORT_YEAR = re.compile(r"^(\d{1,2})([./-])(\d{1,2})\2(\d{2})(?!\d)")
MORE_DAYS = 4  # by which a month's days in a column outnumber its years, to tell them apart
# Without a year pandas would take this one: "10:30" would be today, and another day tomorrow.
HAS_YEAR = re.compile(
    r"(?<!\d)\d{4}(?!\d)|(?<!\d)(?:19|20)\d{6}|\s*\d{1,2}[ .-]+[^\W\d]+[ .,'-]+\d{2}(?!\d)"
)


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


class Rating(NamedTuple):
    """A rating as somebody wrote it."""

    value: float
    scale: float | None = None  # of what, where the cell itself says so: 4 of 5


def parse_rating(cell: str) -> Rating | None:
    """Return what a cell says of a rating, None where it says none.

    ``4``, ``4,5``, ``4 stars``, ``8/10``, ``4 out of 5``, ``80 %``, ``★★★★☆``, ``four stars``,
    ``五星``, ``4½``, ``5つ星のうち4.0``.
    """
    text = cell.strip().casefold()
    if STARS.fullmatch(text):
        full = sum(text.count(star) for star in FULL_STARS)
        half = text.count("½") / 2
        empty = sum(text.count(star) for star in EMPTY_STARS)
        # Without hollow ones five stars may be all of five, or five of ten: nobody says.
        return Rating(full + half, full + math.ceil(half) + empty if empty else None)
    text = STAR_WORD.sub("", text).strip()
    text = HALF.sub(r"\1.5", text)
    if match := RATED_OF.fullmatch(text):
        return Rating(float(match["number"].replace(",", ".")), float(match["scale"]))
    if match := RATED.fullmatch(text):
        number, scale, percent = match["number"], match["scale"], match["percent"]
        value = float(number.replace(",", "."))
        if percent:
            return Rating(value, 100.0)
        return Rating(value, float(scale) if scale else None)
    return Rating(float(NUMBER_WORDS[text])) if text in NUMBER_WORDS else None


class DateOrder(NamedTuple):
    """What a column of dates says of the order in which day and month are written."""

    day_first: int  # dates that can only be read so: 13.03.
    month_first: int  # and only so: 03/13
    either: int  # 01/02: both fit

    @property
    def is_day_first(self) -> bool | None:
        """Whether the day comes first; None where the column does not say."""
        if bool(self.day_first) != bool(self.month_first):
            return bool(self.day_first)
        return None


def date_order(values: Sequence[str], counts: Sequence[int]) -> DateOrder:
    """Return what ``values``, one column of one file, say of the order of day and month.

    Dates that begin with the year need none. Between full stops the day comes first, as in all of
    Europe that writes them so.

    Args:
        values: distinct cells.
        counts: how often each of them is there.
    """
    day_first = month_first = either = 0
    for value, count in zip(values, counts, strict=True):
        match = DAY_AND_MONTH.match(value.strip())
        if not match:
            continue
        first, mark, second = int(match[1]), match[2], int(match[3])
        if first > 12 >= second or mark == "." and max(first, second) <= 12:
            day_first += count
        elif second > 12 >= first:
            month_first += count
        elif first != second:
            either += count
    return DateOrder(day_first, month_first, either)


def dates(values: Sequence[str], files: Sequence[str] = ()) -> NDArray[np.datetime64]:
    """Return UTC times without a zone, NaT where a value is no date, or could be two, [n].

    9, 10 or 13 digits are seconds or milliseconds since 1970. Whether 01/02 is in January or in
    February the other dates of the same file say; where they do not, such a date is NaT, and that
    is told.

    Args:
        values: what the cells say.
        files: the file of each, for several exports may write dates in several ways; without them
            all are of one.
    """
    cells = np.array(values, dtype=object)
    names = pd.Series(list(files) or [""] * len(cells), dtype=object)
    times = np.full(len(cells), np.datetime64("NaT", "us"))
    for name, places in names.groupby(names, sort=False).indices.items():
        # A day stands in many rows: each is read once.
        codes, distinct = pd.factorize(cells[places])
        counts = pd.Series(np.bincount(codes, minlength=len(distinct)))
        found = _dates_of_file(pd.Series(distinct, dtype=object), counts, str(name))
        times[places] = found[codes]
    return times


def _dates_of_file(
    cells: pd.Series[str], counts: pd.Series[int], file: str
) -> NDArray[np.datetime64]:
    """As `dates`, for the distinct ``cells`` of one file, and how often each is there."""
    digits = cells.where(cells.str.fullmatch(UNIX_TIME))
    numbers = pd.to_numeric(digits, errors="coerce")
    written = cells.where(numbers.isna())
    written = _with_long_years(written, counts, file)
    order = date_order(written.fillna("").tolist(), counts.tolist())
    day_first = _is_day_first(order, file)
    if day_first is None:
        ambiguous = written.map(_is_ambiguous).astype(bool)
        written = written.where(~ambiguous)
        if ambiguous.any():
            _leave_dates(cells[ambiguous], counts, file)
    ordered = written.str.match(DAY_AND_MONTH).fillna(False).astype(bool)
    # Only those: pandas would read 2024-03-05 with `dayfirst` as the third of May.
    stamps = _parsed(written.where(ordered), day_first=bool(day_first))
    dated = written.str.contains(HAS_YEAR).fillna(False).astype(bool)
    stamps = stamps.fillna(_parsed(written.where(dated & ~ordered), day_first=False))
    seconds = numbers.where(numbers < FIRST_MILLISECONDS, numbers / 1000)
    stamps = stamps.fillna(pd.to_datetime(seconds, unit="s", utc=True))
    unread = stamps.isna() & written.fillna("").str.strip().ne("")
    if unread.any():
        stamps = stamps.fillna(month_words.parsed(written[unread], file))
        unread &= stamps.isna()
    if unread.any():
        reason = f"not understood, such as {cells[unread].iloc[0]!r:.60}; write 2026-02-01"
        account.leave_aside("dates", reason, file or "the dates", int(counts[unread].sum()))
    # All are UTC by now; a mark that says so in every row would only be in the way.
    times: NDArray[np.datetime64] = stamps.dt.tz_localize(None).to_numpy("datetime64[us]")
    return times


def _with_long_years(cells: pd.Series[str], counts: pd.Series[int], file: str) -> pd.Series[str]:
    """Return ``cells`` with 24-03-05 as 2024-03-05 where the year comes first, NaN if it may.

    The years of a file are few, its days many.
    """
    parts = cells.str.strip().str.extract(SHORT_YEAR)
    short = parts[0].notna()
    if not short.any() or account.reading().dates != "auto":
        return cells
    numbers = parts.loc[short, [0, 2, 3]].astype(int)
    firsts, months, lasts = (numbers[column] for column in numbers)
    one_digit = parts.loc[short, 0].str.len().eq(1).any()
    if one_digit or not months.between(1, 12).all() or not lasts.between(1, 31).all():
        return cells
    only_year = firsts.gt(31).any()
    if not only_year and firsts.nunique() >= lasts.nunique() + MORE_DAYS:
        return cells
    if only_year or lasts.nunique() >= firsts.nunique() + MORE_DAYS:
        evidence = f"{firsts.nunique()} numbers stand first, {lasts.nunique()} last"
        account.guess("dates", "the year first", sure="likely", evidence=evidence, file=file)
        return cells.where(~short, "20" + cells.str.strip())
    _leave_dates(cells[short], counts, file)
    return cells.where(~short)


def _is_day_first(order: DateOrder, file: str) -> bool | None:
    """Return whether the day comes first: by params.yaml, else by the column; None if neither."""
    told = account.reading().dates
    numbered = order.day_first + order.month_first + order.either
    if told == "auto" and order.is_day_first is None or not numbered:
        return None
    if told != "auto":
        is_day_first = told == "day_first"
        sure: account.Sure = "certain"
        evidence = "ingest.reading.dates"
    else:
        is_day_first = bool(order.is_day_first)
        agree = order.day_first if is_day_first else order.month_first
        sure = account.sureness(agree)
        evidence = f"{agree:,} can only be read so, {order.either:,} either way"
    taken = "the day first" if is_day_first else "the month first"
    account.guess("dates", taken, sure=sure, evidence=evidence, file=file)
    return is_day_first


def _leave_dates(ambiguous: pd.Series[str], counts: pd.Series[int], file: str) -> None:
    """Tell of distinct dates that may begin with the day or with the month."""
    reason = (
        f"may begin with the day or with the month, such as {ambiguous.iloc[0]!r}, and the others "
        "do not say which; write 2026-02-01"
    )
    option = account.remedy("reading.dates", "day_first")
    rows = int(counts[ambiguous.index].sum())
    account.leave_aside("dates", reason, file or "the dates", rows, option)


def _parsed(cells: pd.Series[str], day_first: bool) -> pd.Series[pd.Timestamp]:
    """Return times in UTC, NaT where a cell is no date."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about days that could be months
        return pd.to_datetime(cells, errors="coerce", format="mixed", utc=True, dayfirst=day_first)


def _is_ambiguous(value: object) -> bool:
    match = DAY_AND_MONTH.match(value.strip()) if isinstance(value, str) else None
    if not match:
        return False
    first, second = int(match[1]), int(match[3])
    return max(first, second) <= 12 and first != second
