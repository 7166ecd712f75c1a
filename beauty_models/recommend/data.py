"""ingest: product tables and picture files → items with captions.

They are in a train, a validation and a frozen test part, split by product.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import images, products, splits, tables
from beauty_models.intake.images import Files, PerceptualHash
from beauty_models.intake.pictures import Decoded, decode, write_parts
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.intake.text import language
from beauty_models.progress import log_line
from beauty_models.recommend import Ingest
from beauty_models.recommend.captions import Caption, captions
from beauty_models.recommend.rows import REQUIRED_FIELDS, Row, Tables, join_variants, read_tables

# Of two equal pictures the one in the earlier part stays: the test part changes least.
PARTS = ["test", "validation", "train"]

CAPTION = pa.struct(
    [
        ("kind", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("product", pa.string()),
        ("skus", pa.list_(pa.string())),
        ("name", pa.string()),
        ("category", pa.string()),
        ("color", pa.string()),
        ("material", pa.string()),
        ("price", pa.float64()),
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("captions", pa.list_(CAPTION)),
        ("image", pa.string()),
    ]
)
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


class Item(TypedDict):
    """One picture of one product: the columns of `SCHEMA`."""

    key: str
    product: str
    skus: list[str]
    name: str
    category: str | None
    color: str | None
    material: str | None
    price: float | None
    attributes: list[tuple[str, str]]
    captions: list[Caption]
    image: str


def ingest(
    *,
    raw: Path,
    data: Path,
    params: Ingest,
) -> Metrics:
    """Read every table and picture of ``raw``; write the shards and ``schema.json`` to ``data``.

    A table with SKUs and a name, a description or a picture holds products; one with sku and
    linked_sku relations, whose kind is the file's name; one with shopper and sku histories; one
    with query and sku search texts. An item of ``train``, ``validation`` and ``test.parquet`` is
    one picture of one product with the columns of `SCHEMA`; sizes that share the picture share the
    item. Its key is its picture's. The pictures are in ``<part>.images-*.arrow``, those that no row
    names in ``unlabelled``. ``test.relations``, ``test.histories`` and ``test.queries.parquet``
    serve evaluation, ``rejected.parquet`` has file, row, reason and text. Items are in the order of
    their keys; the same files give the same bytes.

    Raises:
        ValueError: a file cannot be read or is of no kind, too many rows are rejected, or a part
            would be empty.
    """
    shop = read_tables(raw, params.columns)
    files = Files(raw)
    rows = join_variants(shop["products"])
    # every row that is left out keeps its reason; the steps below add to `Row.reason`
    _find_pictures(rows, files)
    # in one order: the same files give the same bytes
    named = sorted({row.picture for row in rows if row.picture})
    unnamed = _unnamed_pictures(files, named, params)
    with new_folder(data) as folder:
        decoded = decode(files, named + unnamed, folder, params.pictures)
        _reject_pictures(rows, decoded, params)
        parts = _assign_parts(rows, params)
        items = _items_by_part(rows, parts, decoded, params)
        evaluation = _evaluation_tables(shop, rows, parts)
        unreadable = _unreadable_pictures(unnamed, decoded, raw)
        # all is known now, and nothing is written yet: a bad delivery leaves no data folder
        rejected = _rejected(rows, shop, unreadable)
        share = _largest_rejected_share(rows, shop, len(unreadable), len(unnamed))
        check_rejected(rejected, share, params.max_rejected, data)
        _check_parts(items, params)
        unlabelled = _unlabelled(unnamed, items, decoded, params)
        _write(folder, items, unlabelled, evaluation, rejected)
        write_json(folder / "schema.json", _schema(raw, items))
    counts = {
        "rows": len(rows),
        "rejected": len(rejected),
        "repeated_rows": len(shop["products"]) - len(rows),
        "products": len(parts),
    }
    return _reported(counts | _item_counts(items, unlabelled) | _table_counts(evaluation))


def _reported(counts: dict[str, int]) -> Metrics:
    parts = [f"{count:,} {name}" for name, count in counts.items()]
    log_line(f"ingest: {', '.join(parts)}")
    return {name: float(count) for name, count in counts.items()}


def _item_counts(items: dict[str, list[Item]], unlabelled: list[str]) -> dict[str, int]:
    by_part = {part: len(part_items) for part, part_items in items.items()}
    captions_ = 0
    for part_items in items.values():
        captions_ += sum(len(item["captions"]) for item in part_items)
    total = {"items": sum(by_part.values()), "captions": captions_}
    return total | by_part | {"unlabelled": len(unlabelled)}


def _table_counts(evaluation: dict[str, pa.Table]) -> dict[str, int]:
    return {name.removeprefix("test."): table.num_rows for name, table in evaluation.items()}


def _find_pictures(rows: list[Row], files: Files) -> None:
    """Give each row its picture file; reject those without one.

    A product's own row needs none where its variants have the pictures.
    """
    # a configurable product of Magento is a row of its own and may have no picture
    has_variants = {row.product for row in rows if row.product != row.sku}
    for row in rows:
        if row.reason:
            continue
        reference = row.cells["image"]
        row.picture = files.find(reference) if reference else None
        is_parent = row.sku == row.product and row.sku in has_variants
        if row.picture is None and not is_parent:
            row.reason = f"no picture file {reference}" if reference else "no picture is named"


def _unnamed_pictures(
    files: Files,
    named: list[Path],
    params: Ingest,
) -> list[Path]:
    """Return the picture files that no row names, where there is a training part to use them."""
    if not params.split.train:
        return []
    known = set(named)
    return [path for path in files.all() if path not in known]


def _reject_pictures(
    rows: list[Row],
    decoded: Decoded,
    params: Ingest,
) -> None:
    """Reject rows with a bad picture or another product's.

    Rows with a copy of a picture of their own product in the same color share that picture.
    """
    good: list[tuple[Row, str]] = []
    for row in rows:
        if row.picture is None or row.reason:
            continue
        if row.picture in decoded.faults:
            row.reason = decoded.faults[row.picture]
        else:
            good.append((row, decoded.keys[row.picture]))
    first_row = _first_rows(good, params)
    original = _originals(list(first_row), decoded.hashes, params)
    for row, key in good:
        # the very same file counts before a copy that only looks the same
        owner = first_row[key]
        if owner.product == row.product:
            owner = first_row[original[key]]
        if owner.product != row.product:
            row.reason = f"its picture is that of {owner.sku} ({owner.file}, row {owner.row})"
        elif owner.texts["color"] == row.texts["color"]:
            # sizes of one color, photographed once and saved twice: one item
            row.picture = owner.picture


def _first_rows(rows: list[tuple[Row, str]], params: Ingest) -> dict[str, Row]:
    """Return picture → the row that keeps it, of ``rows`` and their pictures."""
    # by part first: when a training product shows a test product's picture, the test one keeps it
    part = {}
    for row, _ in rows:
        part[row.product] = PARTS.index(_part(row.product, params))

    def precedence(candidate: tuple[Row, str]) -> tuple[int, str, str]:
        row, _ = candidate
        return part[row.product], row.product, row.sku

    first_row: dict[str, Row] = {}
    for row, key in sorted(rows, key=precedence):
        first_row.setdefault(key, row)
    return first_row


def _originals(
    keys: list[str],
    hashes: dict[str, PerceptualHash],
    params: Ingest,
) -> dict[str, str]:
    """Return, for each of the pictures ``keys``, the first one that it is a copy of, or itself."""
    repeats = images.near_duplicates([hashes[key] for key in keys], params.pictures)
    original = {}
    for key, match in zip(keys, repeats, strict=True):
        original[key] = keys[match] if match >= 0 else key
    return original


def _part(product: str, params: Ingest) -> str:
    # by a hash of the name: a product stays in its part when others come and go
    return splits.part(params.split, f"product {tables.plain(product)}", params.seed)


def _assign_parts(rows: list[Row], params: Ingest) -> dict[str, str]:
    """Return product → part for products that have an item, ``params.limit`` at most."""
    with_items = {row.product for row in rows if row.picture and not row.reason}
    # chosen by a hash of the name: a new delivery keeps the products of the one before
    order = sorted(with_items, key=lambda product: hashlib.sha256(product.encode()).digest())
    chosen = order[: params.limit or len(order)]
    return {product: _part(product, params) for product in chosen}


def _items_by_part(
    rows: list[Row],
    parts: dict[str, str],
    decoded: Decoded,
    params: Ingest,
) -> dict[str, list[Item]]:
    """Return part → its items, one per picture, in the order of their keys."""
    colors = set[str]()
    for row in rows:
        colors.update(row.texts["color"])
    rows_of: dict[str, list[Row]] = defaultdict(list)  # picture → its rows
    for row in rows:
        if row.picture and not row.reason and row.product in parts:
            key = decoded.keys[row.picture]
            rows_of[key].append(row)
    items: dict[str, list[Item]] = {part: [] for part in PARTS}
    for key in sorted(rows_of):
        # no two products share a picture by now
        part = parts[rows_of[key][0].product]
        item = _item(key, rows_of[key], params, sorted(colors))
        items[part].append(item)
    return items


def _item(
    key: str,
    rows: list[Row],
    params: Ingest,
    colors: list[str],
) -> Item:
    """Return the item of ``rows``, which share one picture.

    It has what they agree on, and all their SKUs but their product's own.
    """
    rows = sorted(rows, key=lambda row: row.sku)
    first = rows[0]
    # a product's own row cannot be bought where it has variants
    variants = [row for row in rows if row.sku != row.product] or rows
    # sizes share an item: "size: M" is true of one of them only
    attributes = {}
    for name, value in variants[0].attributes.items():
        if all(row.attributes.get(name) == value for row in variants):
            attributes[name] = value
    color = variants[0].texts["color"]
    if any(row.texts["color"] != color for row in variants):
        color = []
    texts = first.texts | {
        "color": color,
        "name": [products.clean(name) for name in first.texts["name"]],
        "category": [products.category(cell) for cell in first.texts["category"]],
        "material": [products.clean(m).replace("|", ", ") for m in first.texts["material"]],
    }
    item_captions = captions(texts, attributes, colors, params.sentences, params.max_characters)
    prices = [products.price(row.cells["price"]) for row in variants]
    return {
        "key": key,
        "product": first.product,
        "skus": [row.sku for row in variants],
        # a product may have a description only
        "name": next(iter(texts["name"]), item_captions[0]["text"]),
        "category": next(iter(texts["category"]), None),
        "color": next(iter(color), None),
        "material": next(iter(texts["material"]), None),
        # the lowest, as shops write "from 10 €"
        "price": min((price for price in prices if price is not None), default=None),
        "attributes": sorted(attributes.items()),
        "captions": item_captions,
        "image": key,
    }


def _evaluation_tables(
    shop: Tables,
    rows: list[Row],
    parts: dict[str, str],
) -> dict[str, pa.Table]:
    """Return the tables of evaluation; a row that names no product with an item is rejected."""
    product_of = {row.product: row.product for row in rows}
    color_of: dict[str, str | None] = {}
    for row in reversed(rows):  # of two rows with one SKU the first counts
        product_of[row.sku] = row.product
        if row.sku != row.product:
            color_of[row.sku] = next(iter(row.texts["color"]), None)
    good: Tables = {}
    for kind in REQUIRED_FIELDS:
        _reject_unknown_products(shop[kind], product_of, parts)
        good[kind] = [row for row in shop[kind] if not row.reason]
    return {
        "test.relations": _relations(good["relations"], product_of, parts),
        "test.histories": _histories(good["histories"], product_of),
        "test.queries": _queries(good["queries"], product_of, color_of, parts),
    }


def _reject_unknown_products(
    rows: list[Row],
    product_of: dict[str, str],
    parts: dict[str, str],
) -> None:
    for row in rows:
        if row.reason:
            continue
        for name in ("sku", "linked"):
            if name in row.cells and product_of.get(row.cells[name]) not in parts:
                row.reason = f"no product with a picture has the SKU {row.cells[name]!r:.60}"


def _relations(
    rows: list[Row],
    product_of: dict[str, str],
    parts: dict[str, str],
) -> pa.Table:
    """Return what the shop links with the products of the test part, each link once."""
    links = set()
    for row in rows:
        product = product_of[row.sku]
        linked = product_of[row.cells["linked"]]
        # a shop may link two variants of one product
        if parts[product] == "test" and product != linked:
            links.add((Path(row.file).stem, product, linked))
    return _table(sorted(links), RELATIONS)


def _histories(rows: list[Row], product_of: dict[str, str]) -> pa.Table:
    """Return each shopper's products in the order of their dates, undated ones first."""
    purchases: dict[str, list[tuple[Any, int, str]]] = defaultdict(list)
    dates = tables.dates([row.cells.get("date", "") for row in rows])
    for number, (row, date) in enumerate(zip(rows, dates, strict=True)):
        # the row number breaks ties: of one day's purchases the file's order is kept
        purchase = (date or pd.Timestamp.min, number, product_of[row.sku])
        purchases[row.cells["shopper"]].append(purchase)
    histories = []
    for shopper, dated in sorted(purchases.items()):
        histories.append((shopper, [product for _, _, product in sorted(dated)]))
    return _table(histories, HISTORIES)


