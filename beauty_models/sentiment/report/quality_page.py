"""index.html, confusion.png and reliability.png: how good the model is, for who decides and for who has to improve it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from beauty_models.evaluation.comparison import verdict, verdict_class
from beauty_models.evaluation.metrics import shown, written
from beauty_models.evaluation.page import (
    Html,
    card,
    html,
    interval,
    page,
    percent,
    section,
    svg,
    table,
    tag,
)
from beauty_models.sentiment.report import declared

SLICES = 40  # shown of each kind; scores.json holds all


def confusion_png(file: Path, scores: dict[str, Any]) -> None:
    """Draw the confusion matrix as shares of each true class. Names that a plain font may lack are replaced by numbers."""
    counts = np.array(scores["confusion"])
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    names = [
        name if name.isascii() else f"class {i + 1}" for i, name in enumerate(scores["classes"])
    ]
    figure = Figure(figsize=(1.6 + 1.1 * len(names), 1.4 + len(names)), layout="constrained")
    axes = figure.add_subplot(
        xlabel="predicted", ylabel="true", xticks=range(len(names)), yticks=range(len(names))
    )
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticklabels(names)
    axes.set_yticklabels(names)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{count:,}\n{share:.0%}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "black",
        )
    figure.savefig(file, dpi=120, format="png")


def reliability_png(file: Path, scores: dict[str, Any]) -> None:
    """Draw accuracy against confidence; a calibrated model lies on the diagonal (Guo et al. 2017, figure 1)."""
    bins = scores["calibration"]
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.add_subplot(
        xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal"
    )
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    axes.plot(
        [b["confidence"] for b in bins], [b["accuracy"] for b in bins], marker="o", color="#4457c7"
    )
    figure.savefig(file, dpi=120, format="png")


def _confusion(scores: dict[str, Any]) -> Html:
    """Return the confusion matrix with cells tinted by their share of the true class."""
    classes, counts = scores["classes"], np.array(scores["confusion"])
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))

    def cell(i: int, j: int) -> Html:
        tint = f"color-mix(in srgb, var(--{'good' if i == j else 'bad'}) {60 * shares[i, j]:.0f}%, transparent)"
        return tag(
            "td",
            tag("strong", f"{counts[i, j]:,}"),
            Html("<br>"),
            tag("span", f"{shares[i, j]:.1%}", _class="small"),
            style=f"background: {tint}; padding: 10px; text-align: center",
        )

    head = tag("tr", tag("th", "true ↓  predicted →"), *(tag("th", name) for name in classes))
    body = [
        tag("tr", tag("th", name), *(cell(i, j) for j in range(len(classes))))
        for i, name in enumerate(classes)
    ]
    return tag("div", tag("table", head, *body), _class="scroll")


def _reliability(scores: dict[str, Any]) -> Html:
    """Return the reliability diagram: the axes of both run from the least confidence possible to 1."""
    least = 1 / len(scores["classes"])

    def place(value: float) -> float:
        return min(1.0, max(0.0, (value - least) / (1 - least)))

    dots = [
        tag(
            "circle",
            cx=percent(place(b["confidence"])),
            cy=f"{220 - 220 * place(b['accuracy']):.1f}",
            r=5,
            _class="accent",
        )
        for b in scores["calibration"]
    ]
    return svg(
        tag("rect", x=0, y=0, width="100%", height=220, _class="track"),
        tag("line", x1="0%", y1=220, x2="100%", y2=0, stroke="var(--soft)", stroke_dasharray="4 4"),
        *dots,
        tag("text", f"confidence {least:.0%}", x="0%", y=236),
        tag("text", "100%", x="100%", y=236, text_anchor="end"),
        tag("text", "accuracy 100%", x=6, y=14),
        height=242,
        label="Reliability diagram: accuracy against confidence",
    )


def _comparison(scores: dict[str, Any]) -> Html:
    """Return every figure of the model and the baselines, and the margin over each baseline."""
    figures, rows = scores["figures"], []
    model = figures["model"]
    baselines = [who for who in figures if who != "model"]
    for metric in shown(declared.METRICS, model):
        name = metric.name
        ends = ""
        if f"{name}.low" in model:
            ends = f"{model[f'{name}.low']:.3f}–{model[f'{name}.high']:.3f}"
        line: list[object] = [metric.caption, tag("strong", written(metric, model)), ends]
        for who in baselines:
            line += [written(metric, figures[who]), _margin(name, figures[who])]
        rows.append(line)
    head = ["", "this model", f"{scores['confidence']:.0%} interval"] + [
        text for who in baselines for text in (_caption(who), "margin")
    ]
    return table(head, rows, set(range(1, len(head))))


def _caption(who: str) -> str:
    return declared.CAPTIONS.get(who, who)


def _margin(name: str, values: dict[str, float]) -> Html | str:
    """Return the model's margin over a baseline with its interval, tinted; nothing without one."""
    if f"{name}.margin" not in values:
        return ""
    margin, low, high = (values[f"{name}.margin{end}"] for end in ("", "_low", "_high"))
    return tag(
        "span", f"{margin:+.3f} ({low:+.3f} to {high:+.3f})", _class=verdict_class(low, high)
    )


