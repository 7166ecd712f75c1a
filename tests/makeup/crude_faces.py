"""Faces of ovals, with exact regions, for tests of the networks: made in a second, any size."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from beauty_models.intake import shards
from beauty_models.makeup.dataset import COLUMNS, RESULTS, TRANSFERS
from beauty_models.makeup.regions import Region, label_map_png


class Face(NamedTuple):
    """One picture."""

    image: np.ndarray  # uint8 [side, side, 3]
    regions: np.ndarray  # uint8 [side, side]


def _oval(side: int, x: float, y: float, width: float, height: float) -> np.ndarray:
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side
    inside: np.ndarray = ((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 <= 1
    return inside


def face(random: np.random.Generator, side: int, *, made_up: bool) -> Face:
    """Draw a face; where ``made_up`` its lips and lids are colored."""
    regions = np.zeros((side, side), np.uint8)
    x = 0.5 + random.uniform(-0.03, 0.03)
    regions[_oval(side, x, 0.5, 0.36, 0.44)] = Region.SKIN
    for left, eye, shadow in (
        (-0.16, Region.LEFT_EYE, Region.LEFT_SHADOW),
        (0.16, Region.RIGHT_EYE, Region.RIGHT_SHADOW),
    ):
        regions[_oval(side, x + left, 0.38, 0.12, 0.09)] = shadow
        regions[_oval(side, x + left, 0.4, 0.07, 0.03)] = eye
    regions[_oval(side, x, 0.72, 0.15, 0.07)] = Region.LIPS
    skin = np.array([220, 175, 150]) * random.uniform(0.5, 1)
    colors = {
        Region.BACKGROUND: random.uniform(40, 220, 3),
        Region.SKIN: skin,
        Region.LEFT_EYE: np.array([40, 30, 30]),
        Region.LIPS: skin * [0.9, 0.7, 0.7],
        Region.LEFT_SHADOW: skin * 0.92,
    }
    if made_up:
        colors[Region.LIPS] = np.array([200, 20, 60]) * random.uniform(0.5, 1)
        colors[Region.LEFT_SHADOW] = random.uniform(30, 200, 3)
    colors[Region.RIGHT_EYE] = colors[Region.LEFT_EYE]
    colors[Region.RIGHT_SHADOW] = colors[Region.LEFT_SHADOW]
    picture = np.zeros((side, side, 3))
    for region, color in colors.items():
        picture[regions == region] = color
    shade = np.linspace(1.1, 0.8, side)[:, None, None]
    noise = random.normal(0, 4, picture.shape)
    image = (picture * shade + noise).clip(0, 255).round().astype(np.uint8)
    return Face(image, regions)


def write(data: Path, people: int = 10, side: int = 32, *, results: bool = False) -> None:
    """Write the folder that `ingest` would, with two faces of each person, bare and made up.

    With ``results`` each bare face of a part has one in the look of every other person there.
    """
    data.mkdir(parents=True)
    random = np.random.default_rng(5)
    parts: dict[str, list[dict[str, object]]] = {
        "train": [],
        "validation": [],
        "test": [],
        "unlabelled": [],
    }
    drawn_faces: dict[str, Face] = {}
    jpegs: dict[str, list[tuple[str, bytes]]] = {part: [] for part in parts}
    for person in range(people):
        part = ("train", "train", "train", "validation", "test")[person % 5]
        for made_up in (False, True):
            drawn = face(random, side, made_up=made_up)
            stream = io.BytesIO()
            Image.fromarray(drawn.image).save(stream, "JPEG", quality=95)
            key = f"{person}-{made_up}"
            jpegs[part].append((key, stream.getvalue()))
            drawn_faces[key] = drawn
            parts[part].append(
                {
                    "key": key,
                    "regions": label_map_png(drawn.regions),
                    "person": f"person{person}",
                    "made_up": made_up,
                    "skin_tone": 0.0,
                    "path": f"{key}.png",
                }
            )
    for part, rows in parts.items():
        pd.DataFrame(rows, columns=COLUMNS).to_parquet(data / f"{part}.parquet", index=False)
        shards.write(data, part, jpegs[part])
    _write_results(data, parts if results else {}, drawn_faces)


def _write_results(
    data: Path, parts: dict[str, list[dict[str, object]]], faces: dict[str, Face]
) -> None:
    """Write what bare faces look like with the mean lip color and lids of others."""
    rows = []
    jpegs = []
    for part, known in parts.items():
        for bare in known:
            for reference in known:
                if bare["made_up"] or not reference["made_up"]:
                    continue
                if bare["person"] == reference["person"]:
                    continue
                worn = _worn(faces[str(bare["key"])], faces[str(reference["key"])])
                stream = io.BytesIO()
                Image.fromarray(worn).save(stream, "JPEG", quality=95)
                result = f"{bare['key']} as {reference['key']}"
                jpegs.append((result, stream.getvalue()))
                rows.append((part, bare["key"], reference["key"], reference["key"], result))
    frame = pd.DataFrame(rows, columns=["part", "bare", "reference", "worn", "result"])
    frame.to_parquet(data / TRANSFERS, index=False)
    shards.write(data, RESULTS, jpegs)


def _worn(bare: Face, reference: Face) -> np.ndarray:
    image = bare.image.astype(float)
    for region in (Region.LIPS, Region.LEFT_SHADOW, Region.RIGHT_SHADOW):
        own = bare.regions == region
        wanted = reference.image[reference.regions == region].mean(0)
        image[own] += wanted - image[own].mean(0)
    return image.clip(0, 255).round().astype(np.uint8)
