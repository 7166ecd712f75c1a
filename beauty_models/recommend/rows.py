"""The rows of a shop's tables: read, told apart by their kind, and joined to products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from beauty_models.intake import account, languages, products, shops, tables
from beauty_models.intake.columns import all_named, pick
from beauty_models.intake.images import SUFFIXES
from beauty_models.intake.products import Texts
from beauty_models.intake.records import texts_of
from beauty_models.progress import bar
from beauty_models.recommend import Columns
from beauty_models.recommend.captions import sentences
from beauty_models.recommend.prices import Price, prices

# Fields of which all columns are taken, one per language
MULTIPLE = ("name", "description", "category", "color", "material")
# What tells a table's kind; any other must be of products
REQUIRED_FIELDS = {
    "relations": {"sku", "linked"},
    "histories": {"sku", "shopper"},
    "queries": {"sku", "query"},
}
DESCRIBING_FIELDS = {"name", "description", "image"}  # a table of products has one of these
LONGEST_SAMPLE = 20_000  # characters by which a file's language is told
# Text field → the keys of the attribute list that stand in for it
FROM_ATTRIBUTES = {"color": ("color", "colour"), "material": ("material", "fabric")}


@dataclass
class Row:
    """A row of a table, good or bad."""

    file: str
    row: int
    cells: dict[str, str]  # field → value, of fields that have one column
    texts: Texts = field(default_factory=dict)  # of those in `MULTIPLE`
    attributes: dict[str, str] = field(default_factory=dict)
    price: Price | None = None
    product: str = ""
    picture: Path | None = None
    reason: str = ""  # why it is rejected
    excerpt: str = ""  # what shows people which row it is
    part: str = ""  # train, validation or test as a public set delivers it; "" is none

    @property
    def sku(self) -> str:
        """The row's SKU, "" where it has none."""
        return self.cells.get("sku", "")


Tables = dict[str, list[Row]]
"""Kind (products, relations, histories, queries) → the rows of all tables of that kind."""


def _kind(fields: set[str], description: str) -> str:
    """Return the kind of a table that has ``fields``.

    Raises:
        ValueError: it is of none; the message begins with ``description`` of the table.
    """
    for kind, required in REQUIRED_FIELDS.items():
        if required <= fields:
            return kind
    if "sku" in fields and fields & DESCRIBING_FIELDS:
        return "products"
    raise ValueError(
        f"{description}; a table of products needs sku and name, description or image, one of "
        "relations sku and linked, of histories shopper and sku, of queries query and sku: "
        "add the names with --map sku=COLUMN or to ingest.columns"
    )


def read_tables(raw: Path, columns: Columns, written_with: str = "auto") -> Tables:
    """Return the rows of all tables in ``raw``; of prices `prices` says ``written_with``.

    Raises:
        ValueError: a table cannot be read or is of no kind, or there is none of products.
    """
    rows: Tables = {kind: [] for kind in ("products", *REQUIRED_FIELDS)}
    descriptions = []
    files = tables.readable(raw, beside=SUFFIXES)
    with bar("ingest: read", len(files)) as progress:
        for file in files:
            progress.advance(note=file.name)
            try:
                table = tables.read(file, raw)
            except tables.EmptyTableError:
                # a shop without cross-sells exports the header all the same
                account.leave_aside("files", "no rows below the header", file)
                continue
            # Of an export the shop's module reads columns that no field has.
            is_export = shops.system_of(table.rows.columns) is not None
            table = table._replace(rows=shops.unified(table.rows, file))
            header = list(table.rows.columns)
            fields = pick(header, columns.model_dump())
            if not is_export:
                account.tell_columns(file, header, fields, columns.model_dump(), MULTIPLE)
            description = f"{file} has the columns {', '.join(header)}"
            descriptions.append(description)
            # by its columns: the names of files are the shop's own
            kind = _kind(set(fields), description)
            place = file.relative_to(raw).as_posix()
            rows[kind] += _rows(table, place, fields, columns, written_with)
    if not rows["products"]:
        raise ValueError(
            f"{raw}: no table of products in it, one with sku and name, description or image; "
            f"{'; '.join(descriptions) or 'no table at all'}"
        )
    return rows


def _rows(
    table: tables.Table,
    file: str,
    fields: dict[str, str],
    columns: Columns,
    written_with: str,
) -> Iterator[Row]:
    """Yield the good rows, then those that could not be read."""
    single = {name: column for name, column in fields.items() if name not in MULTIPLE}
    header = list(table.rows.columns)
    multiple = {}
    for name in MULTIPLE:
        multiple[name] = all_named(header, getattr(columns, name))
    # All at once: what one cell leaves open the others say.
    price_cells = list(table.rows[single["price"]]) if "price" in single else []
    column_prices = prices(price_cells, file, written_with) or [None] * len(table.rows)
    records = table.rows.to_dict("records")
    numbers = table.rows.index.tolist()
    for number, record, price in zip(numbers, records, column_prices, strict=True):
        cells = {name: record[column] for name, column in single.items()}
        texts: Texts = {}
        for name, known in multiple.items():
            values: list[str] = []
            for column in known:
                values += texts_of(record[column])
            # "®" or "<p></p>" is a cell that says nothing.
            texts[name] = [value for value in values if products.clean(value)]
        attributes = products.attributes(cells.get("attributes", ""))
        excerpt = _excerpt(cells, texts)
        yield Row(file, number, cells, texts, attributes, price, excerpt=excerpt)
    for number, reason, excerpt in table.rejected.to_numpy().tolist():
        empty: Texts = {name: [] for name in MULTIPLE}
        yield Row(file, number, {}, empty, reason=reason, excerpt=excerpt)


