"""An article as a list of blocks: headings, paragraphs, list items, whatever markup it came in.

Markdown becomes HTML first, so that one reader knows both, and HTML inside of Markdown too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Literal
from urllib.parse import urlsplit

from markdown_it import MarkdownIt

Kind = Literal["heading", "paragraph", "item", "quote"]

LONGEST_SOURCE = 2_000_000  # characters; longer ones are no article, and the parsers need seconds

# What stands inside of these is no text of the article.
SKIPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "iframe",
        "nav",
        "aside",
        "footer",
        "form",
        "button",
        "select",
        "head",
        "object",
        "textarea",
        "canvas",
        "video",
        "audio",
        "math",
    ]
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
# Where one of them begins or ends, so does a block.
BREAKING = frozenset(
    [
        "p",
        "div",
        "section",
        "article",
        "main",
        "header",
        "figure",
        "figcaption",
        "table",
        "thead",
        "tbody",
        "tr",
        "td",
        "th",
        "dl",
        "dt",
        "dd",
        "ul",
        "ol",
        "blockquote",
        "hr",
        "pre",
        "address",
        "details",
        "summary",
    ]
)
VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    ]
)

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffd\ue000-\uf8ff]"
)
_LOOKS_LIKE_HTML = re.compile(r"<(?:html|body|article|p|div|h[1-6]|ul|ol|li|br)\b[^<>]*>", re.I)
_MARKDOWN_MARK = re.compile(r"^(?:#{1,6} |[-*+] |\d{1,2}[.)] )", re.M)
# Shortcodes of Hugo, Jekyll, Liquid and WordPress: instructions to the blog's program.
_SHORTCODE = re.compile(
    r"\{\{.{0,500}?\}\}|\{%.{0,500}?%\}|\{<.{0,300}?>\}"
    r"|\[/?(?:caption|gallery|embed|vc_\w+|et_pb_\w+)[^\]]{0,300}\]"
)
# A line of plain text or of a paragraph that is an item: lists in Chinese are no Markdown lists.
_LISTED_LINE = re.compile(
    r"\s*(?:(?P<number>\d{1,2})\s*[.)、．）]\s*(?!\d)|(?P<circled>[①-⑳])\s*|(?P<chinese>[一二三四五六七八九十]|十[一二])、\s*|[•·●▪◆✅✔▶►]\s*"  # noqa: RUF001
    r"|(?=(?:第[一二三四五六七八九十\d]{1,3}步|步骤\s*[一二三四五六七八九十\d]{1,3}|step\s*\d{1,2})))",
    re.I,
)
_CHINESE_NUMBERS = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"]
_SENTENCE_OF_LEAD = 80  # characters; a longer bold beginning is a stressed sentence, no lead-in


@dataclass(frozen=True)
class Block:
    """A piece of an article, on one line."""

    kind: Kind
    text: str
    level: int = 0  # of a heading: 1 to 6; of an item: how deep its list is nested, from 1
    number: int = 0  # of an item of an ordered list, from 1
    group: int = 0  # items of one list have one number
    lead: str = ""  # bold words that ``text`` begins with, without their colon
    hosts: tuple[str, ...] = ()  # of the addresses that it links to


def without_controls(text: str) -> str:
    """Return ``text`` without control, zero-width, direction and private characters.

    Line breaks and tabs stay. There is no NFKC here, unlike in `intake.text`: this text is learned
    to be written, and Chinese punctuation is to stay full-width.
    """
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


class _Reader(HTMLParser):
    """Collects the blocks of a page."""

    def __init__(self, keep_breaks: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.title = ""
        self._keep_breaks = keep_breaks
        self._skipped: list[str] = []
        self._in_title = False
        self._heading = 0
        self._quotes = 0
        self._lists: list[tuple[int, list[int]]] = []  # group, and the last number of ordered ones
        self._groups = 0
        self._item: tuple[int, int, int] | None = None  # level, number, group
        self._item_written = False
        self._parts: list[str] = []
        self._bold = 0
        self._lead: list[str] = []
        self._lead_open = True
        self._hosts: list[str] = []

    def handle_starttag(  # noqa: C901 - one branch a tag
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        if tag == "title" and not self.title:
            self._in_title = True
        if tag in SKIPPED:
            self._skipped.append(tag)
        if self._skipped:
            return
        if tag in HEADINGS:
            self._end_block()
            self._heading = HEADINGS[tag]
        elif tag in ("ul", "ol"):
            self._begin_list(tag, dict(attrs))
        elif tag == "li":
            self._begin_item()
        elif tag in BREAKING:
            self._end_block()
            self._quotes += tag == "blockquote"
        elif tag == "br":
            self._parts.append("\n")
        elif tag in ("strong", "b"):
            self._bold += 1
        elif tag == "a":
            host = _host(dict(attrs).get("href") or "")
            if host:
                self._hosts.append(host)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        if tag in self._skipped:
            # what was opened within it and never closed ends with it
            del self._skipped[self._skipped.index(tag) :]
            return
        if self._skipped:
            return
        if tag in HEADINGS or tag in BREAKING or tag == "li":
            self._end_block()
        if tag in HEADINGS:
            self._heading = 0
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
            self._item = None
        elif tag == "li":
            self._item = None
        elif tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        elif tag in ("strong", "b"):
            self._bold = max(0, self._bold - 1)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        if self._skipped or self._in_title:
            return
        self._parts.append(data if self._keep_breaks else re.sub(r"\s+", " ", data))
        if self._lead_open and self._bold:
            self._lead.append(data)
        elif data.strip():
            self._lead_open = False

    def close(self) -> None:
        super().close()
        self._end_block()

    def _begin_list(self, tag: str, attributes: dict[str, str | None]) -> None:
        self._end_block()
        self._groups += 1
        start = attributes.get("start") or "1"
        first = int(start) if start.isdecimal() and len(start) < 4 else 1
        self._lists.append((self._groups, [first - 1] if tag == "ol" else []))

    def _begin_item(self) -> None:
        self._end_block()
        if not self._lists:
            self._groups += 1
            self._lists.append((self._groups, []))
        group, count = self._lists[-1]
        if count:
            count[0] += 1
        self._item = (len(self._lists), count[0] if count else 0, group)
        self._item_written = False

    def _end_block(self) -> None:
        text = "".join(self._parts).strip()
        lead = " ".join("".join(self._lead).split())
        hosts = tuple(dict.fromkeys(self._hosts))
        self._parts, self._lead, self._lead_open, self._hosts = [], [], True, []
        if not text:
            return
        if len(lead) > _SENTENCE_OF_LEAD:
            lead = ""
        kind: Kind = "paragraph"
        level, number, group = 0, 0, 0
        if self._heading:
            kind, level = "heading", self._heading
        elif self._item:
            kind = "item"
            level, number, group = self._item
        elif self._quotes:
            kind = "quote"
        # a second paragraph of an item belongs to it, and is no item of its own
        last = self.blocks[-1] if self.blocks else None
        if self._item and self._item_written and last and last.group == group:
            self.blocks[-1] = replace(last, text=f"{last.text} {text}", hosts=last.hosts + hosts)
            return
        self._item_written = self._item is not None
        self.blocks.append(Block(kind, text, level, number, group, lead, hosts))


def _host(address: str) -> str:
    try:
        return (urlsplit(address.strip()).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def looks_like_html(text: str) -> bool:
    """Return whether ``text`` of unknown markup is a page rather than Markdown."""
    head = text[:20_000]
    return len(_LOOKS_LIKE_HTML.findall(head)) > len(_MARKDOWN_MARK.findall(head))


def read_html(source: str) -> tuple[list[Block], str]:
    """Return the blocks of a page and what its <title> says."""
    # the article proper, where the page names it: menus and neighbours stand outside
    body = source
    for tag in ("article", "main"):
        match = re.search(rf"<{tag}\b.*?</{tag}\s*>", source, re.I | re.S)
        if match and len(match[0]) > 0.1 * len(source):
            body = match[0]
            break
    reader = _Reader(keep_breaks=False)
    reader.feed(body)
    reader.close()
    title = reader.title
    if not title and body is not source:
        found = re.search(r"<title[^>]{0,200}>([^<]{0,500})", source, re.I)
        title = found[1] if found else ""
    return _finished(reader.blocks), " ".join(title.split())


def read_markdown(source: str) -> list[Block]:
    """Return the blocks of Markdown, or of plain text."""
    text = _SHORTCODE.sub(" ", source)
    if "\n\n" not in text.strip():
        # a text without any blank line has a paragraph a line
        text = text.replace("\n", "\n\n")
    # indented lines are no code here: texts are indented for beauty
    parser = MarkdownIt("commonmark").enable("table").disable("code")
    reader = _Reader(keep_breaks=True)
    reader.feed(parser.render(text))
    reader.close()
    return _finished(reader.blocks)


def _finished(blocks: list[Block]) -> list[Block]:
    """Return ``blocks`` with lines that are items cut apart, and each text on one line."""
    finished = []
    group = 1 + max((block.group for block in blocks), default=0)
    for block in blocks:
        lines = [line for line in block.text.split("\n") if line.strip()]
        listed = sum(bool(_LISTED_LINE.match(line)) for line in lines)
        if block.kind in ("paragraph", "quote") and listed and (len(lines) > 1 or listed == 1):
            pieces = _cut_lines(block, lines, group)
            group += 1
        else:
            pieces = [replace(block, text=" ".join(lines))]
        for piece in pieces:
            text = join_chinese(" ".join(without_controls(piece.text).split()))
            if text:
                lead = join_chinese(" ".join(without_controls(piece.lead).split()))
                finished.append(replace(piece, text=text, lead=lead.rstrip(":：").strip()))  # noqa: RUF001
    return _numbered_on(finished)


def _cut_lines(block: Block, lines: list[str], group: int) -> list[Block]:
    pieces: list[Block] = []
    for line in lines:
        match = _LISTED_LINE.match(line)
        if match is None:
            # a line that is no item goes on with the one before it
            if pieces:
                pieces[-1] = replace(pieces[-1], text=f"{pieces[-1].text} {line}")
            else:
                pieces.append(replace(block, text=line))
            continue
        number = int(match["number"] or 0)
        if match["chinese"]:
            number = _CHINESE_NUMBERS.index(match["chinese"]) + 1
        if match["circled"]:
            number = ord(match["circled"]) - ord("①") + 1
        rest = line[match.end() :]
        lead = block.lead if block.lead and block.lead in rest[: len(block.lead) + 4] else ""
        pieces.append(Block("item", rest, 1, number, group, lead, block.hosts))
    return pieces


def _numbered_on(blocks: list[Block]) -> list[Block]:
    """Return ``blocks`` with numbered items apart by paragraphs in one list.

    Chinese pages number their paragraphs, which are no lists by their markup.
    """
    joined: list[Block] = []
    last = 0  # number of the last item, and its list
    group = 0
    for block in blocks:
        if block.kind == "item" and block.number:
            if block.number == last + 1 and last:
                block = replace(block, group=group)
            last = block.number
            group = block.group
        elif block.kind == "heading":
            last = 0
        joined.append(block)
    return joined


def join_chinese(text: str) -> str:
    """Return ``text`` without the blanks that a line break left between Chinese characters."""
    return re.sub(
        "(?<=[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]) "
        "(?=[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef])",
        "",
        text,
    )


def write(title: str, blocks: list[Block]) -> str:
    """Return the article as plain Markdown: the text that a language model reads."""
    lines = [f"# {title}"] if title else []
    for place, block in enumerate(blocks):
        text = block.text
        if block.kind == "heading":
            text = f"{'#' * max(2, block.level)} {text}"
        elif block.kind == "item":
            text = f"{block.number}. {text}" if block.number else f"- {text}"
        follows_item = place > 0 and blocks[place - 1].kind == "item"
        if not (block.kind == "item" and follows_item):
            lines.append("")
        lines.append(text)
    return "\n".join(lines).strip() + "\n" if lines else ""
