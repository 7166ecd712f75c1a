"""index.html and the tables and pictures beside it: how good the model is, what it needs both inputs for, and why it answers as it does."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.evaluation.comparison import verdict, verdict_class
from beauty_models.evaluation.metrics import shown, written
from beauty_models.evaluation.page import Html, card, html, interval, page, section, table, tag
from beauty_models.intake.shards import Pictures
from beauty_models.progress import log_line
from beauty_models.tryon import Evaluate
from beauty_models.tryon.attribution import explain
from beauty_models.tryon.board import Shown, explained, save_png, stacked, strip
from beauty_models.tryon.model import Stylist
from beauty_models.tryon.report import declared
from beauty_models.tryon.report.confusion import confusion_png

COLUMNS = 6  # photos in a row of errors.png
Guess = dict[str, NDArray[np.float64]]


def _comparison(
    figures: dict[str, dict[str, float]], rivals: list[str], serving: list[str]
) -> Html:
    """Return each method's figures with the interval of its macro-F1 drawn, and the model's lead over it."""
    rows = []
    metrics = shown(declared.METRICS, figures["model"])
    known = [who for who in declared.CAPTIONS if who in figures]
    for who in known + [who for who in figures if who not in declared.CAPTIONS]:
        one, caption = figures[who], _caption(who)
        name = tag(
            "span",
            tag("strong", caption) if who == "model" else caption,
            " ",
            tag("span", "serves", _class="tag") if who in serving else "",
            tag("span", "baseline", _class="tag") if who in rivals else "",
        )
        picture = interval(
            one["macro_f1"],
            one["macro_f1.low"],
            one["macro_f1.high"],
            0,
            1,
            f"macro-F1 {one['macro_f1']:.3f}",
        )
        line: list[object] = [
            name,
            f"{one['n']:,.0f}",
            *(written(metric, one) for metric in metrics),
            tag("div", picture, style="min-width: 150px"),
        ]
        line.append(f"{one['macro_f1.low']:.3f}–{one['macro_f1.high']:.3f}")
        if who == "model":
            line.append("")
        else:
            lead, low, high = (one[f"macro_f1.margin{end}"] for end in ("", "_low", "_high"))
            line.append(
                tag(
                    "span",
                    f"{lead:+.3f} ({low:+.3f} to {high:+.3f})",
                    _class=verdict_class(low, high),
                )
            )
        rows.append(line)
    captions = [metric.caption for metric in metrics]
    head = ["", "examples", *captions, "macro-F1, 0 to 1", "interval", "lead of this model"]
    drawn = len(head) - 3
    return table(head, rows, set(range(1, len(head))) - {drawn})


def _caption(who: str) -> str:
    return declared.CAPTIONS.get(who, who)


def _confusion(scores: dict[str, Any]) -> Html:
    """Return the confusion matrix with cells tinted by their share of the true class."""
    classes, counts = scores["classes"], np.array(scores["confusion"])
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))

    def cell(i: int, j: int) -> Html:
        tint = f"color-mix(in srgb, var(--{'good' if i == j else 'bad'}) {75 * shares[i, j]:.0f}%, transparent)"
        return tag(
            "td",
            f"{counts[i, j]:,}" if counts[i, j] else "",
            style=f"background: {tint}; padding: 8px; text-align: center; min-width: 34px",
        )

    head = tag("tr", tag("th", "true ↓  predicted →"), *(tag("th", name) for name in classes))
    body = [
        tag("tr", tag("th", name), *(cell(i, j) for j in range(len(classes))))
        for i, name in enumerate(classes)
    ]
    return tag("div", tag("table", head, *body), _class="scroll")


def _garments(found: dict[str, dict[str, float]]) -> Html:
    """Return how well the recommended garments suit, head by head."""
    rows = [
        [
            name,
            f"{one['n']:,.0f}",
            f"{one['precision']:.3f}",
            f"{one['precision.low']:.3f}–{one['precision.high']:.3f}",
            f"{one['random']:.3f}",
            tag(
                "span",
                f"{one['precision'] - one['random']:+.3f} ({one['lead_low']:+.3f} to {one['lead_high']:+.3f})",
                _class=verdict_class(one["lead_low"], one["lead_high"]),
            ),
        ]
        for name, one in found.items()
    ]
    return table(
        [
            "same …",
            "examples",
            "share of the first ten",
            "interval",
            "of garments at random",
            "lead",
        ],
        rows,
        {1, 2, 3, 4, 5},
    )


def _verdict(figures: dict[str, dict[str, float]], rivals: list[str]) -> tuple[str, str]:
    """Return in words how the model's macro-F1 stands to the strongest baseline's."""
    best = max(rivals, key=lambda who: figures[who]["macro_f1"])
    low, high = figures[best]["macro_f1.margin_low"], figures[best]["macro_f1.margin_high"]
    over = f"than {_caption(best)}, the best baseline: macro-F1 {low:+.3f} to {high:+.3f}"
    return verdict(low, high), over


def _picture(file: Path, label: str) -> Html:
    if not file.exists():
        return tag("p", "None.", _class="soft")
    data = base64.b64encode(file.read_bytes()).decode()
    return Html(
        f'<img alt="{html(label)}" src="data:image/png;base64,{data}" style="max-width: 100%">'
    )


def quality_page(scores: dict[str, Any], folder: Path, reasons: Sequence[Html]) -> str:
    """Return the page for what `evaluate.score` found; the pictures in ``folder`` become part of it."""
    first, others = scores["heads"][0]["name"], [head["name"] for head in scores["heads"][1:]]
    figures, rivals = scores["figures"][first], scores["rivals"]
    word, over = _verdict(figures, rivals)
    model = figures["model"]
    cards = [card("compared with simple methods", word, over)]
    cards += [
        card(
            metric.caption,
            written(metric, model),
            f"{model[f'{metric.name}.low']:.3f} to {model[f'{metric.name}.high']:.3f}",
        )
        for metric in shown(declared.METRICS, model)
    ]
    for name, told in (
        (name, scores["figures"][name]["model"]) for name in others if scores["figures"][name]
    ):
        cards.append(
            card(f"{name}, accuracy", f"{told['accuracy']:.3f}", f"{told['n']:,.0f} examples")
        )
    per_class = [
        [
            one["class"],
            f"{one['n']:,}",
            *(f"{one[key]:.3f}" if one["n"] else "–" for key in ("precision", "recall", "f1")),
        ]
        for one in scores["per_class"]
    ]
    unit = "products" if scores["grouped"] else "examples"
    method = [
        f"Intervals: {scores['confidence']:.0%}, bootstrap over {unit}; "
        f"leads: paired bootstrap on the same {unit} (Efron & Tibshirani 1993). "
        "Macro-F1 is the mean F1 of the classes that have a test example. "
        "Each input alone is scored where it is there, the model without one where both are; the late average of a "
        "row without text or photo is what the other says.",
        "The fusions and both inputs alone stand on the same two networks and were trained together.",
        *scores["notes"],
    ]
    return page(
        "Which garment is it?",
        tag("div", *cards, _class="cards"),
        section(
            f"The {first}: fusions, each input alone, baselines",
            _comparison(figures, rivals, scores["serving"]),
            lead="All on the same test examples, which no method has seen. A lead counts when its whole interval lies above 0.",
        ),
        *(
            section(f"The {name}", _comparison(scores["figures"][name], rivals, scores["serving"]))
            for name in others
            if scores["figures"][name]
        ),
        *(
            section(
                "The garments it recommends",
                _garments(found),
                lead="Of the ten garments on sale nearest to text and photo, how many are of "
                "the same kind.",
            )
            for found in [scores["garments"]]
            if found
        ),
        section(
            "Confusion",
            _confusion(scores),
            lead="Rows are the true classes; the tint is the share of the row.",
        ),
        section(
            "Each class",
            table(["class", "examples", "precision", "recall", "F1"], per_class, {1, 2, 3, 4}),
        ),
        section(
            "Worst errors",
            _picture(folder / "errors.png", "photos the model was most wrongly sure of"),
            lead="Wrong with the most confidence. Some are wrong labels: worth a look before the next training.",
        ),
        section(
            "What decided",
            _picture(
                folder / "reasons.png",
                "photos with the places that decided, and words with their effect",
            ),
            *reasons,
            lead="Left the photo, beside it in colour the places that speak for the answer (Grad-CAM); the bars tell how much less likely "
            "the answer is without a word.",
        ),
        section("How this was measured", *(tag("p", html(line)) for line in method)),
        subtitle=f"{scores['n']:,} test examples, {len(scores['classes'])} classes: {', '.join(scores['classes'])}.",
    )


def _predictions(test: pd.DataFrame, model: Guess, stylist: Stylist) -> pd.DataFrame:
    """Return id, key and, for each head, the label, the prediction and its probability."""
    found = test[["id", "key", "product"]].copy()
    for head in stylist.shape.heads:
        name, probabilities = head["name"], model[head["name"]]
        found[name] = test[f"label.{name}"]
        found[f"{name}.predicted"] = np.array(head["labels"])[probabilities.argmax(1)]
        found[f"{name}.probability"] = probabilities.max(1)
    return found


def _errors(
    table_: pd.DataFrame, test: pd.DataFrame, pictures: Pictures, head: str, count: int
) -> list[Shown]:
    known = table_[table_[head].notna() & (table_[head] != table_[f"{head}.predicted"])]
    worst = known.nlargest(count, f"{head}.probability", keep="first")
    return [
        Shown(
            pictures.image(key) if (key := str(test.at[i, "image"])) else None,
            [
                f"{row[f'{head}.predicted']} {row[f'{head}.probability']:.0%}",
                f"labelled {row[head]}",
            ],
            False,
        )
        for i, row in worst.iterrows()
    ]


def _chosen(table_: pd.DataFrame, test: pd.DataFrame, head: str, count: int) -> list[int]:
    """Return rows to explain: of each class in turn the surest right answer to text and photo, then the surest errors."""
    right = table_[head] == table_[f"{head}.predicted"]
    both = (test["text"] != "").astype(int) + (test["image"] != "").astype(int)
    order = table_.assign(both=-both, sure=-table_[f"{head}.probability"]).sort_values(
        ["both", "sure", "key"]
    )
    best = order[right[order.index]].drop_duplicates(head).index.tolist()
    wrong = order[~right[order.index] & table_[head].notna()[order.index]].index.tolist()
    return [*best[: count - count // 3], *wrong[: count // 3]]


def write_report(
    folder: Path,
    scores: dict[str, Any],
    test: pd.DataFrame,
    model: Guess,
    stylist: Stylist,
    pictures: Pictures,
    params: Evaluate,
) -> None:
    """Write predictions.parquet, confusion.png, errors.png, reasons.png and index.html into ``folder``."""
    head = stylist.shape.heads[0]["name"]
    test = test.reset_index(drop=True)
    told = _predictions(test, model, stylist)
    told.to_parquet(folder / "predictions.parquet", index=False)
    confusion_png(folder / "confusion.png", scores)
    if errors := _errors(told, test, pictures, head, params.worst):
        save_png(strip(errors, COLUMNS), folder / "errors.png")
    panels, texts = [], []
    for number, row in enumerate(_chosen(told, test, head, params.examples), 1):
        text, key = str(test.at[row, "text"]), str(test.at[row, "image"])
        reasons = explain(stylist, text, key, pictures)
        label = told[head].tolist()[row]
        panels.append(
            explained(
                pictures.image(key) if key else None,
                reasons,
                f"labelled {label}",
                reasons.label == label,
            )
        )
        words = [
            tag(
                "span",
                word,
                " ",
                title=f"{effect:+.3f}",
                _class="t-good" if effect > 0.02 else "t-bad" if effect < -0.02 else "",
            )
            for word, effect in reasons.words
        ]
        texts.append(
            tag("p", f"{number}. ", *words)
            if words
            else tag("p", f"{number}. no text", _class="soft")
        )
    if panels:
        save_png(stacked(panels), folder / "reasons.png")
    (folder / "index.html").write_text(quality_page(scores, folder, texts), encoding="utf-8")
    log_line(f"evaluate: {folder.name} written")
