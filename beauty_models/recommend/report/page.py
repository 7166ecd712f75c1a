"""index.html and board.html: how well things are found, for who decides and for who has to improve it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageOps

from beauty_models.evaluation.comparison import best_baseline, verdict, verdict_class
from beauty_models.evaluation.metrics import displayed_metrics, format_value, metric_named
from beauty_models.evaluation.page import (
    Html,
    html,
    image,
    page,
    section,
    stat_card,
    stat_cards,
    table,
    tag,
)
from beauty_models.evaluation.sections import interval_text, slice_row
from beauty_models.recommend.board import Query
from beauty_models.recommend.report import declared

SIDE = 128  # pixels of a photo on a page
TITLES = {
    "text_image": (
        "text → photo",
        "Each distinct caption looks for the photos of the items it describes, of which it sees no text.",
    ),
    "image_text": (
        "photo → text",
        "Each photo looks for its own captions among all distinct captions.",
    ),
    "image_image": (
        "distorted photo → photo",
        "A part of a photo (20 to 50 % of its area), turned, perhaps mirrored, in other light, looks for the "
        "clean photos of its product; four of each photo. For nDCG the same item counts 2, another colour of the product 1.",
    ),
    "goes_with": (
        "goes with",
        "Each test product looks for what the shop links with it (related, upsell and so on), among all products.",
    ),
    "history": (
        "shopper's history",
        "The products a shopper had, later ones weighing more, look for the one that came last, among all the others.",
    ),
    "query": (
        "search",
        "Search texts look for the items they should find, by photo and text together.",
    ),
}
STYLE = Html("""<style>img { border-radius: 6px; display: block }
.board { display: flex; gap: 10px; align-items: flex-start; overflow-x: auto; padding: 12px 0; border-bottom: 1px solid var(--line) }
.board:last-child { border: 0 } .ask { flex: 0 0 210px } .found { flex: 1 1 0; min-width: 64px; max-width: 128px; line-height: 1.3 }
.found img { width: 100%; border: 1px solid var(--line) } .found.right img { border: 3px solid var(--good) }
.ask img { width: 112px; margin-top: 4px } td img { width: 88px; margin-top: 2px }
.wide { width: 100%; background: white; margin-top: 12px }</style>""")


def title(task: str) -> str:
    """Return a task's name for people."""
    return (
        TITLES[task][0]
        if task in TITLES
        else TITLES["query"][0] + task.removeprefix("query").replace("_und", "").replace("_", ", ")
    )


def photo(picture: Image.Image, description: str) -> Html:
    """Return a small photo as an element that carries its bytes."""
    stream = io.BytesIO()
    ImageOps.pad(picture, (SIDE, SIDE), color="white").save(stream, "JPEG", quality=80)
    return image(stream.getvalue(), description, "jpeg")


def _line(number: int, asked: Query) -> Html:
    ask = [
        tag("div", f"{number}  {asked.note}", _class="soft small"),
        tag("div", tag("strong", asked.text)),
    ]
    seen = [photo(asked.photo, asked.text)] if asked.photo is not None else []
    answers = [
        tag(
            "div",
            photo(found.photo, found.caption),
            tag("span", found.caption, _class="small t-good" if found.right else "small soft"),
            _class="found right" if found.right else "found",
        )
        for found in asked.found
    ]
    return tag("div", tag("div", *ask, *seen, _class="ask"), *answers, _class="board")


def board_page(board: Sequence[Query]) -> str:
    """Return the page of the board: queries drawn at random, texts in full, and what was found for them."""
    lines = [_line(number, asked) for number, asked in enumerate(board, 1)] or [
        tag("p", "None: evaluate.board_queries is 0.", _class="soft")
    ]
    lead = "Best answers first; what is right has a green frame. The queries were drawn at random from the test part, not chosen."
    return page(
        "What is found",
        STYLE,
        section("Queries and answers", *lines, lead=lead),
        subtitle=tag(
            "span", "See also: ", tag("a", "how well things are found", href="index.html")
        ),
    )


def _figures(task: dict[str, Any], confidence: float) -> Html:
    """Return one row per method, one column per figure; below it the interval of the model, or the model's margin."""
    metrics = displayed_metrics(declared.METRICS, task["figures"]["model"])
    rows: list[list[object]] = []
    for who, values in task["figures"].items():
        caption = declared.caption(who)
        line: list[object] = [tag("strong", caption) if who == "model" else caption]
        for metric in metrics:
            name = metric.name
            if who == "model":
                note = tag("span", interval_text(metric, values), _class="soft small")
            else:
                low, high = values[f"{name}.margin_low"], values[f"{name}.margin_high"]
                color = verdict_class(low, high, metric.larger_is_better)
                note = tag("span", f"{low:+.3f} to {high:+.3f}", _class=f"{color} small")
            line.append(
                tag(
                    "span",
                    tag("strong" if who == "model" else "span", format_value(metric, values)),
                    Html("<br>"),
                    note,
                )
            )
        rows.append(line)
    unit = "products" if task["grouped"] else "queries"
    if task["name"] == "history":
        unit = "shoppers"
    told = (
        f"{task['queries']:,} queries, each compared with the whole gallery of {task['gallery']:,}, of which {task['relevant']:.1f} are right "
        f"on average. Under the model its {confidence:.0%} interval (bootstrap over {unit}), under a baseline that of the model's lead over it."
    )
    lead = TITLES[task["name"] if task["name"] in TITLES else "query"][1]
    return section(
        title(task["name"]).capitalize(),
        table(["", *(metric.caption for metric in metrics)], rows, set(range(1, len(metrics) + 1))),
        tag("p", told, _class="soft small"),
        lead=lead,
    )


