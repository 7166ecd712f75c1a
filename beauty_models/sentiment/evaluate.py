"""evaluate(): the model and its baselines on one frozen test split, and the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import (
    MethodMetrics,
    Slice,
    confusion_matrix,
    interval,
    make_slice,
    margin,
    per_class,
    product_groups,
    with_interval,
)
from beauty_models.evaluation.metrics import accuracy, macro_f1
from beauty_models.evaluation.pictures import confusion_png
from beauty_models.evaluation.sections import add_account
from beauty_models.families import Metrics
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.intake import account
from beauty_models.progress import log_line
from beauty_models.sentiment import Evaluate
from beauty_models.sentiment.model import Predictions, load
from beauty_models.sentiment.report import declared
from beauty_models.sentiment.report.baselines import (
    POLARITIES,
    annotated,
    baselines,
    mentions,
)
from beauty_models.sentiment.report.excerpts import excerpt
from beauty_models.sentiment.report.needs import write_needs
from beauty_models.sentiment.report.quality_page import quality_page, reliability_png
from beauty_models.sentiment.report.scores import (
    AspectMetrics,
    CalibrationBin,
    MethodPredictions,
    Scores,
)

BINS = 15  # of the calibration error
ERROR_LENGTH = 400  # characters of a listed error
LENGTHS = [0, 20, 50, 100, 200]  # characters, the lower ends of the slices by length
SPLITS = ("train", "validation", "test")


def calibration(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> list[CalibrationBin]:
    """Return up to 15 bins of equal mass by the confidence in the predicted class."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == truth
    # Equal mass instead of equal width keeps bins from being empty (Nguyen & O'Connor 2015).
    # Equal confidences share a bin, so there may be fewer than 15.
    edges = np.quantile(confidence, np.arange(1, BINS) / BINS)
    bin_of_row = np.searchsorted(edges, confidence, side="left")
    bins: list[CalibrationBin] = []
    for number in np.unique(bin_of_row):
        inside = bin_of_row == number  # never empty
        bins.append(
            {
                "n": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(right[inside].mean()),
            }
        )
    return bins


def calibration_error(bins: list[CalibrationBin]) -> float:
    """Return the expected calibration error: the mean distance of confidence and accuracy.

    Guo et al. 2017, eq. 3.
    """
    distance = 0.0
    rows = 0
    for b in bins:
        distance += b["n"] * abs(b["confidence"] - b["accuracy"])
        rows += b["n"]
    return distance / rows


