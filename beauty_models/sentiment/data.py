"""ingest: raw review files → clean, distinct, labelled texts in a train, a validation and a frozen test part."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_file, new_folder, read_json, write_json
from beauty_models.intake import splits, tables
from beauty_models.intake.text import fingerprint, language, near_duplicates, normalize
from beauty_models.progress import bar, log_line
from beauty_models.sentiment import POLARITY_WORDS, Columns, Ingest

REVIEW = ("id", "text", "label", "rating", "product", "category", "date")
ANNOTATION = ("id", "aspect", "polarity", "term", "opinion")
PARTS = [
    "test",
    "validation",
    "train",
]  # of two equal texts the one in the earlier part stays: the test part changes least
ABOUT = ["manifest.json", "LICENSE.json"]  # files about the data; the earlier one knows better
NUMBER = re.compile(r"-?\d+(\.\d+)?")
NO_WORD = {"", "_"}  # an annotation's way to say that no word of the text names the aspect

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
    ]
    + [("category", pa.string()), ("date", pa.timestamp("us")), ("aspects", ASPECTS)]
)
REJECTED = pa.schema(
    [("file", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("text", pa.string())]
)


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every table of ``raw`` and write the shards and ``schema.json`` to ``data``.

    A table with a text column holds reviews; one with id, aspect and polarity but no text annotates reviews by their id.
    ``train``, ``validation`` and ``test.parquet`` have the columns of `SCHEMA`, label being an index into the classes of
    ``schema.json``, aspects null where nobody annotated. ``unlabelled.parquet`` has the texts to pretrain on: those of the
    train part and those without a label, unless their product is in another part. ``rejected.parquet`` has the rows of
    `REJECTED`. Texts are in the order of their fingerprints, which says nothing about them; the same files give the same bytes.

    Raises:
        ValueError: a file cannot be read or has no text, no row has a label, too many rows are rejected, or a part or a class
            would be empty.
    """
    reviews, annotations, columns = _read(raw, params.columns)
    reviews["text"] = [normalize(text) for text in reviews["text"]]
    _annotate(reviews, annotations, tables.meanings(params.polarities, "ingest.polarities"))
    _doubt(reviews, [_length_fault(text, params) for text in reviews["text"]])
    seen = _label(reviews, params)
    reviews["key"] = [fingerprint(text) for text in reviews["text"]]
    contradictions = _contradict(reviews)
    rejected = pd.concat(
        [frame[frame["reason"] != ""][REJECTED.names] for frame in (reviews, annotations)]
    ).sort_values(["file", "row"])
    remedy = _labels_remedy(seen, params.labels)
    _check_rejected([reviews, annotations], rejected, data, params.max_rejected, remedy)
    kept, figures = _distinct(reviews[reviews["reason"] == ""], params)
    parts = {part: kept[(kept["part"] == part) & (kept["label"] != "")] for part in PARTS}
    _check_parts(parts, columns, params)
    unlabelled = kept["text"][kept["part"] == "train"].tolist()
    with new_folder(data) as folder:
        for part, frame in parts.items():
            pq.write_table(_shard(frame, list(params.labels)), folder / f"{part}.parquet")
        pq.write_table(
            pa.table({"text": pa.array(unlabelled, pa.string())}), folder / "unlabelled.parquet"
        )
        pq.write_table(_rejected(rejected), folder / "rejected.parquet")
        write_json(folder / "schema.json", _schema(raw, parts, params))
    counts = {
        "rows": len(reviews),
        "annotations": len(annotations),
        "rejected": len(rejected),
        "contradictions": contradictions,
    }
    counts |= {"kept": len(kept), "unlabelled": len(unlabelled)} | {
        part: len(frame) for part, frame in parts.items()
    }
    counts["held_back"] = (
        counts["kept"]
        - sum(counts[part] for part in PARTS)
        - int((kept["unlabelled"] & (kept["part"] == "train")).sum())
    )
    classes = pd.concat(parts.values())["label"]
    log_line("ingest: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return (
        figures
        | {name: float(n) for name, n in counts.items()}
        | {f"share.{name}": float((classes == name).mean()) for name in params.labels}
    )


