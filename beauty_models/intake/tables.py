"""Tables as they are delivered, in any encoding and with any dirt, as frames of strings.

CSV, TSV, JSON Lines and Parquet. A row that cannot be read is kept with its reason.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import chardet
import ftfy
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.intake import delivery
from beauty_models.intake.provenance import ABOUT
from beauty_models.progress import log_line

LONGEST_ROW = 1_000_000  # characters; a longer row is a broken file, not data
GUESSED_BY = 200_000  # bytes of a file that is not UTF-8, by which its encoding is guessed
BEGINNING = 4_096  # bytes in which a byte order mark, or the zeros of UTF-16, are looked for
EXCERPT = 200  # characters of a rejected row that are kept

# What chardet may answer: the encodings in which shops, Excel and old tills export, and no others.
# By Python's names; those that differ from one here in a letter or two are left out, for nobody
# could tell which one it is.
ENCODINGS = [
    "gb18030",
    "big5",
    "cp932",  # Shift JIS as Windows writes it
    "euc-jp",
    "cp949",
    "utf-16-le",
    "utf-16-be",
    "cp1252",  # Western Europe
    "cp1250",  # Central Europe
    "iso8859-2",
    "cp1251",  # Cyrillic
    "koi8-r",
    "cp1253",  # Greek
    "cp1254",  # Turkish
    "cp1255",  # Hebrew
    "cp1256",  # Arabic
    "cp1257",  # Baltic
    "cp1258",  # Vietnamese
    "cp874",  # Thai
    "mac_roman",
    "mac_cyrillic",
    "cp850",  # DOS in Western Europe
    "cp852",  # DOS in Central Europe
    "cp866",  # DOS in Russia
]
SIMILAR = 0.98  # of the best guess's score: a second one as good, and nobody knows which is meant
DELIMITERS = [",", "\t", ";", "|"]
NO_DELIMITER = "\x1f"  # the unit separator: no text holds it, so the file has one column

_SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
_CONTROLS = re.compile("[\x80-\x9f]")

# Between words; no byte of these is a part of a letter in any of `ENCODINGS` but UTF-16.
_WORD_ENDS = re.compile(rb"""[\s,;"]+""")

# The longer mark first: that of UTF-16-LE begins that of UTF-32-LE.
_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

# Bytes that do not fit the encoding become a lone surrogate, which no valid text can hold, so that
# they can be told from a replacement character that was delivered.
_LOST = re.compile("[\ud800-\udfff]")
codecs.register_error("lost", lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]

csv.field_size_limit(sys.maxsize)  # LONGEST_ROW rejects the row; csv would end the whole file


class Record(NamedTuple):
    """A row as it was read; the first record of a file is its header."""

    number: int  # the line on which it begins (Parquet: its number), from 1
    cells: list[str]
    reason: str = ""  # why it is rejected


class EmptyTableError(ValueError):
    """A table with a header and no rows."""


class Table(NamedTuple):
    """The good and the bad rows of a file."""

    rows: pd.DataFrame
    """The file's columns as strings, "" where nothing is; the index is the records' number."""
    rejected: pd.DataFrame
    """Columns row (as above), reason and text (of the row, `EXCERPT` characters at most)."""


def delivered_files(raw: Path) -> list[Path]:
    """Return the files below ``raw`` in one order on every machine.

    Without those that say something of the data (`ABOUT`), and without what systems put beside
    them (`delivery`); links that were not followed are told.
    """
    found = delivery.look(raw)
    delivery.tell_links(found.links)
    return [path for path in found.files if path.name not in ABOUT]


def is_table(file: Path) -> bool:
    """Return whether ``file`` is of a format that `read` knows, by its suffix."""
    return bool(format_of(file))


def may_be_table(name: str) -> bool:
    """Return whether a file called ``name`` can be a table; of a .txt only its content tells."""
    path = Path(name)
    return path.suffix.lower() == ".txt" or bool(format_of(path))