def log_loss(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the mean of −ln of the probability of the true class, in nats."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    # One probability of 0 would make the mean infinite, and JSON has no infinity.
    return float(-np.log(np.clip(of_truth, 1e-12, 1)).mean())


def label_f1(rows: NDArray[Any], weights: bootstrap.Floats) -> bootstrap.Floats:
    """Score: mean F1 over labels that occur or are predicted; 0 where none is.

    A row holds (hits, false alarms, misses) of each label.
    """
    counts = (weights @ rows).reshape(len(weights), -1, 3)
    hits, alarms, misses = np.moveaxis(counts, -1, 0)
    f1 = bootstrap.ratio(2 * hits, 2 * hits + alarms + misses)
    labels = (~np.isnan(f1)).sum(1)
    return np.asarray(np.nansum(f1, axis=1) / np.maximum(1, labels))


def _hits_alarms_misses(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Return the three counts of each label [n, labels, 3]; inputs [n, labels]."""
    cells = [truth & predicted, ~truth & predicted, truth & ~predicted]
    return np.stack(cells, -1).astype(np.int32)


def aspect_rows(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Return, for each metric, the rows of `label_f1`; inputs [n, aspects, 3]."""
    texts, aspects, polarities = truth.shape
    mention = _hits_alarms_misses(np.any(truth, axis=2), np.any(predicted, axis=2))
    pairs = (texts, aspects * polarities)  # a label for each aspect with each polarity
    polarity = _hits_alarms_misses(truth.reshape(pairs), predicted.reshape(pairs))
    counts = {"aspect_mention": mention, "aspect_polarity": polarity}
    # Micro-F1 sums the counts over labels before it takes the F1: for label_f1 that is one label.
    micro = {f"{name}_micro_f1": cells.sum(1) for name, cells in counts.items()}
    macro = {f"{name}_macro_f1": cells.reshape(len(truth), -1) for name, cells in counts.items()}
    return micro | macro


def _metric_rows(
    test: pd.DataFrame, predictions: MethodPredictions, aspects: list[str]
) -> dict[str, tuple[NDArray[Any], bootstrap.Score]]:
    """Return what each metric is computed from: rows [n, columns] and the score."""
    predicted = predictions.probabilities.argmax(1)
    pairs = np.stack([test["label"].to_numpy(), predicted], 1)
    rows: dict[str, tuple[NDArray[Any], bootstrap.Score]] = {}
    for metric in declared.METRICS:
        if metric.score is not None:
            rows[metric.name] = (pairs, metric.score)
    # Only annotated texts: an aspect that nobody looked for is not an aspect that is not there.
    known = annotated(test["aspects"])
    if aspects and known.any():
        truth = mentions(test["aspects"], aspects)[known]
        for name, cells in aspect_rows(truth, predictions.mentions[known]).items():
            rows[name] = (cells, label_f1)
    return rows


def _compare(
    test: pd.DataFrame,
    methods: dict[str, MethodPredictions],
    aspects: list[str],
    params: Evaluate,
) -> MethodMetrics:
    """Return each method's metrics: the model's with intervals, the others' with its margin."""
    known = annotated(test["aspects"])
    groups = product_groups(test)
    truth = test["label"].to_numpy()
    ours = _metric_rows(test, methods["model"], aspects)
    metrics: MethodMetrics = {}
    for method, predictions in methods.items():
        # Both need probabilities, which the bootstrap's rows of (truth, prediction) lack: they have
        # no interval.
        values = {
            "ece": calibration_error(calibration(truth, predictions.probabilities)),
            "log_loss": log_loss(truth, predictions.probabilities),
        }
        for name, (rows, score) in _metric_rows(test, predictions, aspects).items():
            row_groups = groups
            if groups is not None and name.startswith("aspect"):
                row_groups = groups[known]  # these metrics have rows for annotated texts alone
            if method == "model":
                values |= with_interval(name, rows, score, row_groups, params)
            else:
                values[name] = bootstrap.point_estimate(score, rows)
                values |= margin(name, ours[name][0], rows, score, row_groups, params)
        metrics[method] = values
    return metrics


def _length_slices(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Return the slice by length that each text is in."""
    names = [f"{start} to {stop - 1} characters" for start, stop in pairwise(LENGTHS)]
    names.append(f"{LENGTHS[-1]} and more characters")
    return pd.cut(texts.str.len(), [*LENGTHS, np.inf], right=False, labels=names)


def _slices(test: pd.DataFrame, predicted: NDArray[Any], params: Evaluate) -> Iterator[Slice]:
    """Yield accuracy and macro-F1 with interval for each category, language and length."""
    columns = {
        "category": test["category"],
        "language": test["language"],
        "length": _length_slices(test["text"]),
    }
    pairs = np.stack([test["label"].to_numpy(), predicted], 1)
    for by, column in columns.items():
        # Lengths in their order, the others as they come in the data.
        indices = column.groupby(column, sort=by == "length", observed=True).indices
        for value, index in indices.items():
            rows = pairs[index]
            metrics = {
                "accuracy": bootstrap.point_estimate(accuracy, rows),
                "macro_f1": bootstrap.point_estimate(macro_f1, rows),
            }
            # A slice may have too few products where the whole split has enough.
            groups = product_groups(test.iloc[index])
            ends = interval(rows, macro_f1, groups, params)
            yield make_slice(by, value, len(index), metrics, ends)


def _per_aspect(
    test: pd.DataFrame, predictions: MethodPredictions, aspects: list[str]
) -> list[AspectMetrics]:
    """Return how well each aspect is found in the annotated texts, the most frequent first."""
    known = annotated(test["aspects"])
    if not known.any():
        return []
    truth = mentions(test["aspects"], aspects)[known]
    predicted = predictions.mentions[known]
    metrics: list[AspectMetrics] = []
    for i, name in enumerate(aspects):
        # A slice keeps the axis of aspects, which is then one long.
        only = slice(i, i + 1)
        rows = aspect_rows(truth[:, only], predicted[:, only])
        mention_f1 = bootstrap.point_estimate(label_f1, rows["aspect_mention_micro_f1"])
        polarity_f1 = bootstrap.point_estimate(label_f1, rows["aspect_polarity_micro_f1"])
        metrics.append(
            {
                "aspect": name,
                "n": int(truth[:, i].any(1).sum()),
                "mention_f1": mention_f1,
                "polarity_f1": polarity_f1,
            }
        )
    return sorted(metrics, key=lambda aspect: -aspect["n"])


def score(
    test: pd.DataFrame,
    methods: dict[str, MethodPredictions],
    classes: list[str],
    aspects: list[str],
    params: Evaluate,
    notes: Sequence[str] = (),
) -> Scores:
    """Return everything measured on ``test``; ``methods`` has "model" and the baselines."""
    truth = test["label"].to_numpy()
    model = methods["model"]
    predicted = model.probabilities.argmax(1)
    confusion = confusion_matrix(truth, predicted, len(classes))
    # Whole products are resampled where there are enough: `grouped` tells the page which it was.
    return {
        "n": len(test),
        "annotated": int(annotated(test["aspects"]).sum()),
        "classes": classes,
        "grouped": product_groups(test) is not None,
        "confidence": params.confidence,
        "metrics": _compare(test, methods, aspects, params),
        "confusion": confusion.tolist(),
        "per_class": per_class(confusion, classes),
        "calibration": calibration(truth, model.probabilities),
        "slices": list(_slices(test, predicted, params)),
        "per_aspect": _per_aspect(test, model, aspects),
        "notes": list(notes),
    }


def flatten_metrics(scores: Scores) -> Metrics:
    """Return the metrics of `score` under flat names; those of a baseline as ``baseline/name``."""
    metrics = {}
    for method, values in scores["metrics"].items():
        # The gate and `beauty show` find a baseline by this slash.
        prefix = "" if method == "model" else f"{method}/"
        for name, value in values.items():
            metrics[prefix + name] = value
    return metrics | {"n": float(scores["n"]), "annotated": float(scores["annotated"])}


def prediction_table(
    test: pd.DataFrame, predictions: MethodPredictions, classes: list[str]
) -> pd.DataFrame:
    """Return the table id, label, prediction (class names) and one probability per class."""
    # Names, not numbers: the file is read without the model at hand.
    names = np.array(classes)
    table = pd.DataFrame(
        {
            "id": test["id"],
            "label": names[test["label"]],
            "prediction": names[predictions.probabilities.argmax(1)],
        }
    )
    for i, name in enumerate(classes):
        table[f"probability_{name}"] = predictions.probabilities[:, i]
    return table


def read_splits(data: Path, classes: list[str]) -> dict[str, pd.DataFrame]:
    """Return the frames train, validation and test.

    Raises:
        ValueError: there is no test text, or the data have other classes than the model.
    """
    frames = {name: pd.read_parquet(data / f"{name}.parquet") for name in SPLITS}
    if frames["test"].empty:
        raise ValueError(
            f"{data / 'test.parquet'}: no texts to evaluate on; bring more data or raise "
            "ingest.split.test in params.yaml"
        )
    data_classes = read_json(data / "schema.json")["classes"]
    # The labels in the data are numbers: with other classes they would mean something else.
    if data_classes != classes:
        raise ValueError(
            f"{data / 'schema.json'}: classes {data_classes}, but the model knows {classes}; "
            "run finetune again"
        )
    return frames


def _worst_errors(
    test: pd.DataFrame, predictions: MethodPredictions, classes: list[str], count: int
) -> pd.DataFrame:
    """Return the ``count`` errors the model was most sure of, texts masked and cut."""
    table = prediction_table(test, predictions, classes)
    table["confidence"] = predictions.probabilities.max(1)
    table["text"] = test["text"]
    # Sure and wrong is what misleads people most, and where wrong labels gather.
    wrong = table[table["label"] != table["prediction"]]
    worst = wrong.nlargest(count, "confidence", keep="first")
    return worst.assign(text=[excerpt(text, "", ERROR_LENGTH) for text in worst["text"]])


def _predicted_mentions(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the mentions [n, aspects, 3] for ``probabilities`` [n, aspects, 4].

    The first of the four states is "not mentioned".
    """
    states = np.arange(1, 1 + len(POLARITIES))
    return np.asarray(probabilities.argmax(-1)[..., None] == states)


def _unknown_aspects(column: pd.Series[Any], aspects: list[str]) -> list[str]:
    """Return the annotated aspects that the model has not learned."""
    categories = set()
    for of_text in column[annotated(column)]:
        categories |= {annotation["category"] for annotation in of_text}
    return sorted(categories - set(aspects))


class Predictor(Protocol):
    """What is evaluated: `model.Classifier`, or anything that predicts as it does."""

    classes: list[str]
    aspects: list[str]

    def predict(self, texts: Sequence[str], title: str = "") -> Predictions:
        """Return the probabilities of classes and aspects for ``texts``."""


def evaluate_model(predictor: Predictor, data: Path, folder: Path, params: Evaluate) -> Scores:
    """Score ``predictor`` and the baselines on ``data/test.parquet``.

    Write the report's files to ``folder``, return what `score` measured.
    """
    classes = predictor.classes
    aspects = predictor.aspects
    frames = read_splits(data, classes)
    test = frames["test"]
    answer = predictor.predict(test["text"].tolist(), "evaluate: test")
    model = MethodPredictions(
        answer.probabilities.astype(float), _predicted_mentions(answer.aspects)
    )
    log_line("evaluate: baselines")
    simple, notes = baselines(frames, classes, aspects, params.seed)
    methods = {"model": model} | simple
    # A model without aspects has learned none of them; nothing is then said to be missing.
    unknown = _unknown_aspects(test["aspects"], aspects) if aspects else []
    if unknown:
        notes.append(
            f"Not scored, for the model has not learned them: the aspects {', '.join(unknown)}."
        )
    scores = score(test, methods, classes, aspects, params, notes)
    log_line("evaluate: report")
    write_json(folder / "scores.json", scores)
    table = prediction_table(test, model, classes)
    table.to_parquet(folder / "predictions.parquet", index=False)
    worst = _worst_errors(test, model, classes, params.listed_errors)
    (folder / "index.html").write_text(quality_page(scores, worst), encoding="utf-8")
    add_account(folder / "index.html", account.lines_of(data))
    counts = np.array(scores["confusion"])
    confusion_png(folder / "confusion.png", counts, classes, with_shares=True)
    reliability_png(folder / "reliability.png", scores["calibration"])
    # What customers say is about all texts, not only the tested ones.
    write_needs(
        folder=folder,
        frame=pd.concat(frames.values(), ignore_index=True),
        classes=classes,
        aspects=aspects,
        params=params,
        predict=lambda texts: _predicted_mentions(
            predictor.predict(texts, "evaluate: needs").aspects
        ),
    )
    return scores


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write the report to ``report``.

    ``report`` gets index.html, needs.html, confusion.png, reliability.png, scores.json,
    predictions.parquet, needs.parquet.

    Raises:
        ValueError: as `read_splits`, or ``model`` is not a saved classifier.
    """
    with new_folder(report) as folder:
        return flatten_metrics(evaluate_model(load(model), data, folder, params))
