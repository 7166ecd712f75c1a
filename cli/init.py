"""``beauty init``: look at a delivery, say what it seems to be, and write the params block that fits it after a yes.

Nothing is guessed silently: the family, each column and each label are shown with counts and examples, and what the data
cannot say is asked for, or stops the command with the option that answers it.
"""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from beauty_models import params
from beauty_models.intake import images, tables
from beauty_models.intake.provenance import ABOUT
from beauty_models.sentiment import POLARITY_WORDS
from cli import edit
from tasks.sources import fetch, local, s3
from tasks.sources.manifest import is_data_file
from tasks.state import STATE, OnLine

IGNORE = "ignore"  # as a class: rows with this value are not wanted
EXAMPLES = 3
PARTS = {"train", "training", "validation", "valid", "val", "test"}  # folders that are no classes


@dataclass
class Delivery:
    """What lies at a source: its tables, read, and the paths of its pictures and of all other files."""

    source: str
    tables: dict[str, tables.Table] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


@dataclass
class Proposal:
    """What is to be written, and what of the data speaks for it."""

    family: str
    source: str
    because: str
    columns: dict[str, str] = field(default_factory=dict)  # field → column, as found
    maps: dict[str, str] = field(default_factory=dict)  # of these, those no list of names knows
    guessed: list[str] = field(default_factory=list)  # fields found by their columns' content
    labels_at: tuple[str, ...] = ()  # path of class → values in params.yaml; () when none is needed
    labels: dict[str, dict[str, int]] = field(default_factory=dict)  # class → value → rows
    proposed: list[str] = field(default_factory=list)  # values whose class is our proposal
    unknown: dict[str, int] = field(default_factory=dict)  # value → rows, of values without a class
    ignored: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)  # class or value → texts
    ratings: dict[str, list[float]] = field(default_factory=dict)  # when the scale is another one
    notes: list[str] = field(default_factory=list)


class UndecidedError(ValueError):
    """The data could mean several things; the message names the option that decides."""


def labels_of(texts: list[str]) -> dict[str, str]:
    """Return value → class of ``--label CLASS=VALUE``.

    Raises:
        ValueError: one has no class or no value.
    """
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise ValueError(f"--label {text}: needs CLASS=VALUE, such as positive=good")
        found[value] = name
    return found


def look(source: str, say: OnLine) -> Delivery:
    """Return what lies at ``source``; of an S3 prefix only the tables are downloaded.

    Raises:
        ValueError: nothing is there, or a table cannot be read.
    """
    if fetch.source_kind(source) in edit.DRAWN:
        raise ValueError(f"{source}: needs no settings; `beauty retrain` runs it")
    found = Delivery(source)
    if fetch.source_kind(source) == "local":
        for path, file in local.find_files(source):
            _sort(found, path, file)
        return found
    connection = s3.client()
    objects = [item for item in s3.list_objects(connection, source) if is_data_file(item.path)]
    wanted = [item for item in objects if _suffix(item.path) in tables.SUFFIXES]
    STATE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STATE, prefix="init-") as temporary:
        folder = Path(temporary) / "tables"
        folder.mkdir()
        s3.download(connection, wanted, folder, Path(temporary) / "parts", say)
        for item in objects:
            _sort(found, item.path, folder / item.path)
    return found


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _sort(found: Delivery, path: str, file: Path) -> None:
    """Put one file where it belongs."""
    if PurePosixPath(path).name in ABOUT:
        return
    if _suffix(path) in images.SUFFIXES:
        found.pictures.append(path)
    elif _suffix(path) not in tables.SUFFIXES:
        found.others.append(path)
    else:
        try:
            found.tables[path] = tables.read(file)
        except tables.EmptyTableError:
            found.others.append(path)


def propose(
    delivery: Delivery, family: str | None, maps: dict[str, str], labels: dict[str, str]
) -> Proposal:
    """Return what ``delivery`` seems to be.

    Args:
        family: the user's word, or None.
        maps: field → column, the user's word.
        labels: value → class, the user's word; the class `IGNORE` leaves its rows out.

    Raises:
        UndecidedError: it could be several things, or nothing that is known.
    """
    blocks = params.read()
    guesses = _families(delivery, blocks, maps)
    if family is None and not guesses:
        raise UndecidedError(f"{delivery.source}: {_nothing(delivery, blocks)}")
    chosen = family or next(iter(guesses))
    block = blocks[chosen]
    because = guesses.get(chosen, "you said so")
    proposal = Proposal(chosen, delivery.source, because, maps=dict(maps))
    for other, reason in guesses.items():
        if other != chosen:
            proposal.notes.append(f"it could be {other}, too ({reason}): --family {other}")
    if delivery.others:
        some = ", ".join(delivery.others[:3])
        proposal.notes.append(f"{len(delivery.others)} files are neither table nor picture: {some}")
    if chosen == "sentiment":
        _sentiment(proposal, delivery, block, maps, labels)
    else:
        _pictures(proposal, delivery, block, maps, labels)
    return proposal


