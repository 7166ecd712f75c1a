"""Known values and how programs write them: what the readers must give back, or refuse in words.

`tests/intake/test_generation.py` draws from here, `bench/fuzz.py` begins with it.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from beauty_models.intake import tables

# BEAUTY_EXAMPLES=20 makes twenty times as many, drawn anew each time; without it they are the same
# on every machine and every day.
MORE = int(os.environ.get("BEAUTY_EXAMPLES", "0"))

Row = tuple[str, ...]


def examples(count: int) -> settings:
    """Return the settings of a test with ``count`` examples where nobody asks for more."""
    return settings(
        max_examples=count * (MORE or 1),
        derandomize=not MORE,
        database=None,
        deadline=None,
        # A folder of a test serves all its examples: each overwrites its one file.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


class Known(NamedTuple):
    """A table of which every value is known."""

    header: Row
    rows: list[Row]


WORDS = [
    *("love", "the shade", "lasts all day", "très déçue", "Größe", "ładny", "çok güzel", "很好"),
    *(
        "красивый",
        "สวยมาก",
        "とても",
        "예뻐요",
        "5 ml",
        "1,299.00",
        "😍",
        "e\N{COMBINING ACUTE ACCENT}",
    ),
]
MARKS = [
    *(
        ",",
        ";",
        "\t",
        "|",
        "\n",
        '"',
        '""',
        "'",
        "\\",
        "\\n",
        '\\"',
        '7"',
        "=",
        "#",
        "\r\n",
        "\u2028",
    ),
    *(
        "<br>",
        "&amp;",
        "&amp;eacute;",
        "%20",
        "{",
        "[1]",
        "null",
        "//",
        "*",
        "\N{NO-BREAK SPACE}",
        "-",
    ),
]
TEXT = st.lists(
    st.tuples(st.sampled_from([*WORDS, *MARKS, *WORDS]), st.sampled_from(["", " "])),
    min_size=1,
    max_size=5,
).map(lambda pieces: "".join(piece + gap for piece, gap in pieces))
EMPTY = st.sampled_from(["", *sorted(tables.NOTHING)])


@st.composite
def known_tables(draw: st.DrawFn, text: st.SearchStrategy[str] = TEXT) -> Known:
    """Draw a table of an id, a text, stars and a note that is often nothing, in any order."""
    names = ["id", "text", "stars", "the note"]
    order = draw(st.permutations(range(4)))
    rows = []
    for number in range(draw(st.integers(2, 7))):
        cells = [
            f"{number:03}",
            f"t{draw(text)}",
            str(draw(st.integers(1, 5))),
            draw(st.one_of(text, EMPTY)),
        ]
        # Beside backslashes a database's null would say that they are its escapes.
        if "\\" in cells[1] + cells[3].replace("\\N", ""):
            cells[3] = cells[3].replace("\\N", "NULL")
        rows.append(tuple(cells[place] for place in order))
    return Known(tuple(names[place] for place in order), rows)


def one_line_end(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("\r", "\n")


def meant(cell: str) -> str:
    """Return what a cell is to be read as: no blanks around it, one kind of line end."""
    plain = one_line_end(cell).strip()
    return "" if plain in tables.NOTHING else plain


def check(
    file: Path,
    known: Known,
    *,
    whole: bool,
    raw: Path | None = None,
    more: Row = (),
    same: Callable[[str], str] = one_line_end,
) -> str:
    """Check that ``file`` gives the rows of ``known``, or says of those that are missing why.

    With ``whole`` none may be missing; ``more`` are the values of the folders it lies in; cells of
    which ``same`` makes one are not told apart. Returns what came of it.
    """
    try:
        table = tables.read(file, raw)
    except ValueError as error:
        assert str(file) in str(error)
        assert not whole, error
        return "stopped"
    # JSON, Parquet and workbooks keep the kind of a line end.
    read = [tuple(map(same, row)) for row in table.rows.itertuples(index=False, name=None)]
    wanted = [tuple(same(meant(cell)) for cell in row) + more for row in known.rows]
    missing = list(wanted)
    if whole:
        assert list(table.rows.columns)[: len(known.header)] == list(known.header)
        assert read == wanted
    place = 0
    for row in read:
        # In their order, and none of another value.
        assert row in wanted[place:], (row, wanted)
        place = wanted.index(row, place) + 1
        missing.remove(row)
    assert len(missing) <= len(table.rejected), "rows are gone without a word"
    assert all(table.rejected["reason"])
    return "partly" if missing else "read"


class Dialect(NamedTuple):
    """How a program writes delimited text."""

    delimiter: str = ","
    quoting: int = csv.QUOTE_MINIMAL
    line_end: str = "\n"
    doubled: bool = True  # a quote within quotes; else a backslash stands before it
    separator_line: bool = False  # Excel's "sep=;"
    begins: str = ""  # blank lines above the header
    ends: bool = True  # with a line end


DIALECTS = st.builds(
    Dialect,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    doubled=st.just(True),
    separator_line=st.booleans(),
    begins=st.sampled_from(["", "", "\n", " \n\n"]),
    ends=st.booleans(),
)


def delimited(known: Known, dialect: Dialect) -> str:
    """Return ``known`` as a program of this dialect writes it."""
    lines = []
    for row in [known.header, *known.rows]:
        stream = io.StringIO(newline="")
        writer = csv.writer(
            stream,
            delimiter=dialect.delimiter,
            quoting=dialect.quoting,  # type: ignore[arg-type]
            # With "\n" alone csv would leave a "\r" in a cell without quotes.
            lineterminator="\r\n",
            doublequote=dialect.doubled,
            escapechar=None if dialect.doubled else "\\",
        )
        writer.writerow(row)
        lines.append(stream.getvalue().removesuffix("\r\n"))
    if dialect.separator_line:
        lines.insert(0, f"sep={dialect.delimiter}")
    text = dialect.begins + dialect.line_end.join(lines)
    return text + dialect.line_end if dialect.ends else text


def without_quoting(known: Known, delimiter: str) -> tuple[Known, str]:
    """Return a table, and its text, whose cells need no quotes but may hold them.

    Line ends and delimiters become blanks; a cell that is all within quotes would lose them.
    """
    rows = []
    for row in known.rows:
        cells = [" ".join(cell.replace(delimiter, " ").split()) for cell in row]
        rows.append(tuple(cell.removeprefix('"') for cell in cells))
    plain = Known(known.header, rows)
    lines = [delimiter.join(row) for row in [known.header, *rows]]
    return plain, "\n".join(lines) + "\n"


def zipped(content: bytes, name: str) -> bytes:
    """Return an archive that holds ``content`` as the file ``name``."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"export/{name}", content)
    return stream.getvalue()


