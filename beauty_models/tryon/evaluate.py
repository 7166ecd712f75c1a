"""evaluate(): the fused model, each input alone and the baselines on one frozen test split, with intervals, and the report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import (
    confusion_matrix,
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
from beauty_models.tryon.model import PARTS, Answer, Stylist, load
from beauty_models.tryon.report import declared
from beauty_models.tryon.report.baselines import CONDITIONAL, Guess, baselines
from beauty_models.tryon.report.page import write_report

TOP = 10  # garments that are recommended


def read(data: Path, stylist: Stylist) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Return the frames train, validation and test, in which "" is what is missing, and notes on labels that the model does not know.

    Raises:
        ValueError: no test example has a class that the model knows.
    """
    frames = {name: pd.read_parquet(data / f"{name}.parquet") for name in PARTS}
    notes = []
    for head in stylist.shape.heads:
        column = f"label.{head['name']}"
        for frame in frames.values():
            if column not in frame:
                frame[column] = None
        strange = sorted(set(frames["test"][column].dropna()) - set(head["labels"]))
        if strange:
            notes.append(
                f"Not scored, for the model has not learned them: {head['name']} {', '.join(strange)}."
            )
        for name, frame in frames.items():
            frames[name] = frame.assign(
                **{column: frame[column].where(frame[column].isin(head["labels"]))}
            )
    frames = {
        name: frame.assign(image=frame["image"].fillna(""), text=frame["text"].fillna(""))
        for name, frame in frames.items()
    }
    first = stylist.shape.heads[0]
    if frames["test"][f"label.{first['name']}"].isna().all():
        raise ValueError(
            f"{data / 'test.parquet'}: no example of {', '.join(first['labels'])} to evaluate on; bring more data or raise "
            "ingest.split.test in params.yaml"
        )
    return frames, notes


def _softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def ablations(answer: Answer, lacking: dict[str, Answer]) -> dict[str, Guess]:
    """Return the guesses of each branch and each mixture, and of the model with an input taken away."""
    found = {
        name: {head: _softmax(values) for head, values in by_head.items()}
        for name, by_head in answer.logits.items()
    }
    return found | {
        name: {head: values.astype(np.float64) for head, values in one.probabilities.items()}
        for name, one in lacking.items()
    }


def _compare(
    test: pd.DataFrame,
    guesses: dict[str, Guess],
    head: dict[str, Any],
    rows: dict[str, NDArray[np.bool_]],
    params: Evaluate,
) -> dict[str, dict[str, float]]:
    """Return the figures of every guess for one head with their intervals, and the model's margin over it on the same rows."""
    truth = (
        test[f"label.{head['name']}"]
        .map({name: i for i, name in enumerate(head["labels"])})
        .fillna(-1)
        .to_numpy(np.int64)
    )
    groups, found = product_groups(test), dict[str, dict[str, float]]()
    for who, guess in guesses.items():
        some = np.flatnonzero((truth >= 0) & rows.get(who, np.ones(len(test), bool)))
        if not len(some):
            continue
        chosen = None if groups is None else groups[some]
        ours = np.stack([truth, guesses["model"][head["name"]].argmax(1)], 1)[some]
        theirs = np.stack([truth, guess[head["name"]].argmax(1)], 1)[some]
        found[who] = {"n": float(len(some))}
        for name, score in [(metric.name, metric.score) for metric in declared.METRICS]:
            if score is None:
                continue
            found[who] |= with_interval(name, theirs, score, chosen, params)
            if who != "model":
                found[who] |= margin(name, ours, theirs, score, chosen, params)
    return found


def suited(
    test: pd.DataFrame,
    features: NDArray[np.float32],
    model: Path,
    heads: list[dict[str, Any]],
    params: Evaluate,
) -> dict[str, dict[str, float]]:
    """Return for each head which share of the first `TOP` garments on sale has the example's own label, beside that of garments at random.

    ``features`` [n, width] are those of the examples ``test``; those that are on sale themselves ask nothing. No garments, no figures.
    """
    asks = np.flatnonzero(~test["offered"])
    if not len(asks) or not (model / "gallery.parquet").exists():
        return {}
    garments = pd.read_parquet(model / "gallery.parquet")
    found, groups = dict[str, dict[str, float]](), product_groups(test)
    near = index.search(
        index.read(model / "gallery.faiss"), features[asks], min(TOP, len(garments))
    )[1]
    for name in (head["name"] for head in heads if f"label.{head['name']}" in garments):
        own, offered = test[f"label.{name}"].to_numpy()[asks], garments[f"label.{name}"].to_numpy()
        some = np.flatnonzero(np.isin(own, offered[pd.notna(offered)]))
        if not len(some):
            continue
        hits = (offered[near[some]] == own[some, None]).mean(1)
        chance = np.array([(offered == one).mean() for one in own[some]])
        sure = partial(
            bootstrap.bootstrap,
            score=bootstrap.mean,
            groups=None if groups is None else groups[asks[some]],
            seed=params.seed,
            resamples=params.bootstrap,
            confidence=params.confidence,
        )
        low, high = sure((hits - chance)[:, None])
        found[name] = {
            "n": float(len(some)),
            "precision": float(hits.mean()),
            "random": float(chance.mean()),
            "lead_low": low,
            "lead_high": high,
        }
        found[name] |= dict(
            zip(("precision.low", "precision.high"), sure(hits[:, None]), strict=True)
        )
    return found


