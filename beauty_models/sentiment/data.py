"""ingest: raw review files → clean, distinct, labelled texts: train, validation, frozen test."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import splits, tables
from beauty_models.intake.provenance import ABOUT, about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.intake.text import fingerprint, language, near_duplicates, normalize
from beauty_models.progress import bar, log_line
from beauty_models.sentiment import POLARITY_WORDS, Columns, Ingest

Fields = tuple[str, ...]

REVIEW: Fields = ("id", "text", "label", "rating", "product", "category", "date")
ANNOTATION: Fields = ("id", "aspect", "polarity", "term", "opinion")
# of two equal texts the one in the earlier part stays: the test part changes least
PARTS = ("test", "validation", "train")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
NO_WORD = {"", "_"}  # an annotation's way to say that no word of the text names the aspect
UNKNOWN_VALUES = 6  # of the label column, that a message proposes a class for

ASPECTS = pa.list_(
    pa.struct([(name, pa.string()) for name in ("category", "polarity", "term", "opinion")])
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("label", pa.int64()),
        ("language", pa.string()),
        ("product", pa.string()),
        ("category", pa.string()),
        ("date", pa.timestamp("us")),
        ("aspects", ASPECTS),
    ]
)


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every table of ``raw`` and write the shards and ``schema.json`` to ``data``.

    A table with a text column holds reviews; one with id, aspect and polarity but no text annotates
    reviews by their id.

    ``train``, ``validation`` and ``test.parquet`` have the columns of `SCHEMA`, label being an
    index into the classes of ``schema.json``, aspects null where nobody annotated.
    ``unlabelled.parquet`` has the texts to pretrain on: those of the train part and those without a
    label, unless their product is in another part. ``rejected.parquet`` has the rows that are not
    taken. Texts are in the order of their fingerprints, which says nothing about them; the same
    files give the same bytes.

    Raises:
        ValueError: a file cannot be read or has no text, no row has a label, too many rows are
            rejected, or a part or a class would be empty.
    """
    deliveries = _read(raw, params.columns)
    reviews = deliveries.reviews
    annotations = deliveries.annotations
    reviews["text"] = reviews["text"].map(normalize)
    polarities = tables.meanings(params.polarities, "ingest.polarities")
    _join_annotations(reviews, annotations, polarities)
    _reject(reviews, [_length_fault(text, params) for text in reviews["text"]])
    label_values = _assign_labels(reviews, params)
    reviews["key"] = reviews["text"].map(fingerprint)
    contradictions = _reject_contradictions(reviews)
    rejected = _rejected_rows([reviews, annotations])
    # the kind with more of them counts: few annotations must not hide among many reviews
    share = max(_share_rejected(reviews), _share_rejected(annotations))
    remedy = _labels_remedy(label_values, params.labels)
    check_rejected(rejected, share, params.max_rejected, data, remedy)
    kept, dropped = _deduplicate(reviews[reviews["reason"] == ""], params)
    labelled = kept[kept["label"] != ""]
    parts = {part: labelled[labelled["part"] == part] for part in PARTS}
    _check_parts(parts, deliveries.columns, params)
    # a text of another part, or of a product in it, must not be learned from either
    unlabelled = kept[kept["part"] == "train"]
    with new_folder(data) as folder:
        for part, frame in parts.items():
            pq.write_table(_shard(frame, list(params.labels)), folder / f"{part}.parquet")
        pq.write_table(_texts(unlabelled), folder / "unlabelled.parquet")
        pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
        write_json(folder / "schema.json", _schema(raw, parts, params))
    counts = {
        "rows": len(reviews),
        "annotations": len(annotations),
        "rejected": len(rejected),
        "contradictions": contradictions,
        "kept": len(kept),
        "unlabelled": len(unlabelled),
    }
    counts |= {part: len(frame) for part, frame in parts.items()}
    # without a label, and of a product whose other texts are tested or validated on
    counts["held_back"] = len(kept) - len(labelled) - int(unlabelled["unlabelled"].sum())
    listed = [f"{count:,} {name}" for name, count in counts.items()]
    log_line(f"ingest: {', '.join(listed)}")
    metrics = {name: float(count) for name, count in (dropped | counts).items()}
    for name in params.labels:
        metrics[f"share.{name}"] = float((labelled["label"] == name).mean())
    return metrics


class Deliveries(NamedTuple):
    """What the files of a source hold, one row each, with its file, row, text and reason."""

    reviews: pd.DataFrame
    annotations: pd.DataFrame
    columns: str  # in words, which columns every file has