def _read(raw: Path, columns: Columns) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the reviews, the annotations, and in words which columns every file has."""
    files = sorted(
        p
        for p in raw.rglob("*")
        if p.is_file() and p.name not in ABOUT and not p.name.startswith(".")
    )
    readable = [p for p in files if p.suffix.lower() in tables.SUFFIXES]
    for file in sorted(set(files) - set(readable)):
        log_line(f"{file}: left aside, not one of {', '.join(tables.SUFFIXES)}")
    if not readable:
        raise ValueError(f"{raw}: no {', '.join(tables.SUFFIXES)} file in it")
    frames = {
        fields: [pd.DataFrame(columns=list(dict.fromkeys([*fields, *REJECTED.names])))]
        for fields in (REVIEW, ANNOTATION)
    }
    there = []
    with bar("ingest: read", len(readable)) as progress:
        for file in readable:
            table = tables.read(file)
            found = tables.pick(list(table.rows.columns), columns.model_dump())
            there.append(f"{file} has the columns {', '.join(table.rows.columns)}")
            if not {"label", "rating", "polarity"} & set(found):
                labels = tables.label_columns(table.rows, POLARITY_WORDS, found.values())
                some = f" (perhaps --map label={labels[0]})" if len(labels) == 1 else ""
                there[-1] += some
            if "text" not in found and not {"id", "aspect", "polarity"} <= set(found):
                raise ValueError(
                    f"{there[-1]}; none of them is known as the text: add {_map_remedy(table.rows, found)} "
                    "(or the name to ingest.columns.text); `beauty init FILE` looks at a file and proposes"
                )
            fields = REVIEW if "text" in found else ANNOTATION
            frames[fields].append(
                _frame(table, found, fields).assign(file=file.relative_to(raw).as_posix())
            )
            progress.advance(note=file.name)
    reviews, annotations = (pd.concat(parts, ignore_index=True) for parts in frames.values())
    return reviews, annotations, "; ".join(there)


def _frame(table: tables.Table, found: dict[str, str], fields: tuple[str, ...]) -> pd.DataFrame:
    """Return good and bad rows with the columns ``fields``, row, text and reason."""
    rows = table.rows
    good = pd.DataFrame(
        {field: rows[found[field]] if field in found else "" for field in fields},
        index=rows.index,
        dtype=object,
    )
    good = good.assign(reason="").reset_index()
    if "text" not in fields:
        good["text"] = [" ".join(cells) for cells in good[list(fields)].itertuples(index=False)]
    return pd.concat(
        [good, table.rejected.reindex(columns=good.columns, fill_value="")], ignore_index=True
    )


def _doubt(frame: pd.DataFrame, reasons: list[str]) -> None:
    """Reject the rows of ``frame`` that have a reason among ``reasons`` and none yet."""
    frame["reason"] = [old or new for old, new in zip(frame["reason"], reasons, strict=True)]


def _annotate(reviews: pd.DataFrame, annotations: pd.DataFrame, polarities: dict[str, str]) -> None:
    """Give ``reviews`` the column aspects: a list, or None in files that nobody annotated. Reject what cannot be joined."""
    known = set(reviews["id"]) - {""}
    reasons: list[str] = []
    aspects: dict[str, list[dict[str, Any]]] = defaultdict(list)
    note: Any
    for note in annotations.itertuples(index=False):
        polarity = polarities.get(tables.plain(note.polarity))
        fault = "" if note.aspect else "no aspect"
        fault = fault or (
            "" if polarity else f"polarity {note.polarity!r} is none of {', '.join(polarities)}"
        )
        reasons.append(fault or ("" if note.id in known else "no review has this id"))
        if not reasons[-1] and not note.reason:
            term, opinion = ("" if word in NO_WORD else word for word in (note.term, note.opinion))
            aspect = {
                "category": note.aspect,
                "polarity": polarity,
                "term": term,
                "opinion": opinion,
            }
            aspects[note.id] += [aspect] if aspect not in aspects[note.id] else []
    _doubt(annotations, reasons)
    annotated = set(reviews["file"][reviews["id"].isin(aspects.keys())])
    mine = reviews["file"].isin(annotated) & (reviews["id"] != "")
    reviews["aspects"] = pd.Series(
        [list(aspects[i]) if yes else None for i, yes in zip(reviews["id"], mine, strict=True)],
        dtype=object,
    )
    twice = mine & (reviews["text"] != reviews.groupby("id")["text"].transform("first"))
    _doubt(
        reviews,
        [
            "an earlier review has this id, so this one's annotations are unknown" if bad else ""
            for bad in twice
        ],
    )


def _length_fault(text: str, params: Ingest) -> str:
    if not text:
        return "no text"
    if len(text) < params.min_characters:
        return f"text shorter than {params.min_characters} characters"
    return (
        f"text longer than {params.max_characters} characters"
        if len(text) > params.max_characters
        else ""
    )


def _map_remedy(rows: pd.DataFrame, found: dict[str, str]) -> str:
    """Return the ``--map`` that names the likeliest text of ``rows``, and its label where one stands out."""
    text = tables.text_column(rows, found.values())
    parts = [f"text={text or 'COLUMN'}"]
    labels = tables.label_columns(rows, POLARITY_WORDS, {*found.values(), text})
    if not {"label", "rating"} & set(found) and len(labels) == 1:
        parts.append(f"label={labels[0]}")
    return f"--map {shlex.quote(','.join(parts))}"


def _sets(values: dict[str, list[Any]]) -> str:
    """Return the ``--set`` options, ready to paste, that put ``values`` below sentiment.ingest."""
    options = []
    for key, items in values.items():
        text = json.dumps(items, ensure_ascii=False)
        options.append(f"--set {shlex.quote(f'sentiment.ingest.{key}={text}')}")
    return " ".join(options)


def _labels_remedy(seen: Counter[str], labels: dict[str, list[str]]) -> str:
    """Return the options that give the most frequent unknown ones of the label values ``seen`` a class, "" when there are none."""
    known = tables.meanings(labels, "ingest.labels")
    unknown = [value for value, _ in seen.most_common() if value not in known]
    if not unknown:
        return ""
    words = tables.meanings(POLARITY_WORDS, "POLARITY_WORDS")
    classes = list(labels)
    given: dict[str, list[str]] = {name: [] for name in classes}
    for value in seen:
        if value in known:
            given[known[value]].append(value)
    unsure = False
    for value in unknown[:6]:
        name = words.get(value, "")
        if name not in given:
            unsure = True
            name = min(classes, key=lambda one: len(given[one]))
        given[name].append(value)
    options = _sets({f"labels.{name}": values for name, values in given.items() if values})
    doubt = " (which value means what is a guess here: put each where it belongs)" if unsure else ""
    return f"say what the values mean{doubt}: {options}"


def _check_scale(ratings: pd.Series, params: Ingest) -> None:
    """Stop when the ratings go beyond the stars that are listed: 4 of 10 is no praise.

    Raises:
        ValueError: more than one in a hundred does; a stray one is left to `_label`.
    """
    numbers = pd.to_numeric(ratings[ratings != ""], errors="coerce").dropna()
    top = max((star for values in params.ratings.values() for star in values), default=0.0)
    beyond = numbers[numbers > top]
    if len(beyond) <= 0.01 * len(numbers):
        return
    highest = float(beyond.max())
    low = [star for star in range(1, int(highest) + 1) if star <= 0.4 * highest]
    high = [star for star in range(1, int(highest) + 1) if star >= 0.7 * highest]
    remedy = "another column with --map rating=COLUMN"
    if highest <= 20:
        remedy = _sets({"ratings.negative": low, "ratings.positive": high})
    raise ValueError(
        f"{len(beyond):,} of {len(numbers):,} ratings are above {top:g}, up to {highest:g}: they are not stars of {top:g}; "
        f"say which mean what, such as {remedy}"
    )


def _label(reviews: pd.DataFrame, params: Ingest) -> Counter[str]:
    """Put the class, or "" for none, into the column label: from label, else rating, else aspects; return the labels seen."""
    _check_scale(reviews["rating"][reviews["label"] == ""], params)
    top = max((star for values in params.ratings.values() for star in values), default=0.0)
    seen: Counter[str] = Counter()
    labels = tables.meanings(params.labels, "ingest.labels")
    stars = tables.meanings(
        {name: list(map(str, values)) for name, values in params.ratings.items()}, "ingest.ratings"
    )
    if strange := sorted(set(stars.values()) - set(params.labels)):
        raise ValueError(f"ingest.ratings: {', '.join(strange)} is no class of ingest.labels")
    found, reasons = [], []
    review: Any
    for review in reviews.itertuples(index=False):
        label, reason = "", ""
        if review.label:
            label = labels.get(tables.plain(review.label), "")
            reason = "" if label else f"label {review.label!r:.40} is none of {', '.join(labels)}"
            seen[tables.plain(review.label)] += 1
        elif review.rating:
            label = stars.get(tables.plain(review.rating), "")
            reason = (
                ""
                if NUMBER.fullmatch(tables.plain(review.rating))
                else f"rating {review.rating!r:.40} is not a number"
            )
            if not reason and not label and float(tables.plain(review.rating)) > top:
                reason = f"rating {review.rating!r:.40} is above the stars of ingest.ratings"
        elif params.label_from_aspects and review.aspects:
            label = (
                "negative"
                if any(aspect["polarity"] == "negative" for aspect in review.aspects)
                else "positive"
            )
        found.append(label)
        reasons.append(reason)
    reviews["label"] = found
    _doubt(reviews, reasons)
    return seen


def _contradict(reviews: pd.DataFrame) -> int:
    """Reject the texts that stand there with different labels; return how many rows that are."""
    labelled = reviews[(reviews["reason"] == "") & (reviews["label"] != "")]
    labels = labelled.groupby("key")["label"].nunique()
    torn = reviews["key"].isin(labels.index[labels > 1]) & (reviews["reason"] == "")
    _doubt(reviews, ["the same text has different labels" if bad else "" for bad in torn])
    return int(torn.sum())


def _check_rejected(
    frames: list[pd.DataFrame], rejected: pd.DataFrame, data: Path, limit: float, remedy: str
) -> None:
    """Fail when more than ``limit`` of the rows of a kind are rejected, and leave them beside ``data``."""
    left = data.with_name(f"{data.name}.rejected.parquet")
    left.unlink(missing_ok=True)
    share = max(float((frame["reason"] != "").mean()) for frame in frames if len(frame))
    if share <= limit:
        return
    with new_file(left) as temporary:
        pq.write_table(_rejected(rejected), temporary)
    lines = [
        f"{share:.0%} of the rows are rejected, ingest.max_rejected allows {limit:.0%}; all of them are in {left}"
    ]
    for reason, count in Counter(rejected["reason"]).most_common(5):
        first = rejected[rejected["reason"] == reason].iloc[0]
        lines.append(f"  {count} times: {reason} (first in {first['file']}, row {first['row']})")
    lines += [remedy] if remedy else []
    raise ValueError("\n".join(lines))


def _distinct(reviews: pd.DataFrame, params: Ingest) -> tuple[pd.DataFrame, Metrics]:
    """Return ``reviews`` with their part and without repetitions, at most ``limit`` of them labelled, and what was dropped.

    A product is in one part only; a text without a product is a group of its own. An unlabelled one of those is for training.
    Of equal texts a labelled one stays, then one of the test part, then an annotated one, then the first by fingerprint.
    """
    groups = [
        f"product {tables.plain(p)}" if p else f"text {key}"
        for p, key in zip(reviews["product"], reviews["key"], strict=True)
    ]
    labelled = reviews["label"] != ""
    parts = [splits.part(params.split, group, params.seed) for group in groups]
    alone = ~labelled & (reviews["product"] == "") & (params.split.train > 0)
    ranked = reviews.assign(part=parts, unlabelled=~labelled, bare=reviews["aspects"].isna())
    ranked.loc[alone, "part"] = "train"
    ranked["rank"] = ranked["part"].map(PARTS.index)
    ranked = ranked.sort_values(["unlabelled", "rank", "bare", "key", "file", "row"])
    once = ranked.drop_duplicates("key")
    kept = once
    if params.near_duplicate_similarity < 1:
        kept = once[
            [
                earlier < 0
                for earlier in near_duplicates(
                    once["text"].tolist(), params.near_duplicate_similarity
                )
            ]
        ]
    kept = kept.sort_values("key")
    beyond = kept.index[~kept["unlabelled"]][params.limit or len(kept) :]
    figures = {
        "duplicates": len(ranked) - len(once),
        "near_duplicates": len(once) - len(kept),
        "beyond_limit": len(beyond),
    }
    return kept.drop(beyond), {name: float(count) for name, count in figures.items()}


def _check_parts(parts: dict[str, pd.DataFrame], columns: str, params: Ingest) -> None:
    labelled = sum(map(len, parts.values()))
    if not labelled:
        raise ValueError(
            f"no review has a label, a rating or aspects; {columns}. "
            "Add the column's name to ingest.columns.label or .rating (or --map label=COLUMN), or set label_from_aspects"
        )
    for part, share in params.split.model_dump().items():
        if share and parts[part].empty:
            raise ValueError(
                f"none of the {labelled} labelled reviews falls into {part} ({share:.0%}); more data or another ingest.split is needed"
            )
    if params.split.train and parts["train"]["label"].nunique() < 2:
        raise ValueError(
            f"all reviews to train on are {parts['train']['label'].iloc[0]}; a classifier needs two classes at least"
        )


def _shard(frame: pd.DataFrame, classes: list[str]) -> pa.Table:
    names = [
        f"{Path(file).stem}:{given or row}"
        for file, given, row in zip(frame["file"], frame["id"], frame["row"], strict=True)
    ]
    columns = {
        "id": names,
        "text": frame["text"].tolist(),
        "label": [classes.index(label) for label in frame["label"]],
        "language": [language(text) for text in frame["text"]],
        "product": [product or None for product in frame["product"]],
        "category": [category or None for category in frame["category"]],
        "date": tables.dates(frame["date"].tolist()),
        "aspects": frame["aspects"].tolist(),
    }
    return pa.table(columns, schema=SCHEMA)


def _rejected(frame: pd.DataFrame) -> pa.Table:
    cut = frame.assign(text=frame["text"].str[: tables.EXCERPT])
    return pa.table({name: cut[name].tolist() for name in REJECTED.names}, schema=REJECTED)


def _schema(raw: Path, parts: dict[str, pd.DataFrame], params: Ingest) -> dict[str, Any]:
    about: dict[str, Any] = next(
        (read_json(raw / name) for name in ABOUT if (raw / name).exists()), {}
    )
    content = "".join(
        f"{key} {label}\n"
        for key, label in zip(parts["test"]["key"], parts["test"]["label"], strict=True)
    )
    categories = {
        aspect["category"]
        for frame in parts.values()
        for aspects in frame["aspects"]
        for aspect in aspects or []
    }
    return {
        "classes": list(params.labels),
        "aspects": sorted(categories),
        "polarities": list(params.polarities),
        "rows": {part: len(frame) for part, frame in parts.items()},
        "split_sha256": hashlib.sha256(content.encode()).hexdigest(),
        "license": about.get("license", ""),
        "commercial_use": about.get("commercial_use"),
        "source": about.get("source", ""),
    }
