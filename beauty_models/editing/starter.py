"""Starter and toy data: product photos drawn by `drawing`, with exact masks and a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from beauty_models.editing import drawing
from beauty_models.files import new_file, write_json

LICENSE = {
    "license": "CC0-1.0",
    "commercial_use": True,
    "attribution": "Products drawn by beauty_models/editing/drawing; none is on sale.",
}

TABLE = "products.csv"
HEADER = ("image", "mask", "product", "name")


class Data(NamedTuple):
    """How much is written."""

    products: int
    photos: int  # of each product
    size: int  # pixels a side


STARTER = Data(products=300, photos=2, size=96)
TOY = Data(products=64, photos=1, size=32)

# Shares of the grounds: a shop's photos are white, a campaign's are not.
GROUND_SHARES = {"white": 0.45, "even": 0.25, "gradient": 0.15, "texture": 0.15}


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=4)
    return stream.getvalue()


def _save(file: Path, pixels: NDArray[np.uint8]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with new_file(file) as temporary:
        temporary.write_bytes(_png(pixels))


def _write_product(raw: Path, number: int, data: Data) -> list[tuple[str, str, str, str]]:
    """Write the photos of a product; return its rows of `TABLE`."""
    # A source of chance for each, so that one more product changes no other.
    rng = np.random.default_rng((13, number))
    kinds = list(drawing.KINDS)
    kind = kinds[number % len(kinds)]
    parts = drawing.KINDS[kind](rng)
    rows = []
    for photo in range(data.photos):
        ground = str(rng.choice(list(GROUND_SHARES), p=list(GROUND_SHARES.values())))
        drawn = drawing.draw(parts, number, ground, data.size, rng)
        name = f"{number:03}-{photo}.png"
        _save(raw / "images" / name, drawn.image)
        _save(raw / "masks" / name, drawn.mask)
        rows.append((f"images/{name}", f"masks/{name}", f"P{number:03}", f"{kind} {number}"))
    return rows


def _deliver(raw: Path, data: Data) -> None:
    """Write photos, masks, the table and the license, the same bytes every time."""
    raw.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(data.products):
        rows += _write_product(raw, number, data)
    with (
        new_file(raw / TABLE) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows)
    write_json(raw / "LICENSE.json", LICENSE)


def starter(*, raw: Path) -> None:
    """Write 600 photos of 300 products, 96 pixels a side, with exact masks."""
    _deliver(raw, STARTER)


def toy(*, raw: Path) -> None:
    """Write 64 photos of 64 products, 32 pixels a side; they are always the same."""
    _deliver(raw, TOY)
