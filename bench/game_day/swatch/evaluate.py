"""Evaluation: accuracy beside the majority and logistic regression on one frozen split, with paired intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.metrics import accuracy
from beauty_models.families import Metrics
from beauty_models.files import new_folder
from beauty_models.swatch import Evaluate
from beauty_models.swatch.model import load

BASELINES = {"majority": DummyClassifier(), "logistic_regression": LogisticRegression()}
MEASURED = ["shine", "depth"]


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write a small page to ``report``."""
    train, test = (pd.read_parquet(data / f"{part}.parquet") for part in ("train", "test"))
    with torch.inference_mode():
        logits = load(model)(torch.tensor(test[MEASURED].to_numpy(), dtype=torch.float32))
    truth, said = test["label"].to_numpy(), logits.argmax(1).numpy()
    chance = {
        "resamples": params.bootstrap,
        "confidence": params.confidence,
        "seed": params.seed,
    }
    rows = np.stack([truth, said], 1)
    low, high = bootstrap.bootstrap(rows, accuracy, **chance)
    figures = {
        "accuracy": bootstrap.point_estimate(accuracy, rows),
        "accuracy.low": low,
        "accuracy.high": high,
        "n": float(len(rows)),
    }
    for name, baseline in BASELINES.items():
        guess = baseline.fit(train[MEASURED], train["label"]).predict(test[MEASURED])
        lead = bootstrap.difference(accuracy, [0, 1], [0, 2])
        both = np.stack([truth, said, guess], 1)
        margin = bootstrap.bootstrap(both, lead, **chance)
        figures[f"{name}/accuracy"] = float((guess == truth).mean())
        figures[f"{name}/accuracy.margin_low"] = margin.low
        figures[f"{name}/accuracy.margin_high"] = margin.high
    with new_folder(report) as folder:
        page = f"<!doctype html><title>swatch</title><p>accuracy {figures['accuracy']:.3f}</p>"
        (folder / "index.html").write_text(page, encoding="utf-8")
    return figures