def _queries(
    rows: list[Row],
    product_of: dict[str, str],
    color_of: dict[str, str | None],
    parts: dict[str, str],
) -> pa.Table:
    """Return what people searched and the products of the test part that it should find."""
    searches = set()
    for row in rows:
        product = product_of[row.sku]
        if parts[product] == "test":
            text = products.clean(row.cells["query"])
            searches.add((text, product, color_of.get(row.sku)))
    queries = []
    for text, product, color in sorted(searches, key=str):  # as text, for a color may be None
        queries.append((text, language(text), product, color))
    return _table(queries, QUERIES)


def _table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    columns = [[row[place] for row in rows] for place in range(len(schema))]
    return pa.table(columns, schema=schema)


def _unreadable_pictures(
    unnamed: list[Path],
    decoded: Decoded,
    raw: Path,
) -> list[Rejected]:
    """Return the pictures that no row names and that could not be used."""
    unreadable = []
    for path in unnamed:
        if path in decoded.faults:
            name = path.relative_to(raw).as_posix()
            unreadable.append(Rejected(name, 0, decoded.faults[path], ""))
    return unreadable


def _rejected(
    rows: list[Row],
    shop: Tables,
    unreadable: list[Rejected],
) -> list[Rejected]:
    rejected = []
    for kind_rows in (rows, *(shop[kind] for kind in REQUIRED_FIELDS)):
        for row in kind_rows:
            if row.reason:
                rejected.append(Rejected(row.file, row.row, row.reason, row.excerpt))
    return rejected + unreadable


