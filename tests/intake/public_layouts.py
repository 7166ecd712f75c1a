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
Box = tuple[int, int, int, int]

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


def scene(
    seed: int, garments: Sequence[tuple[Box, int]], width: int = 120, height: int = 90
) -> bytes:
    """Return a grey photo with a garment in each box, of one of `COLORS` and with folds."""
    random = np.random.default_rng(seed)
    grey = random.integers(90, 160, (6, 8), dtype=np.uint8)
    background = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC)
    photo = background.convert("RGB")
    for (left, top, right, bottom), color in garments:
        folds = random.uniform(0.5, 1.0, (5, 5, 1)) * np.array(COLORS[color])
        cloth = Image.fromarray(folds.astype(np.uint8))
        size = (right - left, bottom - top)
        photo.paste(cloth.resize(size, Image.Resampling.NEAREST), (left, top))
    return encoded(photo, "PNG")


def runs(mask: NDArray[np.bool_]) -> str:
    """Return a mask [height, width] as Kaggle writes it: by columns, from 1."""
    flat = np.concatenate([[0], mask.T.ravel().astype(int), [0]])
    changes = np.flatnonzero(np.diff(flat))
    starts, ends = changes[0::2], changes[1::2]
    return " ".join(f"{start + 1} {end - start}" for start, end in zip(starts, ends, strict=True))


TOP, SKIRT = (10, 5, 60, 45), (30, 50, 110, 86)
"""The boxes of the two garments of `scene`."""


def deepfashion2(photos: int = 12, parts: Sequence[str] = ("train", "validation")) -> Files:
    """Return DeepFashion2: photos in pairs, each with a top (category 1) and a skirt (9)."""
    files: dict[str, bytes | str] = {}
    for offset, part in enumerate(parts):
        for number in range(1, photos + 1):
            top, skirt = number % 4, (number + 1) % 4
            content = {
                "source": "user" if number % 2 else "shop",
                "pair_id": (number + 1) // 2,
                "item1": {
                    "category_name": "short sleeve top",
                    "category_id": 1,
                    "style": 1,
                    "bounding_box": list(TOP),
                    "landmarks": [20, 10, 2],
                    "segmentation": [[10, 5, 60, 5, 60, 45, 10, 45]],
                },
                "item2": {
                    "category_name": "skirt",
                    "category_id": 9,
                    "style": 0,
                    "bounding_box": list(SKIRT),
                    "segmentation": [[30, 50, 60, 50, 60, 86], [80, 60, 110, 60, 110, 86]],
                },
            }
            stem = f"{part}/image/{number:06}"
            photo = scene(1000 * offset + number, [(TOP, top), (SKIRT, skirt)])
            files[f"{stem}.jpg"] = encoded(Image.open(io.BytesIO(photo)))
            files[f"{part}/annos/{number:06}.json"] = json.dumps(content)
    files["test/test/image/000001.jpg"] = picture(7)
    return files


def imaterialist2019(photos: int = 24, year: int = 2019) -> Files:
    """Return iMaterialist 2019: a top (category 0), a skirt (8) and a sleeve (31) on each photo."""
    names = {
        "categories": [
            {"id": 0, "name": "shirt, blouse", "supercategory": "upperbody", "level": 2},
            {"id": 8, "name": "skirt", "supercategory": "lowerbody", "level": 2},
            {"id": 31, "name": "sleeve", "supercategory": "garment parts", "level": 2},
        ],
        "attributes": [
            {"id": 2, "name": "plaid", "supercategory": "textile pattern", "level": 1},
            {"id": 12, "name": "mini (length)", "supercategory": "length", "level": 1},
        ],
    }
    rows = []
    files: dict[str, bytes | str] = {"label_descriptions.json": json.dumps(names)}
    for number in range(photos):
        photo = f"{number:032x}"
        files[f"train/{photo}.jpg"] = encoded(
            Image.open(io.BytesIO(scene(number, [(TOP, number % 4), (SKIRT, (number + 1) % 4)])))
        )
        for (left, top, right, bottom), category, attributes in (
            (TOP, 0, [2]),
            (SKIRT, 8, [2, 12]),
            ((10, 5, 20, 15), 31, []),
        ):
            mask = np.zeros((90, 120), bool)
            mask[top:bottom, left:right] = True
            mask[top + 2 : top + 4, left + 2 : left + 5] = False  # a hole
            if year == 2019:
                rows.append(
                    [
                        f"{photo}.jpg",
                        runs(mask),
                        90,
                        120,
                        "_".join(map(str, [category, *attributes])),
                    ]
                )
            else:
                rows.append([photo, runs(mask), 90, 120, category, ",".join(map(str, attributes))])
    header = ["ImageId", "EncodedPixels", "Height", "Width", "ClassId"]
    table = pd.DataFrame(rows, columns=header if year == 2019 else [*header, "AttributesIds"])
    files["train.csv"] = table.to_csv(index=False)
    files["sample_submission.csv"] = "ImageId,EncodedPixels,ClassId\nx.jpg,1 1,0\n"
    files["test/abc.jpg"] = picture(5)
    return files


LABEL_MAP = """labelId,taskId,labelName,taskName
1,1,dress,category
2,1,jeans,category
3,2,red,color
4,2,blue,color
5,3,cotton,material
6,4,sleeveless,sleeve
"""


def imaterialist2018(train: int = 32, validation: int = 12, names: str = "kaggle") -> Files:
    """Return iMaterialist 2018: every second photo is of red dresses, the others of blue jeans."""
    photo_id, label_id = ("imageId", "labelId") if names == "kaggle" else ("image_id", "label_id")
    files: dict[str, bytes | str] = {"label_map_228.csv": LABEL_MAP}
    for part, count in (("train", train), ("validation", validation), ("test", 3)):
        photos = []
        annotations = []
        for number in range(1, count + 1):
            labels = ["1", "3", "5"] if number % 2 else ["2", "4", "6"]
            # The numbers begin at 1 in each part.
            photos.append({"url": f"https://shop.example/{part}{number}", photo_id: str(number)})
            annotations.append({label_id: labels, photo_id: str(number)})
            files[f"{part}/{number}.jpg"] = picture(3000 + len(files))
        content: dict[str, object] = {"images": photos}
        if part != "test":
            content["annotations"] = annotations
        files[f"{part}.json"] = json.dumps(content)
    return files
