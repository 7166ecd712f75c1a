"""DeepFashion, In-shop Clothes Retrieval: photos of shop items, with descriptions and colors.

``img/WOMEN/Dresses/id_00000002/02_1_front.jpg`` is a dress; the first number is the variant of the
item that is shown. Parts are train, and query and gallery, which are both tested on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from beauty_models.files import read_json
from beauty_models.intake.images import Files
from beauty_models.intake.public_sets.deepfashion import place_photo, read_boxes, read_parts
from beauty_models.intake.public_sets.garments import Garment, Reading
from beauty_models.intake.public_sets.lists import entries
from beauty_models.intake.public_sets.photos import Photos

NAME = "DeepFashion, in-shop clothes retrieval"
LICENSE = "DeepFashion's terms (CUHK): non-commercial research and education only"

DESCRIPTIONS = "list_description_inshop.json"
BOXES = "list_bbox_inshop.txt"
ITEMS = "list_item_inshop.txt"
STATUSES = {"train": "train", "query": "test", "gallery": "test"}


def find(files: Sequence[Path]) -> list[Path]:
    """Return the folders in which the lists lie."""
    return sorted({file.parent for file in files if file.name == BOXES})


def read(files: Files, folders: Sequence[Path]) -> Reading:
    """Return the photos of the list of boxes, each with the words of its item.

    Raises:
        ValueError: the descriptions are no JSON.
    """
    folder = folders[0]
    reading = Reading()
    boxes = read_boxes(folder / BOXES, reading.notes, skip=2)
    parts = read_parts(files.raw, folder, STATUSES, reading.notes)
    described = _descriptions(folder, reading.notes)
    photos = Photos(files)
    place = (folder / BOXES).relative_to(files.raw).as_posix()
    for entry in entries(folder / BOXES, []):
        name = entry.text.split()[0]
        steps = PurePosixPath(name).parts
        # img/WOMEN/Dresses/id_00000002/02_1_front.jpg
        item, category = steps[-2], steps[-3] if len(steps) > 2 else ""
        garment = Garment(place, entry.row, name, category=category.replace("_", " "), group=item)
        words = described.get(item, {})
        garment.color = str(words.get("color") or "")
        garment.description = _joined(words.get("description"))
        place_photo(garment, name, photos, boxes, parts)
        if not item.startswith("id_"):
            garment.reason = f"{name}: no item id_… in its path"
        reading.garments.append(garment)
    _drop_doubtful_colors(reading)
    return reading


def _descriptions(folder: Path, notes: list[str]) -> dict[str, dict[str, Any]]:
    """Return item → its entry in the descriptions."""
    file = folder / DESCRIPTIONS
    if not file.exists():
        notes.append(f"no {DESCRIPTIONS}: no words but the categories")
        return {}
    content = read_json(file)
    if not isinstance(content, list):
        raise ValueError(f"{file}: needs a list of items, each with item, color and description")
    return {str(entry.get("item")): entry for entry in content if isinstance(entry, dict)}


def _joined(description: Any) -> str:
    """Return a description's sentences, line by line."""
    sentences = description if isinstance(description, list) else [description or ""]
    return "\n".join(str(sentence).strip() for sentence in sentences)


def _drop_doubtful_colors(reading: Reading) -> None:
    """Take the color from items that are shown in several variants: it is that of one of them."""
    variants = defaultdict(set)
    for garment in reading.garments:
        variants[garment.group].add(PurePosixPath(garment.id).name.partition("_")[0])
    doubtful = {item for item, numbers in variants.items() if len(numbers) > 1}
    if not doubtful:
        return
    for garment in reading.garments:
        if garment.group in doubtful:
            garment.color = ""
    reading.notes.append(
        f"{len(doubtful):,} items are shown in several variants and have one color in words: which "
        "variant has it is not said, so they have none"
    )
