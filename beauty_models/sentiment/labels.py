"""The class of a review: from its label, else from its rating, else from its aspects.

What the params do not say of a value is told with the options that would.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter
from itertools import chain
from typing import Any, NamedTuple

import pandas as pd

from beauty_models.intake import account
from beauty_models.intake.rejected import good_rows, reject, reject_where
from beauty_models.intake.values import meanings, parse_rating, plain
from beauty_models.sentiment import POLARITY_WORDS, Ingest
from beauty_models.sentiment.contradictions import (
    FEW,
    check_labels,
    count_values,
    unread_ratings,
)

NUMBER = re.compile(r"-?\d+(\.\d+)?")
UNKNOWN_VALUES = 6  # of the label column, that a message proposes a class for
STRAY = 0.01  # share of the ratings above the stars, up to which they are single mistakes
LONGEST_SCALE = 20  # more is hardly a scale that somebody counts up

# Of a scale of ten 1 to 4 is blame and 7 to 10 praise.
BLAME_UP_TO = 0.4
PRAISE_FROM = 0.7


class Meanings(NamedTuple):
    """What the values of the columns label and rating mean: plain value → class."""

    of_label: dict[str, str]
    of_rating: dict[str, str]
    top_rating: float  # the highest rating that means a class


def assign_labels(reviews: pd.DataFrame, params: Ingest) -> Counter[str]:
    """Put the class, or "" for none, into the column label, and reject what cannot be read.

    Returns how often each value of the label column is there.

    Raises:
        ValueError: the ratings are of another scale, or the params contradict themselves.
    """
    top = max(chain.from_iterable(params.ratings.values()), default=0.0)
    reviews["rating"] = _as_stars(reviews["rating"], top)
    # where a label stands beside the rating, the rating is not read
    read = reviews[reviews["label"] == ""]
    _check_scale(read["rating"], top)
    for file, ratings in read.groupby("file")["rating"]:
        _check_file(str(file), ratings, top)
    known = Meanings(
        of_label=meanings(params.labels, "ingest.labels"),
        of_rating=_rating_meanings(params),
        top_rating=top,
    )
    check_labels(count_values(reviews), known.of_label, known.of_rating, params)
    label_values: Counter[str] = Counter()
    classes = []
    reasons = []
    review: Any
    for review in reviews.itertuples(index=False):
        if review.label:
            label_values[plain(review.label)] += 1
        name, reason = _class_of(review, known, params.label_from_aspects)
        classes.append(name)
        reasons.append(reason)
    reviews["label"] = classes
    reject(reviews, reasons)
    return label_values


def _as_stars(ratings: pd.Series[str], top: float) -> list[str]:
    """Return ``ratings`` as numbers of stars, ``top`` at most; what is none stays as it is.

    A cell that says its own scale, 8/10 or 80 %, is brought to the stars'.
    """
    stars = []
    rescaled = Counter[float]()
    for cell in ratings:
        read = parse_rating(cell)
        if read is None:
            stars.append(cell)
            continue
        value = read.value
        if read.scale and top and read.scale != top:
            rescaled[read.scale] += 1
            value = value * top / read.scale
        stars.append(f"{value:g}")
    for scale, count in sorted(rescaled.items()):
        taken = f"{scale:g} is {top:g} stars"
        evidence = f"{count:,} ratings say so"
        account.guess("scale", taken, sure="certain", evidence=evidence)
    return stars


def _class_of(review: Any, known: Meanings, from_aspects: bool) -> tuple[str, str]:
    """Return the class of ``review``, or "" for none, and why it cannot be read, or ""."""
    if review.label:
        name = known.of_label.get(plain(review.label), "")
        if name:
            return name, ""
        listed = ", ".join(known.of_label)
        return "", f"label {review.label!r:.40} is none of {listed}"
    if review.rating:
        # three stars of five mean neither class: the text then serves pretraining
        name = _class_of_rating(plain(review.rating), known.of_rating)
        if name:
            return name, ""
        return "", _rating_fault(review.rating, known.top_rating)
    if from_aspects and review.aspects:
        # a complaint is what a shop must not miss
        blamed = any(aspect["polarity"] == "negative" for aspect in review.aspects)
        return "negative" if blamed else "positive", ""
    return "", ""


def _class_of_rating(rating: str, of_rating: dict[str, str]) -> str:
    """Return the class of ``rating``; of a half star that of its neighbours, where they agree."""
    if rating in of_rating or not NUMBER.fullmatch(rating):
        return of_rating.get(rating, "")
    value = float(rating)
    below = of_rating.get(str(math.floor(value)), "")
    above = of_rating.get(str(math.ceil(value)), "")
    # 4.5 of [4, 5] is praise; 2.5, with nothing above, is neither. Half a star is less than one.
    if value < 1:
        return above
    return below if below == above else ""


def _rating_meanings(params: Ingest) -> dict[str, str]:
    ratings = {}
    for name, stars in params.ratings.items():
        # as the cells of a table: strings
        ratings[name] = list(map(str, stars))
    class_of_rating = meanings(ratings, "ingest.ratings")
    strange = sorted(set(class_of_rating.values()) - set(params.labels))
    if strange:
        raise ValueError(f"ingest.ratings: {', '.join(strange)} is no class of ingest.labels")
    return class_of_rating


def _check_scale(ratings: pd.Series, top: float) -> None:
    """Stop when the ratings go beyond the ``top`` of the stars: 4 of 10 is no praise.

    Raises:
        ValueError: more than `STRAY` of them do; a stray one is left to `assign_labels`.
    """
    given = ratings[ratings != ""]
    numbers = pd.to_numeric(given, errors="coerce").dropna()
    beyond = numbers[numbers > top]
    if len(beyond) <= STRAY * len(numbers):
        return
    highest = float(beyond.max())
    remedy = "another column with --map rating=COLUMN"
    if highest <= LONGEST_SCALE:
        remedy = _scale_options(highest)
    share = f"{len(beyond):,} of {len(numbers):,}"
    raise ValueError(
        f"{share} ratings are above {top:g}, up to {highest:g}: they are not stars of {top:g}; "
        f"say which mean what, such as {remedy}"
    )


def _check_file(file: str, ratings: pd.Series, top: float) -> None:
    """Stop where a file has a scale of its own, which among many others would be a stray one.

    Raises:
        ValueError: its ratings go beyond the stars, or from 0 to 1.
    """
    given = ratings[ratings != ""]
    numbers = pd.to_numeric(given, errors="coerce").dropna()
    if (numbers > top).sum() >= FEW:
        try:
            _check_scale(given, top)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    if top > 1 and unread_ratings(given):
        raise ValueError(
            f"{file}: its {len(numbers):,} ratings go from {numbers.min():g} to {numbers.max():g}: "
            f"they are no stars of {top:g}; say which mean what, such as "
            f"{_set_options({'ratings.negative': [0], 'ratings.positive': [1]})}; or take another "
            "column with --map rating=COLUMN"
        )


def _scale_options(highest: float) -> str:
    """Return the options that give the ratings of a scale up to ``highest`` their classes."""
    low = []
    high = []
    for rating in range(1, int(highest) + 1):
        if rating <= BLAME_UP_TO * highest:
            low.append(rating)
        if rating >= PRAISE_FROM * highest:
            high.append(rating)
    return _set_options({"ratings.negative": low, "ratings.positive": high})


def _rating_fault(rating: str, top: float) -> str:
    """Return why a rating that means no class is not taken, or "": it leaves a text unlabelled."""
    value = plain(rating)
    if not NUMBER.fullmatch(value):
        return f"rating {rating!r:.40} is not a number (words are read with --map label=COLUMN)"
    if float(value) > top:
        return f"rating {rating!r:.40} is above the stars of ingest.ratings"
    return ""


def labels_remedy(label_values: Counter[str], labels: dict[str, list[str]]) -> str:
    """Return the options that give the most frequent unknown label values a class, or ""."""
    known = meanings(labels, "ingest.labels")
    values_of: dict[str, list[str]] = {name: [] for name in labels}
    for value in label_values:
        if value in known:
            values_of[known[value]].append(value)
    unknown = [value for value, _ in label_values.most_common() if value not in known]
    if not unknown:
        return ""
    # "good" and 好评 hardly mean anything else; of other values the class is a guess
    polarity_of = meanings(POLARITY_WORDS, "POLARITY_WORDS")
    doubt = ""
    for value in unknown[:UNKNOWN_VALUES]:
        name = polarity_of.get(value, "")
        if name not in values_of:
            doubt = " (which value means what is a guess here: put each where it belongs)"
            # an option has to be complete to be pasted: the class with the fewest values gets it
            name = min(values_of, key=lambda label: len(values_of[label]))
        values_of[name].append(value)
    settings = {}
    for name, values in values_of.items():
        if values:
            settings[f"labels.{name}"] = values
    leave = "or leave their rows out with --set sentiment.ingest.max_rejected=1"
    return f"say what the values mean{doubt}: {_set_options(settings)}; {leave}"


def _set_options(settings: dict[str, list[Any]]) -> str:
    """Return the ``--set`` options, ready to paste, that put these below sentiment.ingest."""
    options = []
    for key, items in settings.items():
        text = json.dumps(items, ensure_ascii=False)
        setting = shlex.quote(f"sentiment.ingest.{key}={text}")
        options.append(f"--set {setting}")
    return " ".join(options)


def reject_contradictions(reviews: pd.DataFrame) -> int:
    """Reject the texts that stand there with different labels; return how many rows that are."""
    good = good_rows(reviews)
    labelled = good[good["label"] != ""]
    labels_per_text = labelled.groupby("key")["label"].nunique()
    contradicted = labels_per_text.index[labels_per_text > 1]
    # those without a label, too: nobody knows which of the two it would have
    bad = reviews["key"].isin(contradicted) & (reviews["reason"] == "")
    reject_where(reviews, bad, "the same text has different labels")
    return int(bad.sum())
