"""Tables as they are delivered, in any encoding and with any dirt: CSV, TSV, JSON Lines and Parquet as frames of strings."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ftfy
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from charset_normalizer import from_bytes

from beauty_models.progress import say

LONGEST_ROW = 1_000_000  # characters; a longer row is a broken file, not data
SHORTEST_TEXT = 8.0  # characters on average, from which a column may be the text
MOST_LABELS = 12  # distinct values, up to which a column may be the label
GUESSED_BY = 200_000  # bytes of a file that is not UTF-8, by which its encoding is guessed
EXCERPT = 200  # characters of a rejected row that are kept
ENCODINGS = [
    "gb18030",
    "big5",
    "utf_16_le",
    "utf_16_be",
    "shift_jis",
    "euc_jp",
    "cp949",
    "cp1252",
    "cp1251",
]
DELIMITERS = [",", "\t", ";", "|"]

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_LOST = re.compile("[\ud800-\udfff]")
codecs.register_error("lost", lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]

Record = tuple[int, list[str], str]  # the row's number, its cells, why it is rejected or ""
csv.field_size_limit(sys.maxsize)


class EmptyTableError(ValueError):
    """A table with a header and no rows."""


class Table(NamedTuple):
    """The good and the bad rows of a file."""

    rows: pd.DataFrame
    """The file's columns as strings, "" where nothing is; the index is the line on which a row begins (Parquet: its number), from 1."""
    rejected: pd.DataFrame
    """Columns row (as above), reason and text (of the row, `EXCERPT` characters at most)."""


def _is_utf8(lines: Iterable[bytes]) -> bool:
    """Return whether of the lines that are not ASCII nine of ten are UTF-8."""
    there = broken = 0
    for line in lines:
        if line.isascii():
            continue
        there += 1
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            broken += 1
    return broken <= 0.1 * there


def encoding_of(stream: BinaryIO, name: str) -> str:
    """Return the encoding of the text that ``stream`` holds from its beginning on; ``name`` is for the messages.

    A BOM decides; else it is UTF-8 when 9 of 10 lines that are not ASCII are valid; else charset-normalizer guesses by
    the first 200,000 bytes.

    Raises:
        ValueError: nothing fits.
    """
    head = stream.read(GUESSED_BY)
    encoding = next((found for bom, found in _BOMS.items() if head.startswith(bom)), None)
    stream.seek(0)
    if not encoding and _is_utf8(stream):
        encoding = "utf-8"
    if not encoding:
        guess = from_bytes(head, cp_isolation=ENCODINGS).best()
        if guess is None:
            raise ValueError(
                f"{name}: neither UTF-8 nor any of {', '.join(ENCODINGS)}; save it as UTF-8"
            )
        encoding = guess.encoding
    if encoding != "utf-8":
        say(f"{name}: read as {encoding}, not UTF-8")
    return encoding


def decode(content: bytes, name: str) -> str:
    """Return ``content`` as text without BOMs and NULs, in the encoding that `encoding_of` finds.

    What does not fit it becomes a lone surrogate.
    """
    encoding = encoding_of(io.BytesIO(content), name)
    return content.decode(encoding, "lost").translate({0xFEFF: None, 0: None})


def delimiter_of(header: str) -> str:
    """Return the delimiter that cuts ``header`` into most cells; a character no text holds when none does."""
    best = max(DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark))))
    return best if best in header else "\x1f"


def _delimited(text: str) -> Iterator[Record]:
    """Yield the header and the rows of delimited text. A quote that is never closed costs its own line only."""
    lines = io.StringIO(text, newline=None).readlines()
    start = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    delimiter = delimiter_of(lines[start]) if start < len(lines) else ","
    width = 0
    while start < len(lines):
        reader = csv.reader(map(lines.__getitem__, range(start, len(lines))), delimiter=delimiter)
        cells, reason = next(reader), ""
        used = reader.line_num
        if used > 1:
            try:
                next(csv.reader(lines[start : start + used], delimiter=delimiter, strict=True))
            except csv.Error:
                cells, used, reason = [lines[start]], 1, "a quote that is not closed"
        width = width or len(cells)
        if not reason and len(cells) != width:
            reason = f"{len(cells)} cells where the header has {width}"
        if lines[start].strip():
            yield start + 1, cells, reason
        start += used


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN is not equal to itself
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return (
        value.isoformat()
        if isinstance(value, date)
        else json.dumps(value, ensure_ascii=False, default=str)
    )


def _json_lines(text: str) -> Iterator[Record]:
    """Yield the header (the keys, in order of appearance) and the rows of JSON Lines, or of one JSON array of objects."""
    lines: list[tuple[int, Any, str, str]] = []
    if text.lstrip().startswith("["):
        text = "\n".join(json.dumps(item) for item in _array(text))
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            value = json.loads(line) if line.strip() else None
            wrong = "" if isinstance(value, dict) or value is None else "not a JSON object"
        except (ValueError, RecursionError):
            value, wrong = line, "not valid JSON: cut off or damaged"
        if value is not None:
            lines.append((number, value, wrong, line))
    header = list(
        dict.fromkeys(str(key) for _, value, wrong, _ in lines if not wrong for key in value)
    )
    yield 0, header, ""
    for number, value, wrong, line in lines:
        yield number, [line] if wrong else [_cell(value.get(key)) for key in header], wrong


def _array(text: str) -> list[Any]:
    try:
        items: list[Any] = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    return items


def _parquet(file: Path) -> Iterator[Record]:
    try:
        with pq.ParquetFile(file) as opened:
            table = opened.read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"{file}: not a Parquet file that can be read ({str(error).splitlines()[0]:.100}); write or download it again"
        ) from None
    yield 0, list(table.column_names), ""
    columns = [column.to_pylist() for column in table.columns]
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        yield number, [_cell(value) for value in values], ""


