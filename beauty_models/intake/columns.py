"""Which column of a table holds what: told by its name, or proposed by what stands in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import pandas as pd

from beauty_models.intake.values import parse_rating, plain

SHORTEST_TEXT = 8.0  # characters on average, from which a column may be the text
MOST_LABELS = 12  # distinct values, up to which a column may be the label
STAR_VALUES = 3  # more distinct numbers than these are stars, not classes
LARGEST_SCALE = 10  # stars
NUMBER = r"[\d\s.:/-]*"  # a number, a price, a date or a time


def pick(columns: Sequence[str], mapping: dict[str, list[str]]) -> dict[str, str]:
    """Return field → the column that holds it: of the names in ``mapping`` the first that exists.

    Capitals do not count. A column of nested data, ``review.text``, is also known by its last name
    where it is the only one of that name.
    """
    by_name: dict[str, str] = {}
    for column in columns:
        # Of two columns that differ in capitals the first one stays.
        by_name.setdefault(str(column).strip().casefold(), str(column))
    for name, column in _by_last_name(by_name).items():
        by_name.setdefault(name, column)
    picked = {}
    for field, names in mapping.items():
        for name in map(str.casefold, names):
            # A column without a name is nobody's.
            if by_name.get(name):
                picked[field] = by_name[name]
                break
    return picked


def _by_last_name(by_name: dict[str, str]) -> dict[str, str]:
    """Return last name → column of the nested columns that share it with no other column."""
    nested: dict[str, list[str]] = defaultdict(list)
    for name, column in by_name.items():
        _, dot, last = name.rpartition(".")
        if dot:
            nested[last].append(column)
    return {name: columns[0] for name, columns in nested.items() if len(columns) == 1}


def all_named(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the ``columns`` that have one of ``names``; capitals do not count.

    A shop has the name and the description of a product in several, one per language.
    """
    known = {name.casefold() for name in names}
    return [column for column in columns if column.strip().casefold() in known]


def text_column(rows: pd.DataFrame, taken: Iterable[str] = ()) -> str:
    """Return the column that looks like the text: distinct and on average the longest, or "".

    ``taken`` columns are not looked at. This proposes; it never decides.
    """
    best = ""
    longest = SHORTEST_TEXT
    for column in rows.columns:
        cells = rows[column]
        length = float(cells.str.len().mean())
        # An id is distinct, too, but short; a category is long, but the same in many rows.
        distinct = cells.nunique() > len(cells) / 2
        numbers = cells.str.fullmatch(NUMBER).all()
        if column not in taken and distinct and not numbers and length > longest:
            best = str(column)
            longest = length
    return best


def star_count(cell: str) -> str:
    """Return the number of stars that ``cell`` says, or ``cell`` where it is none: 5,0 is 5."""
    rating = parse_rating(cell)
    return plain(cell) if rating is None or rating.scale else f"{rating.value:g}"


def are_ratings(cells: pd.Series[str]) -> bool:
    """Return whether the values of a column are ratings: more numbers than classes have."""
    values = set(map(star_count, cells)) - {""}
    numbers = [value for value in values if value.replace(".", "", 1).isdigit()]
    return STAR_VALUES < len(numbers) == len(values) and max(map(float, numbers)) <= LARGEST_SCALE


def label_columns(
    rows: pd.DataFrame, words: dict[str, list[str]], taken: Iterable[str] = ()
) -> list[str]:
    """Return the columns of ``rows`` that may be the label: few values, each there often.

    Where some hold at least two of ``words`` (meaning → words that can hardly mean anything else),
    only those are returned.
    """
    known = set().union(*words.values())
    # A value that is there once or twice is a name or a remark, not a class.
    most_values = min(MOST_LABELS, len(rows) / 2)
    candidates = []
    certain = []
    for column in rows.columns:
        values = set(map(plain, rows[column])) - {""}
        if column in taken or not 2 <= len(values) <= most_values:
            continue
        candidates.append(str(column))
        # One word may be chance: "good" is a condition as well as a verdict.
        if len(known & values) >= 2:
            certain.append(str(column))
    return certain or candidates
