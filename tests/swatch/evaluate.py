"""Evaluation: accuracy beside two baselines on the frozen test split, with paired intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from beauty_models.evaluation import page
from beauty_models.evaluation.comparison import margin, with_interval
from beauty_models.evaluation.metrics import accuracy
from beauty_models.families import Metrics
from beauty_models.files import new_folder
from beauty_models.swatch import MEASURED, Evaluate
from beauty_models.swatch.model import load

BASELINES = {"majority": DummyClassifier(), "logistic_regression": LogisticRegression()}


def _report(figures: Metrics) -> str:
    """Return the page: the model's accuracy first, then each baseline with the lead over it."""
    rows = [
        [
            name,
            f"{figures[f'{name}/accuracy']:.3f}",
            f"{figures[f'{name}/accuracy.margin_low']:+.3f}",
        ]
        for name in BASELINES
    ]
    title = f"swatch: {figures['accuracy']:.3f} of the finishes are right"
    return page.page(title, page.table(["baseline", "accuracy", "lead at least"], rows, {1, 2}))


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write a page to ``report``.

    Returns:
        ``accuracy`` with its interval; for each baseline ``NAME/accuracy`` and the model's margin
        over it. The gate reads these names.
    """
    train = pd.read_parquet(data / "train.parquet")
    test = pd.read_parquet(data / "test.parquet")
    truth = test["label"].to_numpy()
    predicted = load(model).probabilities(test).argmax(1).numpy()
    ours = np.stack([truth, predicted], 1)
    figures = with_interval("accuracy", ours, accuracy, None, params)
    figures["n"] = float(len(test))
    for name, baseline in BASELINES.items():
        guess = baseline.fit(train[MEASURED], train["label"]).predict(test[MEASURED])
        theirs = np.stack([truth, guess], 1)
        figures[f"{name}/accuracy"] = float((guess == truth).mean())
        compared = margin("accuracy", ours, theirs, accuracy, None, params)
        figures |= {f"{name}/{key}": value for key, value in compared.items()}
    with new_folder(report) as folder:
        (folder / "index.html").write_text(_report(figures), encoding="utf-8")
    return figures