READERS = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
}
SUFFIXES = (*READERS, ".parquet")


def _repair(cell: str) -> str:
    """Return ``cell`` stripped, and decoded again when it is UTF-8 that was read as something else (``å¾ˆå¥½`` for 很好)."""
    return cell.strip() if cell.isascii() else ftfy.fix_encoding(cell).strip()


def _fault(cells: list[str]) -> str:
    if (length := sum(map(len, cells))) > LONGEST_ROW:
        return f"{length} characters, a row has {LONGEST_ROW} at most"
    return (
        "characters that are lost: bytes that do not fit the file's encoding"
        if any(_LOST.search(cell) for cell in cells)
        else ""
    )


def read(file: Path) -> Table:
    """Return the rows of ``file`` and those that could not be read, whatever is wrong with them.

    The suffix (`SUFFIXES`) says the format, the header the delimiter. Mojibake is repaired cell by cell.

    Raises:
        EmptyTableError: it has no rows.
        ValueError: the file is empty, names a column twice, is in no known encoding, or is broken Parquet.
    """
    suffix = file.suffix.lower()
    assert suffix in SUFFIXES, file
    if not file.stat().st_size:
        raise ValueError(f"{file}: the file is empty; was the download cut off?")
    records = (
        _parquet(file)
        if suffix == ".parquet"
        else READERS[suffix](decode(file.read_bytes(), str(file)))
    )
    header = [
        name.strip() or f"column {place}"
        for place, name in enumerate(next(records, (0, [], ""))[1], start=1)
    ]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"{file}: the column {', '.join(twice)} is there twice; rename one")
    numbers: list[int] = []
    rows: list[list[str]] = []
    rejected: list[tuple[int, str, str]] = []
    for number, cells, reason in records:
        if reason := reason or _fault(cells):
            rejected.append((number, reason, _LOST.sub("?", " ".join(cells)[:EXCERPT])))
        else:
            numbers.append(number)
            rows.append([_repair(cell) for cell in cells])
    if not rows and not rejected:
        raise EmptyTableError(f"{file}: no rows below the header; was the download cut off?")
    good = pd.DataFrame(rows, columns=header, index=pd.Index(numbers, name="row"), dtype=object)
    return Table(good, pd.DataFrame(rejected, columns=["row", "reason", "text"]))


def pick(columns: Sequence[str], mapping: dict[str, list[str]]) -> dict[str, str]:
    """Return field → the column that holds it: of the names ``mapping`` lists, the first that is there; capitals do not count."""
    there = {str(column).strip().casefold(): str(column) for column in reversed(columns)}
    found = {
        field: next((there[name.casefold()] for name in names if name.casefold() in there), None)
        for field, names in mapping.items()
    }
    return {field: column for field, column in found.items() if column}


def text_column(rows: pd.DataFrame, taken: Iterable[str] = ()) -> str:
    """Return the column of ``rows`` that looks like the text: distinct and on average the longest, "" when none does.

    ``taken`` columns are not looked at. This proposes; it never decides.
    """
    best, longest = "", SHORTEST_TEXT
    for column in rows.columns:
        cells = rows[column]
        length = float(cells.str.len().mean())
        distinct = cells.nunique() > len(cells) / 2
        numbers = cells.str.fullmatch(r"[\d\s.:/-]*").all()
        if column not in taken and distinct and not numbers and length > longest:
            best, longest = str(column), length
    return best


def label_columns(
    rows: pd.DataFrame, words: dict[str, list[str]], taken: Iterable[str] = ()
) -> list[str]:
    """Return the columns of ``rows`` that may be the label: few values, each there often.

    Where some hold at least two of ``words`` (meaning → words that can hardly mean anything else), only those are returned.
    """
    known = {word for values in words.values() for word in values}
    few, told = [], []
    for column in rows.columns:
        values = set(map(plain, rows[column])) - {""}
        if column in taken or not 2 <= len(values) <= min(MOST_LABELS, len(rows) / 2):
            continue
        few.append(str(column))
        if len(known & values) >= 2:
            told.append(str(column))
    return told or few


def plain(value: str) -> str:
    """Return ``value`` so that ``1``, ``1.0`` and ``+1`` are one value, and capitals do not count."""
    try:
        number = float(value)
    except ValueError:
        return value.strip().casefold()
    return str(int(number)) if number.is_integer() else str(number)


def meanings(accepted: dict[str, list[str]], name: str) -> dict[str, str]:
    """Return value → meaning, the values made `plain`, for meaning → values.

    Raises:
        ValueError: a value has two meanings; ``name`` is the parameter to mend.
    """
    found: dict[str, str] = {}
    for meaning, values in accepted.items():
        for value in map(plain, values):
            if found.setdefault(value, meaning) != meaning:
                raise ValueError(f"{name}: {value!r} stands for both {found[value]} and {meaning}")
    return found


def dates(values: Sequence[str]) -> list[datetime | None]:
    """Return UTC times without a zone, None where a value is no date; 9, 10 or 13 digits are seconds or milliseconds since 1970."""
    cells = pd.Series(values, dtype=object)
    numbers = pd.to_numeric(cells.where(cells.str.fullmatch(r"\d{9,10}|\d{13}")), errors="coerce")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about days that could be months
        found = pd.to_datetime(
            cells.where(numbers.isna()), errors="coerce", format="mixed", utc=True
        )
    found = found.fillna(
        pd.to_datetime(numbers.where(numbers < 1e11, numbers / 1000), unit="s", utc=True)
    )
    return [None if pd.isna(stamp) else stamp.tz_localize(None).to_pydatetime() for stamp in found]