def _read(raw: Path, columns: Columns) -> Deliveries:
    """Return the rows of every table below ``raw``."""
    frames: dict[Fields, list[pd.DataFrame]] = {}
    for kind in (REVIEW, ANNOTATION):
        # without rows: there may be no file of a kind
        columns_of_kind = dict.fromkeys([*kind, *Rejected._fields])
        frames[kind] = [pd.DataFrame(columns=list(columns_of_kind))]
    files = _tables_below(raw)
    descriptions = []
    with bar("ingest: read", len(files)) as progress:
        for file in files:
            table = tables.read(file)
            column_of = tables.pick(list(table.rows.columns), columns.model_dump())
            description = f"{file} has the columns {', '.join(table.rows.columns)}"
            if not {"label", "rating", "polarity"} & set(column_of):
                candidates = tables.label_columns(table.rows, POLARITY_WORDS, column_of.values())
                if len(candidates) == 1:
                    description += f" (perhaps --map label={candidates[0]})"
            descriptions.append(description)
            kind = _kind(table.rows, column_of, description)
            frame = _frame(table, column_of, kind)
            frame["file"] = file.relative_to(raw).as_posix()
            frames[kind].append(frame)
            progress.advance(note=file.name)
    return Deliveries(
        pd.concat(frames[REVIEW], ignore_index=True),
        pd.concat(frames[ANNOTATION], ignore_index=True),
        "; ".join(descriptions),
    )


def _tables_below(raw: Path) -> list[Path]:
    """Return the files below ``raw`` that can be read, and tell of the others."""
    readable = []
    for file in sorted(raw.rglob("*")):
        # .DS_Store and its like are no deliveries
        if not file.is_file() or file.name in ABOUT or file.name.startswith("."):
            continue
        if file.suffix.lower() in tables.SUFFIXES:
            readable.append(file)
        else:
            log_line(f"{file}: left aside, not one of {', '.join(tables.SUFFIXES)}")
    if not readable:
        raise ValueError(f"{raw}: no {', '.join(tables.SUFFIXES)} file in it")
    return readable


def _kind(rows: pd.DataFrame, column_of: dict[str, str], description: str) -> Fields:
    """Return `REVIEW` or `ANNOTATION`, by the fields that the table has."""
    if "text" in column_of:
        return REVIEW
    if {"id", "aspect", "polarity"} <= set(column_of):
        return ANNOTATION
    raise ValueError(
        f"{description}; none of them is known as the text: add {_map_remedy(rows, column_of)} "
        "(or the name to ingest.columns.text); `beauty init FILE` looks at a file and proposes"
    )


def _frame(table: tables.Table, column_of: dict[str, str], fields: Fields) -> pd.DataFrame:
    """Return good and bad rows with the columns ``fields``, row, text and reason."""
    cells = {}
    for field in fields:
        cells[field] = table.rows[column_of[field]] if field in column_of else ""
    # object: a column that is not there is "" in all rows, with no rows of no other type
    good = pd.DataFrame(cells, index=table.rows.index, dtype=object)
    good = good.assign(reason="").reset_index()
    if "text" not in fields:
        # for rejected.parquet
        good["text"] = [" ".join(row) for row in good[list(fields)].itertuples(index=False)]
    bad = table.rejected.reindex(columns=good.columns, fill_value="")
    return pd.concat([good, bad], ignore_index=True)


def _reject(frame: pd.DataFrame, reasons: Sequence[str]) -> None:
    """Reject the rows of ``frame`` that have a reason among ``reasons`` and none yet."""
    frame["reason"] = [old or new for old, new in zip(frame["reason"], reasons, strict=True)]


def _reject_where(frame: pd.DataFrame, bad: pd.Series[bool], reason: str) -> None:
    """Reject the rows of ``frame`` that are ``bad`` and have no reason yet."""
    frame.loc[bad & (frame["reason"] == ""), "reason"] = reason


