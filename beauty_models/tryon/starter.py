"""Raw data that needs no network: garments that this project draws.

They come as a shop's catalogue and as shoppers' posts, photos with their words.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from beauty_models.files import new_file, write_json
from beauty_models.intake.images import encode
from beauty_models.intake.synthetic import COLORS, KINDS, PATTERNS, product

LICENSE = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": (
        "Pictures drawn by beauty_models/intake/synthetic.py, texts put together by "
        "beauty_models/tryon/starter.py."
    ),
}

# How many of a hundred shoppers' posts show each kind. Real classes are as uneven.
SHOPPERS = {
    "t-shirt": 22,
    "pants": 16,
    "long sleeve": 13,
    "dress": 11,
    "hoodie": 9,
    "jacket": 8,
    "shoes": 7,
    "skirt": 5,
    "shorts": 5,
    "hat": 4,
}
TOY_SHOPPERS = {"t-shirt": 40, "pants": 25, "dress": 20, "hat": 15}
HUES = ("red", "yellow", "green", "blue", "pink", "black", "white", "brown")

# What a shopper says of the size, by language.
FITS = {
    "runs small": {
        "en": ["runs small, size up", "a bit too tight for me", "smaller than I thought"],
        "zh": ["偏小，建议买大一码", "有点紧", "尺码比想象的小"],
    },
    "true to size": {
        "en": ["fits just right", "true to size", "my usual size is perfect"],
        "zh": ["尺码正好", "很合身", "按平时的码买没错"],
    },
    "runs large": {
        "en": ["runs large, size down", "too loose on me", "bigger than expected"],
        "zh": ["偏大，可以买小一码", "太宽松了", "比想象的大"],
    },
}

# What shoppers call a kind.
KIND_NAMES = {
    "t-shirt": {"en": ["T-shirt", "tee", "short-sleeved shirt"], "zh": ["T恤", "短袖"]},
    "long sleeve": {"en": ["long-sleeved shirt", "long sleeve"], "zh": ["长袖衫", "长袖"]},
    "hoodie": {"en": ["hoodie", "hooded sweatshirt"], "zh": ["连帽卫衣", "帽衫"]},
    "jacket": {"en": ["jacket", "zip-up jacket"], "zh": ["夹克", "外套"]},
    "dress": {"en": ["dress", "summer dress"], "zh": ["连衣裙", "裙装"]},
    "skirt": {"en": ["skirt", "midi skirt"], "zh": ["半身裙", "短裙"]},
    "pants": {"en": ["pants", "trousers"], "zh": ["长裤", "裤子"]},
    "shorts": {"en": ["shorts", "short trousers"], "zh": ["短裤", "热裤"]},
    "hat": {"en": ["hat", "cap"], "zh": ["帽子", "遮阳帽"]},
    "shoes": {"en": ["sneakers", "trainers"], "zh": ["运动鞋", "跑鞋"]},
}
OPENINGS = {
    "en": [
        "Just got this {thing}.",
        "Wore the {thing} today,",
        "Second {thing} from this shop,",
        "My new {thing}!",
        "Bought the {thing} on sale.",
    ],
    "zh": [
        "刚收到这件{thing}。",
        "今天穿了{thing}，",
        "第二次买他家的{thing}，",
        "新入手的{thing}！",
        "打折时买的{thing}。",
    ],
}
VAGUE_NAME = {"en": "piece", "zh": "宝贝"}  # what a shopper says who does not name the garment
CLOSINGS = {
    "en": [
        "What goes with it?",
        "Any ideas for the rest of the outfit?",
        "Delivery was quick.",
        "Love the fabric.",
        "",
    ],
    "zh": ["配什么好看？", "求搭配。", "发货很快。", "面料很舒服。", ""],
}


CATALOGUE_COLUMNS = (
    "sku",
    "product",
    "name",
    "description",
    "name_zh",
    "description_zh",
    "image",
    "class",
    "color",
)
POST_COLUMNS = ("id", "product", "text", "photo", "class", "color", "fit")

# Pixels a side from which a photo shows a garment in a room and may be called by several names.
# What is smaller stands on white and has one name: the toy data must be learned in seconds.
DETAILED = 64

# Shares of the posts.
CLOSE_UP = 0.25  # photos that show the cloth only
NAMED_IN_CLOSE_UP = 0.9  # of those, texts that name the garment: text and photo complete each other
COLOR_NAMED = 0.25
NO_TEXT = 0.04
NO_PHOTO = 0.05  # of the posts whose text names the garment


class Garment(NamedTuple):
    """One product of the catalogue."""

    sku: str
    kind: str
    pattern: str
    color: str


class Data(NamedTuple):
    """How much is written, and how hard it is."""

    shoppers: dict[str, int]  # kind → its share of the posts, in parts
    products: int
    posts: int
    size: int  # pixels a side of a picture
    named: float  # share of the texts that name the garment in the photo


STARTER = Data(SHOPPERS, products=450, posts=1200, size=128, named=0.4)
TOY = Data(TOY_SHOPPERS, products=80, posts=200, size=32, named=1.0)


def _catalogue(data: Data, rng: random.Random) -> list[Garment]:
    """Return the garments, three of each kind at least, the others of the kinds shoppers buy."""
    # Three of each, or a kind of few products would miss a part of the split.
    kinds = [*data.shoppers] * 3
    kinds += rng.choices(
        list(data.shoppers), list(data.shoppers.values()), k=data.products - len(kinds)
    )
    garments = []
    for number, kind in enumerate(kinds):
        pattern = rng.choice(list(PATTERNS))
        color = rng.choice(HUES)
        garments.append(Garment(f"G{number:03}", kind, pattern, color))
    return garments


def _descriptions(garment: Garment) -> list[str]:
    """Return name and description in English and in Chinese, as a shop writes them."""
    kind = KINDS[garment.kind]
    pattern = "polka-dot" if garment.pattern == "dotted" else garment.pattern
    pattern_zh = PATTERNS[garment.pattern]
    _, color_zh = COLORS[garment.color]
    return [
        f"{pattern.capitalize()} {kind.english}",
        f"A {pattern} {kind.english} in {garment.color}. Goes with everything.",
        f"{pattern_zh}{kind.chinese}",
        f"{color_zh}{pattern_zh}{kind.chinese}，日常百搭。",
    ]


def _post_text(
    garment: Garment, fit: str, named: bool, names: int, language: str, rng: random.Random
) -> str:
    """Return what a shopper writes.

    Args:
        garment: what the photo shows.
        fit: what is said of its size; "" says nothing.
        named: whether the text says what kind of garment it is.
        names: by one of how many names.
        language: en or zh.
        rng: the source of all choices.
    """
    is_english = language == "en"
    thing = VAGUE_NAME[language]
    if named:
        thing = rng.choice(KIND_NAMES[garment.kind][language][:names])
    if rng.random() < COLOR_NAMED:
        _, color_zh = COLORS[garment.color]
        thing = f"{garment.color} {thing}" if is_english else f"{color_zh}{thing}"
    parts = [rng.choice(OPENINGS[language]).format(thing=thing)]
    if fit:
        end = "." if is_english else "。"
        parts.append(rng.choice(FITS[fit][language]) + end)
    parts.append(rng.choice(CLOSINGS[language]))
    return (" " if is_english else "").join(filter(None, parts))


def _photo(garment: Garment, size: int, seed: int, close_up: bool) -> Image.Image:
    """Return a shopper's photo; a ``close_up`` shows the cloth, not the garment."""
    picture = product(
        garment.kind,
        garment.color,
        garment.pattern,
        size=size,
        seed=seed,
        background="room" if size >= DETAILED else "white",
    )
    if not close_up:
        return picture
    # A quarter of the side, from the middle: cloth and pattern, no outline.
    near = size * 2 // 5
    far = size * 13 // 20
    return picture.crop((near, near, far, far)).resize((size, size))


