"""Self-contained report pages: plain HTML with its style inside, light, dark and printable.

There are no scripts. Everything that is not `Html` is escaped, so text of customers can stand
anywhere.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

STYLE = """
:root {
  --ink: #1d2330; --soft: #667085; --line: #e4e7ec; --paper: #ffffff; --wash: #f6f7f9;
  --accent: #4457c7; --bad: #d9603b; --mid: #b9bfca; --good: #1f9e89; --track: #eef0f4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8eaf0; --soft: #98a1b3; --line: #2c3240; --paper: #171a21; --wash: #101319;
    --accent: #8f9ff5; --bad: #ef8262; --mid: #596070; --good: #3fc1aa; --track: #232834;
  }
}
* { box-sizing: border-box }
body {
  margin: 0; background: var(--wash); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC",
    "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em }
h2 { font-size: 19px; margin: 0 0 4px }
h3 { font-size: 15px; margin: 18px 0 6px }
p { margin: 6px 0; max-width: 78ch }
a { color: var(--accent) }
.soft { color: var(--soft) }
.small { font-size: 13px }
section {
  background: var(--paper); border: 1px solid var(--line); border-radius: 12px;
  padding: 22px 24px; margin-top: 20px;
}
.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr));
  gap: 14px; margin-top: 20px;
}
.card {
  background: var(--paper); border: 1px solid var(--line); border-radius: 12px;
  padding: 14px 18px;
}
.card b {
  display: block; font-size: 27px; line-height: 1.25; font-variant-numeric: tabular-nums;
}
.two {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr));
  gap: 20px; margin-top: 20px;
}
.two > section { margin-top: 0 }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin-top: 10px; font-size: 14px }
th {
  text-align: left; color: var(--soft); font-weight: 500;
  border-bottom: 1px solid var(--line); padding: 6px 10px 6px 0;
}
td { border-bottom: 1px solid var(--line); padding: 7px 10px 7px 0; vertical-align: top }
td:first-child { min-width: 110px }
tr:last-child td { border-bottom: 0 }
th.n { white-space: normal !important }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
svg { display: block; width: 100%; overflow: visible }
svg text { fill: var(--soft); font-size: 11px }
.bad { fill: var(--bad) }
.mid { fill: var(--mid) }
.good { fill: var(--good) }
.accent { fill: var(--accent) }
.track { fill: var(--track) }
.rule { stroke: var(--line) }
.whisker { stroke: var(--accent); stroke-width: 2 }
.faint { opacity: .45 }
.t-bad { color: var(--bad) }
.t-good { color: var(--good) }
.rows { display: grid; gap: 7px 14px; align-items: center; margin-top: 12px }
.tag {
  display: inline-block; border: 1px solid var(--line); border-radius: 99px;
  padding: 0 8px; font-size: 12px; color: var(--soft);
}
details { border-top: 1px solid var(--line); padding: 9px 0 }
summary { cursor: pointer }
blockquote { margin: 6px 0; padding: 2px 0 2px 12px; border-left: 3px solid var(--mid) }
blockquote.t-bad { border-color: var(--bad) }
blockquote.t-good { border-color: var(--good) }
blockquote span { color: var(--ink) }
@media print {
  body { background: none }
  section, .card { break-inside: avoid }
}
"""
# A browser then loads nothing from elsewhere and runs no script, whatever text has slipped through.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
META = (
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
)


class Html(str):
    """Markup; `html` leaves it as it is."""


def html(value: object) -> Html:
    """Return ``value`` as markup: escaped unless it is `Html`."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def _attributes(attributes: dict[str, object]) -> str:
    written = ""
    for key, value in attributes.items():
        written += f' {key.strip("_").replace("_", "-")}="{escape(str(value))}"'
    return written


def tag(name: str, *content: object, **attributes: object) -> Html:
    """Return an element.

    ``_class`` and the like lose their underscore, other underscores become hyphens.
    """
    inner = "".join(html(part) for part in content)
    return Html(f"<{name}{_attributes(attributes)}>{inner}</{name}>")