def _slices(scores: dict[str, Any]) -> Html:
    """Return one interval per category, language and length."""
    lines = []
    for by in ("category", "language", "length"):
        found = [one for one in scores["slices"] if one["by"] == by]
        shown = sorted(found, key=lambda one: -one["n"])[:SLICES] if by != "length" else found
        for one in shown:
            picture = interval(
                one["macro_f1"],
                one["low"],
                one["high"],
                0,
                1,
                f"macro-F1 {one['macro_f1']:.3f}",
                faint=one["small"],
            )
            name = tag(
                "span",
                one["value"],
                " ",
                tag("span", "few texts", _class="tag") if one["small"] else "",
            )
            lines.append(
                [
                    by,
                    name,
                    f"{one['n']:,}",
                    f"{one['accuracy']:.3f}",
                    f"{one['macro_f1']:.3f}",
                    tag("div", picture, style="min-width: 200px"),
                    f"{one['low']:.3f}–{one['high']:.3f}",
                ]
            )
    return table(
        ["", "slice", "texts", "accuracy", "macro-F1", "0 to 1", "interval"], lines, {2, 3, 4, 6}
    )


def _worst(worst: pd.DataFrame) -> Html:
    lines = [
        [
            tag("span", row.text),
            tag("span", row.label, _class="t-good"),
            tag("span", row.prediction, _class="t-bad"),
            f"{row.confidence:.1%}",
            tag("span", row.id, _class="soft small"),
        ]
        for row in worst.itertuples()
    ]
    return (
        table(["text", "labelled", "predicted", "sure by", "id"], lines, {3})
        if lines
        else tag("p", "None.", _class="soft")
    )


def _verdict(scores: dict[str, Any]) -> tuple[str, str]:
    """Return in words how the model's macro-F1 stands to the strongest baseline's."""
    figures = scores["figures"]
    best = max((who for who in figures if who != "model"), key=lambda who: figures[who]["macro_f1"])
    low, high = figures[best]["macro_f1.margin_low"], figures[best]["macro_f1.margin_high"]
    over = f"than {_caption(best)}, the best baseline: macro-F1 {low:+.3f} to {high:+.3f}"
    return verdict(low, high), over


def _tables(scores: dict[str, Any]) -> Sequence[Html]:
    per_class = [
        [
            one["class"],
            f"{one['n']:,}",
            *(f"{one[key]:.3f}" for key in ("precision", "recall", "f1")),
        ]
        for one in scores["per_class"]
    ]
    found = [
        section(
            "Each class",
            table(["class", "texts", "precision", "recall", "F1"], per_class, {1, 2, 3, 4}),
        )
    ]
    if scores["per_aspect"]:
        rows = [
            [
                one["aspect"],
                f"{one['n']:,}",
                f"{one['mention_f1']:.3f}",
                f"{one['polarity_f1']:.3f}",
            ]
            for one in scores["per_aspect"]
        ]
        found.append(
            section(
                "Each aspect",
                table(
                    ["aspect", "texts that mention it", "F1 mentioned", "F1 with polarity"],
                    rows,
                    {1, 2, 3},
                ),
                lead=f"On the {scores['annotated']:,} test texts whose aspects were annotated.",
            )
        )
    return found


def quality_page(scores: dict[str, Any], worst: pd.DataFrame, notes: Sequence[str]) -> str:
    """Return the page for what `evaluate.score` found; ``worst`` has text (masked), label, prediction, confidence, id."""
    model, (word, over) = scores["figures"]["model"], _verdict(scores)
    unit = "products" if scores["grouped"] else "texts"
    cards = [card("compared with simple methods", word, over)]
    cards += [
        card(
            title,
            f"{model[name]:.3f}",
            f"{model[f'{name}.low']:.3f} to {model[f'{name}.high']:.3f}",
        )
        for name, title in (("macro_f1", "macro-F1"), ("accuracy", "accuracy"))
    ]
    cards.append(
        card(
            "calibration error",
            f"{model['ece']:.3f}",
            "a confidence is off by this much on average",
        )
    )
    method = [
        f"Intervals: {scores['confidence']:.0%}, bootstrap over {unit}; margins: paired bootstrap on the same {unit} "
        "(Efron & Tibshirani 1993). Macro-F1 is the mean F1 of the classes that have a test example."
        " The calibration error has 15 bins of equal mass (Guo et al. 2017).",
        *notes,
    ]
    return page(
        "How well reviews are read",
        tag("div", *cards, _class="cards"),
        section(
            "Against the baselines",
            _comparison(scores),
            lead="All on the same test texts, which no method has seen. A margin counts when its whole interval lies above 0.",
        ),
        tag(
            "div",
            section(
                "Confusion",
                _confusion(scores),
                lead="Rows are the true classes; shares are of the row.",
            ),
            section(
                "Reliability",
                _reliability(scores),
                lead="Dots on the dashed line: confidence is right. Below it: too sure.",
            ),
            _class="two",
        ),
        *_tables(scores),
        section(
            "Where it is weaker",
            _slices(scores),
            lead="Macro-F1 by category, language and length of the text.",
        ),
        section(
            "Worst errors",
            _worst(worst),
            lead="Wrong with the most confidence. Some are wrong labels: worth a look before the next training.",
        ),
        section("How this was measured", *(tag("p", html(line)) for line in method)),
        subtitle=tag(
            "span",
            f"{scores['n']:,} test texts, classes: {', '.join(scores['classes'])}. See also: ",
            tag("a", "what customers say", href="needs.html"),
        ),
    )