def example_id(file: str, row: int, given: str) -> str:
    """Return by what people know an example: the table's name and its id there, else its row.

    ``row`` is 0 of what stands in no table, such as a loose picture: that is known by ``given``.
    """
    # With the table's name, for several tables may count from 1.
    return f"{Path(file).stem}:{given or row}" if row else given


def _is_utf8(lines: Iterable[bytes]) -> bool:
    """Return whether of the lines that are not ASCII nine of ten are UTF-8."""
    total = 0
    broken = 0
    for line in lines:
        if line.isascii():
            continue
        total += 1
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            broken += 1
    return broken <= 0.1 * total


def encoding_of(stream: BinaryIO, name: str) -> str:
    """Return the encoding of the text in ``stream``; ``name`` is for the messages.

    A byte order mark decides; else it is UTF-8 when 9 of 10 lines that are not ASCII are valid;
    else chardet guesses by lines with other letters from the whole file.

    Raises:
        ValueError: nothing fits, or two encodings fit that read the letters differently.
    """
    head = stream.read(BEGINNING)
    stream.seek(0)
    encoding = _marked_encoding(head)
    language = ""
    if not encoding and not _is_utf8(stream):
        stream.seek(0)
        encoding, language = _guessed_encoding(_lines_and_words(stream, head), name)
    encoding = encoding or "utf-8"
    if encoding != "utf-8":
        told_by = f" (language: {language})" if language else ""
        log_line(f"{name}: read as {encoding}{told_by}, not UTF-8")
    return encoding


def _marked_encoding(head: bytes) -> str:
    """Return the encoding whose byte order mark a file begins with, or ""."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    return ""


class _Reading(NamedTuple):
    """A sample in one of the encodings that fit it."""

    text: str
    encoding: str  # Python's name
    language: str
    score: float


def _lines_and_words(stream: BinaryIO, head: bytes) -> list[bytes]:
    """Return lines that are not ASCII from everywhere in ``stream``, and their words that are not.

    The first bytes alone say nothing where the accents begin late. Of what looks like UTF-16, whose
    lines do not end with a byte, the beginning.
    """
    if b"\0" in head:
        return [stream.read(GUESSED_BY)]
    lines = [line for line in stream if not line.isascii()]
    size = sum(map(len, lines))
    sample = b"".join(lines[:: max(1, size // GUESSED_BY)])[:GUESSED_BY]
    words = [word for word in _WORD_ENDS.split(sample) if not word.isascii()]
    return [sample, b" ".join(words)]


def _readings(sample: bytes) -> list[_Reading]:
    """Return the readings of ``sample`` that differ, the likeliest first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its own fallback, cp1252, may be left out
        guesses = chardet.detect_all(
            sample, ignore_threshold=True, include_encodings=ENCODINGS, max_bytes=GUESSED_BY
        )
    by_text: dict[str, _Reading] = {}
    for guess in guesses:
        if guess["encoding"]:
            encoding = codecs.lookup(guess["encoding"]).name
            # Half a character may stand at the sample's end, and a few bytes may be damaged.
            text = sample.decode(encoding, "replace")
            if _CONTROLS.search(text):
                continue  # C1 control characters, which no text has: another encoding's letters
            reading = _Reading(text, encoding, guess["language"] or "", guess["confidence"])
            by_text.setdefault(text, reading)
    return sorted(by_text.values(), key=lambda reading: reading.score, reverse=True)


def _guessed_encoding(samples: Iterable[bytes], name: str) -> tuple[str, str]:
    """Return the encoding of a file by the first of ``samples`` that is plain, and its language.

    Raises:
        ValueError: nothing fits, or two readings fit about as well.
    """
    readings: list[_Reading] = []
    for sample in samples:
        readings = _readings(sample)
        # Among many English words three French ones hardly count: then the words decide.
        if len(readings) == 1 or readings and readings[1].score < SIMILAR * readings[0].score:
            return readings[0].encoding, readings[0].language
    if not readings:
        raise ValueError(
            f"{name}: neither UTF-8 nor any of {', '.join(ENCODINGS)}; save it as UTF-8"
        )
    first, second = readings[:2]
    raise ValueError(
        f"{name}: not UTF-8, and it may be {first.encoding} ({first.text[:20]!r} …) as well as "
        f"{second.encoding} ({second.text[:20]!r} …); save it as UTF-8"
    )


