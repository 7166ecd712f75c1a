"""index.html and what lies beside it: how good the model is, and why it answers as it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from beauty_models.evaluation.metrics import (
    Metric,
    displayed_metrics,
    format_value,
    metric_named,
)
from beauty_models.evaluation.page import (
    Html,
    html,
    image,
    interval_chart,
    page,
    placeholder,
    section,
    stat_card,
    stat_cards,
    table,
    tag,
)
from beauty_models.evaluation.pictures import confusion_png
from beauty_models.evaluation.sections import (
    class_table,
    confusion_table,
    interval_text,
    margin_text,
    metric_card,
    tinted_margin,
    verdict_card,
)
from beauty_models.intake.shards import Pictures
from beauty_models.progress import log_line
from beauty_models.tryon import Evaluate
from beauty_models.tryon.attribution import Reasons, explain
from beauty_models.tryon.board import Tile, contact_sheet, explanation, save_png, stack
from beauty_models.tryon.heads import Head
from beauty_models.tryon.model import FusionClassifier
from beauty_models.tryon.report import declared
from beauty_models.tryon.report.scores import HeadProbabilities, Scores

COLUMNS = 6  # photos in a row of errors.png
NOTABLE = 0.02  # effect of a word on the probability from which it is coloured
# The starter's gate judges by it, too: rare garments count as much as frequent ones.
DRAWN = metric_named("macro_f1", declared.METRICS)


def _method_name(method: str, baselines: Sequence[str], serving: Sequence[str]) -> Html:
    """Return what people call a method, and whether it serves or is a baseline."""
    # The model appears twice: as such, and as the branch or mixture that serves.
    caption = declared.CAPTIONS.get(method, method)
    return tag(
        "span",
        tag("strong", caption) if method == "model" else caption,
        " ",
        tag("span", "serves", _class="tag") if method in serving else "",
        tag("span", "baseline", _class="tag") if method in baselines else "",
    )


def _method_row(
    method: str, values: Mapping[str, float], metrics: Sequence[Metric], name: Html
) -> list[object]:
    """Return the cells of one method: its metrics, its macro-F1 drawn, the model's lead over it."""
    value = values[DRAWN.name]
    low = values[f"{DRAWN.name}.low"]
    high = values[f"{DRAWN.name}.high"]
    chart = interval_chart(value, low, high, 0, 1, f"{DRAWN.caption} {value:.3f}")
    return [
        name,
        f"{values['n']:,.0f}",
        *(format_value(metric, values) for metric in metrics),
        tag("div", chart, style="min-width: 150px"),  # on a phone it would shrink to nothing
        interval_text(DRAWN, values),
        "" if method == "model" else margin_text(DRAWN, values),
    ]


def _comparison(scores: Scores, head: str) -> Html:
    """Return each method's metrics for one head, and the model's lead over it."""
    by_method = scores["metrics"][head]
    metrics = displayed_metrics(declared.METRICS, by_method["model"])
    # In the order of the captions; a method that has none follows under its own name.
    known = [method for method in declared.CAPTIONS if method in by_method]
    others = [method for method in by_method if method not in declared.CAPTIONS]
    rows = []
    for method in known + others:
        name = _method_name(method, scores["baselines"], scores["serving"])
        rows.append(_method_row(method, by_method[method], metrics, name))
    captions = [metric.caption for metric in metrics]
    columns = ["", "examples", *captions]
    drawn = len(columns)  # the column of the charts, which are no numbers
    columns += [f"{DRAWN.caption}, 0 to 1", "interval", "lead of this model"]
    return table(columns, rows, set(range(1, len(columns))) - {drawn})


def _garments(garments: Mapping[str, Mapping[str, float]]) -> Html:
    """Return how well the recommended garments suit, head by head."""
    columns = [
        "same …",
        "examples",
        "share of the first ten",
        "interval",
        "of garments at random",
        "lead",
    ]
    rows = []
    for head, values in garments.items():
        precision = values["precision"]
        random = values["random"]
        row = [
            head,
            f"{values['n']:,.0f}",
            f"{precision:.3f}",
            f"{values['precision.low']:.3f}–{values['precision.high']:.3f}",
            f"{random:.3f}",
            tinted_margin(precision - random, values["lead_low"], values["lead_high"]),
        ]
        rows.append(row)
    return table(columns, rows, {1, 2, 3, 4, 5})