def _nothing(delivery: Delivery, blocks: dict[str, Any]) -> str:
    there = "; ".join(
        f"{path} has the columns {', '.join(table.rows.columns)}"
        for path, table in delivery.tables.items()
    )
    return (
        f"cannot tell what it is ({there or 'no table'}; {len(delivery.pictures)} pictures); "
        f"say --family {'|'.join(blocks)} and --map FIELD=COLUMN"
    )


def _families(delivery: Delivery, blocks: dict[str, Any], maps: dict[str, str]) -> dict[str, str]:
    """Return family → why, the likeliest first."""
    found: dict[str, str] = {}
    fields = {
        family: {path: set(_pick(table, block, maps)) for path, table in delivery.tables.items()}
        for family, block in blocks.items()
    }
    for path, known in fields.get("recommend", {}).items():
        if {"sku", "image"} <= known and known & {"name", "description"} and delivery.pictures:
            found["recommend"] = f"{path} has SKUs, texts and the names of pictures"
    for path, known in fields.get("sentiment", {}).items():
        if "text" in known and known & {"label", "rating"} and "recommend" not in found:
            found["sentiment"] = f"{path} has texts and their {_one(known, 'label', 'rating')}"
    if "sentiment" not in found and "recommend" not in found:
        for path, table in delivery.tables.items():
            if tables.text_column(table.rows) and not delivery.pictures:
                found["sentiment"] = f"{path} has a column of texts and no pictures lie beside it"
    for path, known in fields.get("tryon", {}).items():
        label = _one(known, "fit", "class")
        if label and known & {"text", "image"}:
            found["tryon"] = f"{path} has a {label} column"
    folders = _classes(delivery)
    if "tryon" in blocks and len(folders) > 1 and (not delivery.tables or not found):
        found["tryon"] = f"its pictures lie in {len(folders)} folders, one per class"
    return found


def _one(known: set[str], *names: str) -> str:
    return next((name for name in names if name in known), "")


def _pick(table: tables.Table, block: dict[str, Any], maps: dict[str, str]) -> dict[str, str]:
    """Return field → column by the names that params.yaml lists, or by the user's."""
    names = {**block["ingest"]["columns"], **{field: [name] for field, name in maps.items()}}
    return tables.pick(list(table.rows.columns), names)


def _classes(delivery: Delivery) -> Counter[str]:
    """Return class → pictures, a class being the folder in which pictures lie."""
    folders = [PurePosixPath(path).parent.name for path in delivery.pictures]
    return Counter(name for name in folders if name and name.casefold() not in PARTS)


def _sentiment(
    proposal: Proposal,
    delivery: Delivery,
    block: dict[str, Any],
    maps: dict[str, str],
    labels: dict[str, str],
) -> None:
    """Fill in columns and labels of reviews; tables of annotations stay as they are."""
    needed = {"id", "aspect", "polarity"}
    annotations = [p for p, t in delivery.tables.items() if needed <= set(_pick(t, block, maps))]
    values: Counter[str] = Counter()
    ratings: Counter[str] = Counter()
    for path, table in delivery.tables.items():
        columns = _pick(table, block, maps)
        if path in annotations and "text" not in columns:
            proposal.notes.append(f"{path} annotates aspects, joined by id")
            continue
        _complete(proposal, path, table, columns, bool(annotations))
        proposal.columns |= columns
        if "label" in columns:
            _count(proposal, table, columns, values)
        elif "rating" in columns:
            ratings.update(map(tables.plain, table.rows[columns["rating"]]))
    proposal.labels_at = ("sentiment", "ingest", "labels")
    if values:
        _classify(proposal, values, block["ingest"]["labels"], labels)
    if ratings:
        _scale(proposal, ratings, block["ingest"])


