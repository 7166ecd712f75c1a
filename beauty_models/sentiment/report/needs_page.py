"""needs.html: the needs table as a page for people who make products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from beauty_models.evaluation.page import (
    Html,
    html,
    interval_chart,
    page,
    percent,
    section,
    stat_card,
    svg,
    table,
    tag,
)

OVERALL, ALL = (
    "(whole text)",
    "all",
)  # as in the table: the subject that is the text itself, the period of every month
PANELS, PRODUCTS, CATEGORIES, SUBJECTS = (
    12,
    25,
    24,
    40,
)  # shown at most; needs.parquet holds everything
TEXTS = 5  # of a product that is listed
RECENT = 3  # months that count as "lately"
MONTHLY = 5  # mentions a month from which a subject's movement is shown
STYLE = Html("""<style>
details.need { border-top: 0; padding: 0 } details.need[open] { padding-bottom: 10px } details.need > div { margin-left: 12px }
details.need > summary { display: grid; grid-template-columns: minmax(84px, 140px) 190px minmax(120px, 1fr) 160px; gap: 18px; padding: 5px 0;
  align-items: center; list-style: none; border-radius: 6px } details.need > summary:hover { background: var(--wash) }
.need > summary::-webkit-details-marker { display: none } details.need > summary > :first-child { overflow-wrap: anywhere }
.panels { display: grid; gap: 22px 26px; margin-top: 14px; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)) }
.panels p { margin: 0; display: flex; justify-content: space-between } .line { fill: none; stroke: var(--bad); stroke-width: 2 }
.band { fill: var(--bad); opacity: .16 } .top { border-bottom: 1px solid var(--line); padding: 10px 0 } .top:last-child { border-bottom: 0 }
.top p { margin: 0 } .key { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin: 0 5px 0 12px }
.numbers { font-variant-numeric: tabular-nums; font-size: 13px; color: var(--soft); white-space: nowrap }
@media (max-width: 760px) { details.need > summary { grid-template-columns: 90px 1fr; gap: 4px 12px } details.need > summary > :nth-child(n + 3) {
  grid-column: 2 } }
</style>""")
KEY = Html(
    '<span class="small soft">'
    + "".join(
        f'<span class="key" style="background: var(--{color})"></span>{name}'
        for color, name in (("bad", "negative"), ("mid", "neutral"), ("good", "positive"))
    )
    + "</span>"
)
Row = Any  # a row of the needs table


def _rows(needs: pd.DataFrame) -> list[Row]:
    return list(needs.itertuples())


def _share(row: Row) -> str:
    return f"{row.share_negative:.0%} negative ({100 * row.low:.0f}–{row.high:.0%})"


def _quotes(texts: Sequence[str], color: str) -> list[Html]:
    return [tag("blockquote", tag("span", text), _class=f"small t-{color}") for text in texts]


def _bar(row: Row) -> Html:
    """Return a diverging bar of shares: neutral around the middle, negative to the left of it, positive to the right."""
    scale, half = 0.5 / row.n, row.neutral / 2
    parts = [
        ("bad", -half - row.negative, row.negative),
        ("mid", -half, row.neutral),
        ("good", half, row.positive),
    ]
    return svg(
        tag("rect", x=0, y=2, width="100%", height=16, rx=4, _class="track"),
        *(
            tag(
                "rect",
                x=percent(0.5 + start * scale),
                y=2,
                width=percent(width * scale),
                height=16,
                _class=color,
            )
            for color, start, width in parts
            if width
        ),
        height=20,
        label=f"{row.aspect}: {row.negative} negative, {row.neutral} neutral, {row.positive} positive",
    )


def _mentions(row: Row, widest: int) -> Html:
    """Return the number of mentions and a bar as long."""
    bar = svg(
        tag("rect", x=0, y=0, width=percent(row.n / widest), height=4, rx=2, _class="accent"),
        height=4,
        label=f"{row.n} mentions",
    )
    predicted = f", {row.n - row.annotated:,} predicted" if row.annotated < row.n else ""
    return tag("span", f"{row.n:,} mentions{predicted}", bar, _class="numbers")


def _needs(rows: pd.DataFrame) -> Html:
    """Return one line per subject, most often mentioned first; a click shows what customers wrote."""
    found = []
    for row in _rows(rows.nlargest(SUBJECTS, "n", keep="first")):
        line = tag(
            "summary",
            tag("span", row.aspect),
            _mentions(row, rows["n"].max()),
            _bar(row),
            tag("span", _share(row), _class="numbers"),
        )
        found.append(
            tag(
                "details",
                line,
                tag("div", *_quotes(row.complaints, "bad"), *_quotes(row.praise, "good")),
                _class="need",
            )
        )
    return (
        tag("div", *found)
        if found
        else tag("p", "No subject stands out here: too few texts, or all alike.", _class="soft")
    )


def _top(rows: pd.DataFrame, sign: str, quotes: str, color: str) -> Html:
    """Return the five subjects with the most mentions of one sign, each with a customer's sentence."""
    found = []
    for row in _rows(rows[rows[sign] > 0].nlargest(5, sign, keep="first")):
        head = tag(
            "p",
            tag("strong", row.aspect),
            tag("span", f"  {getattr(row, sign):,} of {row.n:,} mentions", _class="soft small"),
        )
        found.append(tag("div", head, *_quotes(getattr(row, quotes)[:1], color), _class="top"))
    return tag("div", *found) if found else tag("p", "Nothing so far.", _class="soft")


