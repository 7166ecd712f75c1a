"""Labels that contradict each other, or the reading of two classes: told, and too many are refused.

All is counted by file, label and rating, so that a delivery may be looked at in pieces.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from beauty_models.intake import account
from beauty_models.intake.values import plain
from beauty_models.sentiment import Ingest

FEW = 3  # rows; fewer are slips of the keyboard, whatever their share

Pair = tuple[str, str, str]  # file, label (plain), rating as a number of stars; "" where none is


class Values(NamedTuple):
    """How often each file has each label beside each rating, and where first."""

    counts: Counter[Pair]
    first: dict[Pair, int]  # the row


def count_values(reviews: pd.DataFrame) -> Values:
    """Return the labels and ratings of ``reviews``, whose ratings are stars already."""
    values = Values(Counter(), {})
    labelled = reviews[reviews["label"] != ""]
    # sort=False: in the order of their first rows
    groups = labelled.groupby(["file", "label", "rating"], sort=False)["row"]
    group: Any  # file, label, rating
    for group, rows in groups:
        file, label, rating = group
        pair = (file, plain(label), rating)
        values.counts[pair] += len(rows)
        values.first.setdefault(pair, int(rows.iloc[0]))
    return values


class Conflict(NamedTuple):
    """Rows of one file that contradict the reading."""

    file: str
    rows: int
    of: int  # rows that could contradict it
    example: str  # file:row
    told: str  # what contradicts what, in words


def check_labels(
    values: Values, of_label: Mapping[str, str], of_rating: Mapping[str, str], params: Ingest
) -> None:
    """Tell of the labels that contradict the reading; stop where they are too many.

    Args:
        values: what the files say.
        of_label: label → class.
        of_rating: rating → class, of those that mean one.
        params: ``max_contradictions`` is the share of a file's rows that may.

    Raises:
        ValueError: in a file more do; the message has the options that say how to read it.
    """
    for file in sorted({pair[0] for pair in values.counts}):
        own = {pair: count for pair, count in values.counts.items() if pair[0] == file}
        numbers = _numbers(own, params.max_contradictions)
        for conflict, options in (
            (_beside_ratings(own, values.first, of_label, of_rating), _column_options()),
            (_on_a_scale(own, values.first, of_label, numbers), _scale_options(numbers, params)),
        ):
            if conflict is not None:
                _tell(conflict, options, params)


def _tell(conflict: Conflict, options: str, params: Ingest) -> None:
    share = conflict.rows / conflict.of
    if conflict.rows >= FEW and share > params.max_contradictions:
        as_it_is = account.remedy("max_contradictions", f"{_ceiling(share)}")
        raise ValueError(
            f"{conflict.file}: {conflict.told} in {conflict.rows:,} of {conflict.of:,} rows, first "
            f"in {conflict.example}; ingest.max_contradictions allows "
            f"{params.max_contradictions:.0%}. {options}; or read it all the same with {as_it_is}"
        )
    account.contradict(conflict.told, conflict.rows, conflict.of, conflict.example)


def _ceiling(share: float) -> float:
    """Return ``share`` rounded up to hundredths, so that it allows what was counted."""
    return min(1.0, math.ceil(100 * share) / 100)


def _conflict(
    told: str, bad: Mapping[Pair, int], first: Mapping[Pair, int], of: int
) -> Conflict | None:
    if not bad:
        return None
    rows = sum(bad.values())
    file = next(iter(bad))[0]
    example = min(first[pair] for pair in bad)
    return Conflict(file, rows, of, f"{file}:{example}", told)


def _beside_ratings(
    own: Mapping[Pair, int],
    first: Mapping[Pair, int],
    of_label: Mapping[str, str],
    of_rating: Mapping[str, str],
) -> Conflict | None:
    """Return the rows whose label and rating mean different classes."""
    both = 0
    bad = {}
    for pair, count in own.items():
        _, label, rating = pair
        by_label = of_label.get(label, "")
        by_rating = of_rating.get(plain(rating), "") if rating else ""
        if by_label and by_rating:
            both += count
            if by_label != by_rating:
                bad[pair] = count
    return _conflict("the label says one class and the rating another", bad, first, both)


def _column_options() -> str:
    option = account.remedy("columns.label", '["no column"]')
    return (
        "Look which column is right: the label counts where it is there, the ratings do with "
        f"{option}"
    )


def _numbers(own: Mapping[Pair, int], rare: float) -> list[float]:
    """Return the numbers among the labels of a file, rising, without those that are ``rare``."""
    counts: Counter[float] = Counter()
    for (_, label, _), count in own.items():
        number = _number(label)
        if number is not None:
            counts[number] += count
    least = rare * counts.total()
    return sorted(number for number, count in counts.items() if count > least)


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _on_a_scale(
    own: Mapping[Pair, int],
    first: Mapping[Pair, int],
    of_label: Mapping[str, str],
    numbers: list[float],
) -> Conflict | None:
    """Return the rows whose label is a number that lies elsewhere on the column's own scale.

    -1, 0 and 1 are three classes, 1 and 2 are two of which 1 is the worse: read by what 0 and 1
    mean, the middle or the lower end would be taken for a class that it is not.
    """
    if len(numbers) < 2:
        return None
    middle = (numbers[0] + numbers[-1]) / 2
    ends = [of_label.get(plain(str(number)), "") for number in (numbers[0], numbers[-1])]
    # Only params.yaml can say that less is better; then it does so of both ends.
    low, high = ("positive", "negative") if ends[0] == "positive" else ("negative", "positive")
    if set(ends) != {low, high}:
        low, high = "negative", "positive"
    bad = {}
    total = 0
    for pair, count in own.items():
        number = _number(pair[1])
        if number is None:
            continue
        total += count
        expected = low if number < middle else high if number > middle else "no class"
        read = of_label.get(pair[1], "")
        if read in ("negative", "positive") and read != expected:
            bad[pair] = count
    listed = ", ".join(f"{number:g}" for number in numbers)
    wrong = ", ".join(sorted({f"{label} as {of_label[label]}" for _, label, _ in bad}))
    return _conflict(f"labels are {listed}; {wrong} is odd on that scale", bad, first, total)


def _scale_options(numbers: list[float], params: Ingest) -> str:
    """Return the options that read the labels as a scale: its lower half, its upper half."""
    if len(numbers) < 2:
        return ""
    middle = (numbers[0] + numbers[-1]) / 2
    halves = {"negative": [n for n in numbers if n < middle]}
    halves["positive"] = [n for n in numbers if n > middle]
    options = []
    for name, chosen in halves.items():
        words = [word for word in params.labels.get(name, []) if _number(plain(word)) is None]
        listed = ", ".join(f'"{value}"' for value in [*words, *(f"{n:g}" for n in chosen)])
        options.append(account.remedy(f"labels.{name}", f"[{listed}]"))
    if any(number == middle for number in numbers):
        # What is in the middle is rejected, and there may be much of it.
        options.append(account.remedy("max_rejected", "1"))
    return f"Say what they mean, such as {' '.join(options)}"


def unread_ratings(ratings: Iterable[str]) -> bool:
    """Return whether ``ratings`` go from 0 to 1: no stars, of which 1 would be the worst."""
    numbers = [number for number in map(_number, ratings) if number is not None]
    return len(numbers) >= FEW and max(numbers) <= 1 and min(numbers) < 1
