"""evaluate(): the fused model, each input alone and the baselines, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import (
    MethodMetrics,
    confusion_matrix,
    interval,
    margin,
    per_class,
    product_groups,
    with_interval,
)
from beauty_models.evaluation.sections import add_account
from beauty_models.families import NOT_APPLICABLE, Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account
from beauty_models.intake.shards import Pictures
from beauty_models.progress import log_line
from beauty_models.retrieval import index
from beauty_models.tryon import Evaluate
from beauty_models.tryon.heads import Head
from beauty_models.tryon.model import PARTS, Predictions, load
from beauty_models.tryon.report import declared
from beauty_models.tryon.report.baselines import CONDITIONAL, baselines, label_numbers
from beauty_models.tryon.report.page import write_report
from beauty_models.tryon.report.scores import HeadProbabilities, Scores

TOP = 10  # garments that are recommended


def read_splits(data: Path, heads: list[Head]) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Return the frames train, validation and test, and notes on labels that no head knows.

    In the frames "" is a missing text or picture, and None a missing or unknown label.

    Raises:
        ValueError: no test example has a class that the model knows.
    """
    frames = {}
    for split in PARTS:
        frame = pd.read_parquet(data / f"{split}.parquet")
        for column in ("image", "text"):
            frame[column] = frame[column].fillna("")
        frames[split] = frame
    notes = []
    for head in heads:
        unknown = ", ".join(_keep_known_labels(frames, head))
        if unknown:
            name = head["name"]
            notes.append(f"Not scored, for the model has not learned them: {name} {unknown}.")
    first = heads[0]
    if frames["test"][f"label.{first['name']}"].isna().all():
        classes = ", ".join(first["labels"])
        raise ValueError(
            f"{data / 'test.parquet'}: no example of {classes} to evaluate on; bring more data or "
            "raise ingest.split.test in params.yaml"
        )
    return frames, notes


def _keep_known_labels(frames: dict[str, pd.DataFrame], head: Head) -> list[str]:
    """Make labels that ``head`` does not know None in all ``frames``; return those of the test."""
    column = f"label.{head['name']}"
    for frame in frames.values():
        # Data may have been ingested anew without an attribute that the model knows.
        if column not in frame:
            frame[column] = None
    unknown = set(frames["test"][column].dropna()) - set(head["labels"])
    for frame in frames.values():
        # What the model cannot answer counts for nobody, model or baseline.
        known = frame[column].isin(head["labels"])
        frame[column] = frame[column].where(known)
    return sorted(unknown)


def _softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    # Less the largest, so that exp cannot overflow; the shares stay the same.
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(-1, keepdims=True))


def _probabilities(answer: Predictions) -> HeadProbabilities:
    return {head: values.astype(np.float64) for head, values in answer.probabilities.items()}


def ablations(answer: Predictions, lacking: dict[str, Predictions]) -> dict[str, HeadProbabilities]:
    """Return what each branch and each mixture predicts, and the model with an input taken away."""
    predictions = {}
    # Not calibrated, unlike the model's answer: metrics look at the most likely label alone.
    for branch, by_head in answer.logits.items():
        predictions[branch] = {head: _softmax(logits) for head, logits in by_head.items()}
    for name, without_input in lacking.items():
        predictions[f"without_{name}"] = _probabilities(without_input)
    return predictions


