"""What report pages of several families share: verdict, margins, confusion, classes, slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beauty_models.evaluation.comparison import (
    ClassMetrics,
    MethodMetrics,
    Slice,
    best_baseline,
    verdict,
    verdict_class,
)
from beauty_models.evaluation.metrics import Metric, format_value
from beauty_models.evaluation.page import (
    Html,
    append,
    interval_chart,
    section,
    stat_card,
    table,
    tag,
)

TINT = 60  # percent of the colour in a full cell; with more the numbers in it are hard to read


def verdict_card(
    metric: Metric,
    metrics: MethodMetrics,
    baselines: Iterable[str],
    captions: Mapping[str, str],
) -> Html:
    """Return in words how the model stands to the baseline that is strongest by ``metric``.

    ``captions``: method → what people call it.
    """
    # Against the strongest one: to beat the majority alone says little.
    best = best_baseline(metric, metrics, baselines)
    low = metrics[best][f"{metric.name}.margin_low"]
    high = metrics[best][f"{metric.name}.margin_high"]
    note = f"than {captions.get(best, best)}, the best baseline: "
    note += f"{metric.caption} {low:+{metric.format}} to {high:+{metric.format}}"
    word = verdict(low, high, metric.larger_is_better)
    return stat_card("compared with simple methods", word, note)


def metric_card(metric: Metric, values: Mapping[str, float]) -> Html:
    """Return the model's value of ``metric`` with its interval."""
    low = values[f"{metric.name}.low"]
    high = values[f"{metric.name}.high"]
    ends = f"{low:{metric.format}} to {high:{metric.format}}"
    return stat_card(metric.caption, format_value(metric, values), ends)


def interval_text(metric: Metric, values: Mapping[str, float]) -> str:
    """Return the ends of the interval of ``metric``; nothing where it has none."""
    if f"{metric.name}.low" not in values:
        return ""
    low = values[f"{metric.name}.low"]
    high = values[f"{metric.name}.high"]
    return f"{low:{metric.format}}–{high:{metric.format}}"


def tinted_margin(
    value: float, low: float, high: float, larger_is_better: bool = True, digits: str = ".3f"
) -> Html:
    """Return a margin with its interval in the colour of the verdict, each number by ``digits``."""
    text = f"{value:+{digits}} ({low:+{digits}} to {high:+{digits}})"
    return tag("span", text, _class=verdict_class(low, high, larger_is_better))


def margin_text(metric: Metric, values: Mapping[str, float]) -> Html | str:
    """Return the model's margin over a method by ``metric``; nothing where it has none."""
    if f"{metric.name}.margin" not in values:
        return ""
    return tinted_margin(
        values[f"{metric.name}.margin"],
        values[f"{metric.name}.margin_low"],
        values[f"{metric.name}.margin_high"],
        metric.larger_is_better,
        metric.format,
    )


def add_account(page: Path, lines: Iterable[Sequence[str]]) -> None:
    """Put the account of the data below the report ``page``; ``lines`` as `account.lines` has them.

    Without any, of data from before there was one, the page stays as it is.
    """
    rows = []
    for head, number, text, example in lines:
        where = tag("span", f" {example}", _class="soft small") if example else ""
        rows.append([tag("strong", head), number, tag("span", text, where)])
    if rows:
        content = section(
            "The data's account",
            table(["", "number", "what, and where first"], rows, {1}),
            lead="What was read for this model, what was kept, and what was guessed.",
        )
        append(page, content)


def confusion_table(
    counts: NDArray[np.int64], classes: Sequence[str], *, with_shares: bool
) -> Html:
    """Return the confusion matrix ``counts`` [true, predicted], tinted by share of the true class.

    ``with_shares`` writes the shares, too; with many classes there is no room for them.
    """
    # A class without an example has a row of zeros, not of NaN.
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))

    def cell(row: int, column: int) -> Html:
        color = "good" if row == column else "bad"
        tint = f"color-mix(in srgb, var(--{color}) {TINT * shares[row, column]:.0f}%, transparent)"
        content: list[object] = [f"{counts[row, column]:,}"]
        if with_shares:
            share = tag("span", f"{shares[row, column]:.1%}", _class="small")
            content = [tag("strong", *content), Html("<br>"), share]
        elif not counts[row, column]:
            content = []
        style = f"background: {tint}; padding: 8px; text-align: center; min-width: 34px"
        return tag("td", *content, style=style)

    head = tag("tr", tag("th", "true ↓  predicted →"), *(tag("th", name) for name in classes))
    lines = []
    for row, name in enumerate(classes):
        cells = [cell(row, column) for column in range(len(classes))]
        lines.append(tag("tr", tag("th", name), *cells))
    return tag("div", tag("table", head, *lines), _class="scroll")


def class_table(classes: Iterable[ClassMetrics], unit: str) -> Html:
    """Return precision, recall and F1 of each class, dashes for one without an example.

    ``unit`` is what the examples are, e.g. texts.
    """
    rows = []
    for metrics in classes:
        values = (metrics["precision"], metrics["recall"], metrics["f1"])
        texts = [f"{value:.3f}" if metrics["n"] else "–" for value in values]
        rows.append([metrics["class"], f"{metrics['n']:,}", *texts])
    return table(["class", unit, "precision", "recall", "F1"], rows, {1, 2, 3, 4})


def slice_row(part: Slice, metrics: Sequence[Metric], drawn: Metric, unit: str) -> list[object]:
    """Return the cells of one slice: by, value, n, ``metrics``, chart and interval of ``drawn``.

    ``unit`` is what the examples are, e.g. texts.
    """
    few = tag("span", f"few {unit}", _class="tag") if part["small"] else ""
    low = part["low"]
    high = part["high"]
    value = part["metrics"][drawn.name]
    label = f"{drawn.caption} {value:.3f}"
    chart = interval_chart(value, low, high, 0, 1, label, faint=part["small"])
    return [
        part["by"],
        tag("span", part["value"], " ", few),
        f"{part['n']:,}",
        *(format_value(metric, part["metrics"]) for metric in metrics),
        tag("div", chart, style="min-width: 190px"),  # on a phone it would shrink to nothing
        f"{low:.3f}–{high:.3f}",
    ]
