"""Drawn faces as a test part, without the stage that reads photos."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from skimage.color import rgb2lab

from beauty_models.makeup.dataset import Faces, Results
from beauty_models.makeup.regions import Region
from beauty_models.makeup.transfers import TABLE


def tone_angle(image: np.ndarray, regions: np.ndarray) -> float:
    """Return the individual typology angle of the skin that is seen, in degrees."""
    skin = image[regions == Region.SKIN]
    lightness, _, yellow = np.median(rgb2lab(skin[None] / 255.0)[0], axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, max(yellow, 0.1))))


def faces(raw: Path) -> Faces:
    """Return all faces of a folder that `starter.toy` or `starter.starter` wrote."""
    images = []
    maps = []
    rows = []
    with (raw / "people.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            image = np.asarray(Image.open(raw / row["path"]))
            regions = np.asarray(Image.open(raw / row["path"].replace("images/", "masks/")))
            images.append(torch.from_numpy(image.copy()).permute(2, 0, 1))
            maps.append(torch.from_numpy(regions.copy()))
            described = {
                "key": row["path"],
                "person": row["person"],
                "made_up": "non-makeup" not in row["path"],
                "skin_tone": tone_angle(image, regions),
                "path": row["path"],
            }
            rows.append(described)
    return Faces(pd.DataFrame(rows), torch.stack(images), torch.stack(maps))


def results(raw: Path, faces: Faces) -> Results:
    """Return the results of the folder whose ``faces`` are those of `faces`."""
    positions = {key: position for position, key in enumerate(faces.frame["key"])}
    rows = pd.read_csv(raw / TABLE)
    images: list[torch.Tensor] = []
    for result in rows["result"]:
        image = np.asarray(Image.open(raw / result))
        images.append(torch.from_numpy(image.copy()).permute(2, 0, 1))
    bare = rows["bare"].map(positions).to_numpy(np.int64, copy=True)
    reference = rows["reference"].map(positions).to_numpy(np.int64, copy=True)
    rendered = np.zeros(len(rows), bool)
    return Results(bare, reference, faces.images[reference], rendered, torch.stack(images))


def none(faces: Faces) -> Results:
    """Return results without any, for the same faces."""
    empty = np.zeros(0, np.int64)
    return Results(empty, empty, faces.images[:0], empty.astype(bool), faces.images[:0])