def _cards(scores: Scores) -> Html:
    """Return the verdict, the metrics of the class, and the accuracy of the other heads."""
    first, *others = (head["name"] for head in scores["heads"])
    metrics = scores["metrics"][first]
    model = metrics["model"]
    # The verdict comes first: most readers want that alone.
    cards = [verdict_card(DRAWN, metrics, scores["baselines"], declared.CAPTIONS)]
    for metric in displayed_metrics(declared.METRICS, model):
        cards.append(metric_card(metric, model))
    for head in others:
        if not scores["metrics"][head]:  # no test example has a label of it
            continue
        values = scores["metrics"][head]["model"]
        examples = f"{values['n']:,.0f} examples"
        cards.append(stat_card(f"{head}, accuracy", f"{values['accuracy']:.3f}", examples))
    return stat_cards(cards)


def _comparisons(scores: Scores) -> Iterator[Html]:
    """Yield a section for each head that has test examples."""
    first, *others = (head["name"] for head in scores["heads"])
    yield section(
        f"The {first}: fusions, each input alone, baselines",
        _comparison(scores, first),
        lead="All on the same test examples, which no method has seen. A lead counts when its "
        "whole interval lies above 0.",
    )
    # Of a head without a labelled test example nothing was measured.
    for head in others:
        if scores["metrics"][head]:
            yield section(f"The {head}", _comparison(scores, head))
    if scores["garments"]:
        yield section(
            "The garments it recommends",
            _garments(scores["garments"]),
            lead="Of the ten garments on sale nearest to text and photo, how many are of the same "
            "kind.",
        )


def _measurement(scores: Scores) -> Html:
    """Return how the metrics came about."""
    unit = "products" if scores["grouped"] else "examples"
    lines = [
        f"Intervals: {scores['confidence']:.0%}, bootstrap over {unit}; "
        f"leads: paired bootstrap on the same {unit} (Efron & Tibshirani 1993). "
        "Macro-F1 is the mean F1 of the classes that have a test example. "
        "Each input alone is scored where it is there, the model without one where both are; "
        "the late average of a row without text or photo is what the other says.",
        "The fusions and both inputs alone stand on the same two networks and were trained "
        "together.",
        *scores["notes"],
    ]
    return section("How this was measured", *(tag("p", html(line)) for line in lines))


def _picture(file: Path, description: str) -> Html:
    """Return the picture in ``file``, which is not there when nothing was to be drawn."""
    if not file.exists():  # no error, or no example with a label
        return placeholder("None.")
    return image(file.read_bytes(), description, style="max-width: 100%")


def quality_page(scores: Scores, folder: Path, reasons: Sequence[Html]) -> str:
    """Return the page for what `evaluate.score` measured.

    The pictures in ``folder`` become part of it. ``reasons`` are the texts below reasons.png.
    """
    classes = scores["classes"]
    counts = np.array(scores["confusion"])
    # Both are drawn before the page, which carries them: it can be mailed as one file.
    errors = _picture(folder / "errors.png", "photos the model was most wrongly sure of")
    explanations = _picture(
        folder / "reasons.png", "photos with the places that decided, and words with their effect"
    )
    return page(
        "Which garment is it?",
        _cards(scores),
        *_comparisons(scores),
        section(
            "Confusion",
            confusion_table(counts, classes, with_shares=False),
            lead="Rows are the true classes; the tint is the share of the row.",
        ),
        section("Each class", class_table(scores["per_class"], "examples")),
        section(
            "Worst errors",
            errors,
            lead="Wrong with the most confidence. Some are wrong labels: worth a look before the "
            "next training.",
        ),
        section(
            "What decided",
            explanations,
            *reasons,
            lead="Left the photo, beside it in colour the places that speak for the answer "
            "(Grad-CAM); the bars tell how much less likely the answer is without a word.",
        ),
        _measurement(scores),
        subtitle=f"{scores['n']:,} test examples, {len(classes)} classes: {', '.join(classes)}.",
    )


def _prediction_table(
    test: pd.DataFrame, model: HeadProbabilities, heads: Sequence[Head]
) -> pd.DataFrame:
    """Return id, key, product and, for each head, label, prediction and its probability."""
    predictions = test[["id", "key", "product"]].copy()
    for head in heads:
        name = head["name"]
        probabilities = model[name]
        predictions[name] = test[f"label.{name}"]
        predictions[f"{name}.predicted"] = np.array(head["labels"])[probabilities.argmax(1)]
        predictions[f"{name}.probability"] = probabilities.max(1)
    return predictions


