"""Tiny sets of our own, drawn here and laid out as the field's public sets are delivered."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

Files = Mapping[str, bytes | str]

COLORS = ((200, 40, 60), (40, 90, 200), (60, 160, 70), (230, 200, 60))


def picture(seed: int, width: int = 60, height: int = 80) -> bytes:
    """Return a JPEG that resembles no other: coarse coloured noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
    return stream.getvalue()


def put(raw: Path, files: Files) -> Path:
    for name, content in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return raw


def listing(header: str, lines: Sequence[str], count: int | None = None) -> str:
    """Return a list as DeepFashion writes it: how many, the columns' names, a line each."""
    return "\n".join([str(len(lines) if count is None else count), header, *lines]) + "\n"


def deepfashion(photos_per_folder: int = 4, folders: int = 6, with_parts: bool = True) -> Files:
    """Return Category and Attribute Prediction: two categories, three attributes, a box in each.

    Odd folders are dresses. Parts go by photo: the last one of a folder is tested on.
    """
    names = []
    files: dict[str, bytes | str] = {}
    for folder in range(folders):
        title = f"Floral_Midi_Dress_{folder}" if folder % 2 else f"Knit_V-Neck_Tee_{folder}"
        for number in range(1, photos_per_folder + 1):
            name = f"img/{title}/img_{number:08}.jpg"
            names.append((name, folder % 2, number))
            files[f"Img/{name}"] = picture(len(names))
    categories = ["Anorak  1", "Tee     1", "Dress   3"]
    labels = [f"{name}    {3 if dress else 2}" for name, dress, _ in names]
    attributes = ["abstract floral   1", "knit   2", "v-neck   4"]
    having = []
    for name, dress, number in names:
        neck = 0 if number == 1 else 1
        having.append(f"{name}  {1 if dress else -1} {-1 if dress else 1}  {neck}")
    boxes = [f"{name} 010 020 050 070" for name, _, _ in names]
    anno = "Anno_coarse"
    files |= {
        f"{anno}/list_category_cloth.txt": listing("category_name  category_type", categories),
        f"{anno}/list_category_img.txt": listing("image_name  category_label", labels),
        f"{anno}/list_attr_cloth.txt": listing("attribute_name  attribute_type", attributes),
        f"{anno}/list_attr_img.txt": listing("image_name  attribute_labels", having),
        f"{anno}/list_bbox.txt": listing("image_name  x_1  y_1  x_2  y_2", boxes),
    }
    if with_parts:
        statuses = {photos_per_folder: "test", photos_per_folder - 1: "val"}
        parts = [f"{name}   {statuses.get(number, 'train')}" for name, _, number in names]
        files["Eval/list_eval_partition.txt"] = listing("image_name  evaluation_status", parts)
    return files


def inshop(items: int = 8) -> Files:
    """Return In-shop Clothes Retrieval: items of two photos, the last quarter query and gallery."""
    files: dict[str, bytes | str] = {}
    boxes = []
    parts = []
    descriptions = []
    for number in range(1, items + 1):
        item = f"id_{number:08}"
        kind = "WOMEN/Dresses" if number % 2 else "MEN/Tees_Tanks"
        color = ("Cream", "Navy", "Olive", "Red")[number % 4]
        text = ["A soft piece that goes with everything.", f"Made of cloth number {number}."]
        descriptions.append({"item": item, "color": color, "description": text})
        for view in (1, 2):
            name = f"img/{kind}/{item}/02_{view}_front.jpg"
            files[f"Img/{name}"] = picture(1000 + 2 * number + view, 64, 64)
            boxes.append(f"{name}  {3 if number % 2 else 1} {view}  008 004 056 060")
            held_out = "query" if view == 1 else "gallery"
            status = held_out if number > items * 3 // 4 else "train"
            parts.append(f"{name}  {item}  {status}")
    header = "image_name  clothes_type  pose_type  x_1  y_1  x_2  y_2"
    files["Anno/list_bbox_inshop.txt"] = listing(header, boxes)
    files["Anno/list_description_inshop.json"] = json.dumps(descriptions)
    partition = listing("image_name  item_id  evaluation_status", parts)
    files["Eval/list_eval_partition.txt"] = partition
    return files


def rejected(data: Path) -> pd.DataFrame:
    return pd.read_parquet(data / "rejected.parquet")


def tell_tale(seed: int, width: int, height: int, box: Sequence[int], color: int) -> bytes:
    """Return a grey photo with one even color in ``box``: what it cuts out shows that alone."""
    pixels: NDArray[np.uint8] = np.full((height, width, 3), 128, np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = COLORS[color]
    # A mark outside of the box tells photos apart.
    pixels[0, :, 0] = seed % 251
    return encoded(Image.fromarray(pixels), "PNG")