def _compare(
    test: pd.DataFrame,
    methods: dict[str, HeadProbabilities],
    head: Head,
    compared_rows: dict[str, NDArray[np.bool_]],
    params: Evaluate,
) -> MethodMetrics:
    """Return each method's metrics for one head, and the model's margin over it."""
    truth = label_numbers(test, head)
    groups = product_groups(test)
    everywhere = np.ones(len(test), bool)
    model = methods["model"][head["name"]].argmax(1)
    metrics: MethodMetrics = {}
    for method, by_head in methods.items():
        compared = compared_rows.get(method, everywhere)
        rows = np.flatnonzero((truth >= 0) & compared)
        if not len(rows):
            continue
        predicted = by_head[head["name"]].argmax(1)
        # The model on the method's rows: photos alone beside the model on all rows would compare
        # an easy part with the whole.
        ours = np.stack([truth, model], 1)[rows]
        theirs = np.stack([truth, predicted], 1)[rows]
        row_groups = None if groups is None else groups[rows]
        values = {"n": float(len(rows))}
        for metric in declared.METRICS:
            if metric.score is None:
                continue
            values |= with_interval(metric.name, theirs, metric.score, row_groups, params)
            if method != "model":
                values |= margin(metric.name, ours, theirs, metric.score, row_groups, params)
        metrics[method] = values
    return metrics


def garment_metrics(
    test: pd.DataFrame,
    features: NDArray[np.float32],
    model: Path,
    heads: list[Head],
    params: Evaluate,
) -> dict[str, dict[str, float]]:
    """Return how well the first `TOP` garments on sale suit, for each head that garments have.

    A garment suits when it has the example's own label: ``precision`` is the share of those found
    that do, ``random`` that of garments at random, ``lead_low`` and ``lead_high`` the ends of the
    difference. ``features`` [n, width] are those of the
    examples ``test``; those that are on sale themselves ask nothing. No garments, no metrics.
    """
    # A garment that is on sale would find itself first.
    asks = np.flatnonzero(~test["offered"])
    if not len(asks) or not (model / "gallery.parquet").exists():
        return {}
    garments = pd.read_parquet(model / "gallery.parquet")
    gallery = index.read(model / "gallery.faiss")
    count = min(TOP, len(garments))
    _, nearest = index.search(gallery, features[asks], count)
    groups = product_groups(test)
    metrics: dict[str, dict[str, float]] = {}
    for head in heads:
        column = f"label.{head['name']}"
        if column not in garments:
            continue
        own = test[column].to_numpy()[asks]
        offered = garments[column].to_numpy()
        # Who wants what nobody sells says nothing about the search.
        labels = offered[pd.notna(offered)]
        rows = np.flatnonzero(np.isin(own, labels))
        if not len(rows):
            continue
        own = own[rows]
        hits = (offered[nearest[rows]] == own[:, None]).mean(1)
        # What garments at random would score in the mean, without drawing any.
        chance = np.array([(offered == label).mean() for label in own])
        row_groups = None if groups is None else groups[asks[rows]]
        metrics[head["name"]] = _against_chance(hits, chance, row_groups, params)
    return metrics


def _against_chance(
    hits: NDArray[np.float64],
    chance: NDArray[np.float64],
    groups: NDArray[Any] | None,
    params: Evaluate,
) -> dict[str, float]:
    """Return the means of two shares per example [n], with the interval of their difference."""
    precision = interval(hits[:, None], bootstrap.mean, groups, params)
    lead = interval((hits - chance)[:, None], bootstrap.mean, groups, params)
    return {
        "n": float(len(hits)),
        "precision": float(hits.mean()),
        "precision.low": precision.low,
        "precision.high": precision.high,
        "random": float(chance.mean()),
        "lead_low": lead.low,
        "lead_high": lead.high,
    }


def score(
    test: pd.DataFrame,
    methods: dict[str, HeadProbabilities],
    baselines: set[str],
    heads: list[Head],
    compared_rows: dict[str, NDArray[np.bool_]],
    params: Evaluate,
) -> Scores:
    """Return everything measured on ``test`` of labels alone: no garments, no notes.

    ``methods`` has "model", the ``baselines`` and the ablations; ``compared_rows`` the rows [n] on
    which one of them is compared, all where it names none.
    """
    first = heads[0]
    truth = label_numbers(test, first)
    known = truth >= 0
    predicted = methods["model"][first["name"]].argmax(1)
    classes = first["labels"]
    confusion = confusion_matrix(truth[known], predicted[known], len(classes))
    return {
        "n": int(known.sum()),
        "classes": classes,
        "heads": heads,
        "grouped": product_groups(test) is not None,
        "confidence": params.confidence,
        "baselines": sorted(baselines),
        "metrics": {
            head["name"]: _compare(test, methods, head, compared_rows, params) for head in heads
        },
        "confusion": confusion.tolist(),
        "per_class": per_class(confusion, classes),
        "garments": {},
        "notes": [],
        "serving": [],
    }


