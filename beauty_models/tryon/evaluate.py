"""evaluate(): the fused model, each input alone and the baselines on one test split, and the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
from beauty_models.families import NOT_APPLICABLE, Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake.shards import Pictures
from beauty_models.progress import log_line
from beauty_models.retrieval import index
from beauty_models.tryon import Evaluate
from beauty_models.tryon.heads import Head
from beauty_models.tryon.model import PARTS, FusionClassifier, Predictions, load
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
        frames[split] = frame.assign(image=frame["image"].fillna(""), text=frame["text"].fillna(""))
    notes = []
    for head in heads:
        column = f"label.{head['name']}"
        for frame in frames.values():
            if column not in frame:
                frame[column] = None
        unknown = sorted(set(frames["test"][column].dropna()) - set(head["labels"]))
        if unknown:
            names = ", ".join(unknown)
            notes.append(f"Not scored, for the model has not learned them: {head['name']} {names}.")
        for frame in frames.values():
            frame[column] = frame[column].where(frame[column].isin(head["labels"]))
    if frames["test"][f"label.{heads[0]['name']}"].isna().all():
        raise ValueError(
            f"{data / 'test.parquet'}: no example of {', '.join(heads[0]['labels'])} to evaluate "
            "on; bring more data or raise ingest.split.test in params.yaml"
        )
    return frames, notes


def _softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    # Less the largest, so that exp cannot overflow; the shares stay the same.
    exponentials = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(-1, keepdims=True))


def _probabilities(answer: Predictions) -> HeadProbabilities:
    return {head: values.astype(np.float64) for head, values in answer.probabilities.items()}


def ablations(answer: Predictions, lacking: dict[str, Predictions]) -> dict[str, HeadProbabilities]:
    """Return what each branch and each mixture predicts, and the model with an input taken away."""
    predictions = {}
    for name, by_head in answer.logits.items():
        predictions[name] = {head: _softmax(logits) for head, logits in by_head.items()}
    for name, other in lacking.items():
        predictions[name] = _probabilities(other)
    return predictions


def _compare(
    test: pd.DataFrame,
    methods: dict[str, HeadProbabilities],
    head: Head,
    compared_rows: dict[str, NDArray[np.bool_]],
    params: Evaluate,
) -> dict[str, dict[str, float]]:
    """Return each method's metrics for one head, and the model's margin over it on the same rows."""
    truth = label_numbers(test, head)
    groups = product_groups(test)
    predicted = {who: by_head[head["name"]].argmax(1) for who, by_head in methods.items()}
    metrics: dict[str, dict[str, float]] = {}
    for method in methods:
        compared = compared_rows.get(method, np.ones(len(test), bool))
        rows = np.flatnonzero((truth >= 0) & compared)
        if not len(rows):
            continue
        row_groups = None if groups is None else groups[rows]
        ours = np.stack([truth, predicted["model"]], 1)[rows]
        theirs = np.stack([truth, predicted[method]], 1)[rows]
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
    asks = np.flatnonzero(~test["offered"])
    if not len(asks) or not (model / "gallery.parquet").exists():
        return {}
    garments = pd.read_parquet(model / "gallery.parquet")
    gallery = index.read(model / "gallery.faiss")
    _, nearest = index.search(gallery, features[asks], min(TOP, len(garments)))
    groups = product_groups(test)
    metrics: dict[str, dict[str, float]] = {}
    for head in heads:
        column = f"label.{head['name']}"
        if column not in garments:
            continue
        own = test[column].to_numpy()[asks]
        offered = garments[column].to_numpy()
        # Who wants what nobody sells says nothing about the search.
        rows = np.flatnonzero(np.isin(own, offered[pd.notna(offered)]))
        if not len(rows):
            continue
        hits = (offered[nearest[rows]] == own[rows, None]).mean(1)
        chance = np.array([(offered == label).mean() for label in own[rows]])
        row_groups = None if groups is None else groups[asks[rows]]
        lead = interval((hits - chance)[:, None], bootstrap.mean, row_groups, params)
        precision = interval(hits[:, None], bootstrap.mean, row_groups, params)
        metrics[head["name"]] = {
            "n": float(len(rows)),
            "precision": float(hits.mean()),
            "random": float(chance.mean()),
            "lead_low": lead.low,
            "lead_high": lead.high,
            "precision.low": precision.low,
            "precision.high": precision.high,
        }
    return metrics


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
    confusion = confusion_matrix(truth[known], predicted[known], len(first["labels"]))
    return {
        "n": int(known.sum()),
        "classes": first["labels"],
        "heads": heads,
        "grouped": product_groups(test) is not None,
        "confidence": params.confidence,
        "baselines": sorted(baselines),
        "metrics": {
            head["name"]: _compare(test, methods, head, compared_rows, params) for head in heads
        },
        "confusion": confusion.tolist(),
        "per_class": per_class(confusion, first["labels"]),
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
            if place > 0:
                prefix += f"{head}_"
            for name, value in values.items():
                metrics[prefix + name] = value
    for head, garments in scores["garments"].items():
        for name, value in garments.items():
            name = name.replace("precision", f"precision_at_{TOP}")
            metrics[f"garments_{head}_{name}"] = value
    return metrics | {"n": float(scores["n"])}


def _without_inputs(
    classifier: FusionClassifier, test: pd.DataFrame, pictures: Pictures
) -> tuple[dict[str, Predictions], dict[str, NDArray[np.bool_]]]:
    """Return the answers with an input taken away, and the rows on which ablations are compared."""
    texts = test["text"].tolist()
    keys = test["image"].tolist()
    nothing = [""] * len(test)
    answers = {
        "without_text": classifier.predict(nothing, keys, pictures, "evaluate: without texts"),
        "without_image": classifier.predict(texts, nothing, pictures, "evaluate: without photos"),
    }
    has_text = (test["text"] != "").to_numpy()
    has_image = (test["image"] != "").to_numpy()
    rows = {"text_only": has_text, "image_only": has_image}
    # Where one input is missing anyway, taking it away changes nothing.
    rows |= dict.fromkeys(answers, has_text & has_image)
    return answers, rows


def evaluate_model(model: Path, data: Path, folder: Path, params: Evaluate) -> Scores:
    """Score ``model``, its branches and the baselines on ``data/test.parquet``.

    Write the report to ``folder``, return what `score` measured.
    """
    classifier = load(model)
    heads = classifier.config.heads
    frames, notes = read_splits(data, heads)
    test = frames["test"]
    pictures = Pictures(data, *PARTS)
    answer = classifier.predict(
        test["text"].tolist(), test["image"].tolist(), pictures, "evaluate: test"
    )
    predictions = _probabilities(answer)
    ablated: dict[str, HeadProbabilities] = {}
    compared_rows: dict[str, NDArray[np.bool_]] = {}
    if classifier.fusions:
        lacking, compared_rows = _without_inputs(classifier, test, pictures)
        ablated = ablations(answer, lacking)
    simple, baseline_notes = baselines(frames, pictures, classifier)
    methods = {"model": predictions} | simple | ablated
    scores = score(test, methods, set(simple), heads, compared_rows, params)
    scores["garments"] = garment_metrics(test, answer.features, model, heads, params)
    scores["notes"] = notes + baseline_notes
    scores["serving"] = [classifier.served]
    log_line("evaluate: report")
    write_json(folder / "scores.json", scores)
    write_report(folder, scores, test, predictions, classifier, pictures, params)
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
    missing = [name for name in CONDITIONAL if f"{name}/accuracy" not in metrics]
    return metrics | {f"{name}/{NOT_APPLICABLE}": 1.0 for name in missing}