def _largest_rejected_share(
    rows: list[Row],
    shop: Tables,
    unreadable: int,
    unnamed: int,
) -> float:
    """Return the largest share that is rejected of any kind of rows, or of the unnamed pictures.

    Over all kinds together a broken table of queries would hide behind many good products.
    """
    shares = [unreadable / max(1, unnamed)]
    for kind_rows in (rows, *(shop[kind] for kind in REQUIRED_FIELDS)):
        if kind_rows:
            rejected = [row for row in kind_rows if row.reason]
            shares.append(len(rejected) / len(kind_rows))
    return max(shares)


def _check_parts(items: dict[str, list[Item]], params: Ingest) -> None:
    total = sum(map(len, items.values()))
    if not total:
        raise ValueError(
            "no product has both a picture and a text; rejected rows say why: look at the columns "
            "image, name and description"
        )
    # a small shop may leave a part empty by chance; a share of 0 asks for that
    for part, share in params.split.model_dump().items():
        if share and not items[part]:
            raise ValueError(
                f"none of the {total} items falls into {part} ({share:.0%}); more products or "
                "another ingest.split is needed"
            )


def _unlabelled(
    unnamed: list[Path],
    items: dict[str, list[Item]],
    decoded: Decoded,
    params: Ingest,
) -> list[str]:
    """Return the keys of the pictures that no row names, without copies.

    A copy of an item's picture would bring a test picture into training.
    """
    item_keys: set[str] = set()
    for part_items in items.values():
        item_keys.update(item["image"] for item in part_items)
    readable = {decoded.keys[path] for path in unnamed if path in decoded.keys}
    spare = sorted(readable - item_keys)
    original = _originals([*sorted(item_keys), *spare], decoded.hashes, params)
    return [key for key in spare if original[key] == key]


def _write(
    folder: Path,
    items: dict[str, list[Item]],
    unlabelled: list[str],
    evaluation: dict[str, pa.Table],
    rejected: list[Rejected],
) -> None:
    # part → keys of the pictures that stand in its shards
    pictures = {"unlabelled": unlabelled}
    for part, part_items in items.items():
        table = pa.Table.from_pylist(part_items, SCHEMA)
        pq.write_table(table, folder / f"{part}.parquet")
        pictures[part] = [item["image"] for item in part_items]
    for name, table in evaluation.items():
        pq.write_table(table, folder / f"{name}.parquet")
    table = pa.table({"image": pa.array(unlabelled, pa.string())})
    pq.write_table(table, folder / "unlabelled.parquet")
    pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
    write_parts(folder, pictures)


def _schema(raw: Path, items: dict[str, list[Item]]) -> dict[str, Any]:
    # what was asked of a model: two models compare only where this is the same
    lines = [f"{item['key']} {item['product']}\n" for item in items["test"]]
    test = "".join(lines)
    return {
        "rows": {part: len(part_items) for part, part_items in items.items()},
        "split_sha256": hashlib.sha256(test.encode()).hexdigest(),
        **about(raw),
    }
