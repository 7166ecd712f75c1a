"""needs.html: the needs table as a page for people who make products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from beauty_models.evaluation.page import (
    Html,
    html,
    interval_chart,
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
from beauty_models.sentiment.report.needs_table import ALL, OVERALL

# Shown at most; needs.parquet holds everything.
PANELS = 12
PRODUCTS = 25
CATEGORIES = 24
SUBJECTS = 40
TOP_SUBJECTS = 5
MIN_TEXTS = 5  # of a product that is listed
RECENT = 3  # months that count as "lately"
MONTHLY = 5  # mentions a month from which a subject's movement is shown
PANEL = 60  # pixels, the height of the monthly chart
STYLE = Html("""<style>
details.need { border-top: 0; padding: 0 }
details.need[open] { padding-bottom: 10px }
details.need > div { margin-left: 12px }
details.need > summary {
  display: grid; grid-template-columns: minmax(84px, 140px) 190px minmax(120px, 1fr) 160px;
  gap: 18px; padding: 5px 0; align-items: center; list-style: none; border-radius: 6px;
}
details.need > summary:hover { background: var(--wash) }
.need > summary::-webkit-details-marker { display: none }
details.need > summary > :first-child { overflow-wrap: anywhere }
.panels {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr));
  gap: 22px 26px; margin-top: 14px;
}
.panels p { margin: 0; display: flex; justify-content: space-between }
.line { fill: none; stroke: var(--bad); stroke-width: 2 }
.band { fill: var(--bad); opacity: .16 }
.top { border-bottom: 1px solid var(--line); padding: 10px 0 }
.top:last-child { border-bottom: 0 }
.top p { margin: 0 }
.key {
  display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin: 0 5px 0 12px;
}
.numbers {
  font-variant-numeric: tabular-nums; font-size: 13px; color: var(--soft); white-space: nowrap;
}
@media (max-width: 760px) {
  details.need > summary { grid-template-columns: 90px 1fr; gap: 4px 12px }
  details.need > summary > :nth-child(n + 3) { grid-column: 2 }
}
</style>""")
Row = Any  # a row of the needs table, as pandas' itertuples yields it


class NeedsFacts(NamedTuple):
    """What the needs table was made of."""

    texts: int
    annotated: int  # texts whose aspects people annotated
    predicted: int  # texts whose aspects the model predicted
    words: bool  # subjects are words, not aspects
    confidence: float  # of the intervals


def _key() -> Html:
    """Return what the colours of the bars mean."""
    colors = {"bad": "negative", "mid": "neutral", "good": "positive"}
    entries: list[object] = []
    for color, name in colors.items():
        entries.append(tag("span", _class="key", style=f"background: var(--{color})"))
        entries.append(name)
    return tag("span", *entries, _class="small soft")


def _rows(needs: pd.DataFrame) -> Iterator[Row]:
    return needs.itertuples()


def _share(row: Row) -> str:
    """Return the share of negative mentions with its interval."""
    interval = f"{100 * row.low:.0f}–{row.high:.0%}"
    return f"{row.share_negative:.0%} negative ({interval})"


def _quotes(texts: Sequence[str], color: str) -> list[Html]:
    return [tag("blockquote", tag("span", text), _class=f"small t-{color}") for text in texts]


def _bar(row: Row) -> Html:
    """Return a diverging bar: neutral around the middle, negative left, positive right."""
    # Half the width is all mentions, so that a bar that is all of one sign still fits its side.
    scale = 0.5 / row.n
    half = row.neutral / 2
    parts = [
        ("bad", -half - row.negative, row.negative),
        ("mid", -half, row.neutral),
        ("good", half, row.positive),
    ]
    rectangles = []
    for color, start, width in parts:
        if width:
            x = percent(0.5 + start * scale)
            across = percent(width * scale)
            rectangles.append(tag("rect", x=x, y=2, width=across, height=16, _class=color))
    label = f"{row.aspect}: {row.negative} negative, {row.neutral} neutral, {row.positive} positive"
    track = tag("rect", x=0, y=2, width="100%", height=16, rx=4, _class="track")
    return svg(track, *rectangles, height=20, label=label)


def _mentions(row: Row, most: int) -> Html:
    """Return the number of mentions and a bar as long; that of ``most`` fills the place."""
    length = percent(row.n / most)
    bar = svg(
        tag("rect", x=0, y=0, width=length, height=4, rx=2, _class="accent"),
        height=4,
        label=f"{row.n} mentions",
    )
    # Told, because predictions err; what people annotated needs no word.
    predicted = f", {row.n - row.annotated:,} predicted" if row.annotated < row.n else ""
    return tag("span", f"{row.n:,} mentions{predicted}", bar, _class="numbers")


def _needs(rows: pd.DataFrame) -> Html:
    """Return one line per subject, most often mentioned first; a click shows what was written."""
    if rows.empty:
        return placeholder("No subject stands out here: too few texts, or all alike.")
    lines = []
    for row in _rows(rows.nlargest(SUBJECTS, "n", keep="first")):
        summary = tag(
            "summary",
            tag("span", row.aspect),
            _mentions(row, rows["n"].max()),
            _bar(row),
            tag("span", _share(row), _class="numbers"),
        )
        quotes = _quotes(row.complaints, "bad") + _quotes(row.praise, "good")
        # Complaints first: they are what a maker of products can change.
        lines.append(tag("details", summary, tag("div", *quotes), _class="need"))
    return tag("div", *lines)


def _top_subjects(rows: pd.DataFrame, sign: str, quotes: str, color: str) -> Html:
    """Return the subjects with the most mentions of one sign, each with a customer's sentence."""
    subjects = []
    for row in _rows(rows[rows[sign] > 0].nlargest(TOP_SUBJECTS, sign, keep="first")):
        count = f"  {getattr(row, sign):,} of {row.n:,} mentions"
        head = tag("p", tag("strong", row.aspect), tag("span", count, _class="soft small"))
        sentence = _quotes(getattr(row, quotes)[:1], color)
        subjects.append(tag("div", head, *sentence, _class="top"))
    return tag("div", *subjects) if subjects else placeholder("Nothing so far.")


