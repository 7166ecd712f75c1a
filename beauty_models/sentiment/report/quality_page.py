"""index.html and reliability.png: how good the model is, and where it fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from beauty_models.evaluation.metrics import displayed_metrics, format_value, metric_named
from beauty_models.evaluation.page import (
    Html,
    html,
    page,
    percent,
    placeholder,
    section,
    side_by_side,
    stat_card,
    stat_cards,
    svg,
    table,
    tag,
)
from beauty_models.evaluation.sections import (
    class_table,
    confusion_table,
    interval_text,
    margin_text,
    metric_card,
    slice_row,
    verdict_card,
)
from beauty_models.sentiment.report import declared
from beauty_models.sentiment.report.scores import AspectMetrics, CalibrationBin, Scores

SLICES = 40  # shown of each kind; scores.json holds all
HEIGHT = 220  # pixels of the reliability diagram
# Named in the cards and slices; the table has whatever is declared.
ACCURACY = metric_named("accuracy", declared.METRICS)
MACRO_F1 = metric_named("macro_f1", declared.METRICS)
CALIBRATION_ERROR = metric_named("ece", declared.METRICS)


def reliability_png(file: Path, bins: Sequence[CalibrationBin]) -> None:
    """Draw accuracy against confidence; a calibrated model lies on the diagonal.

    Guo et al. 2017, figure 1.
    """
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.add_subplot(
        xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal"
    )
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    confidence = [b["confidence"] for b in bins]
    accuracy = [b["accuracy"] for b in bins]
    axes.plot(confidence, accuracy, marker="o", color="#4457c7")
    figure.savefig(file, dpi=120, format="png")


def _reliability(scores: Scores) -> Html:
    """Return the reliability diagram: both axes run from the least possible confidence to 1."""
    # The most likely of k classes has a probability of 1/k at least.
    least = 1 / len(scores["classes"])

    def place(value: float) -> float:
        return min(1.0, max(0.0, (value - least) / (1 - least)))

    dots = []
    for b in scores["calibration"]:
        across = percent(place(b["confidence"]))
        down = f"{HEIGHT - HEIGHT * place(b['accuracy']):.1f}"
        dots.append(tag("circle", cx=across, cy=down, r=5, _class="accent"))
    diagonal = tag(
        "line", x1="0%", y1=HEIGHT, x2="100%", y2=0, stroke="var(--soft)", stroke_dasharray="4 4"
    )
    return svg(
        tag("rect", x=0, y=0, width="100%", height=HEIGHT, _class="track"),
        diagonal,
        *dots,
        tag("text", f"confidence {least:.0%}", x="0%", y=HEIGHT + 16),
        tag("text", "100%", x="100%", y=HEIGHT + 16, text_anchor="end"),
        tag("text", "accuracy 100%", x=6, y=14),
        height=HEIGHT + 22,
        label="Reliability diagram: accuracy against confidence",
    )


def _comparison(scores: Scores) -> Html:
    """Return every metric of the model and the baselines, and the margin over each baseline."""
    metrics = scores["metrics"]
    model = metrics["model"]
    baselines = [method for method in metrics if method != "model"]
    head = ["", "this model", f"{scores['confidence']:.0%} interval"]
    for method in baselines:
        head += [declared.CAPTIONS.get(method, method), "margin"]
    rows = []
    for metric in displayed_metrics(declared.METRICS, model):
        value = tag("strong", format_value(metric, model))
        # Calibration error and log loss have neither interval nor margin: their cells stay empty.
        row: list[object] = [metric.caption, value, interval_text(metric, model)]
        for method in baselines:
            row.append(format_value(metric, metrics[method]))
            row.append(margin_text(metric, metrics[method]))
        rows.append(row)
    return table(head, rows, set(range(1, len(head))))


def _slices(scores: Scores) -> Html:
    """Return one interval per category, language and length."""
    rows = []
    for by in ("category", "language", "length"):
        parts = [part for part in scores["slices"] if part["by"] == by]
        # Lengths are few and in their order; of categories the largest tell most.
        if by != "length":
            parts = sorted(parts, key=lambda part: -part["n"])[:SLICES]
        rows += [slice_row(part, (ACCURACY, MACRO_F1), MACRO_F1, "texts") for part in parts]
    head = ["", "slice", "texts", ACCURACY.caption, MACRO_F1.caption, "0 to 1", "interval"]
    return table(head, rows, {2, 3, 4, 6})


def _worst(worst: pd.DataFrame) -> Html:
    """Return the errors that the model was most sure of."""
    rows = []
    for error in worst.itertuples():
        row = [
            tag("span", error.text),
            tag("span", error.label, _class="t-good"),  # the label is taken for the truth
            tag("span", error.prediction, _class="t-bad"),
            f"{error.confidence:.1%}",
            tag("span", error.id, _class="soft small"),
        ]
        rows.append(row)
    if not rows:
        return placeholder("None.")
    return table(["text", "labelled", "predicted", "sure by", "id"], rows, {3})


def _aspects(aspects: Sequence[AspectMetrics]) -> Html:
    """Return how well each aspect is found."""
    head = ["aspect", "texts that mention it", "F1 mentioned", "F1 with polarity"]
    rows = []
    for metrics in aspects:
        f1 = [f"{metrics['mention_f1']:.3f}", f"{metrics['polarity_f1']:.3f}"]
        rows.append([metrics["aspect"], f"{metrics['n']:,}", *f1])
    return table(head, rows, {1, 2, 3})


def _cards(scores: Scores) -> Html:
    """Return the verdict and what most people ask for first."""
    metrics = scores["metrics"]
    model = metrics["model"]
    # The verdict is by macro-F1, as the gate's is: accuracy hides the rare negative texts.
    baselines = [method for method in metrics if method != "model"]
    return stat_cards(
        [
            verdict_card(MACRO_F1, metrics, baselines, declared.CAPTIONS),
            metric_card(MACRO_F1, model),
            metric_card(ACCURACY, model),
            stat_card(
                "calibration error",
                format_value(CALIBRATION_ERROR, model),
                "a confidence is off by this much on average",
            ),
        ]
    )


def _measurement(scores: Scores) -> Html:
    """Return how the metrics came about."""
    unit = "products" if scores["grouped"] else "texts"
    intervals = (
        f"Intervals: {scores['confidence']:.0%}, bootstrap over {unit}; margins: paired bootstrap "
        f"on the same {unit} (Efron & Tibshirani 1993). Macro-F1 is the mean F1 of the classes "
        "that have a test example. The calibration error has 15 bins of equal mass "
        "(Guo et al. 2017)."
    )
    lines = [tag("p", html(line)) for line in (intervals, *scores["notes"])]
    return section("How this was measured", *lines)


def _classes_and_aspects(scores: Scores) -> list[Html]:
    """Return the tables of classes and, where the data have them, of aspects."""
    tables = [section("Each class", class_table(scores["per_class"], "texts"))]
    if scores["per_aspect"]:
        lead = f"On the {scores['annotated']:,} test texts whose aspects were annotated."
        tables.append(section("Each aspect", _aspects(scores["per_aspect"]), lead=lead))
    return tables


def quality_page(scores: Scores, worst: pd.DataFrame) -> str:
    """Return the page for what `evaluate.score` measured.

    ``worst`` has text (masked), label, prediction, confidence, id.
    """
    counts = np.array(scores["confusion"])
    confusion = section(
        "Confusion",
        confusion_table(counts, scores["classes"], with_shares=True),
        lead="Rows are the true classes; shares are of the row.",
    )
    reliability = section(
        "Reliability",
        _reliability(scores),
        lead="Dots on the dashed line: confidence is right. Below it: too sure.",
    )
    subtitle = tag(
        "span",
        f"{scores['n']:,} test texts, classes: {', '.join(scores['classes'])}. See also: ",
        tag("a", "what customers say", href="needs.html"),
    )
    return page(
        "How well reviews are read",
        _cards(scores),
        section(
            "Against the baselines",
            _comparison(scores),
            lead="All on the same test texts, which no method has seen. A margin counts when its "
            "whole interval lies above 0.",
        ),
        side_by_side(confusion, reliability),
        *_classes_and_aspects(scores),
        section(
            "Where it is weaker",
            _slices(scores),
            lead="Macro-F1 by category, language and length of the text.",
        ),
        section(
            "Worst errors",
            _worst(worst),
            lead="Wrong with the most confidence. Some are wrong labels: worth a look before the "
            "next training.",
        ),
        _measurement(scores),
        subtitle=subtitle,
    )
