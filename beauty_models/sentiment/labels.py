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

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.intake import account
from beauty_models.intake.rejected import good_rows, reject, reject_where
from beauty_models.intake.values import meanings, parse_rating, plain
from beauty_models.sentiment import POLARITY_WORDS, Ingest
from beauty_models.sentiment.annotations import Aspect
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
    labels, distinct_labels = pd.factorize(reviews["label"])
    stars, distinct_ratings = pd.factorize(reviews["rating"])
    # A label and a rating stand in many rows together: each pair is read once.
    pairs, distinct = pd.factorize(labels * len(distinct_ratings) + stars)
    read_as = []
    for pair in distinct.tolist():
        label, rating = divmod(pair, len(distinct_ratings))
        read_as.append(_class_of(distinct_labels[label], distinct_ratings[rating], known))
    classes = np.array([name for name, _ in read_as], dtype=object)[pairs]
    reasons = np.array([reason for _, reason in read_as], dtype=object)[pairs]
    if params.label_from_aspects:
        bare = ((reviews["label"] == "") & (reviews["rating"] == "")).to_numpy(bool)
        classes[bare] = list(map(_class_of_aspects, reviews["aspects"][bare]))
    label_values: Counter[str] = Counter()
    for value, count in zip(distinct_labels, np.bincount(labels).tolist(), strict=True):
        if value:
            label_values[plain(value)] += count
    reviews["label"] = classes
    reject(reviews, reasons.tolist())
    return label_values


def _as_stars(ratings: pd.Series[str], top: float) -> NDArray[np.object_]:
    """Return ``ratings`` as numbers of stars, ``top`` at most; what is none stays as it is.

    A cell that says its own scale, 8/10 or 80 %, is brought to the stars'.
    """
    cells, distinct = pd.factorize(ratings)
    counts = np.bincount(cells, minlength=len(distinct)).tolist()
    stars = []
    rescaled = Counter[float]()
    for cell, count in zip(distinct, counts, strict=True):
        read = parse_rating(cell)
        if read is None:
            stars.append(cell)
            continue
        value = read.value
        if read.scale and top and read.scale != top:
            rescaled[read.scale] += count
            value = value * top / read.scale
        stars.append(f"{value:g}")
    for scale, rows in sorted(rescaled.items()):
        taken = f"{scale:g} is {top:g} stars"
        evidence = f"{rows:,} ratings say so"
        account.guess("scale", taken, sure="certain", evidence=evidence)
    found: NDArray[np.object_] = np.array(stars, dtype=object)[cells]
    return found


def _class_of(label: str, rating: str, known: Meanings) -> tuple[str, str]:
    """Return the class of a review, or "" for none, and why it cannot be read, or ""."""
    if label:
        name = known.of_label.get(plain(label), "")
        if name:
            return name, ""
        listed = ", ".join(known.of_label)
        return "", f"label {label!r:.40} is none of {listed}"
    if rating:
        # three stars of five mean neither class: the text then serves pretraining
        name = _class_of_rating(plain(rating), known.of_rating)
        if name:
            return name, ""
        return "", _rating_fault(rating, known.top_rating)
    return "", ""


def _class_of_aspects(aspects: list[Aspect] | None) -> str:
    """Return the class of a review that speaks of ``aspects``, "" where it speaks of none."""
    if not aspects:
        return ""
    # a complaint is what a shop must not miss
    blamed = any(aspect["polarity"] == "negative" for aspect in aspects)
    return "negative" if blamed else "positive"


def _class_of_rating(rating: str, of_rating: dict[str, str]) -> str:
    """Return the class of ``rating``; of a half star that of its neighbours, where they agree."""
    if rating in of_rating or not NUMBER.fullmatch(rating):
        return of_rating.get(rating, "")
    value = float(rating)
    below = of_rating.get(str(math.floor(value)), "")
    above = of_rating.get(str(math.ceil(value)), "")
    # 4.5 of [4, 5] is praise; 2.5, with nothing above, is neither. Half a star is less than one,
    # unless 0 is a rating, too.
    if value < 1 and not below:
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
        lowest = float(numbers.min())
        highest = float(numbers.max())
        remedy = "take another column with --map rating=COLUMN"
        # What is between, such as a probability, no list of ratings can say.
        if lowest.is_integer() and highest.is_integer():
            ends = {"ratings.negative": [int(lowest)], "ratings.positive": [int(highest)]}
            remedy = f"say which mean what, such as {_set_options(ends)}; or {remedy}"
        raise ValueError(
            f"{file}: its {len(numbers):,} ratings go from {lowest:g} to {highest:g}: they are no "
            f"stars of {top:g}; {remedy}"
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
    # most texts are there once
    labelled = labelled[labelled["key"].duplicated(keep=False)]
    labels_per_text = labelled.groupby("key")["label"].nunique()
    contradicted = labels_per_text.index[labels_per_text > 1]
    # those without a label, too: nobody knows which of the two it would have
    bad = reviews["key"].isin(contradicted) & (reviews["reason"] == "")
    reject_where(reviews, bad, "the same text has different labels")
    return int(bad.sum())
