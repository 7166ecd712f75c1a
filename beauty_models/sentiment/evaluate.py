"""evaluate(): the model and its baselines on one frozen test split, with intervals, and the report that people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import (
    confusion_matrix,
    interval,
    margin,
    per_class,
    product_groups,
    with_interval,
)
from beauty_models.evaluation.metrics import accuracy, macro_f1
from beauty_models.families import Metrics
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.progress import log_line
from beauty_models.sentiment import Evaluate
from beauty_models.sentiment.model import Predictions, load
from beauty_models.sentiment.report import declared
from beauty_models.sentiment.report.baselines import (
    POLARITIES,
    Guess,
    annotated,
    majority,
    mentions,
    tfidf_logreg,
)
from beauty_models.sentiment.report.needs import excerpt, needs
from beauty_models.sentiment.report.quality_page import confusion_png, quality_page, reliability_png

BINS = 15  # of the calibration error
SHOWN = 400  # characters of a listed error
SMALL = 50  # fewer texts than this in a slice prove little
LENGTHS = [0, 20, 50, 100, 200]  # characters, the lower ends of the slices by length


def calibration(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> list[dict[str, float]]:
    """Return up to 15 bins of equal mass by the confidence in the predicted class: n, mean confidence, accuracy.

    Equal mass instead of equal width keeps bins from being empty (Nguyen & O'Connor 2015); equal confidences share a bin.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    edges = np.quantile(confidence, np.arange(1, BINS) / BINS)
    place = np.searchsorted(edges, confidence, side="left")
    bins = [place == one for one in np.unique(place)]
    return [
        {
            "n": int(b.sum()),
            "confidence": float(confidence[b].mean()),
            "accuracy": float(right[b].mean()),
        }
        for b in bins
    ]


def calibration_error(bins: list[dict[str, float]]) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy (Guo et al. 2017, eq. 3)."""
    return sum(b["n"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / sum(
        b["n"] for b in bins
    )


def log_loss(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the mean of −ln of the probability of the true class, in nats."""
    return float(-np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, 1)).mean())


def label_f1(rows: NDArray[Any], weights: bootstrap.Floats) -> bootstrap.Floats:
    """Score: mean F1 over labels, of which each row holds (hits, false alarms, misses); 0 where no label occurs."""
    hits, alarms, misses = np.moveaxis((weights @ rows).reshape(len(weights), -1, 3), -1, 0)
    f1 = bootstrap.ratio(2 * hits, 2 * hits + alarms + misses)
    return np.asarray(np.nansum(f1, axis=1) / np.maximum(1, (~np.isnan(f1)).sum(1)))


