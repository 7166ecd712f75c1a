"""Scores against scikit-learn and by hand, baselines that learn, pages that are safe, needs that
add up.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from beauty_models.evaluation.metrics import Metric
from beauty_models.evaluation.page import tag
from beauty_models.sentiment import Evaluate, evaluate
from beauty_models.sentiment.report import declared
from beauty_models.sentiment.report.baselines import majority, mentions, tfidf_logreg
from beauty_models.sentiment.report.characteristic_words import log_odds
from beauty_models.sentiment.report.excerpts import excerpt, mask
from beauty_models.sentiment.report.needs import write_needs
from beauty_models.sentiment.report.needs_table import mentions_of_aspects, tally
from beauty_models.sentiment.report.quality_page import quality_page
from beauty_models.sentiment.report.scores import MethodPredictions

PARAMS = Evaluate(seed=7, bootstrap=200, confidence=0.95, listed_errors=5, examples_per_need=2)
CLASSES, ASPECTS = ["negative", "positive"], ["price", "scent"]
GOOD = ["lovely cream, works well", "很好用，喜欢", "soft and lovely", "非常满意 很好"]
BAD = ["awful rash, never again", "很差，过敏", "awful smell", "太差了 失望"]


def frame(n: int, seed: int = 0, **columns) -> pd.DataFrame:
    """Return ``n`` rows in the schema of ingest.

    The label follows from the words, price is negative in negative texts.
    """
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, n)
    aspects = [
        None
        if i % 5 == 0
        else [{"category": "price", "polarity": CLASSES[y], "term": "price", "opinion": None}]
        for i, y in enumerate(label)
    ]
    table = pd.DataFrame(
        {
            "id": [f"r{seed}-{i}" for i in range(n)],
            "text": [f"{(BAD, GOOD)[y][random.integers(0, 4)]} {i}" for i, y in enumerate(label)],
            "label": label,
            "language": "en",
            "product": [f"p{i % 6}" for i in range(n)],
            "category": [("balm", "scent")[i % 2] for i in range(n)],
            "date": pd.Timestamp("2024-01-15") + pd.to_timedelta(30 * (np.arange(n) % 6), unit="D"),
            "aspects": aspects,
        }
    )
    return table.assign(**columns)


def reader(right: float = 1.0, aspects: list[str] = ASPECTS) -> SimpleNamespace:
    """Return a stand-in for the classifier that knows the words and errs on every text whose number
    is past ``right`` percent.
    """

    def predict(texts, title=""):
        good = np.array([any(word in text for word in ("lovely", "好")) for text in texts])
        wrong = np.array(
            [
                int(text.split()[-1]) % 100 >= 100 * right if text.split()[-1].isdigit() else False
                for text in texts
            ]
        )
        positive = np.where(good ^ wrong, 0.9, 0.2)
        states = np.zeros((len(texts), len(aspects), 4), np.float32)
        if aspects:
            states[..., 0] = 1
            states[np.arange(len(texts)), 0] = np.where(good[:, None], [0, 0, 0, 1], [0, 1, 0, 0])
        return SimpleNamespace(
            probabilities=np.stack([1 - positive, positive], 1).astype(np.float32), aspects=states
        )

    return SimpleNamespace(classes=CLASSES, aspects=aspects, predict=predict)


def folder(path, **frames):
    """Write a data folder; splits that are not given get 80 rows each."""
    path.mkdir()
    for i, name in enumerate(("train", "validation", "test")):
        frames.get(name, frame(80, seed=i)).to_parquet(path / f"{name}.parquet")
    (path / "schema.json").write_text(json.dumps({"classes": CLASSES}))
    return path


def test_figures_are_scikit_learns():
    test = frame(300, product=None)
    random = np.random.default_rng(5)
    positive = random.random(300)
    guess = MethodPredictions(
        np.stack([1 - positive, positive], 1), random.random((300, 2, 3)) < 0.3
    )
    other = majority(frame(50), test, CLASSES, ASPECTS)
    methods = {"model": guess, "majority": other}
    found = evaluate.flatten_metrics(evaluate.score(test, methods, CLASSES, ASPECTS, PARAMS))
    truth = test["label"]
    predicted = positive > 0.5
    macro_f1 = metrics.f1_score(truth, predicted, average="macro")
    balanced_accuracy = metrics.balanced_accuracy_score(truth, predicted)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert found["macro_f1"] == pytest.approx(macro_f1)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, positive))
    known = np.array([annotations is not None for annotations in test["aspects"]])
    true = mentions(test["aspects"], ASPECTS)[known].reshape(-1, 6)
    guessed = guess.mentions[known].reshape(-1, 6)
    occurs = (true | guessed).any(0)
    assert found["aspect_polarity_micro_f1"] == pytest.approx(
        metrics.f1_score(true, guessed, average="micro")
    )
    assert found["aspect_polarity_macro_f1"] == pytest.approx(
        metrics.f1_score(true[:, occurs], guessed[:, occurs], average="macro")
    )
    assert found["macro_f1.low"] < found["macro_f1"] < found["macro_f1.high"]
    assert found["majority/macro_f1.margin"] == pytest.approx(
        found["macro_f1"] - found["majority/macro_f1"]
    )
    assert (
        found["majority/macro_f1.margin_low"]
        < found["majority/macro_f1.margin"]
        < found["majority/macro_f1.margin_high"]
    )


def test_calibration_by_hand():
    truth = np.array([1] * 10)
    # Sure by .9, right; sure by .6, right twice of five times.
    positive = np.array([0.9] * 5 + [0.6] * 2 + [0.4] * 3)
    bins = evaluate.calibration(truth, np.stack([1 - positive, positive], 1))
    assert [(b["n"], b["accuracy"]) for b in bins] == [(5, 0.4), (5, 1.0)]
    assert evaluate.calibration_error(bins) == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)


def test_baseline_learns_and_beats_the_majority():
    frames = {"train": frame(200), "validation": frame(60, 1), "test": frame(100, 2)}
    guess, note = tfidf_logreg(frames, CLASSES, ASPECTS, 7)
    assert (guess.probabilities.argmax(1) == frames["test"]["label"]).all() and "260 texts" in note
    assert (guess.mentions[:, 0, 2] == frames["test"]["label"]).all()
    assert not guess.mentions[:, 1].any()
    all_negative = frames["train"].assign(label=0)
    usual = majority(all_negative, frames["test"], CLASSES, ASPECTS)
    assert (usual.probabilities.argmax(1) == 0).all()


@pytest.mark.parametrize(
    "train", [frame(80).query("label == 1"), frame(80).iloc[:0], frame(2).assign(text=["ab", "cd"])]
)
def test_baseline_without_anything_to_learn_is_the_majority(train):
    frames = {"train": train, "validation": frame(60, 1).iloc[:0], "test": frame(20, 2)}
    guess, note = tfidf_logreg(frames, CLASSES, ASPECTS, 7)
    usual = majority(train, frames["test"], CLASSES, ASPECTS)
    assert note.startswith("not trained")
    assert (guess.probabilities == usual.probabilities).all()


def test_report_is_complete(tmp_path):
    scores = evaluate.evaluate_model(reader(0.9), folder(tmp_path / "data"), tmp_path, PARAMS)
    figures = evaluate.flatten_metrics(scores)
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    assert list(table.columns) == [
        "id",
        "label",
        "prediction",
        "probability_negative",
        "probability_positive",
    ]
    assert (table["label"] == table["prediction"]).mean() == pytest.approx(figures["accuracy"])
    for baseline in ("majority", "tfidf_logreg"):
        assert {
            f"{baseline}/{name}"
            for name in ("accuracy", "macro_f1", "macro_f1.margin_low", "accuracy.margin_high")
        } <= set(figures)
    assert all(isinstance(value, float | int) and np.isfinite(value) for value in figures.values())
    assert json.loads((tmp_path / "scores.json").read_text())["n"] == 80
    assert [
        (one["value"], one["n"], one["small"]) for one in scores["slices"] if one["by"] != "length"
    ] == [("balm", 40, True), ("scent", 40, True), ("en", 80, False)]
    assert [one["value"] for one in scores["slices"] if one["by"] == "length"] == [
        "0 to 19 characters",
        "20 to 49 characters",
    ]
    for name in ("confusion.png", "reliability.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "test",
    [
        frame(30).query("label == 1"),
        frame(1),
        frame(30, category=None, product=None, date=pd.NaT, aspects=None),
    ],
)
def test_odd_test_splits_still_give_every_figure(tmp_path, test):
    figures = evaluate.flatten_metrics(
        evaluate.evaluate_model(reader(), folder(tmp_path / "data", test=test), tmp_path, PARAMS)
    )
    assert {
        "macro_f1",
        "macro_f1.low",
        "macro_f1.high",
        "ece",
        "tfidf_logreg/macro_f1.margin_low",
    } <= set(figures)
    assert figures["accuracy"] == 1 and np.isfinite(list(figures.values())).all()


def test_one_product_does_not_make_a_figure_certain():
    test = frame(60, product="only")
    guess = MethodPredictions(np.tile([0.4, 0.6], (60, 1)), np.zeros((60, 0, 3), bool))
    found = evaluate.score(test, {"model": guess}, CLASSES, [], PARAMS)
    model = found["metrics"]["model"]
    assert model["accuracy.low"] < model["accuracy.high"]
    assert not found["grouped"]


def test_aspects_the_model_has_not_learned_are_named(tmp_path):
    scores = evaluate.evaluate_model(
        reader(aspects=["scent"]), folder(tmp_path / "data"), tmp_path, PARAMS
    )
    assert scores["notes"][1].endswith("the aspects price.")


def test_report_is_the_same_twice(tmp_path):
    data = folder(tmp_path / "data")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        evaluate.evaluate_model(reader(), data, tmp_path / name, PARAMS)
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert len(files) == 7 and files == {
        path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()
    }


def test_mistakes_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"test\.parquet: no texts"):
        evaluate.read_splits(folder(tmp_path / "empty", test=frame(3).iloc[:0]), CLASSES)
    with pytest.raises(ValueError, match="run finetune again"):
        evaluate.read_splits(folder(tmp_path / "other"), ["bad", "good"])


def test_pages_escape_and_mask_what_customers_write(tmp_path):
    nasty = '<script>alert("x")</script> & lovely, call +86 138 1234 5678 or mail jo@example.com'
    rows = frame(40)
    rows.loc[:3, ["text", "label"]] = [nasty, 0]
    rows["product"] = "<b>balm</b>"
    evaluate.evaluate_model(
        reader(aspects=[]), folder(tmp_path / "data", test=rows), tmp_path, PARAMS
    )
    for name in ("index.html", "needs.html"):
        text = (tmp_path / name).read_text()
        for unsafe in ("<script", "<b>balm", "1234", "jo@", "http:", "https:", "src="):
            assert unsafe not in text
        assert "&lt;script&gt;" in text or name == "needs.html"


def test_markup_is_escaped_everywhere():
    assert tag("p", "<", tag("b", "&"), title='"<') == '<p title="&quot;&lt;">&lt;<b>&amp;</b></p>'


@pytest.mark.parametrize(
    "text, masked",
    [
        ("邮箱abc.d@mail.example.com谢谢", "邮箱‹e-mail›谢谢"),
        ("电话13812345678，", "电话‹number›，"),
        ("+86 138-1234-5678", "‹number›"),
        ("call (212) 555-0199 now", "call ‹number› now"),
        ("010-12345678", "‹number›"),
        ("订单号：JD20240101A9 没到", "订单号:‹number› 没到"),
        ("order no. AB-12345 late", "order no. ‹number› late"),
        ("1234567890123", "‹number›"),
        ("2024-05-06 买的，用了 100 天，99.5 元", None),
        ("SPF 50 and 30 ml for 12.99", None),
        ("in order to try", None),
    ],
)
def test_mask(text, masked):
    assert mask(text.replace("：", ":")) == (masked or text)


def test_needs_add_up():
    rows = frame(60)
    said = mentions_of_aspects(
        rows,
        ASPECTS,
        lambda texts: np.tile([[False] * 3, [True, False, False]], (len(texts), 1, 1)),
        seed=7,
    )
    table = tally(rows, said, 0.95, 2).set_index(["level", "aspect", "period"]).sort_index()
    price, scent = table.loc[("all", "price", "all")], table.loc[("all", "scent", "all")]
    labels = rows["label"][[one is not None for one in rows["aspects"]]]
    assert (price["n"], price["negative"], price["annotated"]) == (48, (labels == 0).sum(), 48)
    assert (scent["n"], scent["negative"], scent["annotated"]) == (
        12,
        12,
        0,
    )  # the texts nobody annotated
    assert scent["share_negative"] == 1 and scent["low"] == pytest.approx(0.7575, abs=1e-4)
    for level in ("category", "product"):
        assert table.loc[(level, "price", "all")]["n"].sum() == 48
    months = table.loc[("all", "price")].drop("all")
    assert (
        list(months.index) == ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06"]
        and months["n"].sum() == 48
    )
    assert len(price["complaints"]) == 2 and all(
        "price" not in quote and quote for quote in price["praise"]
    )


def test_example_is_the_sentence_that_says_it():
    text = "发货快。味道太刺鼻了！还会再买。"
    assert excerpt(text, "刺鼻") == "味道太刺鼻了！"
    long = excerpt("x" * 300 + " needle " + "y" * 300, "needle")
    assert long.startswith("…x") and " needle " in long and long.endswith("y…") and len(long) == 162


def test_words_stand_in_for_aspects(tmp_path):
    texts = [
        f"{('shampoo', 'lipstick')[i % 2]} "
        f"{('leaking', 'crumbling')[i % 2] if i % 4 < 2 else 'gorgeous'} 包装 {i}"
        for i in range(200)
    ]
    rows = frame(
        200,
        text=texts,
        label=[int(i % 4 > 1) for i in range(200)],
        category=[("shampoo", "lipstick")[i % 2] for i in range(200)],
    )
    table = write_needs(
        folder=tmp_path, frame=rows, classes=CLASSES, aspects=[], predict=None, params=PARAMS
    )
    groups = {
        name: set(part["aspect"])
        for name, part in table[table["level"] == "category"].groupby("category")
    }
    assert (
        "leaking" in groups["shampoo"] - groups["lipstick"]
        and "crumbling" in groups["lipstick"] - groups["shampoo"]
    )
    assert "gorgeous" in set(table[table["level"] == "all"]["aspect"]) and "包装" not in set(
        table["aspect"]
    )
    page = (tmp_path / "needs.html").read_text()
    assert "characteristic" in page and "Nothing so far" not in page


def test_log_odds_by_hand():
    z = log_odds(np.array([30.0, 10]), np.array([10.0, 30]), np.array([40.0, 40]))
    expected = 2 * np.log(280 / 260) / np.sqrt(1 / 280 + 1 / 260)  # prior 250 each
    assert z == pytest.approx([expected, -expected])


def error_rate(rows, weights):
    """Score: how often the columns truth and prediction differ."""
    return weights @ (rows[:, 0] != rows[:, 1]) / weights.sum(1)


def test_a_new_metric_is_one_line_measured_compared_and_shown(tmp_path, monkeypatch):
    new = Metric("error_rate", "share of mistakes", error_rate, ".1%", larger_is_better=False)
    monkeypatch.setattr(declared, "METRICS", (*declared.METRICS, new))
    scores = evaluate.evaluate_model(reader(0.9), folder(tmp_path / "data"), tmp_path, PARAMS)
    found = evaluate.flatten_metrics(scores)
    assert found["error_rate"] == pytest.approx(1 - found["accuracy"])
    assert found["majority/error_rate.margin_high"] < 0
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "share of mistakes" in page and f"{found['error_rate']:.1%}</strong>" in page
    margin = found["majority/error_rate.margin"]
    assert f'<span class="t-good">{margin:+.1%}' in page, "fewer mistakes are good"


def test_a_new_baseline_and_an_undeclared_metric_are_shown_under_their_names():
    """A baseline that the page has no words for is no KeyError, nor is one that lacks a metric."""
    test = frame(100)
    other = majority(frame(50), test, CLASSES, ASPECTS)
    guesses = {"model": other, "nearest_neighbour": other}
    scores = evaluate.score(test, guesses, CLASSES, ASPECTS, PARAMS)
    assert "nearest_neighbour/macro_f1.margin_low" in evaluate.flatten_metrics(scores)
    scores["metrics"]["model"]["undeclared"] = 0.4321
    worst = pd.DataFrame(columns=["text", "label", "prediction", "confidence", "id"])
    page = quality_page(scores, worst)
    assert "than nearest_neighbour, the best baseline" in page
    assert "undeclared" in page and "0.432" in page and "–" in page
