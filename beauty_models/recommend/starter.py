"""Raw catalogues that need no network.

The starter is a shop of drawn products in English and Chinese; the toy set serves tests.
"""

from __future__ import annotations

import csv
import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from beauty_models.files import new_file, write_json
from beauty_models.intake import synthetic
from beauty_models.intake.images import encode

ABOUT = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": "Products drawn and described by beauty_models/recommend/starter.py and "
    "beauty_models/intake/synthetic.py.",
}
HEADER = [
    "sku",
    "parent",
    "name",
    "name_zh",
    "description",
    "description_zh",
    "category",
    "category_zh",
    "color",
    "color_zh",
    "material",
    "material_zh",
    "price",
    "image",
]
# sizes share a picture, as in most shops: ingest must make one item of them
SIZES = ("S", "M", "L")
DEPARTMENTS_WITH_SIZES = {"tops", "outerwear", "dresses", "bottoms"}
# department → the one that the shop would link with it
GOES_WITH = {
    "tops": "bottoms",
    "bottoms": "tops",
    "outerwear": "dresses",
    "dresses": "accessories",
    "accessories": "shoes",
    "shoes": "accessories",
    "make-up": "skin care",
    "skin care": "fragrance",
    "fragrance": "make-up",
}
# here and below: in English and in Chinese
MATERIALS = {
    "tops": [("cotton", "棉"), ("linen", "亚麻")],
    "outerwear": [("wool", "羊毛"), ("denim", "牛仔布")],
    "shoes": [("canvas", "帆布")],
    "dresses": [("silk", "真丝"), ("viscose", "粘胶")],
    "bottoms": [("cotton", "棉"), ("denim", "牛仔布")],
    "accessories": [("leather", "皮革"), ("straw", "草编")],
    "make-up": [("vegan formula", "纯素配方")],
    "skin care": [("shea butter", "乳木果油")],
    "fragrance": [("eau de parfum", "香水")],
}
# brand names, which no picture shows: a model must learn to look past them
LINES = [
    ("Aurora", "晨曦"),
    ("Breeze", "微风"),
    ("Coral", "珊瑚"),
    ("Dune", "沙丘"),
    ("Ember", "余烬"),
    ("Fjord", "峡湾"),
    ("Grove", "林间"),
    ("Harbor", "港湾"),
    ("Iris", "鸢尾"),
    ("Jasmine", "茉莉"),
    ("Lagoon", "泻湖"),
    ("Meadow", "草原"),
]
# what descriptions say and no picture shows either
MOODS = [
    ("for long walks by the sea", "适合海边漫步"),
    ("for quiet days at home", "适合居家"),
    ("for the office and after", "上班下班都合适"),
    ("for summer evenings", "适合夏夜"),
    ("for travelling light", "适合轻装旅行"),
]