def _write(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with new_file(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _save(raw: Path, name: str, content: bytes) -> str:
    (raw / name).parent.mkdir(parents=True, exist_ok=True)
    with new_file(raw / name) as temporary:
        temporary.write_bytes(content)
    return name


class Post(NamedTuple):
    """A row of posts.csv, under the names of its columns."""

    id: str
    product: str
    text: str
    photo: str
    kind: str
    color: str
    fit: str


def _posts(raw: Path, garments: list[Garment], data: Data, rng: random.Random) -> list[Post]:
    """Write the photos of the shoppers' posts and return the posts."""
    posts = []
    kinds = list(data.shoppers)
    shares = list(data.shoppers.values())
    # One source of chance for all: a choice more or less here changes every post that follows.
    for number in range(data.posts):
        (kind,) = rng.choices(kinds, shares)
        garment = rng.choice([garment for garment in garments if garment.kind == kind])
        fit = rng.choice([*FITS, ""])
        close_up = data.size >= DETAILED and rng.random() < CLOSE_UP
        named = rng.random() < (NAMED_IN_CLOSE_UP if close_up else data.named)
        names = 1 if data.size < DETAILED else 3
        language = rng.choice(["en", "zh"])
        text = _post_text(garment, fit, named, names, language, rng)
        # Seeds apart from the catalogue's, so that no post shows a catalogue picture again.
        photo = encode(_photo(garment, data.size, 7000 + number, close_up))
        if rng.random() < NO_TEXT:
            text = ""
        name = ""
        # A post without a photo must name the garment, or nobody could tell what it is.
        if not (text and named and rng.random() < NO_PHOTO):
            name = _save(raw, f"photos/{number:04}.jpg", photo)
        posts.append(
            Post(
                id=f"post{number:04}",
                product=garment.sku,
                text=text,
                photo=name,
                kind=kind,
                color=garment.color,
                fit=fit if text else "",
            )
        )
    return posts


def _shop(raw: Path, garments: list[Garment], size: int) -> list[list[str]]:
    """Write the catalogue's pictures and return its rows, see `CATALOGUE_COLUMNS`."""
    rows = []
    for number, garment in enumerate(garments):
        picture = product(garment.kind, garment.color, garment.pattern, size=size, seed=number)
        image = _save(raw, f"catalogue/{garment.sku}.jpg", encode(picture))
        # Each is a product of its own, so the sku stands as the product, too.
        known = [garment.sku, garment.sku, *_descriptions(garment)]
        rows.append([*known, image, garment.kind, garment.color])
    return rows


def _dirt(raw: Path, size: int) -> list[Post]:
    """Write pictures as they should not be delivered, and return posts that name them."""
    picture = product("bag", "red", "plain", size=size, seed=1, background="room")
    stream = io.BytesIO()
    picture.convert("CMYK").save(stream, "JPEG")
    _save(raw, "photos/cmyk.jpg", stream.getvalue())
    _save(raw, "photos/cut.jpg", encode(picture)[:400])
    _save(raw, "photos/text.jpg", b"this is no picture")
    return [
        Post("dirt1", "", "", "photos/cut.jpg", "t-shirt", "red", ""),
        Post("dirt2", "", "", "photos/text.jpg", "t-shirt", "red", ""),
        Post("dirt3", "", "", "photos/gone.jpg", "t-shirt", "red", ""),
        Post("dirt4", "", "", "", "t-shirt", "red", ""),
        # The picture is good, but too few examples are bags.
        Post("dirt5", "", "A red bag.", "photos/cmyk.jpg", "bag", "red", ""),
    ]


def _deliver(raw: Path, data: Data) -> None:
    """Write catalogue, posts, pictures and licence into ``raw``, the same bytes every time."""
    rng = random.Random(7)
    raw.mkdir(parents=True, exist_ok=True)
    garments = _catalogue(data, rng)
    _write(raw / "catalogue.csv", CATALOGUE_COLUMNS, _shop(raw, garments, data.size))
    posts = _posts(raw, garments, data, rng) + _dirt(raw, data.size)
    _write(raw / "posts.csv", POST_COLUMNS, posts)
    write_json(raw / "LICENSE.json", LICENSE)


def starter(*, raw: Path) -> None:
    """Write 450 garments, ``catalogue.csv``, and 1,200 posts of shoppers, ``posts.csv``.

    Posts are in English or Chinese; ten kinds, from 22 % T-shirts to 4 % hats. A quarter of the
    photos shows the cloth only, six of ten of the other posts do not name the garment: neither text
    nor photo tells all. The fit stands in words only.
    """
    _deliver(raw, STARTER)


def toy(*, raw: Path) -> None:
    """Write 80 garments and 200 posts that name them, with pictures of 32 pixels a side.

    There are four kinds, and the data are always the same.
    """
    _deliver(raw, TOY)
