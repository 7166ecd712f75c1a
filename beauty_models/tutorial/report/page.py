"""index.html: the verdict, what the model is compared with, and what it wrote, good and bad."""

from __future__ import annotations

from collections.abc import Sequence

from beauty_models.evaluation.metrics import displayed_metrics, format_value, metric_named
from beauty_models.evaluation.page import (
    Html,
    page,
    placeholder,
    section,
    stat_card,
    stat_cards,
    table,
    tag,
)
from beauty_models.evaluation.sections import (
    interval_text,
    margin_text,
    metric_card,
    slice_row,
    verdict_card,
)
from beauty_models.tutorial.report import declared
from beauty_models.tutorial.report.scores import Example, Scores

BITS = metric_named("bits_per_byte", declared.METRICS)
PARROT = 12  # words; a run this long is no figure of speech any more
LIMITS = (
    "A model of this size has read a few hundred articles: it knows the form of a how-to and the "
    "words that go together, not what a product does. Steps may stand in an order that makes no "
    "sense, name tools that are not on the list, or stop making sense halfway. Nothing it writes "
    "is advice; an editor must read each text before it is published."
)


def _comparison(scores: Scores) -> Html:
    metrics = scores["metrics"]
    rows: list[list[object]] = []
    for method, values in metrics.items():
        if BITS.name not in values:  # of the nearest how-to, which writes nothing
            continue
        rows.append(
            [
                declared.CAPTIONS.get(method, method),
                format_value(BITS, values),
                interval_text(BITS, values),
                margin_text(BITS, values),
            ]
        )
    head = ["", BITS.caption, f"{scores['confidence']:.0%} interval", "model minus this"]
    return table(head, rows, {1, 2, 3})


def _writing(scores: Scores) -> Html:
    model = scores["metrics"]["model"]
    nearest = scores["metrics"].get("nearest", {})
    rows = []
    for metric in displayed_metrics(declared.METRICS, model):
        if metric.name == BITS.name:
            continue
        other = format_value(metric, nearest) if metric.name in nearest else ""
        rows.append([metric.caption, format_value(metric, model), other])
    head = ["of the tutorials written", "model", declared.CAPTIONS["nearest"]]
    return table(head, rows, {1, 2})


def _quality(example: Example) -> tuple[bool, int, int]:
    """Return what examples are sorted by, the best last."""
    faults = len(example["findings"]) + len(example["unmet"])
    return (example["valid"] and not example["refused"], -faults, -example["copied_run"])


def _shown(example: Example) -> Html:
    items = [tag("li", step) for step in example["steps"]]
    notes: list[Html] = []
    if example["refused"]:
        notes.append(tag("p", f"The checker would refuse it: {example['refused']}", _class="t-bad"))
    for finding in example["findings"]:
        notes.append(tag("p", finding, _class="t-bad small"))
    if example["unmet"]:
        notes.append(tag("p", f"Not honoured: {', '.join(example['unmet'])}", _class="small"))
    copied = f"Longest run of words from a training text: {example['copied_run']}"
    if example["nearest"]:
        copied += f" (“{example['copied']}”, from {example['nearest']})"
    style = "t-bad small" if example["copied_run"] >= PARROT else "soft small"
    notes.append(tag("p", copied, _class=style))
    summary = tag("summary", tag("strong", example["title"]), " – asked: ", example["look"])
    products = tag("p", f"Products: {'; '.join(example['products'])}", _class="small")
    content = tag("div", products, tag("ol", *items), *notes, lang=example["language"])
    return tag("details", summary, content, open="open")


def _examples(examples: Sequence[Example], count: int) -> list[Html]:
    if not examples or not count:
        return [section("What it wrote", placeholder("No tutorial was written."))]
    ranked = sorted(examples, key=_quality)
    half = max(1, count // 2)
    best = [_shown(example) for example in reversed(ranked[-half:])]
    worst = [_shown(example) for example in ranked[:half]]
    lead = "By rules: complete, unrepaired, wishes honoured, little copied. Whether a text is good "
    lead += "an editor decides. All of it is generated."
    return [
        section("Those with the fewest faults", *best, lead=lead),
        section("Those with the most faults", *worst, lead="As they were written, unrepaired."),
    ]


def report_page(scores: Scores, examples: int) -> str:
    """Return the page; ``examples`` tutorials are shown, half of them the worst."""
    metrics = scores["metrics"]
    model = metrics["model"]
    baselines = [m for m, values in metrics.items() if m != "model" and BITS.name in values]
    cards = [
        verdict_card(BITS, metrics, baselines, declared.CAPTIONS),
        metric_card(BITS, model),
    ]
    if "valid_share" in model:
        note = f"of {scores['generated']} written"
        cards.append(stat_card("valid tutorials", f"{model['valid_share']:.0%}", note))
        cards.append(stat_card("wishes honoured", f"{model['honoured_share']:.0%}", "in the steps"))
    slices = [slice_row(part, (BITS,), BITS, "articles") for part in scores["slices"]]
    head = ["", "slice", "articles", BITS.caption, "0 to 1", "interval"]
    lead = "How many bits the model needs for a byte of an article that it has not read; "
    lead += f"fewer is better. Counts: {scores['ngram']}, chosen on the validation articles."
    return page(
        "tutorial: does it write like the articles?",
        stat_cards(cards),
        section("Compared with", _comparison(scores), lead=lead),
        section("What it wrote, measured", _writing(scores)),
        section("Languages and kinds", table(head, slices, {2, 3, 5})),
        *_examples(scores["examples"], examples),
        section("What it cannot do", tag("p", LIMITS)),
        subtitle=f"{scores['n']} test articles, base {scores['base']}",
    )
