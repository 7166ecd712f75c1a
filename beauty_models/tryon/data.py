"""ingest: tables and folders of pictures → labelled examples in a train, validation and test part.

An example is a text, a picture or both. The test part is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account, splits
from beauty_models.intake.counts import as_metrics
from beauty_models.intake.images import Files
from beauty_models.intake.pictures import Decoded, write_parts
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import (
    check_rejected,
    good_rows,
    rejected_rows,
    rejected_table,
)
from beauty_models.intake.tables import example_id
from beauty_models.intake.text import language
from beauty_models.tryon import Ingest
from beauty_models.tryon.duplicates import best_of_each_key, reject_repeated_pictures
from beauty_models.tryon.examples import decode_named, identify
from beauty_models.tryon.heads import Head, label_column
from beauty_models.tryon.labels import (
    drop_rare_labels,
    label_columns,
    labels_from_attributes,
    normalize_labels,
    reject_contradictions,
)
from beauty_models.tryon.parts import PARTS, UNLABELLED, assign_parts
from beauty_models.tryon.rows import inherit_from_products, read_rows

Parts = dict[str, pd.DataFrame]
"""Each of `PARTS` → its examples."""


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every table and picture of ``raw``; write parquet files, shards and schema to ``data``.

    A row of a table is an example. A picture that no table names is one of its folder's class when
    there is no table or it lies in a folder called train, validation, val or test, which is then
    its part; otherwise it serves pretraining. The same files give the same bytes.

    ``train``, ``validation`` and ``test.parquet`` have key, id, product, name, text, language,
    image (the key in the shards, or null), offered (is a garment on sale) and ``label.<head>``,
    null where it is not known; ``unlabelled.parquet`` has what serves pretraining only,
    ``rejected.parquet`` the rejected rows with their reasons, ``account.json`` what was counted and
    guessed.

    Raises:
        ValueError: a file cannot be read, nothing is labelled, too many rows are rejected, or a
            part would be empty.
    """
    with account.opened("tryon", raw, params.reading) as book:
        return _ingest(raw, data, params, book)


def _ingest(raw: Path, data: Path, params: Ingest, book: account.Account) -> Metrics:
    """As `ingest`, which opens the account ``book`` for it."""
    files = Files(raw)
    # One frame from the first step to the last. A bad row stays in it, with its reason, so that it
    # can be named with file and line in the end.
    rows = read_rows(raw, files, params)
    inherit_from_products(rows)
    labels_from_attributes(rows, params)
    normalize_labels(rows, params)
    with new_folder(data) as folder:
        decoded = decode_named(rows, files, folder, params.pictures)
        identify(rows, decoded, files.raw)
        reject_contradictions(rows, params)
        rows["part"] = assign_parts(rows, params)
        kept, metrics = _keep(rows, decoded, params)
        rejected = rejected_rows(rows)
        share = len(rejected) / max(1, len(rows))
        check_rejected(rejected, share, params.max_rejected, data)
        parts = {part: kept[kept["part"] == part] for part in PARTS}
        _check_parts(parts, raw, params)
        _write_examples(folder, parts, params)
        pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
        write_json(folder / "schema.json", _schema(raw, parts, params))
        beyond = int(metrics["beyond_limit"])
        copies = len(good_rows(rows)) - len(kept) - beyond
        book.settle(
            "rows and loose pictures",
            read=len(rows),
            kept=len(kept),
            dropped={"the same picture and text again": copies, "beyond ingest.limit": beyond},
            rejected=rejected,
            parts=_sizes(parts),
        )
        book.write(folder)
    counts = {
        "rows": len(rows),
        "rejected": len(rejected),
        "kept": len(kept),
        **_sizes(parts),
        "pictures": len(set(kept["picture"]) - {""}),
        "texts": int((kept["text"] != "").sum()),
    }
    return metrics | as_metrics(counts)


def _sizes(parts: Parts) -> dict[str, int]:
    return {part: len(examples) for part, examples in parts.items()}