def _slices(scores: dict[str, Any]) -> Html:
    recall = metric_named("recall_at_10", declared.METRICS)
    mrr = metric_named("mrr_at_10", declared.METRICS)
    rows = []
    for task in scores["tasks"]:
        for part in task["slices"]:
            rows.append([title(task["name"]), *slice_row(part, (recall, mrr), mrr, "queries")])
    head = ["task", "by", "slice", "queries", recall.caption, mrr.caption, "0 to 1", "interval"]
    return table(head, rows, {3, 4, 5, 7})


def _worst(name: str, rows: Sequence[tuple[Query, int, Image.Image]], opened: bool) -> Html:
    lines = []
    for asked, rank, right in rows:
        query, found = (
            photo(asked.photo, asked.text)
            if asked.photo is not None
            else tag("strong", asked.text),
            asked.found[0],
        )
        answer = tag(
            "span",
            photo(found.photo, found.caption),
            tag("span", found.caption, _class="soft small"),
        )
        question = tag("span", query, Html("<br>"), tag("span", asked.note, _class="soft small"))
        lines.append([question, f"{rank:,}", photo(right, "the right one"), answer])
    head = tag(
        "summary",
        tag("strong", title(name)),
        tag("span", f"  {len(rows)} queries", _class="soft small"),
    )
    state = {"open": "open"} if opened else {}
    return tag(
        "details",
        head,
        table(["asked", "rank of the right one", "the right one", "found first"], lines, {1}),
        **state,
    )


def _cards(scores: dict[str, Any]) -> list[Html]:
    """Return a figure for each task, and how it stands to the strongest baseline's."""
    cards = []
    for task in scores["tasks"]:
        metrics = task["figures"]
        # A list of products, of which several may be right, has no reciprocal rank.
        name = "mrr_at_10" if "mrr_at_10" in metrics["model"] else "ndcg_at_10"
        metric = metric_named(name, declared.METRICS)
        baselines = [method for method in metrics if method != "model"]
        best = best_baseline(metric, metrics, baselines)
        low = metrics[best][f"{name}.margin_low"]
        high = metrics[best][f"{name}.margin_high"]
        word = verdict(low, high, metric.larger_is_better)
        note = tag(
            "span",
            f"{word} than {declared.caption(best)}, the best baseline: "
            f"{format_value(metric, metrics[best])}",
            _class=verdict_class(low, high, metric.larger_is_better),
        )
        label = f"{title(task['name'])}, {metric.caption}"
        cards.append(stat_card(label, format_value(metric, metrics["model"]), note))
    return cards


def quality_page(
    scores: dict[str, Any],
    worst: Mapping[str, Sequence[tuple[Query, int, Image.Image]]],
    curves: bytes,
) -> str:
    """Return the page for what ``evaluate.examine`` measured; ``curves`` is recall.png."""
    picture = image(curves, "recall curves", _class="wide")
    method = [
        "Recall@k: share of the queries with something right among the first k; of a list of products, which part of what is right. MRR@10: mean "
        "of 1 / rank of the first right answer, 0 beyond 10. nDCG@10: Järvelin & Kekäläinen 2002. The gallery is never sampled; answers with "
        "equal scores are in random order.",
        f"Intervals and margins: {scores['confidence']:.0%}, bootstrap over whole products (Efron & Tibshirani 1993), paired for margins. With fewer "
        "than 10 products the queries are resampled one by one.",
        *scores["notes"],
    ]
    methods = [who for task in scores["tasks"] for who in task["figures"]]
    baselines = table(["baseline", "what it does"], declared.baselines(methods))
    parts = [_worst(name, rows, number == 0) for number, (name, rows) in enumerate(worst.items())]
    return page(
        "How well things are found",
        STYLE,
        stat_cards(_cards(scores)),
        *(_figures(task, scores["confidence"]) for task in scores["tasks"]),
        section(
            "How far down the list",
            picture,
            lead="Share of the queries with something right among the first k; in brackets the gallery.",
        ),
        section(
            "Where it is weaker", _slices(scores), lead="MRR@10 by kind, language and category."
        ),
        section(
            "Worst queries",
            *(parts or [tag("p", "None: what is right always came first.", _class="soft")]),
            lead="What is right came late. Some of it is a caption that fits other items as well.",
        ),
        section(
            "The baselines",
            baselines,
            lead="None has seen the test part. What they had to choose, the validation part decided.",
        ),
        section("How this was measured", *(tag("p", html(line)) for line in method)),
        subtitle=tag(
            "span",
            f"{scores['n']:,} test photos of {scores['products']:,} products, {scores['captions']:,} captions; the catalogue has "
            f"{scores['catalogue']:,} products. See also: ",
            tag("a", "what is found", href="board.html"),
        ),
    )