def _worst_errors(
    predictions: pd.DataFrame, test: pd.DataFrame, pictures: Pictures, head: str, count: int
) -> list[Tile]:
    """Return the ``count`` errors the model was most sure of, with their photos."""
    # Without a known label nobody can say that an answer is wrong.
    labelled = predictions[head].notna()
    wrong = labelled & (predictions[head] != predictions[f"{head}.predicted"])
    worst = predictions[wrong].nlargest(count, f"{head}.probability", keep="first")
    tiles = []
    for i, row in worst.iterrows():
        key = str(test.at[i, "image"])
        photo = pictures.image(key) if key else None
        predicted = row[f"{head}.predicted"]
        answer = f"{predicted} {row[f'{head}.probability']:.0%}"
        tiles.append(Tile(photo, [answer, f"labelled {row[head]}"], False))
    return tiles


def _rows_to_explain(
    predictions: pd.DataFrame, test: pd.DataFrame, head: str, count: int
) -> list[int]:
    """Return the surest right answer of each class in turn, then the surest errors.

    Examples with both text and photo come first. A third of ``count`` are errors.
    """
    # Where text and photo are both there, the page can show what each of them decided.
    has_text = test["text"] != ""
    has_photo = test["image"] != ""
    inputs = has_text.astype(int) + has_photo.astype(int)
    order = predictions.assign(inputs=-inputs, sure=-predictions[f"{head}.probability"])
    # The key decides between equals, so that the same model explains the same rows.
    order = order.sort_values(["inputs", "sure", "key"])
    right = order[head] == order[f"{head}.predicted"]
    # One of each class, or the frequent classes would fill the page.
    best = order[right].drop_duplicates(head).index.tolist()
    wrong = order[~right & order[head].notna()].index.tolist()
    # Errors are what there is to learn from, but a page of them alone would mislead.
    errors = count // 3
    return [*best[: count - errors], *wrong[:errors]]


def _word_effects(number: int, reasons: Reasons) -> Html:
    """Return the words of the example ``number``, coloured where they speak for or against."""
    if not reasons.words:
        return placeholder(f"{number}. no text")
    words = []
    for word, effect in reasons.words:
        # Most words change nothing: coloured they would hide the few that do.
        style = ""
        if effect > NOTABLE:
            style = "t-good"
        elif effect < -NOTABLE:
            style = "t-bad"
        words.append(tag("span", word, " ", title=f"{effect:+.3f}", _class=style))
    return tag("p", f"{number}. ", *words)


def _explain_rows(
    file: Path,
    rows: Sequence[int],
    test: pd.DataFrame,
    labels: Sequence[Any],
    classifier: FusionClassifier,
    pictures: Pictures,
) -> list[Html]:
    """Draw why the model answers as it does to ``rows`` of ``test``; return their texts.

    ``file`` is not written when there are no rows.
    """
    panels = []
    texts = []  # in words, too: the picture's font has no Chinese, and a screen reader no pictures
    for number, row in enumerate(rows, 1):
        text = str(test.at[row, "text"])
        key = str(test.at[row, "image"])
        reasons = explain(classifier, text, key, pictures)
        photo = pictures.image(key) if key else None
        right = reasons.label == labels[row]
        panels.append(explanation(photo, reasons, f"labelled {labels[row]}", right))
        texts.append(_word_effects(number, reasons))
    if panels:
        save_png(stack(panels), file)
    return texts


def write_report(
    folder: Path,
    scores: Scores,
    test: pd.DataFrame,
    model: HeadProbabilities,
    classifier: FusionClassifier,
    pictures: Pictures,
    params: Evaluate,
) -> None:
    """Write predictions.parquet, confusion.png, errors.png, reasons.png and index.html."""
    heads = classifier.config.heads
    first = heads[0]["name"]
    test = test.reset_index(drop=True)  # rows are looked up by number below
    predictions = _prediction_table(test, model, heads)
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    counts = np.array(scores["confusion"])
    # Garments have many classes, and their cells no room for shares.
    confusion_png(folder / "confusion.png", counts, scores["classes"], with_shares=False)
    errors = _worst_errors(predictions, test, pictures, first, params.listed_errors)
    if errors:
        save_png(contact_sheet(errors, COLUMNS), folder / "errors.png")
    rows = _rows_to_explain(predictions, test, first, params.examples)
    labels = predictions[first].tolist()  # None where nobody labelled an example
    texts = _explain_rows(folder / "reasons.png", rows, test, labels, classifier, pictures)
    (folder / "index.html").write_text(quality_page(scores, folder, texts), encoding="utf-8")
    log_line(f"evaluate: {folder.name} written")