def decode(content: bytes, name: str) -> str:
    """Return ``content`` as text without BOMs and NULs, in the encoding that `encoding_of` finds.

    What does not fit it becomes a lone surrogate.
    """
    encoding = encoding_of(io.BytesIO(content), name)
    return content.decode(encoding, "lost").translate({0xFEFF: None, 0: None})


def delimiter_of(header: str) -> str:
    """Return the delimiter that cuts ``header`` into most cells; `NO_DELIMITER` when none does."""

    def cell_count(delimiter: str) -> int:
        # By csv, so that a comma within quotes does not count.
        return len(next(csv.reader([header], delimiter=delimiter)))

    best = max(DELIMITERS, key=cell_count)
    return best if best in header else NO_DELIMITER


def _delimited(text: str, name: str) -> Iterator[Record]:
    """Yield the records of delimited text; ``name`` is for the messages.

    A quote that is never closed costs its own line only; one that swallows whole rows is a mark of
    inches, or a slip of the keyboard, and stays in its cell.
    """
    lines = io.StringIO(text, newline=None).readlines()
    start = 0
    while start < len(lines) and not lines[start].strip():
        start += 1
    delimiter = ""
    # Excel's own line, which says the delimiter: "sep=;".
    if start < len(lines) and (told := _SEPARATOR_LINE.fullmatch(lines[start].strip("\r\n"))):
        delimiter = told[1]
        start += 1
    if not delimiter:
        delimiter = delimiter_of(lines[start]) if start < len(lines) else ","
    width = 0
    stray = []
    # Where quotes are in use, a cell of several lines with commas in each is a text: a Magento
    # export has descriptions that look like rows. Between tabs they are not.
    unquoted = delimiter == "\t" or not _quotes_cells(lines, delimiter)
    while start < len(lines):
        cells, used, reason = _next_record(lines, start, delimiter)
        swallowed = used > 1 and width and unquoted
        if swallowed and _are_rows(lines[start : start + used], delimiter, width):
            cells, used = lines[start].rstrip("\n").split(delimiter), 1
            stray.append(start + 1)
        width = width or len(cells)
        if not reason and len(cells) != width:
            reason = f"{len(cells)} cells where the header has {width}"
        if lines[start].strip():
            yield Record(start + 1, cells, reason)
        start += used
    if stray:
        log_line(
            f"{name}: a quotation mark that begins a cell would make several rows one "
            f"({len(stray)} times, first in line {stray[0]}): it is taken for a part of the text"
        )