def _join_annotations(
    reviews: pd.DataFrame, annotations: pd.DataFrame, polarities: dict[str, str]
) -> None:
    """Give ``reviews`` the column aspects: a list, or None in files that nobody annotated.

    Rows that cannot be joined are rejected.
    """
    known_ids = set(reviews["id"]) - {""}
    reasons: list[str] = []
    aspects: dict[str, list[dict[str, Any]]] = defaultdict(list)
    annotation: Any
    for annotation in annotations.itertuples(index=False):
        reason = _annotation_fault(annotation, known_ids, polarities)
        reasons.append(reason)
        if reason or annotation.reason:
            continue
        aspect = {
            "category": annotation.aspect,
            "polarity": polarities[tables.plain(annotation.polarity)],
            "term": "" if annotation.term in NO_WORD else annotation.term,
            "opinion": "" if annotation.opinion in NO_WORD else annotation.opinion,
        }
        if aspect not in aspects[annotation.id]:
            aspects[annotation.id].append(aspect)
    _reject(annotations, reasons)
    # a review without annotations in a file that has some speaks of no aspect; in another file
    # nobody looked
    annotated_files = reviews["file"][reviews["id"].isin(list(aspects))]
    annotated = reviews["file"].isin(annotated_files) & (reviews["id"] != "")
    column = []
    for review_id, looked_at in zip(reviews["id"], annotated, strict=True):
        column.append(list(aspects[review_id]) if looked_at else None)
    reviews["aspects"] = pd.Series(column, dtype=object)
    first_text = reviews.groupby("id")["text"].transform("first")
    ambiguous = annotated & (reviews["text"] != first_text)
    reason = "an earlier review has this id, so this one's annotations are unknown"
    _reject_where(reviews, ambiguous, reason)


def _annotation_fault(annotation: Any, known_ids: set[str], polarities: dict[str, str]) -> str:
    """Return why an annotation cannot be joined, or ""."""
    if not annotation.aspect:
        return "no aspect"
    if tables.plain(annotation.polarity) not in polarities:
        return f"polarity {annotation.polarity!r} is none of {', '.join(polarities)}"
    if annotation.id not in known_ids:
        return "no review has this id"
    return ""


def _length_fault(text: str, params: Ingest) -> str:
    """Return why a text of this length is not taken, or ""."""
    if not text:
        return "no text"
    if len(text) < params.min_characters:
        return f"text shorter than {params.min_characters} characters"
    if len(text) > params.max_characters:
        return f"text longer than {params.max_characters} characters"
    return ""


def _map_remedy(rows: pd.DataFrame, column_of: dict[str, str]) -> str:
    """Return the ``--map`` of the likeliest text of ``rows``, and of a label that stands out."""
    text = tables.text_column(rows, column_of.values())
    assignments = [f"text={text or 'COLUMN'}"]
    labels = tables.label_columns(rows, POLARITY_WORDS, {*column_of.values(), text})
    if not {"label", "rating"} & set(column_of) and len(labels) == 1:
        assignments.append(f"label={labels[0]}")
    return f"--map {shlex.quote(','.join(assignments))}"


def _set_options(values: dict[str, list[Any]]) -> str:
    """Return the ``--set`` options, ready to paste, that put ``values`` below sentiment.ingest."""
    options = []
    for key, items in values.items():
        text = json.dumps(items, ensure_ascii=False)
        options.append(f"--set {shlex.quote(f'sentiment.ingest.{key}={text}')}")
    return " ".join(options)


def _labels_remedy(label_values: Counter[str], labels: dict[str, list[str]]) -> str:
    """Return the options that give the most frequent unknown label values a class, or ""."""
    known = tables.meanings(labels, "ingest.labels")
    unknown = [value for value, _ in label_values.most_common() if value not in known]
    if not unknown:
        return ""
    polarity_of = tables.meanings(POLARITY_WORDS, "POLARITY_WORDS")
    values_of: dict[str, list[str]] = {name: [] for name in labels}
    for value in label_values:
        if value in known:
            values_of[known[value]].append(value)
    guessed = False
    for value in unknown[:UNKNOWN_VALUES]:
        name = polarity_of.get(value, "")
        if name not in values_of:
            guessed = True
            # an option has to be complete to be pasted: the class with the fewest values gets it
            name = min(values_of, key=lambda label: len(values_of[label]))
        values_of[name].append(value)
    options = _set_options(
        {f"labels.{name}": values for name, values in values_of.items() if values}
    )
    doubt = ""
    if guessed:
        doubt = " (which value means what is a guess here: put each where it belongs)"
    return f"say what the values mean{doubt}: {options}"


def _top_rating(params: Ingest) -> float:
    """Return the highest rating that means a class."""
    return max(chain.from_iterable(params.ratings.values()), default=0.0)