def zstandard(content: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(content, asbytes=True)
    return packed


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard,
}


def packed(content: bytes, name: str, suffix: str) -> bytes:
    """Return ``content``, the file ``name``, as a file of the suffix ``suffix``."""
    return zipped(content, name) if suffix == ".zip" else PACKERS[suffix](content)


def workbook(file: Path, sheets: dict[str, Sequence[Sequence[object]]]) -> Path:
    """Write a workbook as Excel does: texts shared or in line, numbers, truths, gaps."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    listed = ""
    targets = ""
    shared: list[str] = []
    with zipfile.ZipFile(file, "w") as archive:
        for number, (name, rows) in enumerate(sheets.items(), 1):
            listed += f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>'
            targets += (
                f'<Relationship Id="r{number}" Type="{relations}/worksheet" '
                f'Target="worksheets/sheet{number}.xml"/>'
            )
            content = "".join(_sheet_row(line, row, shared) for line, row in enumerate(rows, 1))
            archive.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{content}</sheetData></worksheet>',
            )
        items = "".join(f'<si><t xml:space="preserve">{text}</t></si>' for text in shared)
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}">{items}</sst>')
        targets += (
            f'<Relationship Id="s" Type="{relations}/sharedStrings" Target="sharedStrings.xml"/>'
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{listed}</sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships">{targets}</Relationships>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{package}/content-types"/>')
    return file


def excel_text(text: str) -> str:
    """Return ``text`` in Excel's XML: what XML cannot hold as _x000D_, and what looks so, too."""
    quoted = text
    if "_x" in text:
        quoted = text.replace("_x", "_x005F_x")
    return escape(quoted.replace("\r", "_x000D_"))


def _sheet_row(line: int, row: Sequence[object], shared: list[str]) -> str:
    cells = ""
    for column, value in zip("ABCDEFGH", row, strict=False):
        place = f'r="{column}{line}"'
        if isinstance(value, bool):
            cells += f'<c {place} t="b"><v>{int(value)}</v></c>'
        elif isinstance(value, str) and (line + len(shared)) % 2:
            cells += f'<c {place} t="inlineStr"><is><t>{excel_text(value)}</t></is></c>'
        elif isinstance(value, str):
            shared.append(excel_text(value))
            cells += f'<c {place} t="s"><v>{len(shared) - 1}</v></c>'
        elif value is not None:
            cells += f"<c {place}><v>{value}</v></c>"
    return f'<row r="{line}">{cells}</row>'


def json_files(known: Known) -> dict[str, str]:
    """Return name → content of ``known`` in each way that programs write JSON."""
    objects = [dict(zip(known.header, row, strict=True)) for row in known.rows]
    columns = {name: [row[place] for row in known.rows] for place, name in enumerate(known.header)}
    lines = [json.dumps(item, ensure_ascii=False) for item in objects]
    return {
        "lines.jsonl": "\n".join(lines),
        "ended.ndjson": "\r\n".join(map(json.dumps, objects)) + "\r\n",
        "lines.json": "\n".join(lines) + "\n",
        "array.json": json.dumps(objects),
        "indented.json": json.dumps(objects, indent=2, ensure_ascii=False),
        "wrapped.json": json.dumps({"page": 1, "items": objects, "next": None}),
        "columns.json": json.dumps(columns, ensure_ascii=False),
    }


def joined(parts: Iterable[bytes]) -> bytes:
    return b"".join(parts)
