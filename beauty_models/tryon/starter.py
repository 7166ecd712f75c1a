"""Raw data that needs no network: garments drawn by this project, as a shop's catalogue and as shoppers' photos with their words."""

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
    "attribution": "Pictures drawn by beauty_models/intake/synthetic.py, texts put together by beauty_models/tryon/starter.py.",
}
SHOPPERS = {  # how many of a hundred shoppers' posts show each kind
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
FITS = {  # what a shopper says of the size, by language
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
CALLED = {  # other words for a kind
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
ROOM = 64  # pixels a side; smaller photos show a garment on white and come with one word for it
CLOSE = 0.25  # share of the photos that show the cloth only
VAGUE = {"en": "piece", "zh": "宝贝"}  # what a shopper says who does not name the garment
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


class Garment(NamedTuple):
    """One product of the catalogue."""

    sku: str
    kind: str
    pattern: str
    colour: str


def _catalogue(shoppers: dict[str, int], count: int, chance: random.Random) -> list[Garment]:
    """Return ``count`` garments, three of each kind at least, the others of the kinds that ``shoppers`` buy."""
    kinds = [*shoppers] * 3 + chance.choices(
        list(shoppers), list(shoppers.values()), k=count - 3 * len(shoppers)
    )
    return [
        Garment(f"G{number:03}", kind, chance.choice(list(PATTERNS)), chance.choice(HUES))
        for number, kind in enumerate(kinds)
    ]


def _described(garment: Garment) -> list[str]:
    """Return name and description in English and in Chinese, as a shop writes them."""
    kind, hue = KINDS[garment.kind], COLORS[garment.colour][1]
    pattern = {"plain": "plain", "striped": "striped", "dotted": "polka-dot", "checked": "checked"}[
        garment.pattern
    ]
    return [
        f"{pattern.capitalize()} {kind.english}",
        f"A {pattern} {kind.english} in {garment.colour}. Goes with everything.",
        f"{PATTERNS[garment.pattern]}{kind.chinese}",
        f"{hue}{PATTERNS[garment.pattern]}{kind.chinese}，日常百搭。",
    ]


def _said(
    garment: Garment, fit: str, named: bool, names: int, tongue: str, chance: random.Random
) -> str:
    """Return what a shopper writes; the garment is ``named``, by one of so many ``names``, or not, the colour now and then."""
    thing = chance.choice(CALLED[garment.kind][tongue][:names]) if named else VAGUE[tongue]
    if chance.random() < 0.25:
        thing = f"{garment.colour} {thing}" if tongue == "en" else COLORS[garment.colour][1] + thing
    parts = [
        chance.choice(OPENINGS[tongue]).format(thing=thing),
        chance.choice(FITS[fit][tongue]) + ("." if tongue == "en" else "。") if fit else "",
        chance.choice(CLOSINGS[tongue]),
    ]
    return (" " if tongue == "en" else "").join(part for part in parts if part)


def _photo(garment: Garment, size: int, seed: int, close: bool) -> Image.Image:
    """Return a shopper's photo; from ``close`` by it shows the cloth, not the garment. What is tiny stands on white."""
    picture = product(
        garment.kind,
        garment.colour,
        garment.pattern,
        size=size,
        seed=seed,
        background="room" if size >= ROOM else "white",
    )
    return (
        picture.crop((size * 2 // 5, size * 2 // 5, size * 13 // 20, size * 13 // 20)).resize(
            (size, size)
        )
        if close
        else picture
    )


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


def _posts(
    raw: Path,
    garments: list[Garment],
    shoppers: dict[str, int],
    count: int,
    size: int,
    hint: float,
    chance: random.Random,
) -> list[list[str]]:
    """Write ``count`` photos and return the rows of the posts: id, product, text, photo, class, color, fit.

    A share ``hint`` of the texts names the garment that the photo shows.
    """
    rows = []
    for number in range(count):
        kind = chance.choices(list(shoppers), list(shoppers.values()))[0]
        garment = chance.choice([one for one in garments if one.kind == kind])
        fit = chance.choice([*FITS, ""])
        close = size >= ROOM and chance.random() < CLOSE
        named = chance.random() < (0.9 if close else hint)  # text and photo complete each other
        text = _said(
            garment, fit, named, 1 if size < ROOM else 3, chance.choice(["en", "zh"]), chance
        )
        photo = encode(_photo(garment, size, 7000 + number, close))
        text = "" if chance.random() < 0.04 else text
        name = (
            ""
            if text and named and chance.random() < 0.05
            else _save(raw, f"photos/{number:04}.jpg", photo)
        )
        rows.append(
            [f"post{number:04}", garment.sku, text, name, kind, garment.colour, fit if text else ""]
        )
    return rows


def _shop(raw: Path, garments: list[Garment], size: int) -> list[list[str]]:
    """Write the catalogue's pictures and return its rows: sku, product, four texts, image, class, color."""
    rows = []
    for number, garment in enumerate(garments):
        picture = product(garment.kind, garment.colour, garment.pattern, size=size, seed=number)
        name = _save(raw, f"catalogue/{garment.sku}.jpg", encode(picture))
        rows.append(
            [garment.sku, garment.sku, *_described(garment), name, garment.kind, garment.colour]
        )
    return rows


def _dirt(raw: Path, size: int) -> list[list[str]]:
    """Write pictures as they should not be delivered, and return posts that name them."""
    picture = product("bag", "red", "plain", size=size, seed=1, background="room")
    stream = io.BytesIO()
    picture.convert("CMYK").save(stream, "JPEG")
    _save(raw, "photos/cmyk.jpg", stream.getvalue())
    _save(raw, "photos/cut.jpg", encode(picture)[:400])
    _save(raw, "photos/text.jpg", b"this is no picture")
    return [
        ["dirt1", "", "", "photos/cut.jpg", "t-shirt", "red", ""],
        ["dirt2", "", "", "photos/text.jpg", "t-shirt", "red", ""],
        ["dirt3", "", "", "photos/gone.jpg", "t-shirt", "red", ""],
        ["dirt4", "", "", "", "t-shirt", "red", ""],
        ["dirt5", "", "A red bag.", "photos/cmyk.jpg", "bag", "red", ""],
    ]


def _deliver(
    raw: Path, shoppers: dict[str, int], products: int, posts: int, size: int, hint: float
) -> None:
    chance = random.Random(7)
    raw.mkdir(parents=True, exist_ok=True)
    garments = _catalogue(shoppers, products, chance)
    _write(
        raw / "catalogue.csv",
        [
            "sku",
            "product",
            "name",
            "description",
            "name_zh",
            "description_zh",
            "image",
            "class",
            "color",
        ],
        _shop(raw, garments, size),
    )
    rows = _posts(raw, garments, shoppers, posts, size, hint, chance) + _dirt(raw, size)
    _write(raw / "posts.csv", ["id", "product", "text", "photo", "class", "color", "fit"], rows)
    write_json(raw / "LICENSE.json", LICENSE)


def starter(*, raw: Path) -> None:
    """Write 450 garments, ``catalogue.csv``, and 1,200 posts of shoppers, ``posts.csv``, with their pictures.

    Posts are in English or Chinese; ten kinds, from 22 % T-shirts to 4 % hats. A quarter of the photos shows the cloth only,
    six of ten of the other posts do not name the garment: neither text nor photo tells all. The fit stands in words only.
    """
    _deliver(raw, SHOPPERS, products=450, posts=1200, size=128, hint=0.4)


def toy(*, raw: Path) -> None:
    """Write 80 garments and 200 posts that name them, with pictures of 32 pixels a side: four kinds, always the same."""
    _deliver(raw, TOY_SHOPPERS, products=80, posts=200, size=32, hint=1.0)
