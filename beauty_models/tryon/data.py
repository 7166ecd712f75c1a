"""ingest: tables and folders of pictures → labelled examples of a text, a picture or both, in a train, a validation and a frozen test part."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import images, products, splits, tables
from beauty_models.intake.pictures import Decoded, decode, write_parts
from beauty_models.intake.provenance import ABOUT, about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.intake.text import fingerprint, language
from beauty_models.params import Split
from beauty_models.progress import bar, log_line
from beauty_models.tryon import Ingest

PARTS = (
    "test",
    "validation",
    "train",
    "unlabelled",
    "",
)  # of two equal pictures the one in the earlier part stays: the test part changes least
DELIVERED = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
FRAME = (
    "file",
    "row",
    "reason",
    "id",
    "product",
    "name",
    "text",
    "image",
    "attributes",
    "variations",
    "delivered",
    "offered",
)


def label(head: str) -> str:
    """Return the column that holds the label of ``head``."""
    return f"label.{head}"


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every table and picture of ``raw`` and write parquet files, picture shards and ``schema.json`` to ``data``.

    A row of a table is an example. A picture that no table names is one of its folder's class when there is no table or it
    lies in a folder called train, validation, val or test, which is then its part; otherwise it serves pretraining.
    ``train``, ``validation`` and ``test.parquet`` have key, id, product, name, text, language, image (the key in the shards,
    or null), offered (is a garment on sale) and ``label.<head>``, null where it is not known; ``unlabelled.parquet`` has what
    serves pretraining only, ``rejected.parquet`` the rejected rows with their reasons. The same files give the same bytes.

    Raises:
        ValueError: a file cannot be read, nothing is labelled, too many rows are rejected, or a part would be empty.
    """
    files, heads = images.Files(raw), list(params.heads)
    rows = _read(raw, files, params)
    _inherit(rows, params)
    _label(rows, params)
    with new_folder(data) as folder:
        named = sorted(
            {
                files.raw / cell
                for cell in rows["image"][rows["reason"] == ""]
                if cell and not cell.startswith("?")
            }
        )
        seen = decode(files, named, folder, params.pictures)
        _identify(rows, seen, files.raw, heads)
        rows["part"] = _parts(rows, params)
        kept, figures = _distinct(rows, seen, params)
        bad = rows[rows["reason"] != ""]
        rejected = [Rejected(*row) for row in bad[list(Rejected._fields)].itertuples(index=False)]
        check_rejected(rejected, len(rejected) / max(1, len(rows)), params.max_rejected, data)
        parts = {part: kept[kept["part"] == part] for part in PARTS[:-1]}
        _check_parts(parts, raw, params)
        for part, frame in parts.items():
            pq.write_table(_table(frame, heads), folder / f"{part}.parquet")
        write_parts(
            folder, {part: sorted(set(frame["picture"]) - {""}) for part, frame in parts.items()}
        )
        pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
        write_json(folder / "schema.json", _schema(raw, parts, params))
    counts = {"rows": len(rows), "rejected": len(rejected), "kept": len(kept)} | {
        name: len(parts[name]) for name in parts
    }
    counts |= {
        "pictures": len(set(kept["picture"]) - {""}),
        "texts": int((kept["text"] != "").sum()),
    }
    log_line("ingest: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return figures | {name: float(count) for name, count in counts.items()}


def _read(raw: Path, files: images.Files, params: Ingest) -> pd.DataFrame:
    """Return the rows of all tables, good and bad, and a row for each picture that none of them names."""
    visible = (p for p in raw.rglob("*") if not p.name.startswith(".") and p.name not in ABOUT)
    readable = sorted(p for p in visible if p.suffix.lower() in tables.SUFFIXES)
    columns = [*FRAME, *map(label, params.heads)]
    frames = [pd.DataFrame(columns=columns, dtype=object)]
    with bar("ingest: read", len(readable)) as progress:
        for file in readable:
            place = file.relative_to(raw).as_posix()
            if (some := _rows(file, params)) is not None:
                frames.append(
                    some.assign(file=place, offered=fnmatch(place, params.catalogue or "*"))
                )
            progress.advance(note=file.name)
    rows = pd.concat(frames, ignore_index=True).reindex(columns=columns).fillna("")
    places = {cell: files.find(cell) for cell in sorted(set(rows["image"]) - {""})}
    rows["image"] = [
        str(found.relative_to(files.raw)) if (found := places.get(cell)) else cell and f"?{cell}"
        for cell in rows["image"]
    ]
    named = set(rows["image"])
    loose = [
        p.relative_to(files.raw) for p in files.all() if str(p.relative_to(files.raw)) not in named
    ]
    return pd.concat([rows, _folders(loose, len(frames) > 1, columns, params)], ignore_index=True)


def _rows(file: Path, params: Ingest) -> pd.DataFrame | None:
    """Return the good and the bad rows of one table by field; None when it has none or speaks of neither texts nor pictures."""
    try:
        table = tables.read(file)
    except tables.EmptyTableError as error:
        log_line(f"{error} It is left aside")
        return None
    there = list(table.rows.columns)
    found = tables.pick(there, params.columns)
    if not {"text", "image"} & set(found):
        log_line(
            f"{file}: left aside; of its columns {', '.join(there)} none is known as a text or a picture (ingest.columns, --map text=COLUMN)"
        )
        return None
    good = pd.DataFrame(
        {
            label(field) if field in params.heads else field: table.rows[column]
            for field, column in found.items()
        },
        dtype=object,
    )
    told = [
        table.rows[column].map(products.clean)
        for column in products.columns(there, params.columns["text"])
    ]
    good["name"] = table.rows[found["name"]].map(products.clean) if "name" in found else ""
    good["text"] = (
        [" ".join(filter(None, cells)) for cells in zip(*told, strict=True)] if told else ""
    )
    return pd.concat([good.assign(reason="").reset_index(), table.rejected], ignore_index=True)


def _folders(
    loose: Sequence[Path], tabled: bool, columns: list[str], params: Ingest
) -> pd.DataFrame:
    """Return a row for each picture that no table names: labelled by its folder where folders are classes."""
    rows = []
    for path in loose:
        folders = [name.casefold() for name in path.parts[:-1]]
        delivered = next(
            (DELIVERED[name] for name in reversed(folders[:-1]) if name in DELIVERED), ""
        )
        known = folders and folders[-1] not in DELIVERED and (delivered or not tabled)
        rows.append(
            {
                "file": path.as_posix(),
                "row": 0,
                "id": path.as_posix(),
                "image": str(path),
                "offered": not params.catalogue,
                "delivered": delivered,
                label(next(iter(params.heads))): path.parts[-2] if known else "",
            }
        )
    return pd.DataFrame(rows, columns=columns, dtype=object).fillna("")


def _inherit(rows: pd.DataFrame, params: Ingest) -> None:
    """Give each variant that a product lists that product and its words, and take labels that stand among the attributes."""
    parents: dict[str, Any] = {}
    row: Any
    for row in rows[rows["variations"] != ""].itertuples():
        parents |= {
            variant["sku"]: row
            for variant in products.variations(row.variations)
            if variant.get("sku")
        }
        parents[row.id] = row
    mine = rows["id"].isin(parents.keys())
    for field, of in (("product", "id"), ("name", "name"), ("text", "text")):
        rows.loc[mine, field] = [getattr(parents[i], of) for i in rows["id"][mine]]
    told = [products.attributes(cell) if cell else {} for cell in rows["attributes"]]
    for head in params.heads:
        names = [name.casefold() for name in params.columns[head]]
        given = [next((one[name] for name in names if name in one), "") for one in told]
        rows[label(head)] = [old or new for old, new in zip(rows[label(head)], given, strict=True)]


def _leaf(value: str, params: Ingest) -> str:
    """Return the last folder of the deepest path in ``value`` that counts; ``value`` itself when it is no list of paths."""
    if not value.startswith(f"{params.category_root}/"):
        return value
    paths = [path.strip().split("/") for path in value.split(",")]
    return max(
        (path for path in paths if not set(path) & set(params.category_aside)),
        key=len,
        default=[""],
    )[-1]


def _label(rows: pd.DataFrame, params: Ingest) -> None:
    """Bring the labels of every head into one form; reject the rows whose value has no meaning where meanings are listed."""
    for place, (head, accepted) in enumerate(params.heads.items()):
        values = [
            tables.plain(_leaf(value, params) if place == 0 else value)
            for value in rows[label(head)]
        ]
        if accepted:
            known = tables.meanings(accepted, f"ingest.heads.{head}")
            _doubt(
                rows,
                [
                    f"{head} {value!r:.40} is none of {', '.join(accepted)}"
                    if value and value not in known
                    else ""
                    for value in values
                ],
            )
            values = [known.get(value, "") for value in values]
        rows[label(head)] = values


def _doubt(rows: pd.DataFrame, reasons: list[str]) -> None:
    """Reject the rows that have a reason among ``reasons`` and none yet."""
    rows["reason"] = [old or new for old, new in zip(rows["reason"], reasons, strict=True)]


def _identify(rows: pd.DataFrame, seen: Decoded, raw: Path, heads: list[str]) -> None:
    """Give the rows the columns picture, key and group; reject those with a broken picture, nothing at all, or torn labels."""
    _doubt(
        rows,
        [
            f"{cell}: {seen.faults[raw / cell]}" if raw / cell in seen.faults else ""
            for cell in rows["image"]
        ],
    )
    rows["picture"] = [seen.keys.get(raw / cell, "") for cell in rows["image"]]
    missing = [
        f", the picture {reference[1:]} is not there" if reference.startswith("?") else ""
        for reference in rows["image"]
    ]
    _doubt(
        rows,
        [
            "" if text or picture else f"no text and no picture{why}"
            for text, picture, why in zip(rows["text"], rows["picture"], missing, strict=True)
        ],
    )
    keys = [
        hashlib.sha256(f"{picture} {text and fingerprint(text)}".encode()).hexdigest()[:32]
        for picture, text in zip(rows["picture"], rows["text"], strict=True)
    ]
    rows["key"] = keys
    rows["group"] = [
        f"product {tables.plain(product)}"
        if product
        else f"picture {picture}"
        if picture
        else f"text {key}"
        for product, picture, key in zip(rows["product"], rows["picture"], keys, strict=True)
    ]
    for head in heads:
        good = rows[(rows["reason"] == "") & (rows[label(head)] != "")]
        labels = good.groupby("key")[label(head)].nunique()
        torn = rows["key"].isin(labels.index[labels > 1])
        _doubt(
            rows,
            [
                f"the same picture and text have a different {head} elsewhere" if bad else ""
                for bad in torn
            ],
        )


def _parts(rows: pd.DataFrame, params: Ingest) -> list[str]:
    """Return each row's part. A delivered split counts; with one held-out folder, that is the test part and validation comes from train."""
    split = params.split
    labelled = (rows[list(map(label, params.heads))] != "").any(axis=1)
    held_out = set(rows["delivered"]) - {"", "train"}

    def part(group: str, delivered: str, known: bool, alone: bool) -> str:
        if not split.train:
            return "test" if known else "unlabelled"
        if delivered and len(held_out) == 2:
            return delivered
        if delivered in held_out:
            return "test"
        shares = split
        if delivered and held_out:  # the test part is there already
            shares = Split(
                train=split.train / (1 - split.test),
                validation=split.validation / (1 - split.test),
                test=0,
            )
        hashed = splits.part(shares, group, params.seed)
        return hashed if known else "unlabelled" if alone or hashed == "train" else ""

    return [
        part(*row)
        for row in zip(
            rows["group"], rows["delivered"], labelled, rows["product"] == "", strict=True
        )
    ]


def _distinct(rows: pd.DataFrame, seen: Decoded, params: Ingest) -> tuple[pd.DataFrame, Metrics]:
    """Return the examples that are kept: each once, no picture in two groups, labels with enough examples, at most ``limit``."""
    unknown = (rows[list(map(label, params.heads))] == "").sum(axis=1)
    ranked = rows.assign(
        rank=[PARTS.index(part) for part in rows["part"]],
        unknown=unknown,
        loose=~rows["offered"].astype(bool),
    )
    good = ranked[ranked["reason"] == ""].sort_values(
        ["rank", "unknown", "loose", "key", "file", "row"]
    )
    once = good.drop_duplicates("key")
    shown = once[once["picture"] != ""].drop_duplicates(["group", "picture"])
    pairs = list(zip(shown["group"], shown["picture"], strict=True))
    hashes = [seen.hashes[picture] for _, picture in pairs]
    earlier = images.near_duplicates(hashes, params.pictures)
    again = {
        pair: shown["image"].iloc[i]
        for pair, i in zip(pairs, earlier, strict=True)
        if i >= 0 and pairs[i][0] != pair[0]
    }
    mine = [again.get(pair, "") for pair in zip(rows["group"], rows["picture"], strict=True)]
    _doubt(rows, [f"the picture repeats {other}" if other else "" for other in mine])
    rare = _rare(rows, rows.loc[once.index].query("reason == ''"), params)
    kept = rows.loc[once.index].query("reason == ''").sort_values("key")
    beyond = kept.index[kept["part"] != "unlabelled"][params.limit or len(kept) :]
    figures = {
        "duplicates": len(good) - len(once),
        "repeats": len(again),
        "rare": rare,
        "beyond_limit": len(beyond),
    }
    return kept.drop(beyond), {name: float(count) for name, count in figures.items()}


def _rare(rows: pd.DataFrame, kept: pd.DataFrame, params: Ingest) -> int:
    """Take back labels with too few examples: a row without its class is rejected, another head merely does without; return how many."""
    if not params.split.train:
        return 0
    count = 0
    for place, name in enumerate(map(label, params.heads)):
        known = kept[kept[name] != ""]
        enough = {
            value for value, n in Counter(known[name]).items() if n >= params.min_examples
        } & set(known[name][known["part"] == "train"])
        few = known.index[~known[name].isin(enough)]
        count += len(few)
        if place:
            rows.loc[few, name] = ""
        else:
            rows.loc[few, "reason"] = [
                f"too few examples of {value!r:.40} (ingest.min_examples is {params.min_examples}) or none to train on"
                for value in known.loc[few, name]
            ]
    return count


def _check_parts(parts: dict[str, pd.DataFrame], raw: Path, params: Ingest) -> None:
    head = label(next(iter(params.heads)))
    labelled = sum(len(parts[part]) for part in PARTS[:3])
    if not labelled:
        raise ValueError(
            f"{raw}: nothing in it has a label; put pictures into a folder per class, or add the label's column to ingest.columns"
        )
    for part, share in params.split.model_dump().items():
        if share and parts[part].empty:
            raise ValueError(
                f"none of the {labelled} labelled examples falls into {part} ({share:.0%}); more data or another ingest.split is needed"
            )
    known = sorted(set(parts["train"][head]) - {""})
    if params.split.train and len(known) < 2:
        raise ValueError(f"the classes to train on are {known}; a classifier needs two at least")


def _table(frame: pd.DataFrame, heads: list[str]) -> pa.Table:
    names = [
        f"{Path(file).stem}:{given or row}" if row else given
        for file, given, row in zip(frame["file"], frame["id"], frame["row"], strict=True)
    ]
    columns = {
        "key": frame["key"].tolist(),
        "id": names,
        "product": [one or None for one in frame["product"]],
        "name": frame["name"].tolist(),
        "text": frame["text"].tolist(),
        "language": [language(text) for text in frame["text"]],
        "image": [one or None for one in frame["picture"]],
    } | {label(head): [one or None for one in frame[label(head)]] for head in heads}
    offered = [
        bool(one and picture)
        for one, picture in zip(frame["offered"], frame["picture"], strict=True)
    ]
    return pa.table(
        {name: pa.array(values, pa.string()) for name, values in columns.items()}
        | {"offered": pa.array(offered, pa.bool_())}
    )


def _schema(raw: Path, parts: dict[str, pd.DataFrame], params: Ingest) -> dict[str, Any]:
    kept = pd.concat(parts.values())
    heads = []
    for head, accepted in params.heads.items():
        known = set(kept[label(head)]) - {""}
        heads.append(
            {"name": head, "labels": [one for one in accepted if one in known] or sorted(known)}
        )
    first = label(next(iter(params.heads)))
    content = "".join(
        f"{key} {one}\n"
        for key, one in zip(parts["test"]["key"], parts["test"][first], strict=True)
    )
    return {
        "heads": [head for head in heads if len(head["labels"]) > 1],
        "rows": {part: len(frame) for part, frame in parts.items()},
        "split_sha256": hashlib.sha256(content.encode()).hexdigest(),
        **about(raw),
    }