def _movement(months: pd.DataFrame) -> Html:
    """Return whether the share of negative mentions of the last three months differs from that of the time before."""
    late = months["period"].isin(sorted(months["period"].unique())[-RECENT:])
    (now, n), (before, m) = (months.loc[rows, ["negative", "n"]].sum() for rows in (late, ~late))
    usual = (now + before) / (n + m)
    if not m or abs(now / n - before / m) <= 1.96 * (usual * (1 - usual) * (1 / n + 1 / m)) ** 0.5:
        return tag("span", "steady", _class="soft small")
    rising = now / n > before / m
    return tag(
        "span",
        "▲ rising" if rising else "▼ falling",
        _class=f"small t-{'bad' if rising else 'good'}",
    )


def _panel(name: str, months: pd.DataFrame, periods: list[str], top: float) -> Html:
    """Return the monthly share of negative mentions of one subject, with its interval."""
    months = months.sort_values("period")
    across = [100 * (periods.index(period) + 0.5) / len(periods) for period in months["period"]]

    def points(values: Sequence[float], xs: list[float]) -> str:
        return " ".join(
            f"{x:.2f},{60 - 60 * min(value, top) / top:.2f}"
            for x, value in zip(xs, values, strict=True)
        )

    band = (
        points(list(months["high"]), across) + " " + points(list(months["low"])[::-1], across[::-1])
    )
    picture = svg(
        tag("rect", x=0, y=0, width=100, height=60, _class="track"),
        tag("polygon", points=band, _class="band"),
        tag(
            "polyline",
            points=points(list(months["share_negative"]), across),
            _class="line",
            vector_effect="non-scaling-stroke",
        ),
        height=60,
        label=f"{name}: share of negative mentions by month",
        viewBox="0 0 100 60",
        preserveAspectRatio="none",
    )
    recent = months.iloc[-RECENT:]
    ends = tag(
        "p",
        tag("span", periods[0]),
        tag("span", f"{recent['negative'].sum() / recent['n'].sum():.0%} lately"),
        tag("span", periods[-1]),
        _class="soft small",
    )
    return tag(
        "div",
        tag("p", tag("strong", "all texts" if name == OVERALL else name), _movement(months)),
        picture,
        ends,
    )


def _trends(needs: pd.DataFrame) -> Html:
    """Return a panel for each of the most mentioned subjects, all on one scale; nothing with fewer than three months."""
    months = needs[(needs["level"] == "all") & (needs["period"] != ALL)]
    periods = (
        [str(p) for p in pd.period_range(months["period"].min(), months["period"].max(), freq="M")]
        if len(months)
        else []
    )
    if len(periods) < 3:
        return html("")
    often = months.groupby("aspect")["n"].sum().sort_values(ascending=False, kind="stable")
    names = list(often[often >= MONTHLY * len(periods)].index[:PANELS])
    top = (
        min(1.0, max(0.1, 1.25 * months.loc[months["aspect"].isin(names), "share_negative"].max()))
        if names
        else 1.0
    )
    panels = [_panel(name, months[months["aspect"] == name], periods, top) for name in names]
    lead = (
        f"Share of negative mentions by month, with interval; every panel goes from 0 to {top:.0%}. "
        f"Rising and falling compare the last {RECENT} months with the time before (two-proportion test at 95%)."
    )
    return section("How it moves", tag("div", *panels, _class="panels"), lead=lead)


def _categories(needs: pd.DataFrame) -> Html:
    rows = needs[(needs["level"] == "category") & (needs["period"] == ALL)]
    whole = rows[rows["aspect"] == OVERALL].nlargest(CATEGORIES, "n", keep="first")
    if whole.empty:
        return html("")
    found: list[Html] = []
    for row in _rows(whole):
        subjects = rows[(rows["category"] == row.category) & (rows["aspect"] != OVERALL)]
        head = tag(
            "summary",
            tag("strong", row.category),
            tag("span", f"  {row.n:,} texts, {_share(row)}", _class="soft small"),
        )
        found.append(
            tag(
                "details",
                head,
                _needs(subjects),
                _class="group",
                **({} if found else {"open": "open"}),
            )
        )
    return section("By category", *found, lead="What is said in each category; click to open.")


