"""``beauty init``: say what a delivery seems to be, and write the params that fit after a yes.

Nothing is guessed silently: the family, each column and each label are shown with counts and
examples, and what the data cannot say is asked for, or stops the command with the option that
answers it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from beauty_models import params
from beauty_models.intake import images, public_sets, tables
from beauty_models.intake.columns import (
    LARGEST_SCALE,
    STAR_VALUES,
    are_ratings,
    label_columns,
    star_count,
    text_column,
)
from beauty_models.intake.values import meanings, plain
from beauty_models.sentiment import POLARITY_WORDS
from beauty_models.translate.locales import Locales
from cli import edit
from cli.delivery import Delivery, class_folders, pick, suitable_families

IGNORE = "ignore"  # as a class: rows with this value are not wanted
EXAMPLES = 3  # texts of a label that are kept
EXAMPLE_LENGTH = 40  # characters that are shown
LISTED_VALUES = 8  # in a message

# A scale of ten: up to four is blame, from seven on praise.
TEN_POINTS: dict[str, list[float]] = {"negative": [1, 2, 3, 4], "positive": [7, 8, 9, 10]}


@dataclass
class Proposal:
    """What is to be written, and what of the data speaks for it."""

    family: str
    source: str
    because: str
    columns: dict[str, str] = field(default_factory=dict)  # field → column
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


@dataclass(frozen=True)
class UserWord:
    """What the user says of the data; it counts more than what the data seem to be."""

    maps: dict[str, str]  # field → column
    labels: dict[str, str]  # value → class; the class `IGNORE` leaves its rows out


class UndecidedError(ValueError):
    """The data could mean several things; the message names the option that decides."""


def labels_of(texts: list[str]) -> dict[str, str]:
    """Return value → class of ``--label CLASS=VALUE``.

    Raises:
        ValueError: one has no class or no value.
    """
    labels = {}
    for text in texts:
        # At the first sign: a value may have one in it, a class may not.
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise ValueError(f"--label {text}: needs CLASS=VALUE, such as positive=good")
        labels[value] = name
    return labels


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
    if delivery.public_set:
        return _public_set(delivery, delivery.public_set, family, blocks)
    reasons = suitable_families(delivery, blocks, maps)
    if family is None and not reasons:
        raise UndecidedError(f"{delivery.source}: {_nothing_known(delivery, blocks)}")
    chosen = family or next(iter(reasons))
    because = reasons.pop(chosen, "you said so")
    proposal = Proposal(chosen, delivery.source, because, maps=dict(maps))
    for alternative, reason in reasons.items():
        proposal.notes.append(f"it could be {alternative}, too ({reason}): --family {alternative}")
    if delivery.others:
        some = ", ".join(delivery.others[:3])
        proposal.notes.append(f"{len(delivery.others)} files are neither table nor picture: {some}")
    word = UserWord(maps, labels)
    if chosen == "sentiment":
        _fill_reviews(proposal, delivery, blocks[chosen], word)
    elif chosen == "tutorial":
        _fill_articles(proposal, delivery, blocks[chosen], word)
    elif chosen == "translate":
        _fill_translations(proposal, delivery, blocks[chosen], word)
    else:
        _fill_products(proposal, delivery, blocks[chosen], word)
    return proposal


def _public_set(
    delivery: Delivery, found: public_sets.Found, family: str | None, blocks: dict[str, Any]
) -> Proposal:
    """Return what is proposed for a set that is known by its layout: no columns, no labels."""
    public_set = found.public_set
    served = [name for name in public_set.families if name in blocks]
    chosen = family or next(iter(served), public_set.families[0])
    public_sets.check_serves(found, chosen)
    proposal = Proposal(chosen, delivery.source, f"it is laid out as {public_set.name}")
    for other in served:
        if other != chosen:
            proposal.notes.append(f"it serves {other}, too: --family {other}")
    proposal.notes.append(
        f"{public_set.license}; the model card and the registry will say so, unless "
        f"families.{chosen}.license in params.yaml says what you agreed on"
    )
    proposal.notes.append(f"{len(delivery.pictures):,} pictures; its own parts are kept")
    return proposal


def _nothing_known(delivery: Delivery, blocks: dict[str, Any]) -> str:
    headers = []
    for path, table in delivery.tables.items():
        headers.append(f"{path} has the columns {', '.join(table.rows.columns)}")
    return (
        f"cannot tell what it is ({'; '.join(headers) or 'no table'}; "
        f"{len(delivery.pictures)} pictures); "
        f"say --family {'|'.join(blocks)} and --map FIELD=COLUMN"
    )


def _fill_reviews(
    proposal: Proposal, delivery: Delivery, block: dict[str, Any], word: UserWord
) -> None:
    """Fill in columns and labels of reviews; tables of annotations stay as they are."""
    # A table of aspects names its reviews by their id, and may have no text of its own.
    annotations = set()
    for path, table in delivery.tables.items():
        if {"id", "aspect", "polarity"} <= set(pick(table, block, word.maps)):
            annotations.add(path)
    values: Counter[str] = Counter()
    ratings: Counter[str] = Counter()
    for path, table in delivery.tables.items():
        columns = pick(table, block, word.maps)
        if path in annotations and "text" not in columns:
            proposal.notes.append(f"{path} annotates aspects, joined by id")
            continue
        _complete_columns(proposal, path, table, columns, bool(annotations))
        # Of several tables the last one is shown; each is read by its own header in ingest.
        proposal.columns |= columns
        if "label" in columns:
            _count_labels(proposal, table, columns["label"], columns["text"], values)
        elif "rating" in columns:
            ratings.update(map(star_count, table.rows[columns["rating"]]))
    proposal.labels_at = ("sentiment", "ingest", "labels")
    if values:
        _classify(proposal, values, block["ingest"]["labels"], word.labels)
    if ratings:
        _read_scale(proposal, ratings, block["ingest"]["ratings"])


def _fill_articles(
    proposal: Proposal, delivery: Delivery, block: dict[str, Any], word: UserWord
) -> None:
    """Fill in the columns of tables of articles, and count the files."""
    for path, table in delivery.tables.items():
        columns = pick(table, block, word.maps)
        _find_text(proposal, path, table, columns, "--map text=COLUMN")
        proposal.columns |= columns
        shown = ", ".join(f"{name} = {column}" for name, column in columns.items())
        proposal.notes.append(f"{path}: {len(table.rows):,} rows; {shown}")
    if delivery.articles:
        proposal.notes.append(f"{len(delivery.articles):,} files of text")


def _fill_translations(
    proposal: Proposal, delivery: Delivery, block: dict[str, Any], word: UserWord
) -> None:
    """Say which columns hold which language; ingest refuses a table that says none."""
    locales = Locales(block["ingest"]["languages"])
    for path, table in delivery.tables.items():
        proposal.columns |= pick(table, block, word.maps)
        found = locales.columns(list(table.rows.columns))
        shown = ", ".join(f"{item.column} = {item.language}" for item in found)
        languages = shown or "no column is called by a language"
        proposal.notes.append(f"{path}: {len(table.rows):,} rows; {languages}")
    if delivery.parallel:
        proposal.notes.append(f"{len(delivery.parallel):,} files of translation tools")


def _find_text(
    proposal: Proposal, path: str, table: tables.Table, columns: dict[str, str], remedy: str
) -> None:
    """Put the text's column into ``columns`` by its content where no name is known.

    Raises:
        UndecidedError: no column looks like it; the message ends with ``remedy``.
    """
    if "text" in columns:
        return
    column = text_column(table.rows, set(columns.values()))
    if not column:
        header = ", ".join(table.rows.columns)
        raise UndecidedError(f"{path}: which of {header} is the text? {remedy}")
    proposal.maps["text"] = columns["text"] = column
    proposal.guessed.append("text")


def _complete_columns(
    proposal: Proposal, path: str, table: tables.Table, columns: dict[str, str], annotated: bool
) -> None:
    """Find text and label of one table by their content where no name is known."""
    remedy = "Say --map text=COLUMN; if it is no table of reviews, give those alone"
    _find_text(proposal, path, table, columns, remedy)
    # Annotated aspects have their polarity in another table.
    if annotated or {"label", "rating"} & set(columns):
        return
    candidates = label_columns(table.rows, POLARITY_WORDS, set(columns.values()))
    if len(candidates) != 1:
        header = ", ".join(table.rows.columns)
        which = f"one of {', '.join(candidates)}" if candidates else f"none of {header}"
        raise UndecidedError(
            f"{path}: the label seems to be {which}; "
            "say --map label=COLUMN, or --map rating=COLUMN for stars"
        )
    name = "rating" if are_ratings(table.rows[candidates[0]]) else "label"
    columns[name] = candidates[0]
    proposal.maps[name] = candidates[0]
    proposal.guessed.append(name)


def _count_labels(
    proposal: Proposal, table: tables.Table, label: str, text: str, values: Counter[str]
) -> None:
    """Count the values of the column ``label`` in ``values`` and keep a few texts of each."""
    labels = map(plain, table.rows[label])
    for value, example in zip(labels, table.rows[text], strict=True):
        if not value:
            continue
        values[value] += 1
        kept = proposal.examples.setdefault(value, [])
        if len(kept) < EXAMPLES and example:
            kept.append(example)


def _classify(
    proposal: Proposal,
    values: Counter[str],
    accepted: dict[str, list[str]],
    labels: dict[str, str],
) -> None:
    """Sort the label column's values into classes.

    The user's word counts first, then params.yaml, then words that hardly mean anything else.
    """
    if not labels:
        _refuse_stars(proposal, values)
    by_params = meanings(accepted, ".".join(proposal.labels_at))
    by_word = meanings(POLARITY_WORDS, "the words of beauty init")
    by_user = {plain(value): name for value, name in labels.items()}
    missing = sorted(set(by_user) - set(values))
    if missing:
        existing = ", ".join(value for value, _ in values.most_common(LISTED_VALUES))
        raise ValueError(f"--label: no row has the value {missing[0]!r}; there are {existing}")
    # The most frequent first: that is what the user is asked about first.
    for value, count in values.most_common():
        name = by_user.get(value) or by_params.get(value) or by_word.get(value, "")
        if name == IGNORE:
            proposal.ignored[value] = count
        # A word may name a class that the user's params.yaml does not have.
        elif name and (name in accepted or value in by_user):
            proposal.labels.setdefault(name, {})[value] = count
            if value not in by_user and value not in by_params:
                proposal.proposed.append(value)
        else:
            proposal.unknown[value] = count


def _refuse_stars(proposal: Proposal, values: Counter[str]) -> None:
    """Stop where the label column holds stars: read as labels, 1 would be praise and 5 nothing."""
    numbers = [value for value in values if value.lstrip("-").replace(".", "", 1).isdigit()]
    if len(numbers) <= STAR_VALUES or len(numbers) < len(values):
        return
    column = proposal.columns.get("label", "label")
    # A few are enough to know the column by.
    some = ", ".join(sorted(numbers)[:6])
    raise UndecidedError(
        f"the label column {column!r} holds {len(numbers)} numbers ({some}), "
        "which look like stars: rename it to rating in the file, or say which number means what: "
        "--label positive=5 --label negative=1 …"
    )


def _read_scale(proposal: Proposal, ratings: Counter[str], classes: dict[str, list[float]]) -> None:
    """Count the stars of each class; propose another scale when they go up to ten.

    Args:
        classes: class → stars, as params.yaml has them.
    """
    # Digits and one point: "nan", "inf" and "1e9" are numbers for Python, and no stars.
    stars = {value: float(value) for value in ratings if value.replace(".", "", 1).isdigit()}
    top = max(stars.values(), default=0.0)
    if top > LARGEST_SCALE:
        raise UndecidedError(
            f"ratings go up to {top:g}; say which mean what in {ratings_command(LARGEST_SCALE)}"
        )
    if top > max(max(values) for values in classes.values()):
        classes = TEN_POINTS
        proposal.ratings = classes
        proposal.notes.append(f"ratings go up to {top:g}: read as a scale of ten")
    class_of: dict[float, str] = {}
    for name, values in classes.items():
        class_of |= dict.fromkeys(values, name)
    for value, count in sorted(ratings.items()):
        # -1: no class has it, as for a value that is no number.
        name = class_of.get(stars.get(value, -1.0), "")
        if name:
            proposal.labels.setdefault(name, {})[f"{value} stars"] = count
        else:
            proposal.notes.append(
                f"{count} rows with the rating {value or 'none'!r} have no class; "
                "they serve pretraining"
            )


def ratings_command(top: float) -> str:
    """Return the options that say which ratings mean what."""
    return (
        "--set 'sentiment.ingest.ratings.negative=[1, 2]' "
        f"--set 'sentiment.ingest.ratings.positive=[{top - 1:g}, {top:g}]'"
    )


def _fill_products(
    proposal: Proposal, delivery: Delivery, block: dict[str, Any], word: UserWord
) -> None:
    """Fill in columns and counts of a catalogue or of garments."""
    names = {PurePosixPath(path).name.casefold() for path in delivery.pictures}
    values: Counter[str] = Counter()
    for path, table in delivery.tables.items():
        columns = pick(table, block, word.maps)
        shown = ", ".join(f"{name} = {column}" for name, column in columns.items())
        proposal.notes.append(f"{path}: {len(table.rows):,} rows; {shown or 'no known column'}")
        if "image" in columns:
            proposal.notes.append(_pictures_there(path, table.rows[columns["image"]], names))
        if proposal.family == "tryon" and "fit" in columns:
            fit = columns["fit"]
            _count_labels(proposal, table, fit, columns.get("text", fit), values)
        proposal.columns |= columns
    proposal.notes.append(f"{len(delivery.pictures):,} pictures")
    if proposal.family == "makeup":
        for name, count in class_folders(delivery).most_common():
            proposal.notes.append(f"the folder {name}: {count:,} pictures")
    if proposal.family != "tryon":
        return
    if not delivery.tables:
        _count_folders(proposal, delivery, block["ingest"]["min_examples"])
    elif values:
        proposal.labels_at = ("tryon", "ingest", "heads", "fit")
        _classify(proposal, values, block["ingest"]["heads"]["fit"], word.labels)


def _pictures_there(path: str, cells: Any, names: set[str]) -> str:
    """Return the note how many of the pictures that a table names are in the delivery."""
    # A shop's export names all pictures of a product in one cell, the main one first.
    references = [name for cell in cells for name in images.names_of(cell)]
    # By the file's name alone: what stands before it is a folder of the shop's, or an address.
    distinct = set(map(_file_name, references))
    count = len(distinct & names)
    return f"{path}: {count:,} of {len(distinct):,} pictures that it names are there"


def _file_name(cell: str) -> str:
    return PurePosixPath(cell.split("?")[0].replace("\\", "/")).name.casefold()


def _count_folders(proposal: Proposal, delivery: Delivery, least: int) -> None:
    for name, count in class_folders(delivery).most_common():
        proposal.labels.setdefault(name, {})["folder"] = count
        if count < least:
            proposal.notes.append(f"the class {name} has {count} pictures, {least} are needed")


def undecided(proposal: Proposal) -> str:
    """Return the options that give each unknown label a class; "" when nothing is open."""
    if proposal.unknown:
        # Quoted for the shell: the line is there to be copied.
        options = " ".join(f"--label CLASS={shlex.quote(value)}" for value in proposal.unknown)
        classes = ", ".join(params.read()[proposal.family]["ingest"].get("labels", {})) or "a class"
        return f"say what each value means ({classes}, or {IGNORE}): {options}"
    if proposal.labels_at and len(proposal.labels) == 1:
        return f"all rows are {next(iter(proposal.labels))}; two classes are needed"
    return ""


def changes(proposal: Proposal, profile: str | None) -> edit.Changes:
    """Return what is written into params.yaml."""
    written = edit.from_source([proposal.family], proposal.source, proposal.maps, profile)
    if proposal.ratings:
        for name, stars in proposal.ratings.items():
            written["sentiment", "ingest", "ratings", name] = stars
        return written
    # Labels that are folders have no examples, and nothing to be written.
    if not (proposal.labels_at and proposal.examples):
        return written
    accepted = _accepted(proposal)
    # Added to what params.yaml accepts, not in its place: other deliveries used those values.
    for name, values in proposal.labels.items():
        old = accepted.get(name, [])
        known = set(map(plain, old))
        new = [value for value in values if value not in known]
        if new:
            written[*proposal.labels_at, name] = [*old, *new]
    return written


def _accepted(proposal: Proposal) -> dict[str, list[str]]:
    """Return class → values as they stand in params.yaml where the labels will be written."""
    place: Any = params.read()
    for key in proposal.labels_at:
        place = place[key]
    accepted: dict[str, list[str]] = place
    return accepted


def lines(proposal: Proposal) -> list[str]:
    """Return the proposal as lines for a terminal of 80 columns."""
    shown = [f"{proposal.source}: {proposal.family}, for {proposal.because}"]
    # A catalogue's columns are many; its notes have them.
    if proposal.family == "sentiment":
        for name, column in proposal.columns.items():
            shown.append(f"  {name}: column {column!r} ({_how_known(proposal, name)})")
    for name, values in proposal.labels.items():
        shown.append(f"  {name}: {sum(values.values()):,} rows")
        for value, count in values.items():
            whose = " (our proposal)" if value in proposal.proposed else ""
            shown.append(f"    {value!r}: {count:,}{whose}{_example(proposal, value)}")
    for title, values in (("no class yet", proposal.unknown), ("left out", proposal.ignored)):
        for value, count in values.items():
            shown.append(f"  {title}: {value!r}: {count:,}{_example(proposal, value)}")
    return shown + [f"  note: {note}" for note in proposal.notes]


def _how_known(proposal: Proposal, name: str) -> str:
    """Return how the column of the field ``name`` was found."""
    if name in proposal.guessed:
        return "by its content"
    return "as you said" if name in proposal.maps else "by its name"


def _example(proposal: Proposal, value: str) -> str:
    texts = proposal.examples.get(value, [])
    return f", such as “{texts[0][:EXAMPLE_LENGTH]}”" if texts else ""