def aspect_rows(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Return, per figure, the (hits, false alarms, misses) of each text for `label_f1`; inputs [n, aspects, 3]."""

    def count(true: NDArray[np.bool_], guess: NDArray[np.bool_]) -> NDArray[Any]:
        return np.stack([true & guess, ~true & guess, true & ~guess], -1).astype(np.int32)

    pairs = (len(truth), truth.shape[1] * truth.shape[2])
    found = {
        "aspect_mention": count(np.any(truth, axis=2), np.any(said, axis=2)),
        "aspect_polarity": count(truth.reshape(pairs), said.reshape(pairs)),
    }
    return {f"{name}_micro_f1": cells.sum(1) for name, cells in found.items()} | {
        f"{name}_macro_f1": cells.reshape(len(truth), 3 * cells.shape[1])
        for name, cells in found.items()
    }


def _tables(
    test: pd.DataFrame, guess: Guess, aspects: list[str]
) -> dict[str, tuple[NDArray[Any], bootstrap.Score]]:
    """Return what each figure is computed from: rows [n, columns] and the score."""
    prediction = np.stack([test["label"].to_numpy(), guess.probabilities.argmax(1)], 1)
    tables: dict[str, tuple[NDArray[Any], bootstrap.Score]] = {
        metric.name: (prediction, metric.score) for metric in declared.METRICS if metric.score
    }
    known = annotated(test["aspects"])
    if aspects and known.any():
        rows = aspect_rows(mentions(test["aspects"], aspects)[known], guess.mentions[known])
        tables |= {name: (cells, label_f1) for name, cells in rows.items()}
    return tables


def _compare(
    test: pd.DataFrame, guesses: dict[str, Guess], aspects: list[str], params: Evaluate
) -> dict[str, dict[str, float]]:
    """Return the figures of the model with their intervals, and of each baseline with the model's margin over it."""
    known, groups = annotated(test["aspects"]), product_groups(test)
    truth = test["label"].to_numpy()
    ours, found = _tables(test, guesses["model"], aspects), {}
    for who, guess in guesses.items():
        found[who] = {
            "ece": calibration_error(calibration(truth, guess.probabilities)),
            "log_loss": log_loss(truth, guess.probabilities),
        }
        for name, (rows, score) in _tables(test, guess, aspects).items():
            some = groups[known] if groups is not None and name.startswith("aspect") else groups
            if who == "model":
                found[who] |= with_interval(name, rows, score, some, params)
            else:
                found[who][name] = bootstrap.point_estimate(score, rows)
                found[who] |= margin(name, ours[name][0], rows, score, some, params)
    return found


def _slices(
    test: pd.DataFrame, prediction: NDArray[Any], params: Evaluate
) -> Iterator[dict[str, Any]]:
    """Yield n, accuracy and macro-F1 with interval for each category, language and length."""
    ends = [f"to {stop - 1}" for stop in LENGTHS[1:]] + ["and more"]
    names = [f"{start} {end} characters" for start, end in zip(LENGTHS, ends, strict=True)]
    lengths = pd.cut(test["text"].str.len(), [*LENGTHS, np.inf], right=False, labels=names)
    for by, column in {
        "category": test["category"],
        "language": test["language"],
        "length": lengths,
    }.items():
        for value, index in column.groupby(
            column, sort=by == "length", observed=True
        ).indices.items():
            rows = np.stack([test["label"].to_numpy()[index], prediction[index]], 1)
            low, high = interval(rows, macro_f1, product_groups(test.iloc[index]), params)
            yield {
                "by": by,
                "value": str(value),
                "n": len(index),
                "accuracy": bootstrap.point_estimate(accuracy, rows),
                "macro_f1": bootstrap.point_estimate(macro_f1, rows),
                "low": low,
                "high": high,
                "small": len(index) < SMALL,
            }


def _per_aspect(test: pd.DataFrame, guess: Guess, aspects: list[str]) -> list[dict[str, Any]]:
    """Return, for each aspect, how many annotated texts mention it and the F1 of its mention and of its polarities."""
    known = annotated(test["aspects"])
    truth, said = mentions(test["aspects"], aspects)[known], guess.mentions[known]
    found = []
    for i, name in enumerate(aspects):
        rows = aspect_rows(truth[:, i : i + 1], said[:, i : i + 1])
        f1 = {
            key: bootstrap.point_estimate(label_f1, rows[f"aspect_{key}_micro_f1"])
            for key in ("mention", "polarity")
        }
        found.append(
            {
                "aspect": name,
                "n": int(truth[:, i].any(1).sum()),
                "mention_f1": f1["mention"],
                "polarity_f1": f1["polarity"],
            }
        )
    return sorted(found, key=lambda one: -int(one["n"])) if known.any() else []


def score(
    test: pd.DataFrame,
    guesses: dict[str, Guess],
    classes: list[str],
    aspects: list[str],
    params: Evaluate,
) -> dict[str, Any]:
    """Return everything measured on ``test``: nested, ready for JSON. ``guesses`` has "model" and the baselines."""
    truth, model = test["label"].to_numpy(), guesses["model"]
    confusion = confusion_matrix(truth, model.probabilities.argmax(1), len(classes))
    return {
        "n": len(test),
        "annotated": int(annotated(test["aspects"]).sum()),
        "classes": classes,
        "grouped": product_groups(test) is not None,
        "confidence": params.confidence,
        "figures": _compare(test, guesses, aspects, params),
        "confusion": confusion.tolist(),
        "per_class": per_class(confusion, classes),
        "calibration": calibration(truth, model.probabilities),
        "slices": list(_slices(test, model.probabilities.argmax(1), params)),
        "per_aspect": _per_aspect(test, model, aspects),
    }


def flat(scores: dict[str, Any]) -> Metrics:
    """Return the figures of `score` under flat names; those of a baseline as ``baseline/figure``."""
    found = {
        f"{'' if who == 'model' else who + '/'}{name}": value
        for who, figures in scores["figures"].items()
        for name, value in figures.items()
    }
    return found | {"n": float(scores["n"]), "annotated": float(scores["annotated"])}


def predictions(test: pd.DataFrame, guess: Guess, classes: list[str]) -> pd.DataFrame:
    """Return the table id, label, prediction (class names) and one probability per class."""
    names = np.array(classes)
    found = pd.DataFrame(
        {
            "id": test["id"],
            "label": names[test["label"]],
            "prediction": names[guess.probabilities.argmax(1)],
        }
    )
    return found.assign(
        **{f"probability_{name}": guess.probabilities[:, i] for i, name in enumerate(classes)}
    )


def read(data: Path, classes: list[str]) -> dict[str, pd.DataFrame]:
    """Return the frames train, validation and test.

    Raises:
        ValueError: there is no test text, or the data have other classes than the model.
    """
    frames = {
        name: pd.read_parquet(data / f"{name}.parquet") for name in ("train", "validation", "test")
    }
    if frames["test"].empty:
        raise ValueError(
            f"{data / 'test.parquet'}: no texts to evaluate on; bring more data or raise ingest.split.test in params.yaml"
        )
    if (theirs := read_json(data / "schema.json")["classes"]) != classes:
        raise ValueError(
            f"{data / 'schema.json'}: classes {theirs}, but the model knows {classes}; run finetune again"
        )
    return frames


def _worst(test: pd.DataFrame, guess: Guess, classes: list[str], count: int) -> pd.DataFrame:
    """Return the ``count`` errors the model was most sure of, texts masked and cut."""
    table = predictions(test, guess, classes).assign(
        confidence=guess.probabilities.max(1), text=test["text"]
    )
    wrong = table[table["label"] != table["prediction"]].nlargest(count, "confidence", keep="first")
    return wrong.assign(text=[excerpt(text, "", SHOWN) for text in wrong["text"]])


def _states(predicted: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the mentions [n, aspects, 3] for probabilities [n, aspects, 4], of which the first is "not mentioned"."""
    return (
        predicted.argmax(-1)[..., None] == np.arange(1, 1 + len(POLARITIES))
        if predicted.size
        else np.zeros((*predicted.shape[:2], 3), bool)
    )


class Reader(Protocol):
    """What is evaluated: `model.Classifier`, or anything that predicts as it does."""

    classes: list[str]
    aspects: list[str]

    def predict(self, texts: Sequence[str], title: str = "") -> Predictions:
        """Return the probabilities of classes and aspects for ``texts``."""


def examine(reader: Reader, data: Path, folder: Path, params: Evaluate) -> dict[str, Any]:
    """Score ``reader`` and the baselines on ``data/test.parquet``, write the report's files to ``folder``, return what `score` found."""
    classes, aspects = reader.classes, reader.aspects
    frames = read(data, classes)
    test = frames["test"]
    predicted = reader.predict(test["text"].tolist(), "evaluate: test")
    log_line("evaluate: baselines")
    baseline, note = tfidf_logreg(frames, classes, aspects, params.seed)
    guesses = {
        "model": Guess(predicted.probabilities.astype(float), _states(predicted.aspects)),
        "majority": majority(frames["train"], test, classes, aspects),
        "tfidf_logreg": baseline,
    }
    notes = [f"TF-IDF + logistic regression: {note}."]
    if aspects and (
        strange := sorted(
            {one["category"] for value in test["aspects"] if value is not None for one in value}
            - set(aspects)
        )
    ):
        notes.append(
            f"Not scored, for the model has not learned them: the aspects {', '.join(strange)}."
        )
    scores = score(test, guesses, classes, aspects, params) | {"notes": notes}
    log_line("evaluate: report")
    write_json(folder / "scores.json", scores)
    predictions(test, guesses["model"], classes).to_parquet(
        folder / "predictions.parquet", index=False
    )
    worst = _worst(test, guesses["model"], classes, params.listed_errors)
    (folder / "index.html").write_text(
        quality_page(scores, worst, scores["notes"]), encoding="utf-8"
    )
    confusion_png(folder / "confusion.png", scores)
    reliability_png(folder / "reliability.png", scores)
    needs(
        folder=folder,
        frame=pd.concat(frames.values(), ignore_index=True),
        classes=classes,
        aspects=aspects,
        params=params,
        predict=lambda texts: _states(reader.predict(texts, "evaluate: needs").aspects),
    )
    return scores


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write pages, pictures and tables to ``report``.

    ``report`` gets index.html, needs.html, confusion.png, reliability.png, scores.json, predictions.parquet, needs.parquet.

    Raises:
        ValueError: as `read`, or ``model`` is not a saved classifier.
    """
    with new_folder(report) as folder:
        return flat(examine(load(model), data, folder, params))
