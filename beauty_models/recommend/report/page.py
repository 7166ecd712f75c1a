"""index.html and board.html: how well things are found.

For who decides and for who has to improve it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import Image, ImageOps

from beauty_models.evaluation.comparison import best_baseline, verdict, verdict_class
from beauty_models.evaluation.metrics import (
    Metric,
    displayed_metrics,
    format_value,
    metric_named,
)
from beauty_models.evaluation.page import (
    Html,
    image,
    page,
    placeholder,
    section,
    stat_card,
    stat_cards,
    table,
    tag,
)
from beauty_models.evaluation.sections import interval_text, slice_row
from beauty_models.recommend.board import Hit, Query
from beauty_models.recommend.report import declared
from beauty_models.recommend.report.results import Results, TaskResults

SIDE = 128  # pixels of a photo on a page
PHOTO_QUALITY = 80  # of a JPEG, 0 to 100: a page with a hundred photos stays below a few megabytes


class TaskWords(NamedTuple):
    """How pages speak of a task."""

    title: str
    description: str


# the words of a new task go here; one without a line is shown as a search
TASKS = {
    "text_image": TaskWords(
        "text → photo",
        "Each distinct caption looks for the photos of the items it describes, of which it sees no "
        "text.",
    ),
    "image_text": TaskWords(
        "photo → text", "Each photo looks for its own captions among all distinct captions."
    ),
    "image_image": TaskWords(
        "distorted photo → photo",
        "A part of a photo (20 to 50 % of its area), turned, perhaps mirrored, in other light, "
        "looks for the clean photos of its product; four of each photo. For nDCG the same item "
        "counts 2, another colour of the product 1.",
    ),
    "goes_with": TaskWords(
        "goes with",
        "Each test product looks for what the shop links with it (related, upsell and so on), "
        "among all products.",
    ),
    "history": TaskWords(
        "shopper's history",
        "The products a shopper had, later ones weighing more, look for the one that came last, "
        "among all the others.",
    ),
}
SEARCH = TaskWords(
    "search", "Search texts look for the items they should find, by photo and text together."
)
STYLE = Html("""<style>
img { border-radius: 6px; display: block }
.board {
  display: flex; gap: 10px; align-items: flex-start; overflow-x: auto;
  padding: 12px 0; border-bottom: 1px solid var(--line);
}
.board:last-child { border: 0 }
.ask { flex: 0 0 210px }
.found { flex: 1 1 0; min-width: 64px; max-width: 128px; line-height: 1.3 }
.found img { width: 100%; border: 1px solid var(--line) }
.found.right img { border: 3px solid var(--good) }
.ask img { width: 112px; margin-top: 4px }
td img { width: 88px; margin-top: 2px }
.wide { width: 100%; background: white; margin-top: 12px }
</style>""")


class WorstQuery(NamedTuple):
    """A query whose right answer came late."""

    query: Query  # with the first answer
    rank: int  # of the right one
    right: Image.Image


def title(task: str) -> str:
    """Return a task's name for people."""
    if task in TASKS:
        return TASKS[task].title
    # query_zh is the search in Chinese; the language of query_und is not known
    language = task.removeprefix("query").replace("_und", "").replace("_", ", ")
    return SEARCH.title + language


def photo(picture: Image.Image, description: str) -> Html:
    """Return a small photo as an element that carries its bytes."""
    stream = io.BytesIO()
    # squares line up; nothing of the photo is cut off
    padded = ImageOps.pad(picture, (SIDE, SIDE), color="white")
    padded.save(stream, "JPEG", quality=PHOTO_QUALITY)
    return image(stream.getvalue(), description, "jpeg")


def _soft(text: str) -> Html:
    return tag("span", text, _class="soft small")


def _hit(hit: Hit) -> Html:
    caption = tag("span", hit.caption, _class="small t-good" if hit.right else "small soft")
    style = "found right" if hit.right else "found"
    return tag("div", photo(hit.photo, hit.caption), caption, _class=style)