def _movement(months: pd.DataFrame) -> Html:
    """Return whether the last months differ from those before in the share of negative mentions."""
    recent = months["period"].isin(sorted(months["period"].unique())[-RECENT:])
    negative_now, n_now = months.loc[recent, ["negative", "n"]].sum()
    negative_before, n_before = months.loc[~recent, ["negative", "n"]].sum()
    steady = tag("span", "steady", _class="soft small")
    if not n_before:  # no more months than the last ones
        return steady
    now = negative_now / n_now
    before = negative_before / n_before
    # Two-proportion z-test at 95% with the pooled share.
    pooled = (negative_now + negative_before) / (n_now + n_before)
    deviation = (pooled * (1 - pooled) * (1 / n_now + 1 / n_before)) ** 0.5
    if abs(now - before) <= 1.96 * deviation:
        return steady
    if now > before:
        return tag("span", "▲ rising", _class="small t-bad")
    return tag("span", "▼ falling", _class="small t-good")


def _points(across: Sequence[float], shares: Sequence[float], top: float) -> str:
    """Return a line's points; ``across`` in percent, ``top`` the share at the upper edge."""
    points = []
    for x, share in zip(across, shares, strict=True):
        # SVG counts down from the upper edge; an interval that reaches beyond it is cut there.
        y = PANEL - PANEL * min(share, top) / top
        points.append(f"{x:.2f},{y:.2f}")
    return " ".join(points)


def _panel(name: str, months: pd.DataFrame, periods: list[str], top: float) -> Html:
    """Return the monthly share of negative mentions of one subject, with its interval."""
    months = months.sort_values("period")
    # Each month has a place as wide as any other, and its point in the middle of it.
    place = 100 / len(periods)
    across = [place * (periods.index(period) + 0.5) for period in months["period"]]
    upper = _points(across, months["high"].tolist(), top)
    # Back to the left, so that both make one outline.
    backwards = months["low"].tolist()[::-1]
    lower = _points(across[::-1], backwards, top)
    line = tag(
        "polyline",
        points=_points(across, months["share_negative"].tolist(), top),
        _class="line",
        vector_effect="non-scaling-stroke",
    )
    # The picture is stretched to its place: it has no texts, and strokes keep their width.
    chart = svg(
        tag("rect", x=0, y=0, width=100, height=PANEL, _class="track"),
        tag("polygon", points=f"{upper} {lower}", _class="band"),
        line,
        height=PANEL,
        label=f"{name}: share of negative mentions by month",
        viewBox=f"0 0 100 {PANEL}",
        preserveAspectRatio="none",
    )
    recent = months.iloc[-RECENT:]
    recent_share = recent["negative"].sum() / recent["n"].sum()
    below = tag(
        "p",
        tag("span", periods[0]),
        tag("span", f"{recent_share:.0%} lately"),
        tag("span", periods[-1]),
        _class="soft small",
    )
    title = tag("strong", "all texts" if name == OVERALL else name)
    return tag("div", tag("p", title, _movement(months)), chart, below)


