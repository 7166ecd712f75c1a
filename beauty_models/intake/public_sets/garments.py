"""What the readers of public sets give: garments on photos, and what is to be told of the whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from beauty_models.intake import splits
from beauty_models.intake.crops import Box


@dataclass
class Garment:
    """A garment on a photo, as a public set describes it."""

    file: str  # of the annotation, below the delivered folder
    row: int  # in it: a line, or the number of an item
    id: str
    picture: str = ""  # path below the delivered folder
    box: Box | None = None  # where on the photo; None is all of it
    category: str = ""
    name: str = ""  # as somebody called it
    words: str = ""  # what its labels say together, where it has no name
    color: str = ""
    description: str = ""
    attributes: dict[str, str] = field(default_factory=dict)  # kind → its values, by ", "
    group: str = ""  # of photos that show one garment, or of garments on one photo
    part: str = ""  # train, validation or test as delivered; "" is none
    is_offered: bool = True  # a shop shows it, not somebody who wears it
    reason: str = ""  # why it is rejected


@dataclass
class Reading:
    """A public set, read."""

    garments: list[Garment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what a person should know of the delivery
    # What was seen and not taken, and is no fault: reason → how many.
    aside: Counter[str] = field(default_factory=Counter)
    # The set's authors split photos, not groups: of one group there are photos in several parts.
    split_by_photo: bool = False


def settle_parts(reading: Reading, by_group: bool) -> Reading:
    """Return ``reading`` with parts that can be trained and tested on, and notes on what changed.

    One part that is held out is the test part. With ``by_group`` no group is in two parts: one that
    was delivered in several is in the earliest of `splits.PARTS`; where the set itself is split by
    photos, which tears nearly every group, it loses its part instead, and its hash decides.
    """
    notes = list(reading.notes)
    garments = reading.garments
    parts = {garment.part for garment in garments if not garment.reason}
    if parts & {"validation", "test"} == {"validation"}:
        garments = [
            replace(garment, part="test") if garment.part == "validation" else garment
            for garment in garments
        ]
        notes.append("its validation part is the test part here: it has no other with labels")
    elif parts <= {""}:
        notes.append("it has no parts of its own: split by ingest.split")
    if by_group or not reading.split_by_photo:
        garments = _whole_groups(garments, reading.split_by_photo, notes)
    return replace(reading, garments=garments, notes=notes)


def _whole_groups(garments: list[Garment], by_photo: bool, notes: list[str]) -> list[Garment]:
    """Return ``garments`` with one part for each group, those that are rejected, too."""
    parts: dict[str, set[str]] = defaultdict(set)
    for garment in garments:
        if garment.group and not garment.reason:
            parts[garment.group].add(garment.part)
    part_of = {}
    torn = []
    for group, delivered in parts.items():
        part_of[group] = min(delivered, key=_precedence)
        if len(delivered) > 1:
            torn.append(group)
            part_of[group] = "" if by_photo else part_of[group]
    if torn:
        where = "a part by ingest.split" if by_photo else "the earliest of test, validation, train"
        notes.append(
            f"a leak in its own split: {len(torn):,} of {len(parts):,} groups of photos, such as "
            f"{min(torn)}, are in several parts; each goes whole into {where}"
        )
    return [replace(garment, part=part_of.get(garment.group, garment.part)) for garment in garments]


def _precedence(part: str) -> int:
    """Return the place of ``part`` in `splits.PARTS`; none comes last."""
    return splits.PARTS.index(part) if part else len(splits.PARTS)