def _quotes_cells(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether any of ``lines`` has a cell within quotes that begins and ends in it."""
    mark = re.escape(delimiter)
    cell = re.compile(f'(?:^|{mark})"(?:[^"]|"")*"(?:{mark}|$)')
    return any(cell.search(line.rstrip("\n")) for line in lines)


def _are_rows(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Return whether each of ``lines``, which quotes make one record, is a row of ``width`` cells.

    With one delimiter a row a text of several lines may have as many by chance.
    """
    if width < 3 and delimiter != "\t":
        return False
    return all(line.count(delimiter) == width - 1 for line in lines)


def _next_record(lines: list[str], start: int, delimiter: str) -> tuple[list[str], int, str]:
    """Return the cells of the record at line ``start``, how many lines it takes, and its fault."""
    # Indices, not a slice: a copy of the rest for each record would make the file quadratic.
    rest = (lines[line] for line in range(start, len(lines)))
    reader = csv.reader(rest, delimiter=delimiter)
    cells = next(reader)
    used = reader.line_num
    if used > 1:
        # Without `strict`, csv takes all that follows an open quote for one cell, to the file's
        # end, and says nothing.
        try:
            next(csv.reader(lines[start : start + used], delimiter=delimiter, strict=True))
        except csv.Error:
            return [lines[start]], 1, "a quote that is not closed"
    return cells, used, ""


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN is not equal to itself
        return ""
    if isinstance(value, str):
        return value
    # pandas writes a column of integers with a gap in it as floats: 5.0 is the star rating 5.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        # Impala and Hive write texts without the mark that says so.
        return value.decode("utf-8", "lost").replace("\0", "")
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    return json.dumps(value, ensure_ascii=False, default=_cell)


def _plain_decimal(value: Decimal) -> str:
    """Return ``value`` as people write it: ``5.00`` is the star rating 5."""
    if not value.is_finite():
        return ""
    whole = value.to_integral_value()
    return str(int(whole)) if value == whole else format(value.normalize(), "f")


def _json_lines(text: str, name: str) -> Iterator[Record]:
    """Yield the records of JSON Lines, or of one JSON array of objects.

    The header has the keys of all objects in order of appearance; an object within an object has
    its keys as ``review.text``.
    """
    if text.lstrip().startswith("["):
        text = "\n".join(json.dumps(item) for item in _json_array(text))
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            lines.append((number, line))
    header: dict[str, None] = {}  # an ordered set
    objects: dict[int, dict[str, Any]] = {}  # by line, without the broken ones
    faults: dict[int, str] = {}
    for number, line in lines:
        value, reason = _json_object(line)
        if reason:
            faults[number] = reason
        elif value is not None:
            objects[number] = _flattened(value)
            header.update(dict.fromkeys(objects[number]))
    yield Record(0, list(header))
    for number, line in lines:
        if number in faults:
            yield Record(number, [line], faults[number])
        elif number in objects:
            yield Record(number, [_cell(objects[number].get(key)) for key in header])


def _flattened(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``value`` with the keys of objects in it as ``outer.inner``.

    As one cell an object would be a text that holds the rating, too: what is learned from would
    contain what is to be learned.
    """
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat |= _flattened(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def _json_object(line: str) -> tuple[Any, str]:
    """Return what ``line`` says, and what is wrong with it; (None, "") for ``null``."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None, "not valid JSON: cut off or damaged"
    if value is None or isinstance(value, dict):
        return value, ""
    return None, "not a JSON object"


def _json_array(text: str) -> list[Any]:
    """Return the items of a JSON array; of one that is damaged the text itself, to be rejected."""
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
        flaw = str(error).splitlines()[0]
        raise ValueError(
            f"{file}: not a Parquet file that can be read ({flaw:.100}); write or download it again"
        ) from None
    # A struct becomes columns, as an object in JSON does.
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    yield Record(0, list(table.column_names))
    columns = [column.to_pylist() for column in table.columns]
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        yield Record(number, [_cell(value) for value in values])


TEXT_READERS = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
}
SUFFIXES = (*TEXT_READERS, ".parquet")
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}  # suffix → pyarrow's name
LARGEST_TABLE = 4_000_000_000  # bytes of a table once it is unpacked


def format_of(file: Path) -> str:
    """Return which of `SUFFIXES` says the format of ``file``, or "" where none does.

    ``reviews.csv.gz`` is a .csv; a .txt with a tab in its first line is a .tsv: so Excel saves what
    it calls Unicode Text.
    """
    suffix = file.suffix.lower()
    if suffix in COMPRESSED:
        inner = file.with_suffix("").suffix.lower()
        return inner if inner in TEXT_READERS else ""
    if suffix == ".txt" and _begins_with_tabs(file):
        return ".tsv"
    return suffix if suffix in SUFFIXES else ""