def _board_line(number: int, query: Query) -> Html:
    question = [
        tag("div", f"{number}  {query.note}", _class="soft small"),
        tag("div", tag("strong", query.text)),
    ]
    # a text asks by itself; of a photo the name stands above it
    if query.photo is not None:
        question.append(photo(query.photo, query.text))
    hits = [_hit(hit) for hit in query.hits]
    return tag("div", tag("div", *question, _class="ask"), *hits, _class="board")


def board_page(board: Sequence[Query]) -> str:
    """Return the page of the board: its queries, texts in full, and what was found for them."""
    lines = [_board_line(number, query) for number, query in enumerate(board, 1)]
    if not lines:
        lines = [placeholder("None: evaluate.board_queries is 0.")]
    lead = (
        "Best answers first; what is right has a green frame. The queries were drawn at random "
        "from the test part, not chosen."
    )
    other_page = tag("a", "how well things are found", href="index.html")
    return page(
        "What is found",
        STYLE,
        section("Queries and answers", *lines, lead=lead),
        subtitle=tag("span", "See also: ", other_page),
    )


def _metric_cell(
    metric: Metric,
    method: str,
    values: Mapping[str, float],
) -> Html:
    """Return a metric of a method, and below it the model's interval or its margin's."""
    if method == "model":
        value = tag("strong", format_value(metric, values))
        note = _soft(interval_text(metric, values))
    else:
        value = tag("span", format_value(metric, values))
        low = values[f"{metric.name}.margin_low"]
        high = values[f"{metric.name}.margin_high"]
        color = verdict_class(low, high, metric.larger_is_better)
        margin = f"{low:+.3f} to {high:+.3f}"
        note = tag("span", margin, _class=f"{color} small")
    return tag("span", value, Html("<br>"), note)


def _task_section(task: TaskResults, confidence: float) -> Html:
    """Return the section of a task: one row per method, one column per metric."""
    metrics = displayed_metrics(declared.METRICS, task["metrics"]["model"])
    rows: list[list[object]] = []
    for method, values in task["metrics"].items():
        caption = declared.caption(method)
        name = tag("strong", caption) if method == "model" else caption
        rows.append([name, *(_metric_cell(metric, method, values) for metric in metrics)])
    # what the bootstrap drew, see `evaluate.QueryGroups`
    unit = "products" if task["grouped"] else "queries"
    if task["name"] == "history":
        unit = "shoppers"
    note = (
        f"{task['queries']:,} queries, each compared with the whole gallery of "
        f"{task['gallery']:,}, of which {task['relevant']:.1f} are right on average. Under the "
        f"model its {confidence:.0%} interval (bootstrap over {unit}), under a baseline that of "
        "the model's lead over it."
    )
    head = ["", *(metric.caption for metric in metrics)]
    return section(
        title(task["name"]).capitalize(),
        table(head, rows, set(range(1, len(head)))),
        tag("p", note, _class="soft small"),
        lead=TASKS.get(task["name"], SEARCH).description,
    )


def _slice_table(results: Results) -> Html:
    recall = metric_named("recall_at_10", declared.METRICS)
    mrr = metric_named("mrr_at_10", declared.METRICS)
    rows = []
    for task in results["tasks"]:
        for part in task["slices"]:
            cells = slice_row(part, (recall, mrr), mrr, "queries")
            rows.append([title(task["name"]), *cells])
    head = ["task", "by", "slice", "queries", recall.caption, mrr.caption, "0 to 1", "interval"]
    return table(head, rows, {3, 4, 5, 7})


def _worst_row(worst: WorstQuery) -> list[object]:
    query = worst.query
    asked = tag("strong", query.text)
    if query.photo is not None:
        asked = photo(query.photo, query.text)
    first = query.hits[0]
    return [
        tag("span", asked, Html("<br>"), _soft(query.note)),
        f"{worst.rank:,}",
        photo(worst.right, "the right one"),
        tag("span", photo(first.photo, first.caption), _soft(first.caption)),
    ]