def _check_scale(ratings: pd.Series, params: Ingest) -> None:
    """Stop when the ratings go beyond the stars that are listed: 4 of 10 is no praise.

    Raises:
        ValueError: more than one in a hundred does; a stray one is left to `_assign_labels`.
    """
    numbers = pd.to_numeric(ratings[ratings != ""], errors="coerce").dropna()
    top = _top_rating(params)
    beyond = numbers[numbers > top]
    if len(beyond) <= 0.01 * len(numbers):
        return
    highest = float(beyond.max())
    scale = range(1, int(highest) + 1)
    # of a scale of ten 1 to 4 is blame and 7 to 10 praise
    low = [rating for rating in scale if rating <= 0.4 * highest]
    high = [rating for rating in scale if rating >= 0.7 * highest]
    remedy = "another column with --map rating=COLUMN"
    # more than 20 is hardly a scale that somebody counts up
    if highest <= 20:
        remedy = _set_options({"ratings.negative": low, "ratings.positive": high})
    raise ValueError(
        f"{len(beyond):,} of {len(numbers):,} ratings are above {top:g}, "
        f"up to {highest:g}: they are not stars of {top:g}; "
        f"say which mean what, such as {remedy}"
    )


def _assign_labels(reviews: pd.DataFrame, params: Ingest) -> Counter[str]:
    """Put the class, or "" for none, into the column label, and reject what cannot be read.

    It comes from the label, else from the rating, else from the aspects. Returns how often each
    value of the label column is there.
    """
    _check_scale(reviews["rating"][reviews["label"] == ""], params)
    top = _top_rating(params)
    class_of_label = tables.meanings(params.labels, "ingest.labels")
    # as the cells of a table: strings
    ratings = {}
    for name, values in params.ratings.items():
        ratings[name] = list(map(str, values))
    class_of_rating = tables.meanings(ratings, "ingest.ratings")
    strange = sorted(set(class_of_rating.values()) - set(params.labels))
    if strange:
        raise ValueError(f"ingest.ratings: {', '.join(strange)} is no class of ingest.labels")
    label_values: Counter[str] = Counter()
    classes = []
    reasons = []
    review: Any
    for review in reviews.itertuples(index=False):
        label = ""
        reason = ""
        if review.label:
            value = tables.plain(review.label)
            label_values[value] += 1
            label = class_of_label.get(value, "")
            if not label:
                reason = f"label {review.label!r:.40} is none of {', '.join(class_of_label)}"
        elif review.rating:
            label = class_of_rating.get(tables.plain(review.rating), "")
            if not label:
                reason = _rating_fault(review.rating, top)
        elif params.label_from_aspects and review.aspects:
            # a complaint is what a shop must not miss
            blamed = any(aspect["polarity"] == "negative" for aspect in review.aspects)
            label = "negative" if blamed else "positive"
        classes.append(label)
        reasons.append(reason)
    reviews["label"] = classes
    _reject(reviews, reasons)
    return label_values


def _rating_fault(rating: str, top: float) -> str:
    """Return why a rating that means no class is not taken, or "": it leaves a text unlabelled."""
    value = tables.plain(rating)
    if not NUMBER.fullmatch(value):
        return f"rating {rating!r:.40} is not a number"
    if float(value) > top:
        return f"rating {rating!r:.40} is above the stars of ingest.ratings"
    return ""


def _reject_contradictions(reviews: pd.DataFrame) -> int:
    """Reject the texts that stand there with different labels; return how many rows that are."""
    labelled = reviews[(reviews["reason"] == "") & (reviews["label"] != "")]
    labels_per_text = labelled.groupby("key")["label"].nunique()
    contradicted = labels_per_text.index[labels_per_text > 1]
    # those without a label, too: nobody knows which of the two it would have
    bad = reviews["key"].isin(contradicted) & (reviews["reason"] == "")
    _reject_where(reviews, bad, "the same text has different labels")
    return int(bad.sum())


def _share_rejected(frame: pd.DataFrame) -> float:
    return float((frame["reason"] != "").mean()) if len(frame) else 0.0


def _rejected_rows(frames: list[pd.DataFrame]) -> list[Rejected]:
    """Return the rows of ``frames`` that have a reason, in the order of their files and rows."""
    columns = list(Rejected._fields)
    rows = pd.concat([frame[columns] for frame in frames])
    rejected = rows[rows["reason"] != ""].sort_values(["file", "row"])
    return [Rejected(*row) for row in rejected.itertuples(index=False, name=None)]


