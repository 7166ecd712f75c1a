"""ingest: tables and folders of pictures → labelled examples in a train, validation and test part.

An example is a text, a picture or both. The test part is frozen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
from beauty_models.params import Pictures, Split
from beauty_models.progress import bar, log_line
from beauty_models.tryon import Ingest
from beauty_models.tryon.heads import Head, label_column

# Of two equal pictures the one in the earlier part stays, so that the test part changes least. The
# last part is that of rows which serve nothing.
PARTS = ("test", "validation", "train", "unlabelled", "")
LABELLED = PARTS[:3]
DELIVERED = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
"""Name of a folder → the part that the pictures below it were delivered for."""

COLUMNS = (
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
"""What is known of a row on its way through `ingest`, besides its labels."""

MISSING = "?"  # begins the path of a picture that a table names and that is not there


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every table and picture of ``raw``; write parquet files, shards and schema to ``data``.

    A row of a table is an example. A picture that no table names is one of its folder's class when
    there is no table or it lies in a folder called train, validation, val or test, which is then
    its part; otherwise it serves pretraining. The same files give the same bytes.

    ``train``, ``validation`` and ``test.parquet`` have key, id, product, name, text, language,
    image (the key in the shards, or null), offered (is a garment on sale) and ``label.<head>``,
    null where it is not known; ``unlabelled.parquet`` has what serves pretraining only,
    ``rejected.parquet`` the rejected rows with their reasons.

    Raises:
        ValueError: a file cannot be read, nothing is labelled, too many rows are rejected, or a
            part would be empty.
    """
    files = images.Files(raw)
    # One frame from the first step to the last. A bad row stays in it, with its reason, so that it
    # can be named with file and line in the end.
    rows = _read(raw, files, params)
    _inherit(rows, params)
    _normalize_labels(rows, params)
    with new_folder(data) as folder:
        decoded = _decode_named(rows, files, folder, params)
        _identify(rows, decoded, files.raw, list(params.heads))
        rows["part"] = _parts(rows, params)
        kept, metrics = _distinct(rows, decoded, params)
        rejected = _rejected(rows)
        share = len(rejected) / max(1, len(rows))
        check_rejected(rejected, share, params.max_rejected, data)
        parts = {part: kept[kept["part"] == part] for part in PARTS[:-1]}
        _check_parts(parts, raw, params)
        _write_parts(folder, parts, list(params.heads))
        pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
        write_json(folder / "schema.json", _schema(raw, parts, params))
    counts = {
        "rows": len(rows),
        "rejected": len(rejected),
        "kept": len(kept),
        **{part: len(frame) for part, frame in parts.items()},
        "pictures": len(set(kept["picture"]) - {""}),
        "texts": int((kept["text"] != "").sum()),
    }
    summary = [f"{count:,} {name}" for name, count in counts.items()]
    log_line(f"ingest: {', '.join(summary)}")
    return metrics | {name: float(count) for name, count in counts.items()}


def _read(raw: Path, files: images.Files, params: Ingest) -> pd.DataFrame:
    """Return the rows of all tables, good and bad, and a row for each picture that none names."""
    columns = [*COLUMNS, *_label_columns(params)]
    # An empty frame first: there may be no table at all.
    frames = [pd.DataFrame(columns=columns, dtype=object)]
    table_files = _table_files(raw)
    with bar("ingest: read", len(table_files)) as progress:
        for file in table_files:
            place = file.relative_to(raw).as_posix()
            table = _table_rows(file, params)
            if table is not None:
                offered = fnmatch(place, params.catalogue or "*")
                frames.append(table.assign(file=place, offered=offered))
            progress.advance(note=file.name)
    rows = pd.concat(frames, ignore_index=True)
    rows = rows.reindex(columns=columns).fillna("")
    rows["image"] = _picture_paths(rows["image"], files)
    pictures = _unnamed_pictures(set(rows["image"]), files)
    unnamed = _folder_rows(pictures, len(frames) > 1, columns, params)
    return pd.concat([rows, unnamed], ignore_index=True)


def _label_columns(params: Ingest) -> list[str]:
    return [label_column(head) for head in params.heads]


def _table_files(raw: Path) -> list[Path]:
    """Return the tables below ``raw``, in one order on every machine."""
    found = []
    for path in raw.rglob("*"):
        is_table = path.suffix.lower() in tables.SUFFIXES
        if is_table and not path.name.startswith(".") and path.name not in ABOUT:
            found.append(path)
    return sorted(found)


