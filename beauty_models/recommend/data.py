"""ingest: product tables and picture files → items with captions.

They are in a train, a validation and a frozen test part, split by product.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account, archives, public_sets, splits
from beauty_models.intake.counts import as_metrics
from beauty_models.intake.images import Files
from beauty_models.intake.pictures import decode, write_parts
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.recommend import Ingest
from beauty_models.recommend.evaluation_tables import evaluation_tables
from beauty_models.recommend.items import SCHEMA, Items, items_by_part
from beauty_models.recommend.product_pictures import (
    find_pictures,
    parts_of,
    reject_pictures,
    unlabelled_pictures,
    unnamed_pictures,
    unreadable_pictures,
)
from beauty_models.recommend.public_products import public_tables
from beauty_models.recommend.rows import REQUIRED_FIELDS, Row, Tables, join_variants, read_tables


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
    serve evaluation, ``rejected.parquet`` has file, row, reason and text, ``account.json`` what was
    counted and guessed. Items are in the order of their keys; the same files give the same bytes.
    Of a public set (`public_sets`) each photo is an item, in the part that it was delivered for.

    Raises:
        ValueError: a file cannot be read or is of no kind, too many rows are rejected, or a part
            would be empty.
    """
    with (
        account.opened("recommend", raw, params.reading) as book,
        archives.as_folders(raw, data) as book.raw,
    ):
        return _ingest(book.raw, data, params, book)


def _ingest(raw: Path, data: Path, params: Ingest, book: account.Account) -> Metrics:
    """As `ingest`, which opens the account ``book`` for it."""
    files = Files(raw)
    public_set = public_sets.recognize(raw)
    if public_set:
        shop = public_tables(public_set, files)
    else:
        shop = read_tables(raw, params.columns, params.reading.prices)
    joined = join_variants(shop["products"])
    # every row that is left out keeps its reason; the steps below add to `Row.reason`
    rows = find_pictures(joined, files)
    # in one order: the same files give the same bytes
    named = sorted({row.picture for row in rows if row.picture})
    # of a public set they are left aside
    unnamed = [] if public_set else unnamed_pictures(files, named, params)
    with new_folder(data) as folder:
        decoded = decode(named + unnamed, folder, params.pictures)
        reject_pictures(rows, decoded, params)
        parts = _assign_parts(rows, params)
        items = items_by_part(rows, parts, decoded, params)
        evaluation = evaluation_tables(shop, rows, parts)
        unreadable = unreadable_pictures(unnamed, decoded, raw)
        # all is known now, and nothing is written yet: a bad delivery leaves no data folder
        rejected = _rejected(rows, shop) + unreadable
        share = _largest_rejected_share(rows, shop, len(unreadable), len(unnamed))
        check_rejected(rejected, share, params.max_rejected, data)
        _check_parts(items, params)
        unlabelled = unlabelled_pictures(unnamed, items, decoded, params)
        _write(folder, items, unlabelled, evaluation, rejected)
        write_json(folder / "schema.json", _schema(raw, items))
        repeated = len(shop["products"]) - len(joined)
        _settle_rows(book, shop, rows, repeated, parts)
        _settle_pictures(book, len(unnamed), len(unlabelled), unreadable)
        book.write(folder, data)
    counts = {
        "rows": len(joined),
        "rejected": len(rejected),
        "repeated_rows": repeated,
        "products": len(parts),
        **_item_counts(items),
        "unlabelled": len(unlabelled),
        **_table_counts(evaluation),
    }
    return as_metrics(counts)


def _settle_rows(
    book: account.Account, shop: Tables, rows: list[Row], repeated: int, parts: dict[str, str]
) -> None:
    """Say in the account what became of the rows of each kind of table."""
    beyond = 0
    for row in rows:
        # Where its product has no item at all, the row only describes its variants.
        chosen = row.product in parts or row.picture is None
        beyond += not row.reason and not chosen
    dropped = {
        "another row has it, word for word or in another language": repeated,
        "beyond ingest.limit": beyond,
    }
    sizes = {"products": len(parts)}
    kinds = {"product rows and further pictures": rows}
    kinds |= {f"rows of {kind}": shop[kind] for kind in REQUIRED_FIELDS if shop[kind]}
    for things, kind_rows in kinds.items():
        is_product = kind_rows is rows
        bad = [_as_rejected(row) for row in kind_rows if row.reason]
        read = len(kind_rows) + repeated * is_product
        out = dropped if is_product else {}
        kept = read - len(bad) - sum(out.values())
        parts_told = sizes if is_product else {}
        book.settle(things, read=read, kept=kept, dropped=out, rejected=bad, parts=parts_told)


def _settle_pictures(
    book: account.Account, unnamed: int, unlabelled: int, unreadable: list[Rejected]
) -> None:
    """Say in the account what became of the pictures that no row names."""
    if unnamed:
        copies = unnamed - unlabelled - len(unreadable)
        dropped = {"copies of others": copies}
        things = "pictures that no row names"
        book.settle(things, read=unnamed, kept=unlabelled, dropped=dropped, rejected=unreadable)


def _item_counts(items: Items) -> dict[str, int]:
    sizes = _sizes(items)
    captions = 0
    for part_items in items.values():
        captions += sum(len(item["captions"]) for item in part_items)
    return {"items": sum(sizes.values()), "captions": captions, **sizes}


def _sizes(items: Items) -> dict[str, int]:
    return {part: len(part_items) for part, part_items in items.items()}


def _table_counts(evaluation: dict[str, pa.Table]) -> dict[str, int]:
    return {name.removeprefix("test."): table.num_rows for name, table in evaluation.items()}


def _assign_parts(rows: list[Row], params: Ingest) -> dict[str, str]:
    """Return product → part for products that have an item, ``params.limit`` at most."""

    def by_hash(product: str) -> bytes:
        return hashlib.sha256(product.encode()).digest()

    with_items = {row.product for row in rows if row.picture and not row.reason}
    # chosen by a hash of the name: a new delivery keeps the products of the one before
    order = sorted(with_items, key=by_hash)
    chosen = order[: params.limit or len(order)]
    parts = parts_of(rows, params)
    return {product: parts[product] for product in chosen}


def _rows_by_kind(rows: list[Row], shop: Tables) -> Iterator[list[Row]]:
    """Yield the rows of products, then those of each other kind of table."""
    yield rows
    for kind in REQUIRED_FIELDS:
        yield shop[kind]


def _rejected(rows: list[Row], shop: Tables) -> list[Rejected]:
    rejected = []
    for kind_rows in _rows_by_kind(rows, shop):
        for row in kind_rows:
            if row.reason:
                rejected.append(_as_rejected(row))
    return rejected


def _as_rejected(row: Row) -> Rejected:
    return Rejected(row.file, row.row, row.reason, row.excerpt)


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
    for kind_rows in _rows_by_kind(rows, shop):
        if kind_rows:
            rejected = [row for row in kind_rows if row.reason]
            shares.append(len(rejected) / len(kind_rows))
    return max(shares)


def _check_parts(items: Items, params: Ingest) -> None:
    sizes = _sizes(items)
    if not sum(sizes.values()):
        raise ValueError(
            "no product has both a picture and a text; rejected rows say why: look at the columns "
            "image, name and description"
        )
    splits.check_filled(sizes, params.split, "items", "more products")


def _write(
    folder: Path,
    items: Items,
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


def _schema(raw: Path, items: Items) -> dict[str, Any]:
    test = [(item["key"], item["product"]) for item in items["test"]]
    return {
        "rows": _sizes(items),
        "split_sha256": splits.digest(test),
        **about(raw),
    }
