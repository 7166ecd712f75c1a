"""Known values and how programs write them: what the readers must give back, or refuse in words.

`tests/intake/test_generation.py` draws from here, `bench/fuzz.py` begins with it.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import html
import io
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq
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
    for column, value in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", row, strict=False):
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


def parquet_tables(known: Known) -> list[pa.Table]:
    """Return ``known`` as the types in which programs keep texts and numbers in Parquet."""
    columns = {name: [row[place] for row in known.rows] for place, name in enumerate(known.header)}
    texts = {name: pa.array(cells, pa.string()) for name, cells in columns.items()}
    encoded = {}
    for name, cells in columns.items():
        encoded[name] = pa.array([cell.encode() for cell in cells], pa.binary())
    large = {name: cells.cast(pa.large_string()) for name, cells in texts.items()}
    dictionaries = {name: cells.dictionary_encode() for name, cells in texts.items()}
    found = [pa.table(columns) for columns in (texts, encoded, large, dictionaries)]
    if all(cell.isdigit() for cell in columns.get("stars", ["?"])):
        stars = pa.array(map(int, columns["stars"]), pa.int64())
        for kind in (pa.int8(), pa.float64(), pa.float32(), pa.decimal128(4, 2)):
            found.append(pa.table({**texts, "stars": stars.cast(pa.decimal128(25, 2)).cast(kind)}))
    return found


def parquet_files(known: Known) -> list[bytes]:
    """Return the content of a Parquet file for each of `parquet_tables`."""
    contents = []
    for table in parquet_tables(known):
        stream = io.BytesIO()
        pq.write_table(table, stream, compression="none")
        contents.append(stream.getvalue())
    return contents


# Reviews as people write them, with the letters that tell their encoding.
REVIEWS = {
    "fr": [
        "Très déçue, la crème est arrivée abîmée",
        "J'adore, légère et très pigmentée",
        "Le vernis s'écaille, dommage",
        "Ça tient toute la journée, même à la plage",
    ],
    "de": [
        "Sehr schöne Farbe, hält den ganzen Tag",
        "Leider völlig ausgetrocknet, ärgerlich",
        "Die Größe fällt klein aus",
        "Süßer Duft, trägt sich angenehm",
    ],
    "pl": [
        "Bardzo ładny kolor, utrzymuje się cały dzień",
        "Niestety szminka przyszła złamana, żałuję",
        "Świetny podkład, skóra wygląda naturalnie",
        "Paczka doszła szybko, wszystko się zgadza, dziękuję",
    ],
    "tr": [
        "Rengi çok güzel, bütün gün kalıyor",
        "Maalesef kırık geldi, hiç beğenmedim",
        "Işıltılı ve yumuşak, tavsiye ederim",
        "Fiyatı uygun ama ambalajı kötüydü, şaşırdım",
    ],
    "el": [
        "Πολύ ωραίο χρώμα, κρατάει όλη μέρα",
        "Δυστυχώς ήρθε σπασμένο, λυπάμαι",
        "Η μυρωδιά είναι υπερβολικά έντονη",
        "Ελαφριά κρέμα, την αγόρασα ξανά",
    ],
    "ru": [
        "Очень красивый цвет, держится весь день",
        "К сожалению, пришла сломанная",
        "Слишком сильный запах, больше не куплю",
        "Отличный крем, кожа мягкая",
    ],
    "th": [
        "สีสวยมาก ติดทนทั้งวัน",
        "เสียดายที่ของแตกมา",
        "กลิ่นแรงเกินไป",
        "เนื้อครีมบางเบา ชอบมาก",
    ],
    "zh": [
        "颜色很美，就是有点干",
        "包装破损，客服态度不好",
        "味道太浓了，不推荐",
        "质地轻薄，很喜欢",
    ],
    "ja": [
        "色がとてもきれいで一日中持ちます",
        "残念ながら壊れて届きました",
        "香りが強すぎて合いませんでした",
        "軽い付け心地で大好きです",
    ],
    "ko": [
        "색이 정말 예쁘고 하루 종일 지속돼요",
        "아쉽게도 깨져서 왔어요",
        "향이 너무 강해서 별로예요",
        "가볍고 촉촉해서 좋아요",
    ],
}
SENTENCES = REVIEWS | {
    "cs": ["Krásná barva, drží celý den", "Bohužel přišla zlomená", "Příliš silná vůně, škoda"],
    "hu": ["Gyönyörű szín, egész nap tart", "Túl erős az illata", "Könnyű krém, bársonyos bőr"],
    "sv": ["Jättefin färg, håller hela dagen", "Tyvärr kom den trasig", "För stark doft på mig"],
    "es": ["Color precioso, dura todo el día", "Por desgracia llegó roto", "Crema ligera, mañana"],
    "he": ["צבע יפה מאוד, מחזיק כל היום", "לצערי הגיע שבור", "קרם קליל, העור רך"],
    "uk": ["Дуже гарний колір, тримається день", "На жаль, прийшла зламана", "Шкіра м'яка і ніжна"],
}
# Language → what programs in its countries write it in.
ENCODINGS = {
    "fr": ["cp1252", "iso8859_15", "mac_roman", "cp850"],
    "de": ["cp1252", "iso8859_1", "mac_roman", "cp850"],
    "es": ["cp1252", "mac_roman", "cp850"],
    "sv": ["cp1252", "mac_roman", "cp850"],
    "pl": ["cp1250", "iso8859_2", "cp852", "mac_latin2"],
    "cs": ["cp1250", "iso8859_2", "cp852", "mac_latin2"],
    "hu": ["cp1250", "iso8859_2", "cp852", "mac_latin2"],
    "tr": ["cp1254", "iso8859_9", "cp857"],
    "ru": ["cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic", "utf_16_le"],
    "uk": ["cp1251", "koi8_u", "iso8859_5", "utf_16_be"],
    "el": ["cp1253", "iso8859_7", "cp737", "mac_greek", "utf_16_le"],
    "he": ["cp1255", "iso8859_8", "cp862"],
    "th": ["cp874", "tis_620", "utf_16_le", "utf_32_be"],
    "zh": ["gb18030", "gbk", "utf_16_le", "utf_16_be", "hz"],
    "ja": ["cp932", "euc_jp", "iso2022_jp", "utf_16_le"],
    "ko": ["cp949", "euc_kr", "iso2022_kr", "utf_16_le"],
}

# Those that say everything themselves, and those that need others beside them.
PLAIN_DATE_FORMS = [
    *("%Y-%m-%d", "%Y/%m/%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y%m%d"),
    *("%d %B %Y", "%B %d, %Y", "%d-%b-%Y", "%a, %d %b %Y %H:%M:%S +0000", "%d.%m.%Y"),
]
DATE_FORMS = [
    *PLAIN_DATE_FORMS,
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%y-%m-%d"),
    *("%y.%m.%d", "%d/%m/%Y %H:%M", "%H:%M", "%A"),
]


def ratings(value: float, top: int) -> list[list[tuple[str, float | None]]]:
    """Return lists of a notation of ``value`` of ``top``, each with the scale that it says."""
    short = f"{value:g}"
    comma = short.replace(".", ",")
    plain: list[tuple[str, float | None]] = [
        *((short, None), (comma, None), (f"{value:.1f}", None), (f" {value:.2f} ", None)),
        *((f"{short} stars", None), (f"{comma} Sterne", None), (f"{short}星", None)),
    ]
    scaled: list[tuple[str, float | None]] = [
        *((f"{short}/{top}", top), (f"{comma} / {top}", top), (f"{short} out of {top}", top)),
        *((f"{comma} von {top}", top), (f"{short} out of {top} stars", top)),
        *((f"Rated {short} out of {top}", top), (f"{short} ({top})", None)),
    ]
    kinds = [plain, scaled]
    if top == 5:
        full, half = divmod(value, 1)
        hollow = int(top - full - bool(half))
        drawn = "★" * int(full) + "½" * bool(half) + "☆" * hollow
        kinds.append([(drawn, top)] if drawn else [])
    if top == 100:
        kinds.append([(f"{short}%", 100), (f"{comma} %", 100)])
    return kinds


class Product(NamedTuple):
    """A product of a shop with one variant."""

    sku: str
    name: str
    pictures: tuple[str, ...]


_NAMES = ["Café noir", "Robe d'été", "Häkel-Top", "Tops & Co", "Kleid", "50 % off", "裙子"]
PRODUCTS = st.lists(
    st.tuples(st.sampled_from(_NAMES), st.integers(1, 3)), min_size=1, max_size=5
).map(
    lambda drawn: [
        Product(f"S{place}", name, tuple(f"{place} {name} {shot}.jpg" for shot in range(count)))
        for place, (name, count) in enumerate(drawn)
    ]
)


def shop_export(products: Sequence[Product], system: str) -> str:
    """Return the products as a shop system exports them: percent-encoded, escaped twice."""
    rows: list[dict[str, str]] = []
    for product in products:
        addresses = [f"https://x/media/{quote(picture)}?v=1" for picture in product.pictures]
        name = html.escape(html.escape(product.name))
        if system == "woocommerce":
            row = {"SKU": product.sku, "Name": name, "Regular price": "9", "Description": "a"}
            rows.append({**row, "Images": ", ".join(addresses)})
            continue
        for place, address in enumerate(addresses, 1):
            row = {
                "Handle": product.sku.lower(),
                "Image Src": address,
                "Image Position": str(place),
            }
            own = {"Title": name, "Variant SKU": product.sku, "Variant Price": "9"}
            rows.append({**row, **(own if place == 1 else dict.fromkeys(own, ""))})
    header = tuple(rows[0])
    return delimited(Known(header, [tuple(row[n] for n in header) for row in rows]), Dialect())
