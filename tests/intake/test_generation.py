"""Tables drawn from known values in all dialects: those values come out, or a reason does.

Never another value, never a traceback, never fewer rows without a word.
"""

from __future__ import annotations

import csv
import tempfile
import unicodedata
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import known as k
from hypothesis import given
from hypothesis import strategies as st

from beauty_models.intake import shops, tables, values
from beauty_models.intake.images import Files
from beauty_models.intake.products import clean

UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
PACKED = ["", "", ".gz", ".bz2", ".zst", ".zip"]


def written(folder: Path, name: str, content: bytes, suffix: str = "") -> Path:
    file = folder / f"{name}{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(k.packed(content, name, suffix))
    return file


@k.examples(150)
@given(
    known=k.known_tables(),
    dialect=k.DIALECTS,
    encoding=st.sampled_from(UNICODE),
    suffix=st.sampled_from(PACKED),
)
def test_delimited_text(
    known: k.Known, dialect: k.Dialect, encoding: str, suffix: str, tmp_path: Path
) -> None:
    content = k.delimited(known, dialect).encode(encoding)
    k.check(written(tmp_path, "a.csv", content, suffix), known, whole=True)


@k.examples(100)
@given(known=k.known_tables(), delimiter=st.sampled_from([",", ";", "\t", "|"]))
def test_text_without_quoting(known: k.Known, delimiter: str, tmp_path: Path) -> None:
    plain, text = k.without_quoting(known, delimiter)
    k.check(written(tmp_path, "a.tsv", text.encode()), plain, whole=False)


@k.examples(100)
@given(
    known=k.known_tables(),
    dialect=k.DIALECTS,
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONE]),
)
def test_text_with_backslashes(
    known: k.Known, dialect: k.Dialect, quoting: int, tmp_path: Path
) -> None:
    dialect = dialect._replace(doubled=False, quoting=quoting)
    content = k.delimited(known, dialect).encode()

    def same(cell: str) -> str:
        # Two backslashes are one where something else says that the file escapes by them. A UNC
        # path alone does not. Escaped one by one, \r and \n are two line ends.
        return k.one_line_end(cell).replace("\\\\", "\\").replace("\n\n", "\n")

    k.check(written(tmp_path, "a.csv", content), known, whole=False, same=same)


@k.examples(60)
@given(known=k.known_tables(), encoding=st.sampled_from(UNICODE), suffix=st.sampled_from(PACKED))
def test_json(known: k.Known, encoding: str, suffix: str, tmp_path: Path) -> None:
    for name, text in k.json_files(known).items():
        k.check(written(tmp_path, name, text.encode(encoding), suffix), known, whole=True)


@k.examples(40)
@given(known=k.known_tables())
def test_parquet(known: k.Known, tmp_path: Path) -> None:
    for content in k.parquet_files(known):
        k.check(written(tmp_path, "a.parquet", content), known, whole=True)


@k.examples(40)
@given(known=k.known_tables(), title=st.booleans(), gap=st.booleans())
def test_workbooks(known: k.Known, title: bool, gap: bool, tmp_path: Path) -> None:
    stars = known.header.index("stars")
    rows: list[list[object]] = [["All reviews"], []] if title else []
    rows.append(list(known.header))
    for row in known.rows:
        cells: list[object] = [cell or None for cell in row]
        cells[stars] = int(row[stars])
        rows += [cells, []] if gap else [cells]
    file = k.workbook(tmp_path / "a.xlsx", {"Reviews": rows})
    k.check(file, known, whole=True)


@k.examples(25)
@given(known=k.known_tables(), rating=st.integers(1, 5), shop=k.TEXT)
def test_folders_of_hive(known: k.Known, rating: int, shop: str, tmp_path: Path) -> None:
    value = " ".join(shop.split()) or "x"
    folders = f"rating={rating}/shop={quote(value, safe='')}"
    content = k.delimited(known, k.Dialect()).encode()
    file = written(tmp_path / folders, "part-0.csv", content)
    k.check(file, known, whole=True, raw=tmp_path, more=(str(rating), value))