def _excerpt(cells: dict[str, str], texts: Texts) -> str:
    others = [cells.get(name, "") for name in ("linked", "shopper", "query")]
    return " ".join([cells.get("sku", ""), *texts["name"], *others]).strip()


def join_variants(rows: list[Row]) -> list[Row]:
    """Return ``rows`` without repeated ones, each with its product and the product's texts.

    What has no SKU, the SKU of another row, or no text that says anything is rejected.
    """
    kept, by_sku = _without_repeats(_joined_languages(rows))
    parent_of = {}
    for row in by_sku.values():
        for variant in products.variations(row.cells.get("variations", "")):
            if "sku" in variant:
                parent_of[variant["sku"]] = row.sku
    # what the shop says of a product itself, before its variants change anything
    own = {sku: replace(row) for sku, row in by_sku.items()}
    for row in kept:
        # a column of parents, or a list of variations in the parent's row, or a product by itself
        row.product = row.cells.get("parent", "") or parent_of.get(row.sku, "") or row.sku
        _inherit(row, own.get(row.product, row))
        said = row.texts["name"] or any(map(sentences, row.texts["description"]))
        if not said:
            row.reason = row.reason or "neither a name nor a description of a sentence"
    return kept


def _joined_languages(rows: list[Row]) -> list[Row]:
    """Return ``rows`` without those that are another file's products in another language.

    Meta and Google Merchant have a feed for each language, with the same ids and pictures. The
    first file's row gets the texts of both; what else they say, such as a price in another
    currency, is the first one's.
    """
    first_of: dict[str, Row] = {}
    repeats: dict[tuple[str, str], list[tuple[Row, Row]]] = {}  # file, first file → row, first row
    for row in rows:
        first = first_of.setdefault(row.sku, row)
        same_picture = first.cells.get("image") == row.cells.get("image")
        if row.sku and first.file != row.file and first.texts != row.texts and same_picture:
            repeats.setdefault((row.file, first.file), []).append((row, first))
    joined = set()
    for (file, first_file), pairs in repeats.items():
        own = _language([row for row, _ in pairs])
        other = _language([first for _, first in pairs])
        if own == other or languages.UNKNOWN in (own, other):
            continue
        account.guess(
            "languages",
            f"the products of {first_file} in another language",
            sure="likely",
            evidence=f"{own} and {other}; {len(pairs):,} SKUs and their pictures are the same",
            file=file,
        )
        for row, first in pairs:
            joined.add(id(row))
            for name in MULTIPLE:
                first.texts[name] = list(dict.fromkeys([*first.texts[name], *row.texts[name]]))
    return [row for row in rows if id(row) not in joined]


def _language(rows: list[Row]) -> str:
    """Return the language of the names and descriptions of ``rows``, all taken together."""
    texts = [text for row in rows for text in (*row.texts["name"], *row.texts["description"])]
    return languages.text_language(" ".join(texts)[:LONGEST_SAMPLE])


def _without_repeats(rows: list[Row]) -> tuple[list[Row], dict[str, Row]]:
    """Return ``rows`` without those that say the same twice, and SKU → its first row.

    A row whose SKU another one has, with something else in it, is rejected.
    """
    kept = []
    by_sku: dict[str, Row] = {}
    for row in rows:
        if not row.sku:
            row.reason = row.reason or "no SKU"
        first = row if row.reason else by_sku.setdefault(row.sku, row)
        if first is not row:
            # exports that were put together from several repeat rows word for word
            if (first.cells, first.texts) == (row.cells, row.texts):
                continue
            row.reason = f"{first.file}, row {first.row} has this SKU, too"
        kept.append(row)
    return kept, by_sku


def _inherit(row: Row, product: Row) -> None:
    """Give ``row`` what its product says where the row itself says nothing."""
    texts = product.texts
    inherited: Texts = {name: row.texts[name] or texts[name] for name in MULTIPLE}
    # a variant's own name is often the product's with size and color: "Mona Hoodie-S-Green"
    inherited["name"] = texts["name"] or row.texts["name"]
    row.attributes = product.attributes | row.attributes
    for name, keys in FROM_ATTRIBUTES.items():
        if not inherited[name]:
            inherited[name] = [row.attributes[key] for key in keys if key in row.attributes]
    row.texts = inherited
    # A price of its own that nobody understands is not its product's.
    if not row.cells.get("price"):
        row.price = product.price
    image = row.cells.get("image") or product.cells.get("image", "")
    row.cells = row.cells | {"image": image}
