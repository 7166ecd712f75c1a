"""Which method serves which direction, decided on validation texts and kept with the model.

A young model may be worse than its own memory where the data are few. What is better there answers,
and says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.files import read_json, write_json
from beauty_models.progress import log_line
from beauty_models.translate.memory import NOT_LANGUAGES
from beauty_models.translate.methods import METHODS, MODEL, Methods, Text
from beauty_models.translate.quality import Estimator, features, fit
from beauty_models.translate.scoring import LOOK_BELOW, chrf_counts, corpus_chrf, sentence_chrf

FILE = "directions.json"
FLAG_PRECISION = 0.7  # how often a flag must be right on validation


class Choice(NamedTuple):
    """What was measured of a direction."""

    method: str  # that serves it
    chrf: dict[str, float]  # method → corpus chrF of the validation texts, 0 to 100
    n: int  # validation texts


@dataclass(frozen=True)
class Directions:
    """The choices of all directions that validation can test, and when a person must look."""

    choices: dict[tuple[str, str], Choice]
    thresholds: dict[str, float]  # method → confidence below which a translation is flagged
    # method → what turns its candidates' confidence into a probability
    estimators: dict[str, Estimator] = field(default_factory=dict)

    def method(self, source: str, target: str) -> str:
        """Return the method that serves a direction: the model where nothing was measured."""
        choice = self.choices.get((source, target))
        return choice.method if choice else MODEL

    def save(self, folder: Path) -> None:
        """Write the choices into a model's ``folder``."""
        directions: dict[str, Any] = {}
        for (source, target), choice in self.choices.items():
            directions[f"{source} {target}"] = choice._asdict()
        content = {
            "directions": directions,
            "thresholds": self.thresholds,
            "estimators": {name: found._asdict() for name, found in self.estimators.items()},
            "look_below_chrf": LOOK_BELOW,
        }
        write_json(folder / FILE, content)

    @classmethod
    def load(cls, folder: Path) -> Directions:
        """Return the choices in a model's ``folder``.

        Raises:
            ValueError: there is no such file, or it is no JSON.
        """
        content = read_json(folder / FILE)
        choices = {}
        for name, choice in content["directions"].items():
            source, target = name.split(" ")
            choices[source, target] = Choice(**choice)
        estimators = {}
        for name, found in content["estimators"].items():
            estimators[name] = Estimator(tuple(found["weights"]), found["bias"])
        return cls(choices, content["thresholds"], estimators)


def languages_of(units: pd.DataFrame) -> list[str]:
    """Return the languages of a table of units: its columns beside id and kind."""
    return [name for name in units.columns if name not in NOT_LANGUAGES]


def pairs(units: pd.DataFrame, source: str, target: str, count: int, seed: int) -> pd.DataFrame:
    """Return the columns ``source`` and ``target`` of units that have both, ``count`` at most.

    Every direction draws from the units in the same order, so that they test the same ones.
    ``count`` 0 takes all. The index stays that of ``units``.
    """
    order = np.random.default_rng(seed).permutation(len(units))
    both = units.iloc[order][[source, target]].dropna()
    both = both[(both[source] != "") & (both[target] != "")]
    return both.iloc[:count] if count else both


def tell(decided: Directions) -> None:
    """Log the directions that another method than the model serves."""
    for (source, target), choice in decided.choices.items():
        if choice.method != MODEL:
            log_line(
                f"finetune: {source} to {target} is served by {choice.method}: chrF "
                f"{choice.chrf[choice.method]:.1f}, the model {choice.chrf[MODEL]:.1f}"
            )


def decide(methods: Methods, validation: pd.DataFrame, compared: int, seed: int) -> Directions:
    """Return the best method of each direction that ``validation`` can test, by its chrF."""
    languages = [name for name in languages_of(validation) if name in methods.translator.languages]
    texts: list[Text] = []
    references: list[str] = []
    rows: dict[tuple[str, str], list[int]] = {}
    for source in languages:
        for target in languages:
            if source == target:
                continue
            tested = pairs(validation, source, target, compared, seed)
            if tested.empty:
                continue
            rows[source, target] = list(range(len(texts), len(texts) + len(tested)))
            texts += [Text(text, source, target) for text in tested[source]]
            references += tested[target].tolist()
    candidates = {}
    counts = {}
    for method in METHODS:
        candidates[method] = methods.translate(method, texts)
        written = [candidate.text for candidate in candidates[method]]
        counts[method] = chrf_counts(written, references)
    choices = {}
    for direction, numbers in rows.items():
        once = np.ones((1, len(numbers)))
        chrf = {method: float(corpus_chrf(counts[method][numbers], once)[0]) for method in METHODS}
        # the first of equals: the model, where a baseline is no better
        best = max(METHODS, key=lambda method: chrf[method])
        choices[direction] = Choice(best, chrf, len(numbers))
    thresholds = {}
    estimators = {}
    for method in METHODS:
        scores = sentence_chrf(counts[method])
        known = features(methods, texts, candidates[method])
        estimators[method] = fit(known, scores >= LOOK_BELOW)
        thresholds[method] = _threshold(estimators[method].probability(known), scores)
    return Directions(choices, thresholds, estimators)


def _threshold(confidence: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Return the confidence below which a translation is flagged "look at this".

    The flag is right about a translation whose chrF is below `LOOK_BELOW`. It is to find as many of
    them as it can and still be right `FLAG_PRECISION` of the time, else people stop looking. 0,
    which flags none, where no confidence tells them apart so well.
    """
    bad = scores < LOOK_BELOW
    order = np.argsort(confidence, kind="stable")
    hits = np.cumsum(bad[order])
    # equal confidences are flagged together: only the last of them is a place to cut
    last = np.append(np.diff(confidence[order]) > 0, True)
    allowed = last & (hits >= FLAG_PRECISION * np.arange(1, len(order) + 1)) & (hits > 0)
    if not allowed.any():
        return 0.0
    best = int(np.argmax(np.where(allowed, hits, -1)))
    if best + 1 == len(order):
        return float(np.nextafter(1.0, 2.0))  # all of them, a confidence of 1 among them
    return float((confidence[order][best] + confidence[order][best + 1]) / 2)