def _deduplicate(reviews: pd.DataFrame, params: Ingest) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return ``reviews`` with their part, each text once, and how many were dropped for what.

    At most ``limit`` labelled ones are kept. A product is in one part only; a text without a
    product is a group of its own, and serves training when it has no label. Of equal texts a
    labelled one stays, then one of the test part, then an annotated one, then the first by
    fingerprint.
    """
    parts = []
    for product, key in zip(reviews["product"], reviews["key"], strict=True):
        group = f"product {tables.plain(product)}" if product else f"text {key}"
        parts.append(splits.part(params.split, group, params.seed))
    unlabelled = reviews["label"] == ""
    ranked = reviews.assign(
        part=parts, unlabelled=unlabelled, unannotated=reviews["aspects"].isna()
    )
    if params.split.train > 0:
        ranked.loc[unlabelled & (reviews["product"] == ""), "part"] = "train"
    ranked["rank"] = ranked["part"].map(PARTS.index)
    ranked = ranked.sort_values(["unlabelled", "rank", "unannotated", "key", "file", "row"])
    distinct = ranked.drop_duplicates("key")
    kept = distinct
    # in this order an earlier text is the one to keep of two that are nearly equal
    if params.near_duplicate_similarity < 1:
        earlier = near_duplicates(distinct["text"].tolist(), params.near_duplicate_similarity)
        kept = distinct[np.array(earlier) < 0]
    # by fingerprint, as by chance: `limit` then takes the same texts whatever is added
    kept = kept.sort_values("key")
    labelled = kept.index[~kept["unlabelled"]]
    beyond_limit = labelled[params.limit :] if params.limit else labelled[:0]
    dropped = {
        "duplicates": len(ranked) - len(distinct),
        "near_duplicates": len(distinct) - len(kept),
        "beyond_limit": len(beyond_limit),
    }
    return kept.drop(beyond_limit), dropped


def _check_parts(parts: dict[str, pd.DataFrame], columns: str, params: Ingest) -> None:
    """Raise a ValueError when there is nothing to learn from, or a part is empty."""
    labelled = sum(map(len, parts.values()))
    if not labelled:
        raise ValueError(
            f"no review has a label, a rating or aspects; {columns}. "
            "Add the column's name to ingest.columns.label or .rating (or --map label=COLUMN), "
            "or set label_from_aspects"
        )
    for part, share in params.split.model_dump().items():
        if share and parts[part].empty:
            raise ValueError(
                f"none of the {labelled} labelled reviews falls into {part} ({share:.0%}); "
                "more data or another ingest.split is needed"
            )
    labels = parts["train"]["label"]
    if params.split.train and labels.nunique() < 2:
        raise ValueError(
            f"all reviews to train on are {labels.iloc[0]}; a classifier needs two classes at least"
        )


def _texts(frame: pd.DataFrame) -> pa.Table:
    return pa.table({"text": pa.array(frame["text"].tolist(), pa.string())})


def _shard(frame: pd.DataFrame, classes: list[str]) -> pa.Table:
    """Return ``frame`` with the columns of `SCHEMA`."""
    ids = []
    review: Any
    for review in frame.itertuples():
        # with the file's name: several may count from 1
        ids.append(f"{Path(review.file).stem}:{review.id or review.row}")
    columns = {
        "id": ids,
        "text": frame["text"].tolist(),
        "label": list(map(classes.index, frame["label"])),
        "language": list(map(language, frame["text"])),
        "product": [product or None for product in frame["product"]],
        "category": [category or None for category in frame["category"]],
        "date": tables.dates(frame["date"].tolist()),
        "aspects": frame["aspects"].tolist(),
    }
    return pa.table(columns, schema=SCHEMA)


def _schema(raw: Path, parts: dict[str, pd.DataFrame], params: Ingest) -> dict[str, Any]:
    """Return the content of schema.json: what the data can teach, and where they come from."""
    digest = hashlib.sha256()
    # of the test part: two models are compared only where it is the same
    review: Any
    for review in parts["test"].itertuples():
        digest.update(f"{review.key} {review.label}\n".encode())
    categories = set()
    for frame in parts.values():
        for aspects in frame["aspects"].dropna():
            categories |= {aspect["category"] for aspect in aspects}
    return {
        "classes": list(params.labels),
        "aspects": sorted(categories),
        "polarities": list(params.polarities),
        "rows": {part: len(frame) for part, frame in parts.items()},
        "split_sha256": digest.hexdigest(),
        **about(raw),
    }