def _begins_with_tabs(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        head = stream.read(BEGINNING)
    text = head.decode(_marked_encoding(head) or "latin-1", "replace")
    return "\t" in text.partition("\n")[0]


def _content(file: Path) -> bytes:
    """Return the content of ``file``, unpacked.

    Raises:
        ValueError: it is not what its suffix says, or larger than `LARGEST_TABLE` unpacked.
    """
    codec = COMPRESSED.get(file.suffix.lower())
    if codec is None:
        return file.read_bytes()
    try:
        with pa.input_stream(str(file), compression=codec) as stream:
            content: bytes = stream.read(LARGEST_TABLE + 1)
    except (pa.ArrowException, OSError) as error:
        flaw = str(error).splitlines()[0]
        raise ValueError(f"{file}: cannot be unpacked ({flaw:.100}); download it again") from None
    if len(content) > LARGEST_TABLE:
        raise ValueError(
            f"{file}: unpacked it has more than {LARGEST_TABLE:,} bytes; deliver it in parts"
        )
    return content


def _records(file: Path) -> Iterator[Record]:
    table_format = format_of(file)
    assert table_format, file
    if table_format == ".parquet":
        return _parquet(file)
    return TEXT_READERS[table_format](decode(_content(file), str(file)), str(file))


def _repair(cell: str) -> str:
    """Return ``cell`` stripped, and decoded again when it is UTF-8 that was read as something else.

    ``å¾ˆå¥½`` becomes 很好.
    """
    if cell.isascii():
        return cell.strip()
    return ftfy.fix_encoding(cell).strip()


def _fault(cells: list[str]) -> str:
    """Return why a row that was read cannot be used, or ""."""
    length = sum(map(len, cells))
    if length > LONGEST_ROW:
        return f"{length} characters, a row has {LONGEST_ROW} at most"
    if any(_LOST.search(cell) for cell in cells):
        return "characters that are lost: bytes that do not fit the file's encoding"
    return ""


def read(file: Path, raw: Path | None = None) -> Table:
    """Return the rows of ``file`` and those that could not be read, whatever is wrong with them.

    The suffix (`format_of`) says the format, the header the delimiter. Mojibake is repaired cell by
    cell. Folders ``column=value`` between ``raw`` and the file are columns, too.

    Raises:
        EmptyTableError: it has no rows.
        ValueError: the file is empty, names a column twice, is in no known encoding, or is broken
            Parquet.
    """
    if not file.stat().st_size:
        raise ValueError(f"{file}: the file is empty; was the download cut off?")
    records = _records(file)
    header = _header(file, next(records, Record(0, [])).cells)
    numbers: list[int] = []
    rows: list[list[str]] = []
    rejected: list[tuple[int, str, str]] = []
    for number, cells, flaw in records:
        reason = flaw or _fault(cells)
        if reason:
            # A lone surrogate cannot be written to Parquet.
            excerpt = _LOST.sub("?", " ".join(cells)[:EXCERPT])
            rejected.append((number, reason, excerpt))
        else:
            numbers.append(number)
            rows.append(list(map(_repair, cells)))
    if not rows and not rejected:
        raise EmptyTableError(f"{file}: no rows below the header; was the download cut off?")
    index = pd.Index(numbers, name="row")
    frame = pd.DataFrame(rows, columns=header, index=index, dtype=object)
    for column, value in (delivery.partition_values(file, raw) if raw else {}).items():
        # What stands in the file itself goes first.
        if column not in frame:
            frame[column] = value
    return Table(
        rows=frame,
        rejected=pd.DataFrame(rejected, columns=["row", "reason", "text"]),
    )


def _header(file: Path, cells: list[str]) -> list[str]:
    """Return the names of the columns; one without a name is called by its place."""
    names = []
    for place, cell in enumerate(cells, start=1):
        names.append(cell.strip() or f"column {place}")
    counts = Counter(names)
    doubled = sorted(name for name in counts if counts[name] > 1)
    if doubled:
        raise ValueError(f"{file}: the column {', '.join(doubled)} is there twice; rename one")
    return names