def _complete(
    proposal: Proposal, path: str, table: tables.Table, columns: dict[str, str], annotated: bool
) -> None:
    """Find text and label of one table by their content where no name is known."""
    there = ", ".join(table.rows.columns)
    if "text" not in columns:
        columns["text"] = tables.text_column(table.rows, set(columns.values()))
        if not columns["text"]:
            raise UndecidedError(f"{path}: which of {there} is the text? Say --map text=COLUMN")
        proposal.maps["text"] = columns["text"]
        proposal.guessed.append("text")
    if annotated or {"label", "rating"} & set(columns):
        return
    candidates = tables.label_columns(table.rows, POLARITY_WORDS, set(columns.values()))
    if len(candidates) != 1:
        which = f"one of {', '.join(candidates)}" if candidates else f"none of {there}"
        raise UndecidedError(
            f"{path}: the label seems to be {which}; say --map label=COLUMN, or --map rating=COLUMN for stars"
        )
    columns["label"] = proposal.maps["label"] = candidates[0]
    proposal.guessed.append("label")


def _count(
    proposal: Proposal, table: tables.Table, columns: dict[str, str], values: Counter[str]
) -> None:
    """Count the labels of one table and keep a few texts of each."""
    texts = table.rows[columns["text"]]
    for value, text in zip(map(tables.plain, table.rows[columns["label"]]), texts, strict=True):
        if not value:
            continue
        values[value] += 1
        kept = proposal.examples.setdefault(value, [])
        if len(kept) < EXAMPLES and text:
            kept.append(text)


def _classify(
    proposal: Proposal,
    values: Counter[str],
    accepted: dict[str, list[str]],
    labels: dict[str, str],
) -> None:
    """Sort the label column's values into classes: by the user's word, by params.yaml, else by polar words."""
    numbers = [value for value in values if value.lstrip("-").replace(".", "", 1).isdigit()]
    if len(numbers) > 3 and len(numbers) == len(values) and not labels:
        column = proposal.columns.get("label", "label")
        raise UndecidedError(
            f"the label column {column!r} holds {len(numbers)} numbers ({', '.join(sorted(numbers)[:6])}), which look like stars: "
            f"rename it to rating in the file, or say which number means what: --label positive=5 --label negative=1 …"
        )
    known = tables.meanings(accepted, ".".join(proposal.labels_at))
    words = tables.meanings(POLARITY_WORDS, "the words of beauty init")
    given = {tables.plain(value): name for value, name in labels.items()}
    if strange := sorted(set(given) - set(values)):
        there = ", ".join(value for value, _ in values.most_common(8))
        raise ValueError(f"--label: no row has the value {strange[0]!r}; there are {there}")
    for value, count in values.most_common():
        name = given.get(value) or known.get(value) or words.get(value, "")
        if name == IGNORE:
            proposal.ignored[value] = count
        elif name and (name in accepted or value in given):
            proposal.labels.setdefault(name, {})[value] = count
            if value not in given and value not in known:
                proposal.proposed.append(value)
        else:
            proposal.unknown[value] = count


def _scale(proposal: Proposal, ratings: Counter[str], ingest: dict[str, Any]) -> None:
    """Count the stars of each class; propose another scale when they go up to ten."""
    stars = {value: float(value) for value in ratings if value.replace(".", "", 1).isdigit()}
    top = max(stars.values(), default=0.0)
    classes: dict[str, list[float]] = ingest["ratings"]
    highest = max(star for values in classes.values() for star in values)
    if top > 10:
        raise UndecidedError(
            f"ratings go up to {top:g}; say which mean what in {ratings_command(10)}"
        )
    if top > highest:
        classes = ten_points()
        proposal.ratings = classes
        proposal.notes.append(f"ratings go up to {top:g}: read as a scale of ten")
    meaning = {star: name for name, values in classes.items() for star in values}
    for value, count in sorted(ratings.items()):
        name = meaning.get(stars.get(value, -1.0), "")
        if name:
            proposal.labels.setdefault(name, {})[f"{value} stars"] = count
        else:
            proposal.notes.append(
                f"{count} rows with the rating {value or 'none'!r} have no class; they serve pretraining"
            )


def ten_points() -> dict[str, list[float]]:
    """Return the classes of a scale of ten: up to four is blame, from seven on praise."""
    return {"negative": [1, 2, 3, 4], "positive": [7, 8, 9, 10]}


def ratings_command(top: float) -> str:
    """Return the options that say which ratings mean what."""
    return f"--set 'sentiment.ingest.ratings.negative=[1, 2]' --set 'sentiment.ingest.ratings.positive=[{top - 1:g}, {top:g}]'"