def _trends(needs: pd.DataFrame) -> Html:
    """Return a panel for each of the most mentioned subjects, all on one scale.

    With fewer than three months there is nothing to see.
    """
    months = needs[(needs["level"] == "all") & (needs["period"] != ALL)]
    periods: list[str] = []
    if len(months):
        # A month without a text keeps its place on the axis, or a gap would look like a step.
        span = pd.period_range(months["period"].min(), months["period"].max(), freq="M")
        periods = [str(period) for period in span]
    if len(periods) < RECENT:
        return html("")
    mentions = months.groupby("aspect")["n"].sum().sort_values(ascending=False, kind="stable")
    names = list(mentions[mentions >= MONTHLY * len(periods)].index[:PANELS])
    # One scale for all panels, or a subject that is rarely criticised would look as bad as any. The
    # quarter above the highest point is room for its interval.
    top = 1.0
    if names:
        highest = months.loc[months["aspect"].isin(names), "share_negative"].max()
        top = min(1.0, max(0.1, 1.25 * highest))
    panels = [_panel(name, months[months["aspect"] == name], periods, top) for name in names]
    lead = (
        "Share of negative mentions by month, with interval; every panel goes from 0 to "
        f"{top:.0%}. Rising and falling compare the last {RECENT} months with the time before "
        "(two-proportion test at 95%)."
    )
    return section("How it moves", tag("div", *panels, _class="panels"), lead=lead)


def _categories(needs: pd.DataFrame) -> Html:
    """Return the subjects of each category, the category with the most texts opened."""
    rows = needs[(needs["level"] == "category") & (needs["period"] == ALL)]
    whole = rows[rows["aspect"] == OVERALL].nlargest(CATEGORIES, "n", keep="first")
    if whole.empty:
        return html("")
    groups: list[Html] = []
    for row in _rows(whole):
        in_category = rows["category"] == row.category
        subjects = rows[in_category & (rows["aspect"] != OVERALL)]
        size_and_share = f"  {row.n:,} texts, {_share(row)}"
        note = tag("span", size_and_share, _class="soft small")
        head = tag("summary", tag("strong", row.category), note)
        # <details> opens and closes without a script. The first is open, to show that they can.
        state = {} if groups else {"open": "open"}
        groups.append(tag("details", head, _needs(subjects), _class="group", **state))
    return section("By category", *groups, lead="What is said in each category; click to open.")


def _leading_subject(subjects: pd.DataFrame, sign: str) -> str:
    """Return the subject that was mentioned most with ``sign``, and how often."""
    leading = subjects[subjects[sign] > 0].nlargest(1, sign, keep="first")
    if leading.empty:
        return ""
    subject = leading["aspect"].iat[0]
    times = leading[sign].iat[0]
    return f"{subject} ({times:,})"


def _product_row(row: Row, subjects: pd.DataFrame) -> list[object]:
    """Return the cells of one product; its ``subjects`` or, where it has none, two sentences."""
    complaint: list[object] = [_leading_subject(subjects, "negative")]
    praise: list[object] = [_leading_subject(subjects, "positive")]
    # Characteristic words are found per category: with them a product has no subjects.
    if subjects.empty:
        complaint += _quotes(row.complaints[:1], "bad")
        praise += _quotes(row.praise[:1], "good")
    chart = interval_chart(row.share_negative, row.low, row.high, 0, 1, _share(row))
    share = tag("span", _share(row), _class="soft small")
    return [
        row.product,
        "" if pd.isna(row.category) else row.category,
        f"{row.n:,}",
        tag("div", chart, share, style="min-width: 190px"),
        tag("div", *complaint),
        tag("div", *praise),
    ]