def _products(needs: pd.DataFrame) -> Html:
    """Return the products that most surely displease: highest lower end of the interval first."""
    rows = needs[(needs["level"] == "product") & (needs["period"] == ALL)]
    whole = rows[(rows["aspect"] == OVERALL) & (rows["n"] >= TEXTS)].sort_values(
        ["low", "n"], ascending=False, kind="stable"
    )
    if whole.empty:
        return html("")

    def leading(subjects: pd.DataFrame, sign: str) -> str:
        said = subjects[subjects[sign] > 0].nlargest(1, sign, keep="first")
        return f"{said['aspect'].iat[0]} ({said[sign].iat[0]:,})" if len(said) else ""

    lines = []
    for row in _rows(whole.head(PRODUCTS)):
        subjects = rows[(rows["product"] == row.product) & (rows["aspect"] != OVERALL)]
        bad, good = (
            ([], [])
            if len(subjects)
            else (_quotes(row.complaints[:1], "bad"), _quotes(row.praise[:1], "good"))
        )
        lines.append(
            [
                row.product,
                "" if pd.isna(row.category) else row.category,
                f"{row.n:,}",
                tag(
                    "div",
                    interval_chart(row.share_negative, row.low, row.high, 0, 1, _share(row)),
                    tag("span", _share(row), _class="soft small"),
                    style="min-width: 190px",
                ),
                tag("div", leading(subjects, "negative"), *bad),
                tag("div", leading(subjects, "positive"), *good),
            ]
        )
    lead = f"{len(whole):,} products have at least {TEXTS} texts; the {len(lines)} that most surely displease come first (lower end of the interval)."
    return section(
        "Products to look at",
        table(["product", "category", "texts", "negative", "complaint", "praise"], lines, {2}),
        lead=lead,
    )


def _method(facts: dict[str, int], words: bool, confidence: float) -> Html:
    if words:
        how = (
            "The data have no annotated aspects. Subjects are words characteristic of negative or positive texts (log-odds with a "
            "Dirichlet prior, Monroe et al. 2008); inside a category they also tell it from the others. A mention is as positive as its text."
        )
    else:
        how = (
            f"Subjects are aspects: annotated by people in {facts['annotated']:,} texts, predicted by the model in "
            f"{facts['predicted']:,} others. A text counts once per subject and polarity. Predictions err; the model's own page says how often."
        )
    return section(
        "How to read this",
        tag("p", how),
        tag(
            "p",
            f"Intervals are Wilson's at {confidence:.0%}: with few mentions they are wide. "
            "E-mail addresses, phone and order numbers are masked in sentences. The complete table is needs.parquet.",
        ),
    )


def needs_page(
    needs: pd.DataFrame, facts: dict[str, int], *, words: bool, confidence: float
) -> str:
    """Return the page for a needs table; ``facts``: texts, annotated, predicted; ``words``: subjects are words, not aspects."""
    rows = needs[(needs["level"] == "all") & (needs["period"] == ALL)]
    whole, subjects = rows[rows["aspect"] == OVERALL], rows[rows["aspect"] != OVERALL]
    months = sorted(set(needs["period"]) - {ALL})
    told = f"{facts['texts']:,} texts" + (f", {months[0]} to {months[-1]}" if months else "")
    usual = subjects["negative"].sum() / max(1, subjects["n"].sum())
    bad, good = (
        subjects[subjects["share_negative"] >= usual],
        subjects[subjects["share_negative"] <= usual],
    )
    cards = [
        stat_card(
            "texts",
            f"{facts['texts']:,}",
            f"{months[0]} to {months[-1]}" if months else "without dates",
        )
    ]
    cards += [
        stat_card("negative texts", f"{row.share_negative:.1%}", f"{row.low:.1%} to {row.high:.1%}")
        for row in _rows(whole)
    ]
    for label, some, sign in (
        ("most praised", good, "positive"),
        ("most criticised", bad, "negative"),
    ):
        best = some[some[sign] > 0].nlargest(1, sign, keep="first")
        cards += [
            stat_card(label, row.aspect, f"{getattr(row, sign):,} {sign} mentions")
            for row in _rows(best)
        ]
    return page(
        "What customers say",
        STYLE,
        tag("div", *cards, _class="cards"),
        tag(
            "div",
            section(
                "What they praise",
                _top(good, "positive", "praise", "good"),
                lead="Criticised less often than the average subject.",
            ),
            section(
                "What they complain of",
                _top(bad, "negative", "complaints", "bad"),
                lead="Criticised more often than the average subject.",
            ),
            _class="two",
        ),
        section(
            "Needs at a glance",
            KEY,
            _needs(subjects),
            lead="How often a subject comes up, and how; click it to read what customers wrote.",
        ),
        _trends(needs),
        _categories(needs),
        _products(needs),
        _method(facts, words, confidence),
        subtitle=tag(
            "span", told, ". See also: ", tag("a", "how well reviews are read", href="index.html")
        ),
    )