def _pictures(
    proposal: Proposal,
    delivery: Delivery,
    block: dict[str, Any],
    maps: dict[str, str],
    labels: dict[str, str],
) -> None:
    """Fill in columns and counts of a catalogue or of garments."""
    names = {PurePosixPath(path).name.casefold() for path in delivery.pictures}
    values: Counter[str] = Counter()
    for path, table in delivery.tables.items():
        columns = _pick(table, block, maps)
        shown = ", ".join(f"{field} = {column}" for field, column in columns.items())
        proposal.notes.append(f"{path}: {len(table.rows):,} rows; {shown or 'no known column'}")
        if "image" in columns:
            cells = [cell for cell in table.rows[columns["image"]] if cell]
            there = sum(_file_name(cell) in names for cell in cells)
            proposal.notes.append(
                f"{path}: {there:,} of {len(cells):,} pictures that it names are there"
            )
        if proposal.family == "tryon" and "fit" in columns:
            _count(
                proposal,
                table,
                {"text": columns.get("text", columns["fit"]), "label": columns["fit"]},
                values,
            )
        proposal.columns |= columns
    proposal.notes.append(f"{len(delivery.pictures):,} pictures")
    if proposal.family != "tryon":
        return
    if not delivery.tables:
        least = block["ingest"]["min_examples"]
        for name, count in _classes(delivery).most_common():
            proposal.labels.setdefault(name, {})["folder"] = count
            if count < least:
                proposal.notes.append(f"the class {name} has {count} pictures, {least} are needed")
    elif values:
        proposal.labels_at = ("tryon", "ingest", "heads", "fit")
        _classify(proposal, values, block["ingest"]["heads"]["fit"], labels)


def _file_name(cell: str) -> str:
    return PurePosixPath(cell.split("?")[0].replace("\\", "/")).name.casefold()


def undecided(proposal: Proposal) -> str:
    """Return the options that would give each unknown label a class, or "" when all have one and there are two."""
    if proposal.unknown:
        options = " ".join(f"--label CLASS={shlex.quote(value)}" for value in proposal.unknown)
        classes = ", ".join(params.read()[proposal.family]["ingest"].get("labels", {})) or "a class"
        return f"say what each value means ({classes}, or {IGNORE}): {options}"
    if proposal.labels_at and len(proposal.labels) == 1:
        return f"all rows are {next(iter(proposal.labels))}; two classes are needed"
    return ""


def changes(proposal: Proposal, profile: str | None) -> edit.Changes:
    """Return what is written into params.yaml."""
    found = edit.from_source([proposal.family], proposal.source, proposal.maps, profile)
    block = params.read()[proposal.family]
    accepted = block["ingest"]["heads"]["fit"] if proposal.family == "tryon" else {}
    accepted = block["ingest"]["labels"] if proposal.family == "sentiment" else accepted
    for name, values in proposal.labels.items() if not proposal.ratings else ():
        old = accepted.get(name, [])
        known = set(map(tables.plain, old))
        new = [value for value in values if value not in known]
        if proposal.labels_at and proposal.examples and new:
            found[*proposal.labels_at, name] = [*old, *new]
    for name, stars in proposal.ratings.items():
        found["sentiment", "ingest", "ratings", name] = stars
    return found


def lines(proposal: Proposal) -> list[str]:
    """Return the proposal as lines for a terminal of 80 columns."""
    said = [f"{proposal.source}: {proposal.family}, for {proposal.because}"]
    for name, column in proposal.columns.items():
        if proposal.family == "sentiment":
            how = "by its name"
            if name in proposal.maps:
                how = "by its content" if name in proposal.guessed else "as you said"
            said.append(f"  {name}: column {column!r} ({how})")
    for name, values in proposal.labels.items():
        said.append(f"  {name}: {sum(values.values()):,} rows")
        for value, count in values.items():
            how = " (our proposal)" if value in proposal.proposed else ""
            said.append(f"    {value!r}: {count:,}{how}{_example(proposal, value)}")
    for title, values in (("no class yet", proposal.unknown), ("left out", proposal.ignored)):
        for value, count in values.items():
            said.append(f"  {title}: {value!r}: {count:,}{_example(proposal, value)}")
    return said + [f"  note: {note}" for note in proposal.notes]


def _example(proposal: Proposal, value: str) -> str:
    texts = proposal.examples.get(value, [])
    return f", such as “{texts[0][:40]}”" if texts else ""