def _products(needs: pd.DataFrame) -> Html:
    """Return the products that most surely displease."""
    rows = needs[(needs["level"] == "product") & (needs["period"] == ALL)]
    whole = rows[(rows["aspect"] == OVERALL) & (rows["n"] >= MIN_TEXTS)]
    if whole.empty:
        return html("")
    # By the lower end of the interval, not by the share: one bad text of one is no news.
    whole = whole.sort_values(["low", "n"], ascending=False, kind="stable")
    lines = []
    for row in _rows(whole.head(PRODUCTS)):
        subjects = rows[(rows["product"] == row.product) & (rows["aspect"] != OVERALL)]
        lines.append(_product_row(row, subjects))
    lead = (
        f"{len(whole):,} products have at least {MIN_TEXTS} texts; the {len(lines)} that most "
        "surely displease come first (lower end of the interval)."
    )
    head = ["product", "category", "texts", "negative", "complaint", "praise"]
    return section("Products to look at", table(head, lines, {2}), lead=lead)


def _method(facts: NeedsFacts) -> Html:
    """Return what the numbers are and what they are not."""
    if facts.words:
        subjects = (
            "The data have no annotated aspects. Subjects are words characteristic of negative or "
            "positive texts (log-odds with a Dirichlet prior, Monroe et al. 2008); inside a "
            "category they also tell it from the others. A mention is as positive as its text."
        )
    else:
        subjects = (
            f"Subjects are aspects: annotated by people in {facts.annotated:,} texts, predicted by "
            f"the model in {facts.predicted:,} others. A text counts once per subject and "
            "polarity. Predictions err; the model's own page says how often."
        )
    intervals = (
        f"Intervals are Wilson's at {facts.confidence:.0%}: with few mentions they are wide. "
        "E-mail addresses, phone and order numbers are masked in sentences. The complete table is "
        "needs.parquet."
    )
    return section("How to read this", tag("p", subjects), tag("p", intervals))


def _cards(
    texts: str, period: str, whole: pd.DataFrame, bad: pd.DataFrame, good: pd.DataFrame
) -> Html:
    """Return how many texts there are, how many are negative, the best and the worst subject."""
    cards = [stat_card("texts", texts, period)]
    for row in _rows(whole):  # one row, or none where no class is a polarity
        share = f"{row.share_negative:.1%}"
        interval = f"{row.low:.1%} to {row.high:.1%}"
        cards.append(stat_card("negative texts", share, interval))
    extremes = (("most praised", good, "positive"), ("most criticised", bad, "negative"))
    for label, subjects, sign in extremes:
        for row in _rows(subjects[subjects[sign] > 0].nlargest(1, sign, keep="first")):
            note = f"{getattr(row, sign):,} {sign} mentions"
            cards.append(stat_card(label, row.aspect, note))
    return stat_cards(cards)


def needs_page(needs: pd.DataFrame, facts: NeedsFacts) -> str:
    """Return the page for a needs table."""
    rows = needs[(needs["level"] == "all") & (needs["period"] == ALL)]
    # Whole texts and subjects apart: a text is one text, but mentions several subjects.
    whole = rows[rows["aspect"] == OVERALL]
    subjects = rows[rows["aspect"] != OVERALL]
    # What is praised most is often criticised most, too: both are what people speak of. So the two
    # lists part the subjects at the usual share of negative mentions.
    usual = subjects["negative"].sum() / max(1, subjects["n"].sum())
    bad = subjects[subjects["share_negative"] >= usual]
    good = subjects[subjects["share_negative"] <= usual]
    months = sorted(set(needs["period"]) - {ALL})
    period = f"{months[0]} to {months[-1]}" if months else ""
    texts = f"{facts.texts:,}"
    praise = section(
        "What they praise",
        _top_subjects(good, "positive", "praise", "good"),
        lead="Criticised less often than the average subject.",
    )
    complaints = section(
        "What they complain of",
        _top_subjects(bad, "negative", "complaints", "bad"),
        lead="Criticised more often than the average subject.",
    )
    glance = section(
        "Needs at a glance",
        _key(),
        _needs(subjects),
        lead="How often a subject comes up, and how; click it to read what customers wrote.",
    )
    subtitle = tag(
        "span",
        f"{texts} texts, {period}" if period else f"{texts} texts",
        ". See also: ",
        tag("a", "how well reviews are read", href="index.html"),
    )
    return page(
        "What customers say",
        STYLE,
        _cards(texts, period or "without dates", whole, bad, good),
        side_by_side(praise, complaints),
        glance,
        _trends(needs),
        _categories(needs),
        _products(needs),
        _method(facts),
        subtitle=subtitle,
    )