@k.examples(80)
@given(known=k.known_tables(), data=st.data())
def test_stray_quotes_lose_no_row(known: k.Known, data: st.DataObject, tmp_path: Path) -> None:
    """Quotation marks anywhere in the texts of a file that quotes none: each row is there."""
    delimiter = data.draw(st.sampled_from([",", "\t", ";"]))
    plain, text = k.without_quoting(known, delimiter)
    lines = text.split("\n")
    for line in data.draw(st.lists(st.integers(1, len(plain.rows)), max_size=2)):
        place = data.draw(st.integers(0, len(lines[line])))
        lines[line] = lines[line][:place] + '"' + lines[line][place:]
    rows = [tuple(line.split(delimiter)) for line in lines[1:-1]]
    file = written(tmp_path, "a.csv", "\n".join(lines).encode())

    def same(cell: str) -> str:
        # Around a whole cell nobody knows whether they are text.
        return cell.replace('"', "").strip()

    k.check(file, k.Known(plain.header, rows), whole=False, same=same)


@k.examples(30)
@given(known=k.known_tables(), suffix=st.sampled_from(PACKED[2:]), share=st.floats(0.05, 0.999))
def test_a_packed_file_that_is_cut_off_stops(
    known: k.Known, suffix: str, share: float, tmp_path: Path
) -> None:
    content = k.packed(k.delimited(known, k.Dialect()).encode(), "a.csv", suffix)
    file = tmp_path / f"a.csv{suffix}"
    file.write_bytes(content[: int(share * len(content))])
    if tables.is_table(file):
        assert k.check(file, known, whole=False) == "stopped"


@k.examples(60)
@given(data=st.data(), language=st.sampled_from(sorted(k.ENCODINGS)))
def test_older_encodings(data: st.DataObject, language: str, tmp_path: Path) -> None:
    encoding = data.draw(st.sampled_from(k.ENCODINGS[language]))
    texts = data.draw(st.lists(st.sampled_from(k.SENTENCES[language]), min_size=3, max_size=9))
    rows = [(f"{number:03}", text, "4") for number, text in enumerate(texts)]
    known = k.Known(("id", "text", "stars"), rows)
    text = k.delimited(known, k.Dialect(delimiter=data.draw(st.sampled_from(",;\t"))))
    k.check(written(tmp_path, "a.csv", text.encode(encoding)), known, whole=False)


@k.examples(60)
@given(
    days=st.lists(st.datetimes(datetime(2021, 1, 1), datetime(2026, 11, 1)), max_size=20),
    form=st.sampled_from(k.DATE_FORMS),
)
def test_dates(days: list[datetime], form: str) -> None:
    given_days = [day.replace(hour=0, minute=0, second=0, microsecond=0) for day in days]
    read = values.dates([day.strftime(form) for day in given_days]).tolist()
    for day, answer in zip(given_days, read, strict=True):
        assert answer in (day, None), day.strftime(form)
    if form in k.PLAIN_DATE_FORMS:
        assert None not in read


@k.examples(150)
@given(stars=st.integers(0, 10), top=st.sampled_from([5, 10, 100]), data=st.data())
def test_ratings(stars: int, top: int, data: st.DataObject) -> None:
    value = min(stars, top) / 2 if top < 100 else stars * 10
    for cell, scale in data.draw(st.sampled_from(k.ratings(value, top))):
        read = values.parse_rating(cell)
        assert read is None or read == values.Rating(value, scale), cell


@k.examples(30)
@given(products=k.PRODUCTS, data=st.data())
def test_catalogues_of_shops(
    products: list[k.Product], data: st.DataObject, tmp_path: Path
) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for product in products:
        for picture in product.pictures:
            # A Mac takes accents apart.
            (folder / unicodedata.normalize("NFD", picture)).write_bytes(b"x")
    content = k.shop_export(products, data.draw(st.sampled_from(["shopify", "woocommerce"])))
    rows = shops.unified(tables.read(written(folder, "a.csv", content.encode())).rows)
    by_name = {str(column).casefold(): column for column in rows.columns}
    names = rows[by_name.get("title", by_name.get("name"))]
    pictures = rows[by_name.get("image", by_name.get("images"))]
    assert [clean(name) for name in names] == [product.name for product in products]
    assert rows[by_name["sku"]].tolist() == [product.sku for product in products]
    files = Files(folder)
    for product, cell in zip(products, pictures, strict=True):
        found, missing = files.find_all(cell)
        assert not missing
        said = [unicodedata.normalize("NFC", path.name) for path in found]
        assert said == list(product.pictures)
