"""Dates whose months are words of another language than English: 12 août 2024, 2024年3月1日.

dateparser knows the words. In which language they are the whole column says: ``listopad`` is
November in Polish and October in Croatian.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from beauty_models.intake import account

LANGUAGES = (
    *("de", "fr", "es", "pt", "it", "nl", "pl", "tr", "ru", "uk", "cs", "sk", "hr", "sl", "ro"),
    *("hu", "sv", "da", "nb", "fi", "el", "ja", "zh", "ko", "th", "vi", "id"),
)
SAMPLE = 30  # distinct dates by which the language is found; each costs a few ms a language
MOST_DISTINCT = 20_000  # days that are read: a century has 36,525
BUDDHIST = 543  # years that Thailand is ahead; nothing was sold in 2400
FIRST_BUDDHIST = 2400
# A time behind the date is read here: with it each cell would be another one to dateparser.
_TIME = re.compile(r"[\s,]+(?:(?:à|um|kl\.?|a las|às|o)\s+)?(\d{1,2}):(\d\d)(?::(\d\d))?$")
_MAY_BE_DATE = re.compile(r"(?=.*\d)(?=.*[^\W\d_]).{6,60}", re.DOTALL)


def parsed(cells: pd.Series[str], file: str) -> pd.Series[pd.Timestamp]:
    """Return the times of ``cells`` in UTC, NaT where a cell is no such date or could be two.

    A day without its year is none. The language is told; ``file`` is for that.
    """
    days = {}  # cell → day and time of the day
    for cell in cells.dropna().unique():
        text = cell.strip()
        if _MAY_BE_DATE.fullmatch(text):
            days[cell] = _day_and_time(text)
    distinct = list(dict.fromkeys(day for day, _ in days.values()))
    nothing = pd.Series(pd.NaT, index=cells.index, dtype="datetime64[ns, UTC]")
    if not distinct or len(distinct) > MOST_DISTINCT:
        return nothing
    language = _language(distinct[:: max(1, len(distinct) // SAMPLE)][:SAMPLE], file)
    if not language:
        return nothing
    read = {day: _read(day, language) for day in distinct}
    times = {}
    for cell, (day, time) in days.items():
        if found := read[day]:
            times[cell] = pd.Timestamp(found + time, tz="UTC")
    return nothing.fillna(cells.map(times).astype(nothing.dtype))


def _day_and_time(text: str) -> tuple[str, timedelta]:
    match = _TIME.search(text)
    if not match:
        return text, timedelta()
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return text[: match.start()], timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _language(sample: Iterable[str], file: str) -> str:
    """Return the language that reads most of ``sample``; "" where none does, or two disagree."""
    days = list(sample)
    readings = {language: [_read(day, language) for day in days] for language in LANGUAGES}
    counts = {name: sum(day is not None for day in read) for name, read in readings.items()}
    most = max(counts.values())
    # Of texts that are no dates one in thirty looks like one.
    if most * 2 < len(days):
        return ""
    best = [name for name, count in counts.items() if count == most]
    for place, day in enumerate(days):
        meanings = {readings[name][place] for name in best} - {None}
        if len(meanings) > 1:
            reason = (
                f"{' and '.join(best)} read other months, such as {day!r:.40}; write 2026-02-01"
            )
            account.leave_aside("dates", reason, file or "the dates", len(days))
            return ""
    account.guess(
        "dates",
        f"month words of {' or '.join(best[:3])}",
        sure=account.sureness(most, len(days) - most),
        evidence=f"{most:,} of {len(days):,} distinct ones looked at are read",
        file=file,
    )
    return best[0]


def _read(day: str, language: str) -> datetime | None:
    found: datetime | None = _parser(language).get_date_data(day).date_obj
    if found is not None and found.year >= FIRST_BUDDHIST and language == "th":
        return found.replace(year=found.year - BUDDHIST)
    return found


@functools.cache
def _parser(language: str) -> Any:
    # Only where such dates are: it reads its languages' words as it starts.
    from dateparser.date import DateDataParser

    settings = {
        # No "yesterday", and no year that is today's.
        "PARSERS": ["absolute-time"],
        "REQUIRE_PARTS": ["day", "month", "year"],
        "STRICT_PARSING": True,
    }
    return DateDataParser(languages=[language], settings=settings)
