"""Photos with holes cut into them: what networks learn from, and what fills are compared on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from beauty_models.editing.dataset import Photos
from beauty_models.editing.holes import KINDS, Holes, draw

Images = NDArray[np.uint8]  # sRGB [n, side, side, 3]

GRID = 8  # patches a side that a photo is cut into for pretraining


def read_photos(data: Path, split: str, side: int) -> Photos:
    """Return the photos of ``split`` at ``side`` pixels a side.

    Raises:
        ValueError: there are none.
    """
    photos = Photos.load(data, split, side)
    if len(photos) == 0:
        raise ValueError(
            f"{data / split}.parquet: no photos; deliver more or enlarge ingest.split.{split}"
        )
    return photos


def mirrored(random: np.random.Generator, *stacks: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return pictures or masks [n, h, w, …] with the same half of the rows mirrored in each."""
    chosen = random.random(len(stacks[0])) < 0.5
    answer = []
    for stack in stacks:
        copy = stack.copy()
        copy[chosen] = stack[chosen, :, ::-1]
        answer.append(copy)
    return answer


def draw_batch(photos: Photos, size: int, random: np.random.Generator) -> tuple[Images, Holes]:
    """Return ``size`` photos by chance, half of them mirrored, with holes of all kinds in turn."""
    rows = random.integers(len(photos), size=size)
    images, masks = mirrored(random, photos.images[rows], photos.masks[rows])
    holes = np.zeros(masks.shape, bool)
    for number, kind in enumerate(KINDS):
        holes[number :: len(KINDS)] = draw(kind, random, masks[number :: len(KINDS)])
    return images, holes


def hidden_patches(n: int, side: int, share: float, random: np.random.Generator) -> Holes:
    """Return for each of ``n`` photos a grid of patches of which ``share`` is hidden.

    As masked autoencoders learn (He et al. 2022): no mask of a product is needed.
    """
    patches = GRID * GRID
    count = max(1, round(share * patches))
    # The first ``count`` of each row's own order: exactly as many in each photo.
    order = random.random((n, patches)).argsort(1)
    hidden = (order < count).reshape(n, GRID, GRID)
    cell = -(-side // GRID)
    larger = hidden.repeat(cell, 1).repeat(cell, 2)
    return np.ascontiguousarray(larger[:, :side, :side])


def holes_by_kind(masks: NDArray[np.uint8], seed: int) -> dict[str, Holes]:
    """Return one hole of each kind for each photo, the same ones for the same ``seed``."""
    found = {}
    for number, kind in enumerate(KINDS):
        random = np.random.default_rng((seed, number))
        found[kind] = draw(kind, random, masks)
    return found


def first(photos: Photos, count: int) -> Photos:
    """Return the first ``count`` photos, or all where ``count`` is 0 or larger than they are."""
    if not 0 < count < len(photos):
        return photos
    rows = range(count)
    return Photos(
        photos.images[:count],
        photos.masks[:count],
        _of(photos.mask_from, rows),
        _of(photos.products, rows),
        _of(photos.keys, rows),
        _of(photos.paths, rows),
    )


def _of(values: list[str], rows: Iterable[int]) -> list[str]:
    return [values[row] for row in rows]
