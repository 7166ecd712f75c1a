"""ingest: product tables and picture files → items with captions in a train, a validation and a frozen test part, by product."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import images, products, splits, tables
from beauty_models.intake.images import Files, PerceptualHash
from beauty_models.intake.pictures import Decoded, decode, write_parts
from beauty_models.intake.products import Texts
from beauty_models.intake.provenance import ABOUT, about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.intake.text import language
from beauty_models.progress import bar, log_line
from beauty_models.recommend import Columns, Ingest
from beauty_models.recommend.captions import captions

PARTS = [
    "test",
    "validation",
    "train",
]  # of two equal pictures the one in the earlier part stays: the test part changes least
SEVERAL = (
    "name",
    "description",
    "category",
    "color",
    "material",
)  # fields of which all columns are taken
NEEDED = {
    "relations": {"sku", "linked"},
    "histories": {"sku", "shopper"},
    "queries": {"sku", "query"},
}  # what tells a table's kind
DESCRIBED = {"name", "description", "image"}  # a table with a SKU and one of these holds products

CAPTION = pa.struct([(name, pa.string()) for name in ("kind", "language", "text")])
SCHEMA = pa.schema(
    [("key", pa.string()), ("product", pa.string()), ("skus", pa.list_(pa.string()))]
    + [(name, pa.string()) for name in ("name", "category", "color", "material")]
    + [
        ("price", pa.float64()),
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("captions", pa.list_(CAPTION)),
        ("image", pa.string()),
    ]
)
RELATIONS = pa.schema([(name, pa.string()) for name in ("kind", "product", "other")])
HISTORIES = pa.schema([("shopper", pa.string()), ("products", pa.list_(pa.string()))])
QUERIES = pa.schema([(name, pa.string()) for name in ("query", "language", "product", "color")])

Item = dict[str, Any]
"""The columns of `SCHEMA`."""


@dataclass
class Row:
    """A row of a table, good or bad: ``cells`` has the fields of one column, ``texts`` those of several."""

    file: str
    row: int
    cells: dict[str, str]
    texts: Texts = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    product: str = ""
    picture: Path | None = None
    reason: str = ""
    excerpt: str = ""

    @property
    def sku(self) -> str:
        return self.cells.get("sku", "")


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every table and picture of ``raw`` and write the shards and ``schema.json`` to ``data``.

    A table with SKUs and a name, a description or a picture holds products; one with sku and linked_sku relations, whose kind
    is the file's name; one with shopper and sku histories; one with query and sku search texts. An item of ``train``,
    ``validation`` and ``test.parquet`` is one picture of one product with the columns of `SCHEMA`; sizes that share the picture
    share the item. Its key is its picture's. The pictures are in ``<part>.images-*.arrow``, those that no row names in
    ``unlabelled``. ``test.relations``, ``test.histories`` and ``test.queries.parquet`` serve evaluation, ``rejected.parquet``
    has file, row, reason and text. Items are in the order of their keys; the same files give the same bytes.

    Raises:
        ValueError: a file cannot be read or is of no kind, too many rows are rejected, or a part would be empty.
    """
    found, files = _read(raw, params.columns), Files(raw)
    rows = _join(found["products"])
    _find_pictures(rows, files)
    named = sorted({row.picture for row in rows if row.picture})
    spare = [path for path in files.all() if path not in set(named)] if params.split.train else []
    with new_folder(data) as folder:
        seen = decode(files, named + spare, folder, params.pictures)
        _doubt_pictures(rows, seen, params)
        good = [row for row in rows if row.picture and not row.reason]
        parts = {
            product: _part(product, params)
            for product in _limited({row.product for row in good}, params)
        }
        colours = sorted({colour for row in rows for colour in row.texts["color"]})
        items = {
            part: _items(
                [row for row in good if parts.get(row.product) == part], seen.keys, params, colours
            )
            for part in PARTS
        }
        extra = _evaluation(found, rows, parts)
        unread = [
            Rejected(path.relative_to(files.raw).as_posix(), 0, seen.faults[path], "")
            for path in spare
            if path in seen.faults
        ]
        kinds = [rows, *(found[kind] for kind in NEEDED)]
        rejected = [
            Rejected(row.file, row.row, row.reason, row.excerpt)
            for kind in kinds
            for row in kind
            if row.reason
        ] + unread
        shares = [sum(bool(row.reason) for row in kind) / len(kind) for kind in kinds if kind] + [
            len(unread) / max(1, len(spare))
        ]
        check_rejected(rejected, max(shares), params.max_rejected, data)
        _check_parts(items, params)
        unlabelled = _unlabelled(
            [seen.keys[path] for path in spare if path in seen.keys], items, seen.hashes, params
        )
        _write(folder, items, unlabelled, extra, rejected)
        write_json(folder / "schema.json", _schema(raw, items))
    counts = {
        "rows": len(rows),
        "rejected": len(rejected),
        "repeated_rows": len(found["products"]) - len(rows),
        "products": len(parts),
    }
    counts |= {
        "items": sum(map(len, items.values())),
        "captions": sum(len(item["captions"]) for part in items.values() for item in part),
    }
    counts |= {part: len(part_items) for part, part_items in items.items()} | {
        "unlabelled": len(unlabelled)
    }
    counts |= {name.removeprefix("test."): table.num_rows for name, table in extra.items()}
    log_line("ingest: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return {name: float(count) for name, count in counts.items()}


def _read(raw: Path, columns: Columns) -> dict[str, list[Row]]:
    """Return the rows of the tables of each kind: products, relations, histories, queries."""
    visible = (
        p
        for p in raw.rglob("*")
        if p.is_file() and not p.name.startswith(".") and p.name not in ABOUT
    )
    readable = sorted(p for p in visible if p.suffix.lower() in tables.SUFFIXES)
    found: dict[str, list[Row]] = {kind: [] for kind in ("products", *NEEDED)}
    there = []
    with bar("ingest: read", len(readable)) as progress:
        for file in readable:
            progress.advance(note=file.name)
            try:
                table = tables.read(file)
            except (
                tables.EmptyTableError
            ):  # a shop without cross-sells exports the header all the same
                log_line(f"{file}: left aside, no rows below the header")
                continue
            fields = tables.pick(list(table.rows.columns), columns.model_dump())
            there.append(f"{file} has the columns {', '.join(table.rows.columns)}")
            kind = next(
                (kind for kind, needed in NEEDED.items() if needed <= set(fields)), "products"
            )
            if kind == "products" and not ("sku" in fields and set(fields) & DESCRIBED):
                raise ValueError(
                    f"{there[-1]}; a table of products needs sku and name, description or image, one of relations sku and linked, "
                    "of histories shopper and sku, of queries query and sku: add the names with --map sku=COLUMN or to ingest.columns"
                )
            found[kind] += _rows(table, file.relative_to(raw).as_posix(), fields, columns)
    if not found["products"]:
        raise ValueError(
            f"{raw}: no table of products in it, one with sku and name, description or image; {'; '.join(there) or 'no table at all'}"
        )
    return found


def _rows(
    table: tables.Table, file: str, fields: dict[str, str], columns: Columns
) -> Iterator[Row]:
    """Yield the good rows, then those that could not be read."""
    single = {name: column for name, column in fields.items() if name not in SEVERAL}
    several = {
        name: products.columns(list(table.rows.columns), getattr(columns, name)) for name in SEVERAL
    }
    for number, record in zip(
        table.rows.index.tolist(), table.rows.to_dict("records"), strict=True
    ):
        cells = {name: record[column] for name, column in single.items()}
        texts = {
            name: [record[column] for column in known if record[column]]
            for name, known in several.items()
        }
        excerpt = " ".join(
            [
                cells.get("sku", ""),
                *texts["name"],
                *(cells.get(name, "") for name in ("linked", "shopper", "query")),
            ]
        ).strip()
        yield Row(
            file,
            number,
            cells,
            texts,
            products.attributes(cells.get("attributes", "")),
            excerpt=excerpt,
        )
    for number, reason, excerpt in table.rejected.to_numpy().tolist():
        yield Row(file, number, {}, {name: [] for name in SEVERAL}, reason=reason, excerpt=excerpt)


def _join(rows: list[Row]) -> list[Row]:
    """Return ``rows`` without repeated ones: variants know their product, have its texts, and what has no SKU or no text is doubted."""
    first: dict[str, Row] = {}
    kept = []
    for row in rows:
        other = first.setdefault(row.sku, row) if row.sku and not row.reason else row
        if other is row or (other.cells, other.texts) != (row.cells, row.texts):
            row.reason = (
                row.reason
                or ("" if other is row else f"{other.file}, row {other.row} has this SKU, too")
                or ("" if row.sku else "no SKU")
            )
            kept.append(row)
    listed = {
        one["sku"]: row.sku
        for row in first.values()
        for one in products.variations(row.cells.get("variations", ""))
        if "sku" in one
    }
    own = {row.sku: (row.texts, row.values, row.cells) for row in first.values()}
    for row in kept:
        row.product = row.cells.get("parent", "") or listed.get(row.sku, "") or row.sku
        texts, values, cells = own.get(row.product, (row.texts, row.values, row.cells))
        row.texts = {name: row.texts[name] or texts[name] for name in SEVERAL} | {
            "name": texts["name"] or row.texts["name"]
        }
        row.values = values | row.values
        row.cells = row.cells | {
            name: row.cells.get(name) or cells.get(name, "") for name in ("image", "price")
        }
        for name, known in {
            "color": ("color", "colour"),
            "material": ("material", "fabric"),
        }.items():
            row.texts[name] = row.texts[name] or [
                row.values[key] for key in known if key in row.values
            ]
        if not row.texts["name"] and not row.texts["description"]:
            row.reason = row.reason or "neither a name nor a description"
    return kept


def _find_pictures(rows: list[Row], files: Files) -> None:
    """Give each row its picture file, and doubt those without one, but for a product's own row, whose variants have the pictures."""
    above = {row.product for row in rows if row.product != row.sku}
    for row in [row for row in rows if not row.reason]:
        reference = row.cells["image"]
        row.picture = files.find(reference) if reference else None
        if row.picture is None and not (row.sku in above and row.product == row.sku):
            row.reason = f"no picture file {reference}" if reference else "no picture is named"


def _doubt_pictures(rows: list[Row], seen: Decoded, params: Ingest) -> None:
    """Doubt rows with a bad picture or another product's, and give those with a copy of a picture of their product that one."""
    shown: dict[str, Row] = {}
    for row in [row for row in rows if row.picture in seen.faults and not row.reason]:
        row.reason = seen.faults[row.picture] if row.picture else ""
    good = [(row, seen.keys[row.picture]) for row in rows if row.picture and not row.reason]
    rank = {row.product: PARTS.index(_part(row.product, params)) for row, _ in good}
    for row, key in sorted(
        good, key=lambda one: (rank[one[0].product], one[0].product, one[0].sku)
    ):
        shown.setdefault(key, row)
    order = list(shown)
    repeats = images.near_duplicates([seen.hashes[key] for key in order], params.pictures)
    first = {
        key: order[match] if match >= 0 else key for key, match in zip(order, repeats, strict=True)
    }
    for row, key in good:
        other = shown[key] if shown[key].product != row.product else shown[first[key]]
        if other.product != row.product:
            row.reason = f"its picture is that of {other.sku} ({other.file}, row {other.row})"
        elif other.texts["color"] == row.texts["color"]:
            row.picture = other.picture


def _part(product: str, params: Ingest) -> str:
    return splits.part(params.split, f"product {tables.plain(product)}", params.seed)


def _limited(named: set[str], params: Ingest) -> list[str]:
    """Return at most ``limit`` products, chosen by their names' hashes."""
    order = sorted(named, key=lambda product: hashlib.sha256(product.encode()).digest())
    return order[: params.limit or len(order)]


def _items(
    rows: list[Row], keys: dict[Path, str], params: Ingest, colours: list[str]
) -> list[Item]:
    """Return the items of ``rows``, one per picture, in the order of their keys."""
    shown: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.picture:
            shown[keys[row.picture]].append(row)
    return [
        _item(key, sorted(shown[key], key=lambda row: row.sku), params, colours)
        for key in sorted(shown)
    ]


def _item(key: str, rows: list[Row], params: Ingest, colours: list[str]) -> Item:
    """Return the item of ``rows``, which share one picture: what they agree on, and all their SKUs but their product's own."""
    first = rows[0]
    variants = [row for row in rows if row.sku != row.product] or rows
    values = {
        name: value
        for name, value in variants[0].values.items()
        if all(row.values.get(name) == value for row in variants)
    }
    same = all(row.texts["color"] == variants[0].texts["color"] for row in variants)
    texts = first.texts | {"color": variants[0].texts["color"] if same else []}
    texts |= {
        "name": [products.clean(name) for name in texts["name"]],
        "category": [products.category(cell) for cell in texts["category"]],
    }
    material = [products.clean(value).replace("|", ", ") for value in texts["material"]]
    said = captions(
        texts | {"material": material}, values, colours, params.sentences, params.max_characters
    )
    prices = [
        price for row in variants if (price := products.price(row.cells["price"])) is not None
    ]
    return {
        "key": key,
        "product": first.product,
        "skus": [row.sku for row in variants],
        "name": next(iter(texts["name"]), said[0]["text"]),
        "category": next(iter(texts["category"]), None),
        "color": next(iter(texts["color"]), None),
        "material": next(iter(material), None),
        "price": min(prices, default=None),
        "attributes": sorted(values.items()),
        "captions": said,
        "image": key,
    }


def _evaluation(
    found: dict[str, list[Row]], rows: list[Row], known: dict[str, str]
) -> dict[str, pa.Table]:
    """Return the tables of evaluation; a row that names no product with an item is doubted. ``known`` is product → part."""
    products_ = {row.product: row.product for row in rows} | {
        row.sku: row.product for row in reversed(rows)
    }  # of two with one SKU the first
    colours = {
        row.sku: next(iter(row.texts["color"]), None)
        for row in reversed(rows)
        if row.sku != row.product
    }
    for row in [row for kind in NEEDED for row in found[kind] if not row.reason]:
        for name in ("sku", "linked") if "linked" in row.cells else ("sku",):
            if products_.get(row.cells[name]) not in known:
                row.reason = f"no product with a picture has the SKU {row.cells[name]!r:.60}"
    good = {kind: [row for row in found[kind] if not row.reason] for kind in NEEDED}
    pairs = {
        (Path(row.file).stem, products_[row.sku], products_[row.cells["linked"]])
        for row in good["relations"]
    }
    relations = sorted(pair for pair in pairs if known[pair[1]] == "test" and pair[1] != pair[2])
    bought: dict[str, list[tuple[Any, int, str]]] = defaultdict(list)
    stamps = tables.dates([row.cells.get("date", "") for row in good["histories"]])
    for number, (row, stamp) in enumerate(zip(good["histories"], stamps, strict=True)):
        bought[row.cells["shopper"]].append((stamp or pd.Timestamp.min, number, products_[row.sku]))
    lists = [
        (shopper, [product for _, _, product in sorted(events)])
        for shopper, events in sorted(bought.items())
    ]
    searched = sorted(
        {
            (products.clean(row.cells["query"]), products_[row.sku], colours.get(row.sku))
            for row in good["queries"]
        },
        key=str,
    )
    queries = [
        (text, language(text), product, colour)
        for text, product, colour in searched
        if known[product] == "test"
    ]
    return {
        "test.relations": _table(relations, RELATIONS),
        "test.histories": _table(lists, HISTORIES),
        "test.queries": _table(queries, QUERIES),
    }


def _table(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pa.Table:
    return pa.table([[row[place] for row in rows] for place in range(len(schema))], schema=schema)


def _check_parts(items: dict[str, list[Item]], params: Ingest) -> None:
    total = sum(map(len, items.values()))
    if not total:
        raise ValueError(
            "no product has both a picture and a text; rejected rows say why: look at the columns image, name and description"
        )
    for part, share in params.split.model_dump().items():
        if share and not items[part]:
            raise ValueError(
                f"none of the {total} items falls into {part} ({share:.0%}); more products or another ingest.split is needed"
            )


def _unlabelled(
    spare: list[str],
    items: dict[str, list[Item]],
    hashes: dict[str, PerceptualHash],
    params: Ingest,
) -> list[str]:
    """Return the keys among ``spare`` that no item and no other spare picture repeats."""
    named = {item["image"] for part in PARTS for item in items[part]}
    order = [*sorted(named), *sorted(set(spare) - named)]
    repeats = images.near_duplicates([hashes[key] for key in order], params.pictures)
    return [
        key for key, match in zip(order, repeats, strict=True) if key not in named and match < 0
    ]


def _write(
    folder: Path,
    items: dict[str, list[Item]],
    unlabelled: list[str],
    extra: dict[str, pa.Table],
    rejected: list[Rejected],
) -> None:
    for part, found in items.items():
        pq.write_table(pa.Table.from_pylist(found, SCHEMA), folder / f"{part}.parquet")
    for name, table in extra.items():
        pq.write_table(table, folder / f"{name}.parquet")
    pq.write_table(
        pa.table({"image": pa.array(unlabelled, pa.string())}), folder / "unlabelled.parquet"
    )
    pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
    write_parts(
        folder,
        {part: [item["image"] for item in found] for part, found in items.items()}
        | {"unlabelled": unlabelled},
    )


def _schema(raw: Path, items: dict[str, list[Item]]) -> dict[str, Any]:
    content = "".join(f"{item['key']} {item['product']}\n" for item in items["test"])
    rows = {part: len(found) for part, found in items.items()}
    return {
        "rows": rows,
        "split_sha256": hashlib.sha256(content.encode()).hexdigest(),
        **about(raw),
    }
