"""The rows of a public set: its photos, each with the words of what it shows."""

from __future__ import annotations

from beauty_models.intake import public_sets
from beauty_models.intake.images import Files
from beauty_models.intake.public_sets.garments import Garment
from beauty_models.recommend.rows import MULTIPLE, REQUIRED_FIELDS, Row, Tables


def public_tables(found: public_sets.Found, files: Files) -> Tables:
    """Return the rows of the set ``found`` as those of a shop's tables, good and bad.

    The photos of a group, such as an in-shop item, are those of one product.

    Raises:
        ValueError: the set does not serve recommend, or an annotation cannot be understood.
    """
    reading = public_sets.read(found, files, "recommend", by_group=True)
    tables: Tables = {kind: [] for kind in ("products", *REQUIRED_FIELDS)}
    tables["products"] = [_row(garment, files) for garment in reading.garments]
    return tables


def _row(garment: Garment, files: Files) -> Row:
    texts = {name: [] if not value else [value] for name, value in _texts(garment).items()}
    row = Row(
        garment.file,
        garment.row,
        # A photo is what is found: each has an id of its own.
        {"sku": f"{garment.part} {garment.id}".strip(), "parent": garment.group},
        {name: texts.get(name, []) for name in MULTIPLE},
        dict(garment.attributes),
        reason=garment.reason,
        excerpt=garment.id,
        part=garment.part,
    )
    # The whole photo: people search with words for what they will see.
    row.picture = files.raw / garment.picture if garment.picture else None
    return row


def _texts(garment: Garment) -> dict[str, str]:
    return {
        "name": garment.name or garment.words or garment.category,
        "description": garment.description,
        "category": garment.category,
        "color": garment.color,
        "material": garment.attributes.get("material", garment.attributes.get("fabric", "")),
    }