@dataclass(frozen=True)
class Product:
    """A product of the drawn shop and the colors it comes in."""

    sku: str
    kind: str
    pattern: str
    line: tuple[str, str]  # here and below: in English and in Chinese
    material: tuple[str, str]
    mood: tuple[str, str]
    colors: tuple[str, ...]

    @property
    def department(self) -> str:
        """The part of the shop that it stands in."""
        return synthetic.KINDS[self.kind].department

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes it comes in; ("",) where it has none."""
        return SIZES if self.department in DEPARTMENTS_WITH_SIZES else ("",)

    @property
    def pattern_words(self) -> tuple[str, str]:
        """What people call its pattern; nobody says that something is plain."""
        if self.pattern == "plain":
            return "", ""
        return self.pattern, synthetic.PATTERNS[self.pattern]

    def picture(self, color: str) -> str:
        """Return the path of its picture in ``color`` in the raw folder."""
        return f"images/{self.sku.lower()}-{color}.jpg"


def _rows(product: Product, rng: random.Random) -> list[list[str]]:
    """Return the rows of a product: one for each color and size; sizes share the picture."""
    kind = synthetic.KINDS[product.kind]
    material, material_zh = product.material
    line, line_zh = product.line
    mood, mood_zh = product.mood
    pattern, pattern_zh = product.pattern_words
    name = " ".join(word for word in (line, pattern, kind.english) if word)
    name_zh = f"{line_zh}{pattern_zh}{kind.chinese}"
    # HTML, as shops deliver it
    description = (
        f"<p>{name.capitalize()} {mood}.</p>"
        f"<ul><li>{material.capitalize()}, made to last</li>"
        f"<li>{product.pattern.capitalize()} finish &amp; clean lines</li></ul>"
    )
    description_zh = f"<p>{name_zh},{mood_zh}。</p><ul><li>{material_zh},经久耐用</li></ul>"
    category = f"Shop/{product.department.capitalize()}/{kind.english.capitalize()}"
    price = f"{rng.randint(9, 120)}.{rng.choice(['00', '50', '90'])}"
    rows = []
    for color in product.colors:
        for size in product.sizes:
            values = {
                "sku": "-".join(part for part in (product.sku, color, size) if part),
                "parent": product.sku,
                "name": name,
                "name_zh": name_zh,
                "description": description,
                "description_zh": description_zh,
                "category": category,
                "category_zh": kind.chinese,
                "color": color,
                "color_zh": synthetic.COLORS[color][1],
                "material": material,
                "material_zh": material_zh,
                "price": price,
                "image": product.picture(color),
            }
            rows.append([values[field] for field in HEADER])
    return rows


def _draw(file: Path, kind: str, color: str, pattern: str, **options: Any) -> None:
    """Draw a product to ``file``; ``options`` as of `synthetic.product`."""
    picture = synthetic.product(kind, color, pattern, **options)
    with new_file(file) as temporary:
        temporary.write_bytes(encode(picture))


def _write(
    file: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> None:
    with new_file(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _go_together(product: Product, other: Product) -> bool:
    """Return whether the departments do, the pattern is the same and a color is in common."""
    return (
        other.department == GOES_WITH[product.department]
        and product.pattern == other.pattern
        and not set(product.colors).isdisjoint(other.colors)
    )


def _relations(products: Sequence[Product]) -> list[list[str]]:
    """Return pairs that go together."""
    pairs = itertools.product(products, repeat=2)
    return [[product.sku, other.sku] for product, other in pairs if _go_together(product, other)]


def _histories(
    products: Sequence[Product],
    shoppers: int,
    rng: random.Random,
) -> list[list[str]]:
    """Return purchases of shoppers: shopper, SKU, date.

    A shopper has a favourite color and a favourite pattern, and now and then something else.
    """
    rows = []
    for number in range(1, shoppers + 1):
        color = rng.choice(list(synthetic.COLORS))
        pattern = rng.choice(list(synthetic.PATTERNS))
        liked = [p for p in products if color in p.colors and p.pattern == pattern]
        chosen = rng.sample(liked, min(len(liked), rng.randint(3, 6)))
        # taste explains most purchases, not all of them
        chosen += rng.sample(list(products), 1)
        rng.shuffle(chosen)
        for day, product in enumerate(chosen, 1):
            # shops know the variant that was bought or the product only
            sku = product.sku
            if color in product.colors and product.department not in DEPARTMENTS_WITH_SIZES:
                sku += f"-{color}"
            month = 1 + day // 28
            date = f"2025-{month:02}-{day % 28 + 1:02}"
            rows.append([f"shopper-{number}", sku, date])
    return rows


def _queries(products: Sequence[Product]) -> list[list[str]]:
    """Return what people type, in English and Chinese, with every variant that it should find."""
    rows = []
    for product in products:
        kind = synthetic.KINDS[product.kind]
        pattern, pattern_zh = product.pattern_words
        for color in product.colors:
            sku = "-".join(part for part in (product.sku, color, product.sizes[0]) if part)
            english = " ".join(word for word in (color, pattern, kind.english) if word)
            chinese = f"{synthetic.COLORS[color][1]}{pattern_zh}{kind.chinese}"
            rows += [[english, sku], [chinese, sku]]
    return rows


def _add_faults(raw: Path, rows: list[list[str]]) -> None:
    """Add what real deliveries bring: broken rows to ``rows`` and broken pictures to ``raw``."""
    # a good row in all but one thing: it must be that one for which it is rejected
    first = dict(zip(HEADER, rows[0], strict=True))
    faults = {
        "LOST-1": {"image": "images/lost.jpg"},  # a picture that is missing
        "CUT-1": {"image": "images/cut.jpg"},  # one that is cut off
        "MUTE-1": dict.fromkeys(HEADER[2:12], ""),  # a product without text
        rows[3][0]: {"price": "1.00"},  # a SKU that is there twice
    }
    for sku, changes in faults.items():
        row = first | {"sku": sku, "parent": ""} | changes
        rows.append(list(row.values()))
    whole = (raw / first["image"]).read_bytes()
    (raw / "images/cut.jpg").write_bytes(whole[: len(whole) // 2])
    # and a picture in CMYK, as printers want it, which is no fault
    target = raw / rows[10][HEADER.index("image")]
    with Image.open(target) as picture:
        cmyk = picture.convert("CMYK")
    cmyk.save(target, "JPEG", quality=95)


def _write_shop(
    raw: Path,
    products: Sequence[Product],
    size: int,
    rng: random.Random,
) -> None:
    """Write all but the histories; pictures have ``size`` pixels a side."""
    rows = []
    for product in products:
        rows += _rows(product, rng)
    (raw / "images").mkdir(parents=True, exist_ok=True)
    for number, product in enumerate(products):
        for place, color in enumerate(product.colors):
            file = raw / product.picture(color)
            seed = 100 * number + place  # a product has fewer than 100 colors
            _draw(file, product.kind, color, product.pattern, size=size, seed=seed)
    _add_faults(raw, rows)
    _write(raw / "products.csv", HEADER, rows)
    _write(raw / "related.csv", ["sku", "linked_sku"], _relations(products))
    _write(raw / "queries.csv", ["query", "sku"], _queries(products))
    write_json(raw / "LICENSE.json", ABOUT)


def _starter_products(count: int, rng: random.Random) -> list[Product]:
    """Return products in one to three colors; no two of one kind and pattern share a color."""
    combinations = list(itertools.product(synthetic.KINDS, synthetic.PATTERNS))
    rng.shuffle(combinations)
    free = {}
    for combination in combinations:
        free[combination] = rng.sample(list(synthetic.COLORS), len(synthetic.COLORS))
    products = []
    for number in range(count):
        kind, pattern = combinations[number % len(combinations)]
        # once each: two products that look alike could not be told apart
        count_of_colors = rng.randint(1, 3)
        colors = sorted(free[kind, pattern].pop() for _ in range(count_of_colors))
        material = rng.choice(MATERIALS[synthetic.KINDS[kind].department])
        line = rng.choice(LINES)
        mood = rng.choice(MOODS)
        sku = f"P{number + 1:03}"
        products.append(Product(sku, kind, pattern, line, material, mood, tuple(colors)))
    return products


def starter(*, raw: Path) -> None:
    """Write a shop of 120 products in one to three colors into the folder ``raw``, always the same.

    ``products.csv`` has names, descriptions, categories, colors and materials in English and
    Chinese; ``related.csv``, ``histories.csv`` (200 shoppers) and ``queries.csv`` serve evaluation;
    ``images/`` has a picture for each color and 60 more that no product names. A few rows and
    pictures are broken, as in real deliveries.
    """
    # one generator for everything: the order of the calls below is a part of the data
    rng = random.Random(7)
    products = _starter_products(120, rng)
    _write_shop(raw, products, 224, rng)
    _write(raw / "histories.csv", ["shopper", "sku", "date"], _histories(products, 200, rng))
    # photos in a room that belong to no product: pretraining takes pictures without labels
    for number in range(60):
        kind = rng.choice(list(synthetic.KINDS))
        color = rng.choice(list(synthetic.COLORS))
        pattern = rng.choice(list(synthetic.PATTERNS))
        file = raw / f"images/shopper-{number + 1:02}.jpg"
        _draw(file, kind, color, pattern, size=224, seed=10_000 + number, background="room")


def toy(*, raw: Path) -> None:
    """Write 60 products at 48 pixels into the folder ``raw``, always the same ones.

    They are of five kinds, in six colors, plain or striped.
    """
    rng = random.Random(7)
    combinations = list(
        itertools.product(
            ("dress", "pants", "hat", "shoes", "bag"),
            ("plain", "striped"),
            ("red", "yellow", "green", "blue", "black", "pink"),
        )
    )
    rng.shuffle(combinations)
    products = []
    for number, (kind, pattern, color) in enumerate(combinations, 1):
        material = MATERIALS[synthetic.KINDS[kind].department][0]
        sku = f"T{number:02}"
        products.append(Product(sku, kind, pattern, ("", ""), material, MOODS[0], (color,)))
    _write_shop(raw, products, 48, rng)
    _write(raw / "histories.csv", ["shopper", "sku", "date"], _histories(products, 30, rng))