def _keep(rows: pd.DataFrame, decoded: Decoded, params: Ingest) -> tuple[pd.DataFrame, Metrics]:
    """Return the examples that are kept, and how many are not, by cause.

    Each is kept once, no picture is in two groups, labels have enough examples, and there are at
    most ``limit``. What is left out for its content is rejected in ``rows``.
    """
    good = len(good_rows(rows))
    once = best_of_each_key(rows, params)
    repeats = reject_repeated_pictures(rows, once, decoded, params.pictures)
    unrepeated = good_rows(rows.loc[once.index])
    rare = drop_rare_labels(rows, unrepeated, params)
    kept = good_rows(rows.loc[once.index]).sort_values("key")
    # By key, which is a hash: the same ones every time, and a sample of all.
    labelled = kept.index[kept["part"] != UNLABELLED]
    beyond_limit = labelled[params.limit or len(kept) :]
    metrics = {
        "duplicates": float(good - len(once)),
        "repeats": float(repeats),
        "rare": float(rare),
        "beyond_limit": float(len(beyond_limit)),
    }
    return kept.drop(beyond_limit), metrics


def _check_parts(parts: Parts, raw: Path, params: Ingest) -> None:
    """Raise ValueError when nothing is labelled, a part is empty, or there is but one class."""
    counts = {part: len(parts[part]) for part in splits.PARTS}
    if not sum(counts.values()):
        raise ValueError(
            f"{raw}: nothing in it has a label; put pictures into a folder per class, or add the "
            "label's column to ingest.columns"
        )
    splits.check_filled(counts, params.split, "labelled examples")
    class_column = label_columns(params)[0]
    classes = sorted(set(parts["train"][class_column]) - {""})
    if params.split.train and len(classes) < 2:
        raise ValueError(f"the classes to train on are {classes}; a classifier needs two at least")


def _write_examples(folder: Path, parts: Parts, params: Ingest) -> None:
    """Write the examples and the pictures of each part into ``folder``."""
    pictures = {}
    for part, examples in parts.items():
        table = _table(examples, label_columns(params))
        pq.write_table(table, folder / f"{part}.parquet")
        pictures[part] = sorted(set(examples["picture"]) - {""})
    write_parts(folder, pictures)


def _table(examples: pd.DataFrame, labels: list[str]) -> pa.Table:
    """Return ``examples`` as a part's table, see `ingest`; ``labels`` are the columns of these."""
    ids = map(example_id, examples["file"], examples["row"], examples["id"])
    columns = {
        "key": examples["key"].tolist(),
        "id": list(ids),
        "product": _nullable(examples["product"]),
        "name": examples["name"].tolist(),
        "text": examples["text"].tolist(),
        "language": list(map(language, examples["text"])),
        "image": _nullable(examples["picture"]),
    }
    for column in labels:
        columns[column] = _nullable(examples[column])
    # The type is given: a column without any value would become one of nulls.
    arrays = {}
    for name, values in columns.items():
        arrays[name] = pa.array(values, pa.string())
    # A garment without a picture cannot be shown, so it is not recommended.
    offered = examples["offered"].astype(bool) & (examples["picture"] != "")
    arrays["offered"] = pa.array(offered.tolist(), pa.bool_())
    return pa.table(arrays)


def _nullable(values: pd.Series[str]) -> list[str | None]:
    return [value or None for value in values]


def _schema(raw: Path, parts: Parts, params: Ingest) -> dict[str, Any]:
    """Return what the stages after this one must know of the data, for schema.json."""
    test = parts["test"]
    classes = test[label_columns(params)[0]]
    return {
        "heads": _heads(parts, params.heads),
        "rows": _sizes(parts),
        "split_sha256": splits.digest(zip(test["key"], classes, strict=True)),
        **about(raw),
    }


def _heads(parts: Parts, accepted: Mapping[str, Mapping[str, list[str]]]) -> list[Head]:
    """Return the heads that have anything to tell apart, with the labels that examples have."""
    examples = pd.concat(parts.values())
    heads: list[Head] = []
    for head, labels in accepted.items():
        known = set(examples[label_column(head)]) - {""}
        # In the order of params.yaml where it lists the labels: small, medium, large.
        listed = [label for label in labels if label in known]
        names = listed or sorted(known)
        if len(names) > 1:
            heads.append(Head(name=head, labels=names))
    return heads