def score(
    test: pd.DataFrame,
    guesses: dict[str, Guess],
    rivals: set[str],
    heads: list[dict[str, Any]],
    rows: dict[str, NDArray[np.bool_]],
    params: Evaluate,
) -> dict[str, Any]:
    """Return everything measured on ``test``: nested, ready for JSON.

    ``guesses`` has "model", the baselines ``rivals`` and the ablations; ``rows`` the rows [n] on which one of them is compared.
    """
    first = heads[0]
    truth = test[f"label.{first['name']}"].map({name: i for i, name in enumerate(first["labels"])})
    known = truth.notna().to_numpy()
    confusion = confusion_matrix(
        truth[known].to_numpy(np.int64),
        guesses["model"][first["name"]].argmax(1)[known],
        len(first["labels"]),
    )
    return {
        "n": int(known.sum()),
        "classes": first["labels"],
        "heads": heads,
        "grouped": product_groups(test) is not None,
        "confidence": params.confidence,
        "rivals": sorted(rivals),
        "figures": {head["name"]: _compare(test, guesses, head, rows, params) for head in heads},
        "confusion": confusion.tolist(),
        "per_class": per_class(confusion, first["labels"]),
    }


def flat(scores: dict[str, Any]) -> Metrics:
    """Return the figures of `score` under flat names: ``figure``, ``head_figure`` but for the class, and ``who/…`` but for the model."""
    found = {"n": float(scores["n"])}
    for place, (head, figures) in enumerate(scores["figures"].items()):
        for who, values in figures.items():
            start = ("" if who == "model" else f"{who}/") + (f"{head}_" if place else "")
            found |= {
                f"{start}{name}": value
                for name, value in values.items()
                if who != "model" or place or name != "n"
            }
    for head, figures in scores.get("garments", {}).items():
        found |= {
            f"garments_{head}_{name.replace('precision', f'precision_at_{TOP}')}": value
            for name, value in figures.items()
        }
    return found


def examine(model: Path, data: Path, folder: Path, params: Evaluate) -> dict[str, Any]:
    """Score ``model``, its branches and the baselines on ``data/test.parquet``, write the report to ``folder``, return what `score` found."""
    stylist = load(model)
    frames, notes = read(data, stylist)
    test, pictures = frames["test"], Pictures(data, *PARTS)
    texts, keys = test["text"].tolist(), test["image"].tolist()
    answer, nothing = stylist.predict(texts, keys, pictures, "evaluate: test"), [""] * len(test)
    lacking, rows = {}, {}
    if stylist.fusions:
        lacking = {
            "without_text": stylist.predict(nothing, keys, pictures, "evaluate: without texts"),
            "without_image": stylist.predict(texts, nothing, pictures, "evaluate: without photos"),
        }
        there = {"text": (test["text"] != "").to_numpy(), "image": (test["image"] != "").to_numpy()}
        rows = {"text_only": there["text"], "image_only": there["image"]}
        rows |= dict.fromkeys(lacking, there["text"] & there["image"])
    rivals, more = baselines(frames, pictures, stylist)
    told = {head: values.astype(np.float64) for head, values in answer.probabilities.items()}
    guesses = {"model": told} | rivals | (ablations(answer, lacking) if stylist.fusions else {})
    scores = score(test, guesses, set(rivals), stylist.shape.heads, rows, params) | {
        "garments": suited(test, answer.features, model, stylist.shape.heads, params),
        "notes": notes + more,
        "serving": [stylist.served],
    }
    log_line("evaluate: report")
    write_json(folder / "scores.json", scores)
    write_report(folder, scores, test, told, stylist, pictures, params)
    return scores


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write page, pictures and tables to ``report``.

    ``report`` gets index.html, confusion.png, errors.png, reasons.png, scores.json and predictions.parquet.

    Raises:
        ValueError: as `read`, or ``model`` is not a saved stylist.
    """
    with new_folder(report) as folder:
        metrics = flat(examine(model, data, folder, params))
    missing = [name for name in CONDITIONAL if f"{name}/accuracy" not in metrics]
    return metrics | {f"{name}/{NOT_APPLICABLE}": 1.0 for name in missing}
