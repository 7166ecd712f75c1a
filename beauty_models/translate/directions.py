"""Which method serves which direction, decided on validation texts and kept with the model.

A young model may be worse than its own memory where the data are few. What is better there answers,
and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beauty_models.files import read_json, write_json
from beauty_models.progress import log_line
from beauty_models.translate.methods import LIKELIEST, METHODS, MODEL, VOICES, Methods
from beauty_models.translate.quality import (
    Estimator,
    Evidence,
    Forecast,
    Quality,
    cross_fitted,
    learn,
)
from beauty_models.translate.sampling import Sample
from beauty_models.translate.scoring import LOOK_BELOW, chrf_counts, corpus_chrf, sentence_chrf

FILE = "directions.json"
FLAG_PRECISION = 0.7  # how often a flag must be right on validation


class Choice(NamedTuple):
    """What was measured of a direction."""

    method: str  # that serves it
    # method → corpus chrF of the validation texts, 0 to 100; `LIKELIEST` among them
    chrf: dict[str, float]
    n: int  # validation texts


@dataclass(frozen=True)
class Directions:
    """The choices of all directions that validation can test, and when a person must look."""

    choices: dict[tuple[str, str], Choice]
    thresholds: dict[str, float]  # method → confidence below which a translation is flagged
    quality: Quality = field(default_factory=Quality)  # of a text's candidates

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
            "estimators": _as_json(self.quality.estimators),
            "forecasts": _as_json(self.quality.forecasts),
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
        forecasts = {}
        for name, found in content["forecasts"].items():
            forecasts[name] = Forecast(tuple(found["weights"]), found["bias"])
        return cls(choices, content["thresholds"], Quality(estimators, forecasts))


def _as_json(regressions: Mapping[str, Estimator | Forecast]) -> dict[str, Any]:
    return {name: regression._asdict() for name, regression in regressions.items()}


def tell(decided: Directions) -> None:
    """Log the directions that another method than the model serves."""
    for (source, target), choice in decided.choices.items():
        if choice.method not in (MODEL, LIKELIEST):
            log_line(
                f"finetune: {source} to {target} is served by {choice.method}: chrF "
                f"{choice.chrf[choice.method]:.1f}, the model {choice.chrf[MODEL]:.1f}"
            )


def decide(methods: Methods, sample: Sample) -> Directions:
    """Return the best method of each direction of a validation ``sample``, by its chrF.

    What quality estimation says of a text is judged by what the other units taught it.
    """
    candidates = methods.candidates(METHODS, sample.texts)
    counts = {}
    scores = {}
    for method in METHODS:
        written = [candidate.text for candidate in candidates[method]]
        counts[method] = chrf_counts(written, sample.references)
        scores[method] = sentence_chrf(counts[method])
    evidence = Evidence.of(sample.texts, candidates)
    chosen, likely = cross_fitted(evidence, scores, sample.unit)
    of_voices = np.stack([counts[voice] for voice in VOICES])
    counts[LIKELIEST] = of_voices[chosen, np.arange(len(chosen))]
    thresholds = {method: _threshold(likely[method], scores[method]) for method in METHODS}
    choices = {}
    for direction, rows in sample.rows.items():
        once = np.ones((1, len(rows)))
        chrf = {method: float(corpus_chrf(of[rows], once)[0]) for method, of in counts.items()}
        # the first of equals: the model, where another is no better
        best = max(counts, key=lambda method: chrf[method])
        choices[direction] = Choice(best, chrf, len(rows))
    return Directions(choices, thresholds, learn(evidence, scores))


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