def _picture_paths(cells: pd.Series[str], files: images.Files) -> list[str]:
    """Return for each cell the path of its picture below the raw folder; "" where it names none."""
    paths = {"": ""}
    # Each name is looked for once: a shop's variants share their pictures.
    for cell in sorted(set(cells) - {""}):
        path = files.find(cell)
        paths[cell] = f"{MISSING}{cell}"
        if path is not None:
            paths[cell] = str(path.relative_to(files.raw))
    return [paths[cell] for cell in cells]


def _unnamed_pictures(named: set[str], files: images.Files) -> list[Path]:
    """Return the pictures whose paths below the raw folder are not among ``named``."""
    paths = [path.relative_to(files.raw) for path in files.all()]
    return [path for path in paths if str(path) not in named]


def _table_rows(file: Path, params: Ingest) -> pd.DataFrame | None:
    """Return the good and the bad rows of one table by field.

    None when it has none, or speaks of neither texts nor pictures.
    """
    try:
        table = tables.read(file)
    except tables.EmptyTableError as error:
        log_line(f"{error} It is left aside")
        return None
    columns = list(table.rows.columns)
    column_of = tables.pick(columns, params.columns)
    if "text" not in column_of and "image" not in column_of:
        log_line(
            f"{file}: left aside; of its columns {', '.join(columns)} none is known as a text or "
            "a picture (ingest.columns, --map text=COLUMN)"
        )
        return None
    fields = [label_column(name) if name in params.heads else name for name in column_of]
    known = table.rows[list(column_of.values())]
    good = known.set_axis(fields, axis=1)
    good["name"] = ""
    if "name" in column_of:
        good["name"] = table.rows[column_of["name"]].map(products.clean)
    # All columns of the text count, not the one that `column_of` has.
    text_columns = products.columns(columns, params.columns["text"])
    good["text"] = ""
    if text_columns:
        good["text"] = _joined_texts(table.rows[text_columns])
    # The index is the line of a row, by which a reader finds it in the file.
    good = good.assign(reason="").reset_index()
    return pd.concat([good, table.rejected], ignore_index=True)


def _joined_texts(rows: pd.DataFrame) -> list[str]:
    """Return for each row its cells as one text: name, description and what else there is."""
    texts = rows.map(products.clean).itertuples(index=False, name=None)
    return [" ".join(filter(None, cells)) for cells in texts]


def _folder_rows(
    pictures: Sequence[Path], has_tables: bool, columns: list[str], params: Ingest
) -> pd.DataFrame:
    """Return a row for each of ``pictures``, labelled by its folder where folders are classes."""
    class_column = label_column(next(iter(params.heads)))
    rows = []
    for path in pictures:
        folders = [name.casefold() for name in path.parts[:-1]]
        delivered = _delivered_part(folders[:-1])
        # Beside tables a folder is merely where the pictures lie, unless it has a part above it.
        is_class = folders and folders[-1] not in DELIVERED and (delivered or not has_tables)
        row = {
            "file": path.as_posix(),
            "row": 0,  # of no table
            "id": path.as_posix(),
            "image": str(path),
            "offered": not params.catalogue,
            "delivered": delivered,
            class_column: path.parts[-2] if is_class else "",
        }
        rows.append(row)
    return pd.DataFrame(rows, columns=columns, dtype=object).fillna("")


def _delivered_part(folders: list[str]) -> str:
    """Return the part that the deepest of ``folders`` which names one stands for, else ""."""
    for name in reversed(folders):
        if name in DELIVERED:
            return DELIVERED[name]
    return ""


def _inherit(rows: pd.DataFrame, params: Ingest) -> None:
    """Give each variant its product's words, and take labels that stand among the attributes."""
    # A shop lists the variants with the product. Their own rows have neither its description nor
    # its id, and without the id its sizes and colors would end in different parts.
    parents: dict[str, Any] = {}
    row: Any
    for row in rows[rows["variations"] != ""].itertuples():
        for variant in products.variations(row.variations):
            if variant.get("sku"):
                parents[variant["sku"]] = row
        parents[row.id] = row
    has_parent = rows["id"].isin(parents.keys())
    for field, parent_field in (("product", "id"), ("name", "name"), ("text", "text")):
        parent_rows = [parents[i] for i in rows["id"][has_parent]]
        rows.loc[has_parent, field] = [getattr(parent, parent_field) for parent in parent_rows]
    attributes = [products.attributes(cell) if cell else {} for cell in rows["attributes"]]
    for head in params.heads:
        names = [name.casefold() for name in params.columns[head]]
        labels = [_first_given(given, names) for given in attributes]
        _fill(rows, label_column(head), labels)


