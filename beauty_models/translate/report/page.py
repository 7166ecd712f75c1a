"""index.html: the verdict, the directions as a heat map, what is kept, the worst sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

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
from beauty_models.evaluation.sections import margin_text, metric_card, verdict_card
from beauty_models.translate.report import declared
from beauty_models.translate.report.scores import DirectionScores, Scores, Sentence

CHRF = metric_named("chrf", declared.METRICS)
BASELINES = ("copy", "dictionary", "memory")
LISTED = 8  # notes that are shown at once
TINT = 60  # percent of the colour in a full cell; with more the numbers in it are hard to read
LIMITS = (
    "It writes what texts like these usually say. A word that no training text has it may spell "
    "wrongly, leave out or replace, and its sentence can still read well. It does not know what a "
    "product is: a claim that the law of a country forbids it translates as any other. Numbers, "
    "brands of the glossary, tags and placeholders that it recognises as such stand in every "
    "answer of the network, but whether in the right place nobody checks. What is marked “look at "
    "this” a person should read before it is published, and of the rest a sample."
)

Cell = Callable[[str, str], Html | None]


def _grid(languages: Sequence[str], cell: Cell) -> Html:
    """Return a table of directions, from the rows' languages into the columns'."""
    names = [tag("th", name, style="text-align: center") for name in languages]
    head = tag("tr", tag("th", "from ↓  into →"), *names)
    lines = []
    for source in languages:
        cells = []
        for target in languages:
            content = cell(source, target) if source != target else None
            cells.append(content or tag("td", ""))
        lines.append(tag("tr", tag("th", source), *cells))
    return tag("div", tag("table", head, *lines), _class="scroll")


def _tinted(share: float, color: str, *content: object, title: str = "") -> Html:
    tint = f"color-mix(in srgb, var(--{color}) {TINT * min(1, max(0, share)):.0f}%, transparent)"
    style = f"background: {tint}; padding: 8px; text-align: center; min-width: 52px"
    return tag("td", *content, style=style, title=title)


def _heat_map(scores: Scores) -> Html:
    """Return the chrF of each direction, with the lead over the best baseline below."""
    directions = {(score["source"], score["target"]): score for score in scores["directions"]}

    def cell(source: str, target: str) -> Html | None:
        score = directions.get((source, target))
        if score is None:
            return None
        best = _best(score)
        ours, theirs = score["chrf"]["served"], score["chrf"][best]
        difference = f"{round(ours - theirs):+d}"
        if score["won"]:
            lead = tag("span", difference, _class="small t-good")
        else:
            lead = tag("span", f"{difference} {best}", _class="small t-bad")
        title = f"{source} to {target}: {score['n']} texts, {best} {theirs:.1f}"
        value = tag("strong", f"{ours:.0f}")
        return _tinted(ours / 100, "accent", value, Html("<br>"), lead, title=title)

    return _grid(scores["languages"], cell)


def _best(score: DirectionScores) -> str:
    return max(BASELINES, key=lambda method: score["chrf"][method])


def _retrieval(scores: Scores) -> Html:
    found = {(score["source"], score["target"]): score for score in scores["retrieval"]}

    def cell(source: str, target: str) -> Html | None:
        score = found.get((source, target))
        if score is None:
            return None
        value = tag("strong", f"{score['model']:.2f}")
        other = tag("span", f"{score['characters']:.2f}", _class="small soft")
        title = f"{source} finds {target}: {score['n']} texts"
        return _tinted(score["model"], "good", value, Html("<br>"), other, title=title)

    return _grid(scores["languages"], cell)


def _comparison(scores: Scores) -> Html:
    metrics = scores["metrics"]
    shown = displayed_metrics(declared.METRICS, metrics["served"])
    rows: list[list[object]] = []
    for method, values in metrics.items():
        if not values:
            continue
        cells = [format_value(metric, values) for metric in shown]
        rows.append([declared.CAPTIONS.get(method, method), *cells, margin_text(CHRF, values)])
    head = ["", *(metric.caption for metric in shown), "predict minus this, chrF"]
    return table(head, rows, set(range(1, len(shown) + 2)))


def _flags(scores: Scores) -> Html:
    flags = scores["flags"]
    precision = flags["right"] / max(1, flags["flagged"])
    recall = flags["right"] / max(1, flags["wrong"])
    text = (
        f"Of {flags['n']:,} answers {flags['flagged']:,} are marked “look at this”. "
        f"{flags['wrong']:,} are wrong by the measure (chrF below {flags['below']:.0f} beside what "
        f"people wrote). The mark is right {precision:.0%} of the time, and finds {recall:.0%} of "
        "what is wrong. A good translation in other words than theirs counts as wrong, too."
    )
    return tag("p", text)


def _kinds(scores: Scores) -> Html:
    methods = ("served", "network", *BASELINES)
    rows = []
    for kind in scores["kinds"]:
        cells = [f"{kind['chrf'][method]:.1f}" for method in methods]
        rows.append([kind["kind"] or "–", f"{kind['n']:,}", *cells])
    head = ["kind", "units", *(declared.CAPTIONS[name] for name in methods)]
    return table(head, rows, {1, 2, 3, 4, 5, 6})


def _served(scores: Scores) -> Html:
    """Return how many directions each method answers, and every direction one by one."""
    directions = scores["directions"]
    counts = Counter(score["served_by"] for score in directions)
    summary = [
        tag("li", tag("strong", f"{count} of {len(directions)}"), f": {declared.CAPTIONS[method]}")
        for method, count in counts.most_common()
    ]
    methods = ("served", "network", *BASELINES)
    rows: list[list[object]] = []
    for score in directions:
        cells = [f"{score['chrf'][method]:.1f}" for method in methods]
        pair = f"{score['source']} to {score['target']}"
        rows.append([pair, declared.CAPTIONS[score["served_by"]], *cells])
    head = ["direction", "answered by", "predict", "network", *BASELINES]
    each = tag(
        "details", tag("summary", "Every direction, chrF"), table(head, rows, set(range(2, 7)))
    )
    return tag("div", tag("ul", *summary), each)


def _sentence(sentence: Sentence) -> Html:
    def line(caption: str, text: str, language: str) -> Html:
        return tag(
            "p", tag("span", caption, " ", _class="soft small"), tag("span", text, lang=language)
        )

    summary = tag(
        "summary",
        tag("strong", f"{sentence['source']} to {sentence['target']}"),
        f" – chrF {sentence['chrf']:.0f}, confidence {sentence['confidence']:.2f}, by "
        f"{sentence['method']}",
    )
    return tag(
        "details",
        summary,
        line("text", sentence["text"], sentence["source"]),
        line("people wrote", sentence["reference"], sentence["target"]),
        line("it wrote", sentence["translation"], sentence["target"]),
        open="open",
    )


def _notes(notes: Sequence[str]) -> Html:
    if not notes:
        return placeholder("In every direction it is better than all three, beyond the interval.")
    items = [tag("li", note) for note in notes]
    if len(items) <= LISTED:
        return tag("ul", *items)
    # fifty lines would hide what comes below them
    rest = tag("details", tag("summary", f"{len(items) - LISTED} more"), tag("ul", *items[LISTED:]))
    return tag("div", tag("ul", *items[:LISTED]), rest)


def _signatures(signatures: Mapping[str, str]) -> Html:
    rows = [[name, tag("span", text, _class="small")] for name, text in signatures.items()]
    return tag("details", tag("summary", "How it was scored"), table(["", "signature"], rows))


def report_page(scores: Scores) -> str:
    """Return the page."""
    metrics = scores["metrics"]
    served = metrics["served"]
    won = sum(score["won"] for score in scores["directions"])
    cards = [
        verdict_card(CHRF, metrics, BASELINES, declared.CAPTIONS),
        metric_card(CHRF, served),
        stat_card(
            "directions won",
            f"{won} of {len(scores['directions'])}",
            "surely better than copy, dictionary and memory",
        ),
    ]
    if "retrieval_recall_at_1" in served:
        value = f"{served['retrieval_recall_at_1']:.1%}"
        cards.append(stat_card("twin listing found first", value, "in another language"))
    lead = (
        "chrF of what predict answers for texts that it has not seen: how many character sequences "
        "it shares with what people wrote, 0 to 100; and below it the "
    )
    lead += "lead over the best of copy, dictionary and memory."
    worst = [_sentence(sentence) for sentence in scores["worst"]]
    return page(
        "translate: does it say the same?",
        stat_cards(cards),
        section("Every direction", _heat_map(scores), lead=lead),
        section("Where it is not surely better", _notes(scores["notes"])),
        section("Compared with", _comparison(scores), _signatures(scores["signatures"])),
        section(
            "Who answers",
            _served(scores),
            lead="Decided on the validation texts; a text that the memory has is answered from it.",
        ),
        section("Look at this", _flags(scores)),
        section(
            "Does a listing find its twin?",
            _retrieval(scores) if scores["retrieval"] else placeholder("Not measured."),
            lead="Share of texts whose twin is the nearest of all in the other language; below it "
            "what shared characters alone find.",
        ),
        section("Kinds of text", _kinds(scores), lead="chrF of all directions together."),
        section(
            "The worst sentences",
            *(worst or [placeholder("None is shown.")]),
            lead="Far from what people wrote, those first that it was sure of.",
        ),
        section("What it cannot do", tag("p", LIMITS)),
        subtitle=f"{scores['n']:,} translations of {scores['units']:,} unseen units, "
        f"{len(scores['languages'])} languages",
    )
