"""The views that a network takes of a picture: whole, its middle, or at random.

What a random view draws depends on (seed, step, position of the picture) alone, so that a run that
was killed and goes on sees what an undisturbed one sees, however many threads decode.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from beauty_models.intake.shards import View

LARGEST_ROTATION = 12  # degrees, either way
ASPECT_RATIOS = (3 / 4, 4 / 3)  # of a random crop, width to height
ERASED_SIDE = (0.15, 0.5)  # share of a picture's side that an erased rectangle has


def letterbox(size: int) -> View:
    """Return the view that cuts nothing off: the longer side becomes ``size`` pixels.

    The rest of the square is filled with the median color of the border.
    """

    def view(image: Image.Image, position: int) -> Image.Image:
        pixels = np.asarray(image)
        rows = [pixels[0], pixels[-1]]
        columns = [pixels[:, 0], pixels[:, -1]]
        border = np.concatenate(rows + columns)
        # Most of the border is backdrop; where the product touches it, the median leaves it out.
        color = tuple(int(value) for value in np.median(border, axis=0))
        fitted = ImageOps.contain(image, (size, size), Image.Resampling.BICUBIC)
        square = Image.new("RGB", (size, size), color)
        left = (size - fitted.width) // 2
        top = (size - fitted.height) // 2
        square.paste(fitted, (left, top))
        return square

    return view


def center_crop(size: int) -> View:
    """Return the view of the middle: the shorter side becomes ``size`` pixels.

    What stands out is cut off.
    """

    def view(image: Image.Image, position: int) -> Image.Image:
        return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)

    return view


def random_augmentation(
    size: int,
    seed: int,
    step: int,
    *,
    crop_scale: tuple[float, float],
    color_jitter: float,
    erasing_probability: float = 0.0,
) -> View:
    """Return a random view: crop, mirror, rotation, light.

    Args:
        size: a side of the view in pixels.
        crop_scale: least and largest share of the area that the crop has (Szegedy et al. 2015).
        color_jitter: by which brightness, contrast and saturation change at most; 0.3 is ±30 %.
        erasing_probability: of a rectangle that is blanked (Zhong et al. 2020).
    """

    def view(image: Image.Image, position: int) -> Image.Image:
        random = np.random.default_rng((seed, step, position))
        if random.random() < 0.5:
            image = ImageOps.mirror(image)
        image = _random_resized_crop(image, size, crop_scale, random)
        image = image.rotate(
            float(random.uniform(-LARGEST_ROTATION, LARGEST_ROTATION)),
            Image.Resampling.BILINEAR,
            fillcolor=image.getpixel((0, 0)),
        )
        # the hue stays: a red dress is not a green one
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            factor = float(random.uniform(1 - color_jitter, 1 + color_jitter))
            image = enhance(image).enhance(factor)
        if random.random() < erasing_probability:
            image = _random_erasing(image, random)
        return image

    return view


def random_hue_shift(seed: int, step: int, probability: float) -> View:
    """Return the view that turns a picture's hue by a random angle, with that probability.

    It strengthens or weakens the colors, too; the picture keeps its size, lights and shadows.
    """

    def view(image: Image.Image, position: int) -> Image.Image:
        # 1: other numbers than `random_augmentation` draws for the same picture
        random = np.random.default_rng((seed, step, position, 1))
        if random.random() >= probability:
            return image
        hue, saturation, value = image.convert("HSV").split()
        shift = int(random.integers(256))
        strength = float(random.uniform(0.3, 2.0))
        # `point` takes a table of what each of the 256 levels becomes
        turned = [(level + shift) % 256 for level in range(256)]
        weighted = [min(255, int(level * strength)) for level in range(256)]
        hue = hue.point(turned)
        saturation = saturation.point(weighted)
        return Image.merge("HSV", (hue, saturation, value)).convert("RGB")

    return view


def _random_resized_crop(
    image: Image.Image, size: int, scale: tuple[float, float], random: np.random.Generator
) -> Image.Image:
    area = image.width * image.height * random.uniform(*scale)
    # uniform in the logarithm: 3:4 is as likely as 4:3
    narrowest, widest = np.log(ASPECT_RATIOS)
    ratio = np.exp(random.uniform(narrowest, widest))
    width = min(image.width, round(np.sqrt(area * ratio)))
    height = min(image.height, round(np.sqrt(area / ratio)))
    left = int(random.integers(0, image.width - width + 1))
    top = int(random.integers(0, image.height - height + 1))
    # of a tiny picture a side may be rounded to no pixel
    box = (left, top, left + max(1, width), top + max(1, height))
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _random_erasing(image: Image.Image, random: np.random.Generator) -> Image.Image:
    width = int(image.width * random.uniform(*ERASED_SIDE))
    height = int(image.height * random.uniform(*ERASED_SIDE))
    left = int(random.integers(0, image.width - width + 1))
    top = int(random.integers(0, image.height - height + 1))
    color = tuple(int(value) for value in random.integers(0, 256, 3))
    image.paste(color, (left, top, left + width, top + height))
    return image