def _first_given(attributes: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the value of the first of ``names`` that ``attributes`` has, else ""."""
    for name in names:
        if name in attributes:
            return attributes[name]
    return ""


def _fill(rows: pd.DataFrame, column: str, values: Sequence[str]) -> None:
    """Write ``values``, one for each row, where ``column`` is empty."""
    empty = rows[column] == ""
    filling = pd.Series(values, index=rows.index, dtype=object)
    rows.loc[empty, column] = filling[empty]


def _reject(rows: pd.DataFrame, reasons: Sequence[str]) -> None:
    """Reject the rows that have a reason among ``reasons``; the first reason of a row stands."""
    _fill(rows, "reason", reasons)


def _category(value: str, params: Ingest) -> str:
    """Return the last folder of the deepest path in ``value`` that counts.

    A value that is no list of category paths is returned as it is.
    """
    if not value.startswith(f"{params.category_root}/"):
        return value
    paths = []
    for path in value.split(","):
        folders = path.strip().split("/")
        if not set(folders) & set(params.category_aside):
            paths.append(folders)
    return max(paths, key=len, default=[""])[-1]


def _normalize_labels(rows: pd.DataFrame, params: Ingest) -> None:
    """Bring the labels of every head into one form.

    Where a head lists what its values mean, rows with another value are rejected.
    """
    first = next(iter(params.heads))
    for head, accepted in params.heads.items():
        # What a cell says of a label is compared without capitals, and 1.0 is 1 (`tables.plain`).
        values = rows[label_column(head)].tolist()
        if head == first:
            values = [_category(value, params) for value in values]
        values = [tables.plain(value) for value in values]
        if accepted:
            meaning_of = tables.meanings(accepted, f"ingest.heads.{head}")
            labels = ", ".join(accepted)
            reasons = []
            for value in values:
                reason = ""
                # An empty cell is no label, which is no fault.
                if value and value not in meaning_of:
                    reason = f"{head} {value!r:.40} is none of {labels}"
                reasons.append(reason)
            _reject(rows, reasons)
            values = [meaning_of.get(value, "") for value in values]
        rows[label_column(head)] = values


def _decode_named(rows: pd.DataFrame, files: images.Files, folder: Path, params: Ingest) -> Decoded:
    """Decode the pictures that the good rows name, and write them to ``folder``."""
    paths = set()
    for cell in rows["image"][rows["reason"] == ""]:
        if cell and not cell.startswith(MISSING):
            paths.add(files.raw / cell)
    return decode(files, sorted(paths), folder, params.pictures)


def _identify(rows: pd.DataFrame, decoded: Decoded, raw: Path, heads: list[str]) -> None:
    """Give the rows the columns picture, key and group.

    Those with a broken picture, with nothing at all, or with contradictory labels are rejected.
    """
    paths = [raw / cell for cell in rows["image"]]
    faults = []
    for cell, path in zip(rows["image"], paths, strict=True):
        fault = decoded.faults.get(path)
        faults.append(f"{cell}: {fault}" if fault else "")
    _reject(rows, faults)
    rows["picture"] = [decoded.keys.get(path, "") for path in paths]
    lacking = map(_lacking, rows["text"], rows["picture"], rows["image"])
    _reject(rows, list(lacking))
    keys = map(_key, rows["picture"], rows["text"])
    rows["key"] = list(keys)
    groups = map(_group, rows["product"], rows["picture"], rows["key"])
    rows["group"] = list(groups)
    # Which of two labels is right nobody can tell, so none of such rows is learned or tested on.
    for head in heads:
        column = label_column(head)
        good = _good(rows)
        labelled = good[good[column] != ""]
        labels = labelled.groupby("key")[column].nunique()
        contradictory = rows["key"].isin(labels.index[labels > 1])
        reason = f"the same picture and text have a different {head} elsewhere"
        _reject(rows, [reason if bad else "" for bad in contradictory])


def _lacking(text: str, picture: str, reference: str) -> str:
    """Return why a row has nothing to learn from, "" when it has a text or a picture."""
    if text or picture:
        return ""
    if reference.startswith(MISSING):
        path = reference.removeprefix(MISSING)
        return f"no text and no picture, the picture {path} is not there"
    return "no text and no picture"


def _key(picture: str, text: str) -> str:
    """Return what names an example: it is the same where picture and words are the same."""
    # The fingerprint leaves out capitals and marks: "Red dress!" and "red dress" are one text.
    words = fingerprint(text) if text else ""
    digest = hashlib.sha256(f"{picture} {words}".encode())
    return digest.hexdigest()[:32]


def _group(product: str, picture: str, key: str) -> str:
    """Return what an example must share its part with: its product, else its picture."""
    # Photos of one garment in train and test would measure how well it is recognized again.
    if product:
        return f"product {tables.plain(product)}"
    if picture:
        return f"picture {picture}"
    return f"text {key}"


def _parts(rows: pd.DataFrame, params: Ingest) -> list[str]:
    """Return each row's part.

    A delivered split counts; with one held-out folder, that is the test part and validation comes
    from train.
    """
    split = params.split
    labels = rows[_label_columns(params)]
    is_labelled = (labels != "").any(axis=1)
    held_out = set(rows["delivered"]) - {"", "train"}
    rest = _without_test(split) if held_out and split.train else split

    def part(group: str, delivered: str, labelled: bool, alone: bool) -> str:
        if not split.train:  # data that a finished model is evaluated on
            return "test" if labelled else "unlabelled"
        if delivered and len(held_out) == 2:
            return delivered
        if delivered in held_out:
            return "test"
        hashed = splits.part(rest if delivered else split, group, params.seed)
        if labelled:
            return hashed
        # An unlabelled photo of a product that is tested on must not serve pretraining.
        return "unlabelled" if alone or hashed == "train" else ""

    is_alone = rows["product"] == ""
    parts = map(part, rows["group"], rows["delivered"], is_labelled, is_alone)
    return list(parts)


def _without_test(split: Split) -> Split:
    """Return the shares of ``split`` for rows of which none is tested on."""
    rest = 1 - split.test
    return Split(
        train=split.train / rest,
        validation=split.validation / rest,
        test=0,
    )


def _good(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are not rejected."""
    return rows[rows["reason"] == ""]


def _distinct(rows: pd.DataFrame, decoded: Decoded, params: Ingest) -> tuple[pd.DataFrame, Metrics]:
    """Return the examples that are kept, and how many are not, by cause.

    Each is kept once, no picture is in two groups, labels have enough examples, and there are at
    most ``limit``. What is left out for its content is rejected in ``rows``.
    """
    good_rows = len(_good(rows))
    once = _best_of_each_key(rows, params)
    repeated = _repeated_pictures(once, decoded, params.pictures)
    reasons = []
    for picture in zip(rows["group"], rows["picture"], strict=True):
        original = repeated.get(picture)
        reasons.append(f"the picture repeats {original}" if original else "")
    _reject(rows, reasons)
    good = _good(rows.loc[once.index])
    rare = _drop_rare_labels(rows, good, params)
    kept = _good(rows.loc[once.index]).sort_values("key")
    # By key, which is a hash: the same ones every time, and a sample of all.
    labelled = kept.index[kept["part"] != "unlabelled"]
    beyond = labelled[params.limit or len(kept) :]
    metrics = {
        "duplicates": float(good_rows - len(once)),
        "repeats": float(len(repeated)),
        "rare": float(rare),
        "beyond_limit": float(len(beyond)),
    }
    return kept.drop(beyond), metrics


def _best_of_each_key(rows: pd.DataFrame, params: Ingest) -> pd.DataFrame:
    """Return of the good rows with the same picture and words one, best first.

    That in the earliest of `PARTS` is the best, then the one with most labels, then a garment on
    sale.
    """
    labels = rows[_label_columns(params)]
    ranked = rows.assign(
        rank=[PARTS.index(part) for part in rows["part"]],
        unknown=(labels == "").sum(axis=1),
        not_offered=~rows["offered"].astype(bool),
    )
    order = ["rank", "unknown", "not_offered", "key", "file", "row"]
    return _good(ranked).sort_values(order).drop_duplicates("key")


def _repeated_pictures(
    rows: pd.DataFrame, decoded: Decoded, rules: Pictures
) -> dict[tuple[str, str], str]:
    """Return (group, picture) → the path of the earlier picture, of another group, it repeats."""
    # The order of ``rows`` says who is earlier: the picture in the test part, before all.
    shown = rows[rows["picture"] != ""]
    shown = shown.drop_duplicates(["group", "picture"])
    hashes = [decoded.hashes[picture] for picture in shown["picture"]]
    earlier = images.near_duplicates(hashes, rules)
    groups = shown["group"].tolist()
    pictures = shown["picture"].tolist()
    repeated = {}
    for i, original in enumerate(earlier):
        # Within a group photos of one garment may resemble each other: they are in one part.
        if original >= 0 and groups[original] != groups[i]:
            path = shown["image"].iloc[original]
            repeated[groups[i], pictures[i]] = str(path)
    return repeated


def _drop_rare_labels(rows: pd.DataFrame, kept: pd.DataFrame, params: Ingest) -> int:
    """Take labels with too few examples from ``rows``; return how many.

    A row without its class is rejected, one without the label of another head merely does without.
    """
    if not params.split.train:
        return 0
    count = 0
    for position, head in enumerate(params.heads):
        column = label_column(head)
        labelled = kept[kept[column] != ""]
        counts = labelled[column].value_counts()
        frequent = set(counts.index[counts >= params.min_examples])
        # A label of the test part alone could never be answered.
        trained = set(labelled[column][labelled["part"] == "train"])
        learnable = labelled[column].isin(frequent & trained)
        rare = labelled.index[~learnable]
        count += len(rare)
        if position:
            rows.loc[rare, column] = ""
            continue
        rows.loc[rare, "reason"] = [
            f"too few examples of {value!r:.40} (ingest.min_examples is {params.min_examples}) "
            "or none to train on"
            for value in labelled.loc[rare, column]
        ]
    return count


def _rejected(rows: pd.DataFrame) -> list[Rejected]:
    bad = rows[rows["reason"] != ""]
    fields = bad[list(Rejected._fields)]
    return list(map(Rejected._make, fields.itertuples(index=False)))


def _check_parts(parts: dict[str, pd.DataFrame], raw: Path, params: Ingest) -> None:
    """Raise ValueError when nothing is labelled, a part is empty, or there is but one class."""
    labelled = sum(len(parts[part]) for part in LABELLED)
    if not labelled:
        raise ValueError(
            f"{raw}: nothing in it has a label; put pictures into a folder per class, or add the "
            "label's column to ingest.columns"
        )
    for part, share in params.split.model_dump().items():
        if share and parts[part].empty:
            raise ValueError(
                f"none of the {labelled} labelled examples falls into {part} ({share:.0%}); "
                "more data or another ingest.split is needed"
            )
    column = label_column(next(iter(params.heads)))
    classes = sorted(set(parts["train"][column]) - {""})
    if params.split.train and len(classes) < 2:
        raise ValueError(f"the classes to train on are {classes}; a classifier needs two at least")


def _write_parts(folder: Path, parts: dict[str, pd.DataFrame], heads: list[str]) -> None:
    """Write the examples and the pictures of each part into ``folder``."""
    pictures = {}
    for part, frame in parts.items():
        table = _table(frame, heads)
        pq.write_table(table, folder / f"{part}.parquet")
        pictures[part] = sorted(set(frame["picture"]) - {""})
    write_parts(folder, pictures)


def _example_id(file: str, given: str, row: int) -> str:
    """Return by what people know an example: table and id (else row number), or a loose file."""
    return f"{Path(file).stem}:{given or row}" if row else given


def _nullable(values: pd.Series[str]) -> list[str | None]:
    return [value or None for value in values]


def _table(frame: pd.DataFrame, heads: list[str]) -> pa.Table:
    """Return the examples of ``frame`` as a part's table, see `ingest`."""
    columns = {
        "key": frame["key"].tolist(),
        "id": list(map(_example_id, frame["file"], frame["id"], frame["row"])),
        "product": _nullable(frame["product"]),
        "name": frame["name"].tolist(),
        "text": frame["text"].tolist(),
        "language": [language(text) for text in frame["text"]],
        "image": _nullable(frame["picture"]),
    }
    for head in heads:
        columns[label_column(head)] = _nullable(frame[label_column(head)])
    # The type is given: a column without any value would become one of nulls.
    arrays = {}
    for name, values in columns.items():
        arrays[name] = pa.array(values, pa.string())
    # A garment without a picture cannot be shown, so it is not recommended.
    offered = frame["offered"].astype(bool) & (frame["picture"] != "")
    arrays["offered"] = pa.array(offered.tolist(), pa.bool_())
    return pa.table(arrays)


def _schema(raw: Path, parts: dict[str, pd.DataFrame], params: Ingest) -> dict[str, Any]:
    """Return what the stages after this one must know of the data, for schema.json."""
    kept = pd.concat(parts.values())
    heads = []
    for head, accepted in params.heads.items():
        known = set(kept[label_column(head)]) - {""}
        # In the order of params.yaml where it lists the labels: small, medium, large.
        labels = [name for name in accepted if name in known] or sorted(known)
        if len(labels) > 1:
            heads.append(Head(name=head, labels=labels))
    test = parts["test"]
    class_column = label_column(next(iter(params.heads)))
    # Models are compared only where they were tested on the same examples with the same labels.
    examples = zip(test["key"], test[class_column], strict=True)
    content = "".join(f"{key} {label}\n" for key, label in examples)
    return {
        "heads": heads,
        "rows": {part: len(frame) for part, frame in parts.items()},
        "split_sha256": hashlib.sha256(content.encode()).hexdigest(),
        **about(raw),
    }