def image(content: bytes, description: str, kind: str = "png", **attributes: object) -> Html:
    """Return a picture that the page itself carries; ``kind`` is png or jpeg.

    ``description`` is read to the blind.
    """
    data = f"data:image/{kind};base64,{b64encode(content).decode()}"
    # <img> is a void element: a closing tag would be an error.
    return Html(f"<img{_attributes({'src': data, 'alt': description, **attributes})}>")


def section(title: str, *content: object, lead: object = "") -> Html:
    """Return a framed part of the page with a title and one leading sentence."""
    return tag("section", tag("h2", title), tag("p", lead, _class="soft") if lead else "", *content)


def stat_card(label: str, value: object, note: object = "") -> Html:
    """Return one large figure with what it is above and a note below."""
    return tag(
        "div",
        tag("span", label, _class="soft small"),
        tag("b", value),
        tag("span", note, _class="soft small"),
        _class="card",
    )


def stat_cards(cards: Iterable[Html]) -> Html:
    """Return the row of figures that a page begins with."""
    return tag("div", *cards, _class="cards")


def side_by_side(*sections: Html) -> Html:
    """Return two sections beside each other, or one below the other on a narrow screen."""
    return tag("div", *sections, _class="two")


def placeholder(text: str) -> Html:
    """Return what stands where there is nothing to show."""
    return tag("p", text, _class="soft")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: frozenset[int] | set[int] = frozenset(),
) -> Html:
    """Return a table; the columns ``numbers`` are set flush right."""

    def line(name: str, cells: Sequence[object]) -> Html:
        elements = []
        for column, cell in enumerate(cells):
            style = {"_class": "n"} if column in numbers else {}
            elements.append(tag(name, cell, **style))
        return tag("tr", *elements)

    header = tag("thead", line("th", head))
    body = tag("tbody", *(line("td", row) for row in rows))
    return tag("div", tag("table", header, body), _class="scroll")


def svg(*content: object, height: int, label: str, **attributes: object) -> Html:
    """Return a picture as wide as its place; positions across in percent, down in pixels.

    ``label`` is read to the blind.
    """
    return tag("svg", tag("title", label), *content, height=height, role="img", **attributes)


def percent(share: float) -> str:
    """Return a share as an SVG or CSS length."""
    return f"{100 * share:.2f}%"


def interval_chart(
    value: float,
    low: float,
    high: float,
    start: float,
    stop: float,
    label: str,
    faint: bool = False,
) -> Html:
    """Return a point with its interval on the scale from ``start`` to ``stop``."""

    def across(x: float) -> str:
        # What lies beyond the scale is drawn at its end.
        return percent(min(1, max(0, (x - start) / (stop - start))))

    return svg(
        tag("rect", x=0, y=8, width="100%", height=2, _class="track"),
        tag("line", x1=across(low), x2=across(high), y1=9, y2=9, _class="whisker"),
        tag("circle", cx=across(value), cy=9, r=5, _class="accent"),
        height=18,
        label=label,
        _class="faint" if faint else "plain",
    )


def append(file: Path, content: Html) -> None:
    """Put ``content`` below all that stands in a page that `page` made."""
    text = file.read_text(encoding="utf-8")
    head, end, tail = text.rpartition("</main>")
    file.write_text(f"{head}{content}{end}{tail}", encoding="utf-8")


def page(title: str, *content: object, subtitle: object = "") -> str:
    """Return a whole page; nothing in it comes from elsewhere, and it says so to the browser."""
    head = tag("head", Html(META), tag("title", title), Html(f"<style>{STYLE}</style>"))
    below = tag("p", subtitle, _class="soft") if subtitle else ""
    body = tag("body", tag("main", tag("h1", title), below, *content))
    return f'<!DOCTYPE html>\n<html lang="en">{head}{body}</html>\n'