def _worst_section(worst: Mapping[str, Sequence[WorstQuery]]) -> Html:
    """Return the worst queries of each task; those of the first one are shown at once."""
    head = ["asked", "rank of the right one", "the right one", "found first"]
    parts = []
    for number, (task, queries) in enumerate(worst.items()):
        asked = _soft(f"  {len(queries)} queries")
        summary = tag("summary", tag("strong", title(task)), asked)
        rows = table(head, [_worst_row(query) for query in queries], {1})
        # without scripts: <details> opens by itself
        state = {"open": "open"} if number == 0 else {}
        parts.append(tag("details", summary, rows, **state))
    if not parts:
        parts = [placeholder("None: what is right always came first.")]
    return section(
        "Worst queries",
        *parts,
        lead="What is right came late. Some of it is a caption that fits other items as well.",
    )


def _card(task: TaskResults) -> Html:
    """Return the model's metric in a task, and how it stands to the strongest baseline's."""
    metrics = task["metrics"]
    # A list of products, of which several may be right, has no reciprocal rank.
    name = "mrr_at_10" if "mrr_at_10" in metrics["model"] else "ndcg_at_10"
    metric = metric_named(name, declared.METRICS)
    baselines = [method for method in metrics if method != "model"]
    best = best_baseline(metric, metrics, baselines)
    low = metrics[best][f"{name}.margin_low"]
    high = metrics[best][f"{name}.margin_high"]
    word = verdict(low, high, metric.larger_is_better)
    value = format_value(metric, metrics[best])
    note = tag(
        "span",
        f"{word} than {declared.caption(best)}, the best baseline: {value}",
        _class=verdict_class(low, high, metric.larger_is_better),
    )
    label = f"{title(task['name'])}, {metric.caption}"
    return stat_card(label, format_value(metric, metrics["model"]), note)


def _method_section(results: Results) -> Html:
    lines = [
        "Recall@k: share of the queries with something right among the first k; of a list of "
        "products, which part of what is right. MRR@10: mean of 1 / rank of the first right "
        "answer, 0 beyond 10. nDCG@10: Järvelin & Kekäläinen 2002. The gallery is never sampled; "
        "answers with equal scores are in random order.",
        f"Intervals and margins: {results['confidence']:.0%}, bootstrap over whole products (Efron "
        "& Tibshirani 1993), paired for margins. With fewer than 10 products the queries are "
        "resampled one by one.",
        *results["notes"],
    ]
    return section("How this was measured", *(tag("p", line) for line in lines))


def _baseline_section(results: Results) -> Html:
    methods: list[str] = []
    for task in results["tasks"]:
        methods += task["metrics"]
    return section(
        "The baselines",
        table(["baseline", "what it does"], declared.baselines(methods)),
        lead="None has seen the test part. What they had to choose, the validation part decided.",
    )


def _subtitle(results: Results) -> Html:
    size = (
        f"{results['n']:,} test photos of {results['products']:,} products, "
        f"{results['captions']:,} captions; the catalogue has {results['catalogue']:,} products. "
        "See also: "
    )
    return tag("span", size, tag("a", "what is found", href="board.html"))


def quality_page(
    results: Results,
    worst: Mapping[str, Sequence[WorstQuery]],
    curves: bytes,
) -> str:
    """Return the page for what ``evaluate_model`` measured.

    Args:
        worst: task → its worst queries, the worst first.
        curves: the content of recall.png.
    """
    return page(
        "How well things are found",
        STYLE,
        stat_cards([_card(task) for task in results["tasks"]]),
        *(_task_section(task, results["confidence"]) for task in results["tasks"]),
        section(
            "How far down the list",
            image(curves, "recall curves", _class="wide"),
            lead="Share of the queries with something right among the first k; in brackets the "
            "gallery.",
        ),
        section(
            "Where it is weaker",
            _slice_table(results),
            lead="MRR@10 by kind, language and category.",
        ),
        _worst_section(worst),
        _baseline_section(results),
        _method_section(results),
        subtitle=_subtitle(results),
    )
