"""The views that a network takes of a picture: whole, its middle, or at random (crop, mirror, turn, light, hue)."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from beauty_models.intake.shards import View


def whole(size: int) -> View:
    """Return the view that cuts nothing off: the longer side becomes ``size``, the rest is filled with the border's colour."""

    def view(image: Image.Image, position: int) -> Image.Image:
        edge = np.asarray(image)
        border = np.concatenate([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
        colour = tuple(int(value) for value in np.median(border, axis=0))
        fitted = ImageOps.contain(image, (size, size), Image.Resampling.BICUBIC)
        square = Image.new("RGB", (size, size), colour)
        square.paste(fitted, ((size - fitted.width) // 2, (size - fitted.height) // 2))
        return square

    return view


def centre(size: int) -> View:
    """Return the view of the middle: the shorter side becomes ``size``, what stands out is cut off."""

    def view(image: Image.Image, position: int) -> Image.Image:
        return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)

    return view


def augmented(
    size: int,
    seed: int,
    step: int,
    *,
    scale: tuple[float, float],
    colour: float,
    erase: float = 0.0,
) -> View:
    """Return a random view: crop, mirror, turn, light; what it draws depends on (seed, step, position) alone.

    The crop has a share within ``scale`` of the area and an aspect ratio from 3:4 to 4:3 (Szegedy et al. 2015); brightness,
    contrast and saturation change by up to ±``colour``, the hue never: a red dress stays red. With probability ``erase`` a
    rectangle is blanked (Zhong et al. 2020).
    """

    def view(image: Image.Image, position: int) -> Image.Image:
        random = np.random.default_rng((seed, step, position))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        image = _crop(image, size, scale, random)
        image = image.rotate(
            float(random.uniform(-12, 12)),
            Image.Resampling.BILINEAR,
            fillcolor=image.getpixel((0, 0)),
        )
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(float(random.uniform(1 - colour, 1 + colour)))
        return _erased(image, random) if random.random() < erase else image

    return view


def dyed(seed: int, step: int, share: float) -> View:
    """Return the view that turns a picture's hue by a random angle and strengthens or weakens it, for ``share`` of the pictures.

    What it draws depends on (seed, step, position) alone; the picture keeps its size, its lights and shadows.
    """

    def view(image: Image.Image, position: int) -> Image.Image:
        random = np.random.default_rng((seed, step, position, 1))
        if random.random() >= share:
            return image
        hue, saturation, value = image.convert("HSV").split()
        turn, strength = int(random.integers(256)), float(random.uniform(0.3, 2.0))
        hue = hue.point([(level + turn) % 256 for level in range(256)])
        saturation = saturation.point([min(255, int(level * strength)) for level in range(256)])
        return Image.merge("HSV", (hue, saturation, value)).convert("RGB")

    return view


def _crop(
    image: Image.Image, size: int, scale: tuple[float, float], random: np.random.Generator
) -> Image.Image:
    area, ratio = (
        image.width * image.height * random.uniform(*scale),
        np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3))),
    )
    width, height = (
        min(image.width, round(np.sqrt(area * ratio))),
        min(image.height, round(np.sqrt(area / ratio))),
    )
    left, top = (
        int(random.integers(0, room + 1)) for room in (image.width - width, image.height - height)
    )
    box = (left, top, left + max(1, width), top + max(1, height))
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _erased(image: Image.Image, random: np.random.Generator) -> Image.Image:
    width, height = (int(side * random.uniform(0.15, 0.5)) for side in image.size)
    left, top = (
        int(random.integers(0, room + 1)) for room in (image.width - width, image.height - height)
    )
    image.paste(
        tuple(int(value) for value in random.integers(0, 256, 3)),
        (left, top, left + width, top + height),
    )
    return image