def flatten_metrics(scores: Scores) -> Metrics:
    """Return the metrics of `score` under flat names.

    They are ``name``, ``head_name`` of all heads but the first, which is the class, and
    ``method/…`` of all methods but the model.
    """
    metrics: Metrics = {}
    for place, (head, methods) in enumerate(scores["metrics"].items()):
        for method, values in methods.items():
            prefix = "" if method == "model" else f"{method}/"
            # The class is what the gate judges and people ask for: its names are short.
            if place > 0:
                prefix += f"{head}_"
            for name, value in values.items():
                metrics[prefix + name] = value
    for head, garments in scores["garments"].items():
        for name, value in garments.items():
            name = name.replace("precision", f"precision_at_{TOP}")
            metrics[f"garments_{head}_{name}"] = value
    return metrics | {"n": float(scores["n"])}


def _ablated_rows(test: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Return for each ablation the rows [n] on which it is compared."""
    has_text = (test["text"] != "").to_numpy()
    has_image = (test["image"] != "").to_numpy()
    # Where one input is missing anyway, taking it away changes nothing.
    both = has_text & has_image
    return {
        "text_only": has_text,
        "image_only": has_image,
        "without_text": both,
        "without_image": both,
    }


def evaluate_model(model: Path, data: Path, folder: Path, params: Evaluate) -> Scores:
    """Score ``model``, its branches and the baselines on ``data/test.parquet``.

    Write the report to ``folder``, return what `score` measured.
    """
    classifier = load(model)
    heads = classifier.config.heads
    frames, notes = read_splits(data, heads)
    test = frames["test"]
    pictures = Pictures(data, *PARTS)
    texts = test["text"].tolist()
    keys = test["image"].tolist()
    ablated: dict[str, HeadProbabilities] = {}
    compared_rows: dict[str, NDArray[np.bool_]] = {}
    if classifier.fusions:
        answer, lacking = classifier.predict_with_and_without(
            texts, keys, pictures, "evaluate: test"
        )
        ablated = ablations(answer, lacking)
        compared_rows = _ablated_rows(test)
    else:
        answer = classifier.predict(texts, keys, pictures, "evaluate: test")
    predictions = _probabilities(answer)
    simple, baseline_notes = baselines(frames, pictures, classifier)
    methods = {"model": predictions} | simple | ablated
    scores = score(test, methods, set(simple), heads, compared_rows, params)
    scores["garments"] = garment_metrics(test, answer.features, model, heads, params)
    scores["notes"] = notes + baseline_notes
    scores["serving"] = [classifier.served]
    log_line("evaluate: report")
    write_json(folder / "scores.json", scores)
    write_report(folder, scores, test, predictions, classifier, pictures, params)
    add_account(folder / "index.html", account.lines_of(data))
    return scores


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write the report to ``report``.

    ``report`` gets index.html, confusion.png, errors.png, reasons.png, scores.json and
    predictions.parquet.

    Raises:
        ValueError: as `read_splits`, or ``model`` is not a saved classifier.
    """
    with new_folder(report) as folder:
        metrics = flatten_metrics(evaluate_model(model, data, folder, params))
    # Said, not left out: the gate then knows a baseline that these data do not allow from one that
    # was forgotten.
    missing = [name for name in CONDITIONAL if f"{name}/accuracy" not in metrics]
    return metrics | {f"{name}/{NOT_APPLICABLE}": 1.0 for name in missing}
