"""What makes a row an example: the picture that it names, and how it is known again.

Equal pictures and words have one key; what must share a part has one group.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from beauty_models.intake import splits
from beauty_models.intake.images import Files
from beauty_models.intake.pictures import Decoded, decode
from beauty_models.intake.rejected import good_rows, reject
from beauty_models.intake.text import fingerprint
from beauty_models.params import Pictures
from beauty_models.tryon.rows import MISSING


def decode_named(rows: pd.DataFrame, files: Files, folder: Path, rules: Pictures) -> Decoded:
    """Decode the pictures that the good rows name, and write them to ``folder``."""
    paths = set()
    for cell in good_rows(rows)["image"]:
        if cell and not cell.startswith(MISSING):
            paths.add(files.raw / cell)
    return decode(sorted(paths), folder, rules)


def identify(rows: pd.DataFrame, decoded: Decoded, raw: Path) -> None:
    """Give the rows the columns picture, key and group.

    Those with a broken picture, or with nothing at all, are rejected.
    """
    faults = []
    pictures = []
    for cell in rows["image"]:
        path = raw / cell
        fault = decoded.faults.get(path)
        faults.append(f"{cell}: {fault}" if fault else "")
        pictures.append(decoded.keys.get(path, ""))
    reject(rows, faults)
    rows["picture"] = pictures
    lacking = map(_lacking, rows["text"], rows["picture"], rows["image"])
    reject(rows, list(lacking))
    keys = map(_key, rows["picture"], rows["text"])
    rows["key"] = list(keys)
    groups = map(_group, rows["product"], rows["picture"], rows["key"])
    rows["group"] = list(groups)


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
    if product:
        return splits.product_group(product)
    if picture:
        return f"picture {picture}"
    return f"text {key}"
