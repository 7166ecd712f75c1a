"""What evaluation asks of the test part: the shop's links, shoppers' histories and searches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from beauty_models.intake import products, values
from beauty_models.intake.text import language
from beauty_models.recommend.rows import REQUIRED_FIELDS, Row, Tables

RELATIONS = pa.schema(
    [
        ("kind", pa.string()),
        ("product", pa.string()),
        ("other", pa.string()),
    ]
)
HISTORIES = pa.schema(
    [
        ("shopper", pa.string()),
        ("products", pa.list_(pa.string())),
    ]
)
QUERIES = pa.schema(
    [
        ("query", pa.string()),
        ("language", pa.string()),
        ("product", pa.string()),
        ("color", pa.string()),
    ]
)


class Catalogue(NamedTuple):
    """What the SKUs of the other tables stand for."""

    product_of: dict[str, str]  # SKU → product
    color_of: dict[str, str | None]  # SKU of a variant → its color
    part_of: dict[str, str]  # product → part, of products that have an item


def evaluation_tables(
    shop: Tables,
    rows: list[Row],
    parts: dict[str, str],
) -> dict[str, pa.Table]:
    """Return the tables of evaluation; a row that names no product with an item is rejected."""
    catalogue = _catalogue(rows, parts)
    good: Tables = {}
    for kind in REQUIRED_FIELDS:
        _reject_unknown_products(shop[kind], catalogue)
        good[kind] = [row for row in shop[kind] if not row.reason]
    return {
        "test.relations": _relations(good["relations"], catalogue),
        "test.histories": _histories(good["histories"], catalogue),
        "test.queries": _queries(good["queries"], catalogue),
    }


def _catalogue(rows: list[Row], parts: dict[str, str]) -> Catalogue:
    product_of = {row.product: row.product for row in rows}
    color_of: dict[str, str | None] = {}
    for row in reversed(rows):  # of two rows with one SKU the first counts
        product_of[row.sku] = row.product
        if row.sku != row.product:
            color_of[row.sku] = next(iter(row.texts["color"]), None)
    return Catalogue(product_of, color_of, parts)


def _reject_unknown_products(rows: list[Row], catalogue: Catalogue) -> None:
    for row in rows:
        if row.reason:
            continue
        for name in ("sku", "linked"):
            if name not in row.cells:
                continue
            sku = row.cells[name]
            if catalogue.product_of.get(sku) not in catalogue.part_of:
                row.reason = f"no product with a picture has the SKU {sku!r:.60}"


def _relations(rows: list[Row], catalogue: Catalogue) -> pa.Table:
    """Return what the shop links with the products of the test part, each link once."""
    links = set()
    for row in rows:
        product = catalogue.product_of[row.sku]
        linked = catalogue.product_of[row.cells["linked"]]
        # a shop may link two variants of one product
        if catalogue.part_of[product] == "test" and product != linked:
            kind = Path(row.file).stem
            links.add((kind, product, linked))
    return _table(sorted(links), RELATIONS)


def _histories(rows: list[Row], catalogue: Catalogue) -> pa.Table:
    """Return each shopper's products in the order of their dates, undated ones first."""
    purchases: dict[str, list[tuple[Any, int, str]]] = defaultdict(list)
    dates = values.dates([row.cells.get("date", "") for row in rows], [row.file for row in rows])
    days = dates.tolist()  # None where nothing is known
    for number, (row, date) in enumerate(zip(rows, days, strict=True)):
        product = catalogue.product_of[row.sku]
        # the row number breaks ties: of one day's purchases the file's order is kept
        purchase = (date or pd.Timestamp.min, number, product)
        purchases[row.cells["shopper"]].append(purchase)
    histories = []
    for shopper, dated in sorted(purchases.items()):
        bought = [product for _, _, product in sorted(dated)]
        histories.append((shopper, bought))
    return _table(histories, HISTORIES)


def _queries(rows: list[Row], catalogue: Catalogue) -> pa.Table:
    """Return what people searched and the products of the test part that it should find."""
    searches = set()
    for row in rows:
        product = catalogue.product_of[row.sku]
        if catalogue.part_of[product] == "test":
            text = products.clean(row.cells["query"])
            color = catalogue.color_of.get(row.sku)
            searches.add((text, product, color))
    queries = []
    for text, product, color in sorted(searches, key=str):  # as text, for a color may be None
        queries.append((text, language(text), product, color))
    return _table(queries, QUERIES)


def _table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    columns = []
    for place in range(len(schema)):
        columns.append([row[place] for row in rows])
    return pa.table(columns, schema=schema)
