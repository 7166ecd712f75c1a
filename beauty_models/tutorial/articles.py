"""The articles of a delivery: Markdown, HTML and text files, and the rows of tables."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import yaml

from beauty_models.intake import account, columns, tables
from beauty_models.intake.encodings import decode
from beauty_models.intake.rejected import Rejected
from beauty_models.progress import bar
from beauty_models.tutorial import ARTICLE_SUFFIXES, Columns
from beauty_models.tutorial.blocks import LONGEST_SOURCE, looks_like_html

HTML = (".html", ".htm", ".xhtml")
PLAIN = (".txt", ".text")
SUFFIXES = (*ARTICLE_SUFFIXES, *tables.SUFFIXES)
LONGEST_FRONT_MATTER = 20_000  # characters
BINARY_SHARE = 0.01  # of control bytes, from which a file is no text
FEW_CONTROL_BYTES = 8  # that a short text may have all the same
# What files begin with that are no text whatever they are called: PNG, JPEG, GIF, PDF, ZIP and
# gzip, RIFF, executables, SQLite.
MAGIC = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"%PDF",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"RIFF",
    b"\x7fELF",
    b"SQLite format",
)

_FRONT_MATTER = re.compile(r"\s*(---|\+\+\+)[ \t]*\n(.*?)\n\1[ \t]*(?:\n|\Z)", re.S)
_KEY_LINE = re.compile(r"^([A-Za-z_一-鿿][\w -]{0,40}?)\s*[:：=]\s*(.*)$")  # noqa: RUF001
_SEPARATORS = re.compile(r"\s*[,;，；、|\n]\s*")  # noqa: RUF001
_CONTROL_BYTES = bytes(range(0x09)) + bytes(range(0x0E, 0x1B))
_PLAIN_LETTER = re.compile("[\t\n\r -~\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")

Given = dict[str, str | list[str]]
"""Field of `Columns` → what the front matter or the table says of it."""


class Article(NamedTuple):
    """An article as it was delivered."""

    file: str
    row: int  # of a table; 0 of a file of its own
    text: str
    html: bool
    given: Given


class Delivery(NamedTuple):
    """What could be read of a source, and what could not."""

    articles: list[Article]
    rejected: list[Rejected]
    broken_front_matter: list[str]  # file names


def read_articles(raw: Path, known: Columns) -> Delivery:
    """Return every article below ``raw``.

    Files that cannot be read are rejected with their reason; one bad file ends nothing.

    Raises:
        ValueError: there is no file of a format that is known.
    """
    delivery = Delivery([], [], [])
    files = []
    for file in tables.delivered_files(raw):
        if file.suffix.lower() in SUFFIXES:
            files.append(file)
        else:
            account.leave_aside("files", f"not one of {', '.join(SUFFIXES)}", file)
    if not files:
        raise ValueError(f"{raw}: no {', '.join(SUFFIXES)} file in it")
    with bar("ingest: read", len(files)) as progress:
        for file in files:
            name = file.relative_to(raw).as_posix()
            try:
                _read(file, name, known, delivery)
            except (ValueError, OSError) as error:
                # the message names the file by its path on this machine, which says nothing here
                reason = str(error).replace(f"{file}: ", "")
                delivery.rejected.append(Rejected(name, 0, reason, ""))
            progress.advance(note=file.name)
    return delivery


def _read(file: Path, name: str, known: Columns, delivery: Delivery) -> None:
    if tables.is_table(file):
        _read_table(file, name, known, delivery)
        return
    text = read_text(file)
    html = file.suffix.lower() in HTML
    given: Given = {}
    if not html:
        matter, text = split_front_matter(text)
        if matter:
            given, whole = read_front_matter(matter, known)
            if not whole:
                delivery.broken_front_matter.append(name)
        # a page that was saved under another name
        html = file.suffix.lower() in PLAIN and looks_like_html(text)
    delivery.articles.append(Article(name, 0, text, html, given))


def read_text(file: Path) -> str:
    """Return the text of a file in any encoding, without byte order marks and NULs.

    Raises:
        ValueError: it is empty, no text, too long, or in no known encoding.
    """
    content = file.read_bytes()
    if not content.strip():
        raise ValueError("the file is empty; was the download cut off?")
    if content.startswith(MAGIC) or is_binary(content):
        raise ValueError(f"binary data, no text, although it is named {file.suffix}")
    text = decode(content, str(file))
    if len(text) > LONGEST_SOURCE:
        raise ValueError(f"{len(text)} characters, an article's file has {LONGEST_SOURCE} at most")
    lost = sum("\ud800" <= character <= "\udfff" for character in text)
    if lost:
        raise ValueError(f"{lost} characters are lost: bytes that do not fit the file's encoding")
    return text


def is_binary(content: bytes) -> bool:
    """Return whether ``content`` has more control bytes than any text.

    In UTF-16 half the bytes may look like that: what reads as letters in it is text.
    """
    head = content[:100_000]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    control = len(head) - len(head.translate(None, _CONTROL_BYTES))
    if control <= max(FEW_CONTROL_BYTES, BINARY_SHARE * len(head)):
        return False
    for encoding in ("utf-16-le", "utf-16-be"):
        text = head[: len(head) // 2 * 2].decode(encoding, "replace")
        if len(_PLAIN_LETTER.findall(text)) > 0.95 * len(text):
            return False
    return True


def _read_table(file: Path, name: str, known: Columns, delivery: Delivery) -> None:
    table = tables.read(file)
    header = list(table.rows.columns)
    column_of = columns.pick(header, known.model_dump())
    for row, reason, excerpt in table.rejected.itertuples(index=False, name=None):
        delivery.rejected.append(Rejected(name, int(row), reason, excerpt))
    if table.rows.empty:
        return
    if "text" not in column_of:
        raise ValueError(
            f"the columns are {', '.join(header)}; none of them is known as the text: add its name "
            "to ingest.columns.text, or --map text=COLUMN"
        )
    account.tell_columns(file, header, column_of, known.model_dump())
    for number, cells in table.rows.iterrows():
        given: Given = {}
        for field, column in column_of.items():
            if field != "text" and cells[column]:
                given[field] = _value(field, cells[column])
        text = str(cells[column_of["text"]])
        matter, body = split_front_matter(text)
        if matter:
            stated, whole = read_front_matter(matter, known)
            given = stated | given
            if not whole:
                delivery.broken_front_matter.append(f"{name}, row {number}")
        row = int(str(number))
        delivery.articles.append(Article(name, row, body, looks_like_html(body), given))


def split_front_matter(text: str) -> tuple[str, str]:
    """Return the front matter of ``text`` with its fence, "" where there is none, and the rest."""
    head = text.lstrip("\ufeff")[: LONGEST_FRONT_MATTER * 2]
    head = head.replace("\r\n", "\n").replace("\r", "\n")
    rest = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    match = _FRONT_MATTER.match(head)
    # between two rules of a page without front matter stands text, no key
    if match is None or not any(map(_KEY_LINE.match, match[2].split("\n"))):
        return "", rest
    return f"{match[1]}\n{match[2]}", rest[match.end() :]


def read_front_matter(matter: str, known: Columns) -> tuple[Given, bool]:
    """Return the known fields of front matter, and whether it could be read as what it is.

    Where it is no YAML (or TOML), its lines ``key: value`` are taken one by one.
    """
    fence, _, content = matter.partition("\n")
    parse: Callable[[str], object] = tomllib.loads if fence == "+++" else yaml.safe_load
    whole = len(content) <= LONGEST_FRONT_MATTER
    values: object = None
    if whole:
        try:
            values = parse(content)
        except (yaml.YAMLError, ValueError, RecursionError):
            whole = False
    if not isinstance(values, dict):
        whole = False
        values = _key_lines(content[:LONGEST_FRONT_MATTER])
    by_name = {str(key): value for key, value in values.items()}
    given: Given = {}
    for field, name in columns.pick(list(by_name), known.model_dump()).items():
        value = _value(field, by_name[name])
        if value and field != "text":
            given[field] = value
    return given, whole


def _key_lines(content: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in content.split("\n"):
        match = _KEY_LINE.match(line)
        if match:
            values.setdefault(match[1].strip(), match[2].strip().strip("\"'"))
    return values


def _value(field: str, value: object) -> str | list[str]:
    """Return what a cell or a value of YAML says: a list for products and tools, else a string."""
    if field not in ("products", "tools"):
        return _scalar(value)
    if isinstance(value, str):
        value = _listed(value)
    if not isinstance(value, list):
        value = [value]
    items = [_scalar(item) for item in value[:100]]
    return [item for item in items if item]


def _listed(text: str) -> list[object]:
    """Return the items of a list that was written into one cell."""
    stripped = text.strip()
    if stripped.startswith("["):
        try:
            items = json.loads(stripped)
        except (ValueError, RecursionError):
            items = None
        if isinstance(items, list):
            return items
    return list(_SEPARATORS.split(stripped.strip("[]")))


def _scalar(value: object) -> str:
    """Return ``value`` on one line; "" of what is no text or number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | date):
        return ""
    return " ".join(str(value).split())[:300].strip("\"'")
