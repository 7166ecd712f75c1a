"""tryon's evaluation: figures are scikit-learn's, leads are paired, the gate sees the baselines and
not the ablations, pages are safe.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from beauty_models.evaluation.baselines import standardize
from beauty_models.evaluation.metrics import Metric, accuracy
from beauty_models.params import Gate
from beauty_models.serving import png
from beauty_models.tryon import Evaluate, evaluate
from beauty_models.tryon.attribution import Reasons
from beauty_models.tryon.board import (
    Tile,
    contact_sheet,
    explanation,
    heat_overlay,
    readable,
    save_png,
    stack,
)
from beauty_models.tryon.report import baselines, declared
from beauty_models.tryon.report.page import quality_page
from tasks.registry.gate import judge

ROWS = {"train": 60, "validation": 20, "test": 40}

PARAMS = Evaluate(seed=7, bootstrap=200, confidence=0.95, listed_errors=5, examples=2)
HEADS: list[dict[str, Any]] = [
    {"name": "class", "labels": ["dress", "hat", "shoes"]},
    {"name": "color", "labels": ["blue", "red"]},
]


def frame(n: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    kinds, colours = random.choice(HEADS[0]["labels"], n), random.choice(["blue", "red", None], n)
    return pd.DataFrame(
        {
            "id": [f"r{i}" for i in range(n)],
            "product": [f"p{i // 2}" for i in range(n)],
            "label.class": kinds,
            "label.color": colours,
            "text": [f"my {kind} number {i}" for i, kind in enumerate(kinds)],
            "image": "",
        }
    )


def guess(test: pd.DataFrame, seed: int, noise: float) -> dict[str, Any]:
    random, found = np.random.default_rng(seed), {}
    for head in HEADS:
        truth = np.stack(
            [(test[f"label.{head['name']}"] == one).to_numpy() for one in head["labels"]], 1
        )
        found[head["name"]] = truth + noise * random.random(truth.shape)
    return found


def scored() -> tuple[pd.DataFrame, dict[str, Any], dict[str, float]]:
    test = frame(200, 1)
    guesses = {
        "model": guess(test, 2, 1.1),
        "majority": baselines.majority({"train": frame(90, 3), "test": test}, HEADS),
        "tfidf_logreg": guess(test, 4, 3.0),
        "image_only": guess(test, 5, 0.0),
    }
    rows = {"image_only": np.arange(200) < 50}
    scores = evaluate.score(test, guesses, {"majority", "tfidf_logreg"}, HEADS, rows, PARAMS)
    return test, guesses, evaluate.flatten_metrics(scores)


def test_figures_are_scikit_learns_and_a_head_is_scored_where_its_label_is_known() -> None:
    test, guesses, found = scored()
    names = HEADS[0]["labels"]
    said = [names[i] for i in guesses["model"]["class"].argmax(1)]
    assert found["n"] == 200 and found["accuracy"] == pytest.approx(
        metrics.accuracy_score(test["label.class"], said)
    )
    assert found["macro_f1"] == pytest.approx(
        metrics.f1_score(test["label.class"], said, average="macro")
    )
    assert found["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(test["label.class"], said)
    )
    known = test["label.color"].notna().to_numpy()
    colours = np.array(["blue", "red"])[guesses["model"]["color"].argmax(1)]
    assert (
        found["color_accuracy"] == pytest.approx((colours == test["label.color"])[known].mean())
        and found["color_n"] == known.sum()
    )


def test_a_class_without_test_examples_does_not_count_in_macro_f1() -> None:
    """One garment taken for a hat, of which there is no test example.

    Macro-F1 stays beside accuracy, for all alike.
    """
    test = frame(200, 1)
    test = test[test["label.class"] != "hat"].reset_index(drop=True)
    model, rival = guess(test, 2, 0.0), guess(test, 4, 0.0)
    model["class"][0] = rival["class"][0] = [0.0, 1.0, 0.0]
    guesses = {"model": model, "majority": rival}
    found = evaluate.flatten_metrics(evaluate.score(test, guesses, {"majority"}, HEADS, {}, PARAMS))
    for who in ("", "majority/"):
        assert found[f"{who}macro_f1"] == pytest.approx(found["accuracy"], abs=0.01)
        assert found[f"{who}macro_f1.low"] > 0.9
    assert found["majority/macro_f1.margin_low"] == found["majority/macro_f1.margin_high"] == 0


def test_leads_are_paired_and_only_baselines_stand_in_the_way_of_the_gate() -> None:
    _, _, found = scored()
    assert found["tfidf_logreg/macro_f1.margin"] == pytest.approx(
        found["macro_f1"] - found["tfidf_logreg/macro_f1"]
    )
    assert (
        found["tfidf_logreg/macro_f1.margin_low"]
        < found["tfidf_logreg/macro_f1.margin"]
        < found["tfidf_logreg/macro_f1.margin_high"]
    )
    assert (
        found["image_only/n"] == 50
        and found["image_only/accuracy"] == 1
        and found["image_only/accuracy.margin"] < 0
    )
    rules = {"larger_is_better": True, "baselines": ["majority", "tfidf_logreg"]}
    rules |= {"metric": "macro_f1", "floor": 0.5, "tolerance": 0}
    verdict = judge(Gate.model_validate(rules), found, None, None)
    assert verdict["passed"] and len(verdict["criteria"]) == 3
    rules["metric"] = "accuracy"
    rules["baselines"] = ["image_only"]
    assert not judge(Gate.model_validate(rules), found, None, None)["passed"], "the list decides"


def test_regression_learns_from_texts_and_from_pictures_of_which_some_are_missing(
    tmp_path: Any,
) -> None:
    frames = {"train": frame(90, 1), "validation": frame(40, 2), "test": frame(60, 3)}
    found, note = baselines.tfidf_logreg(frames, HEADS)
    right = np.array(HEADS[0]["labels"])[found["class"].argmax(1)] == frames["test"]["label.class"]
    assert right.mean() > 0.95 and "C " in note and found["color"].shape == (60, 2)

    class Drawn:
        def image(self, key: str) -> Image.Image:
            return Image.new("RGB", (40, 40), key)

    paint = {"dress": "navy", "hat": "crimson", "shoes": "olive"}
    for part in frames.values():
        part["image"] = [paint[kind] if i % 5 else "" for i, kind in enumerate(part["label.class"])]
    found, _ = baselines.hog_logreg(frames, Drawn(), HEADS)  # type: ignore[arg-type]
    right = np.array(HEADS[0]["labels"])[found["class"].argmax(1)] == frames["test"]["label.class"]
    assert right[(frames["test"]["image"] != "").to_numpy()].mean() == 1
    frames["test"]["image"] = ""
    found, _ = baselines.hog_logreg(frames, Drawn(), HEADS)  # type: ignore[arg-type]
    assert (found["class"] == found["class"][0]).all(), "a split without a picture: zeros alone"


def test_fewer_dimensions_change_no_answer_of_the_regression() -> None:
    random = np.random.default_rng(1)
    rows = {name: random.normal(size=(n, 200)).astype(np.float32) for name, n in ROWS.items()}
    labels = {name: (values[:, :3].sum(1) > 0).astype(int) for name, values in rows.items()}
    scaler = StandardScaler().fit(rows["train"])
    wide = {name: scaler.transform(values) for name, values in rows.items()}
    narrow = standardize(rows)
    assert narrow["test"].shape == (ROWS["test"], ROWS["train"] + ROWS["validation"])
    said = []
    for features in (wide, narrow):
        model = LogisticRegression(C=0.1, max_iter=1000, tol=1e-6)
        model.fit(features["train"], labels["train"])
        said.append(model.predict_proba(features["test"]))
    assert np.abs(said[0] - said[1]).max() < 1e-3
    assert said[0].std() > 0.1, "there is something to tell apart"


def test_the_heat_colours_what_decided_and_greys_the_rest() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[:2] = 1
    drawn = np.asarray(heat_overlay(Image.new("RGB", (300, 200), (30, 90, 200)), heat), np.int64)
    top, bottom = drawn[10], drawn[-10]
    assert np.ptp(top, axis=-1).mean() > 40 and np.ptp(bottom, axis=-1).mean() == 0


def test_pictures_are_small_files_and_do_not_fail_on_odd_input(tmp_path: Any) -> None:
    noise = Image.fromarray(
        np.random.default_rng(1).integers(0, 256, (200, 120, 3), dtype=np.uint8)
    )
    shown = [Tile(noise, ["a very long name of a garment that does not fit", "b"], False)] * 30 + [
        Tile(None, ["no photo"])
    ]
    save_png(contact_sheet(shown, 6), tmp_path / "a.png")
    assert 10_000 < (tmp_path / "a.png").stat().st_size <= png.LIMIT
    reasons = Reasons("hat", 0.9, [("偏小", 0.4), ("red", -0.1)], None, {})
    seen = Reasons("hat", 1.0, [], np.ones((7, 7), np.float32), {})
    assert (
        stack([explanation(None, reasons, "labelled hat"), explanation(noise, seen, "")]).height
        > 300
    )
    assert readable("crème brûlée – 42 €") and not readable("红色")


def test_a_new_metric_and_a_new_baseline_are_measured_compared_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Metric("agreement", "share of agreement", accuracy, ".1%")
    monkeypatch.setattr(declared, "METRICS", (*declared.METRICS, new))
    test = frame(200, 1)
    guesses = {"model": guess(test, 2, 1.1), "nearest_neighbour": guess(test, 4, 3.0)}
    scores = evaluate.score(test, guesses, {"nearest_neighbour"}, HEADS, {}, PARAMS)
    found = evaluate.flatten_metrics(scores)
    assert found["agreement"] == found["accuracy"] and "color_agreement.low" in found
    assert found["nearest_neighbour/agreement.margin_low"] > 0
    page = quality_page(scores, tmp_path, [])
    assert "share of agreement" in page and f'<td class="n">{found["agreement"]:.1%}</td>' in page
    assert "nearest_neighbour <span" in page and "than nearest_neighbour, the best" in page
