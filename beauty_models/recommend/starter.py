"""Raw catalogues that need no network: the starter, a shop of drawn products in English and Chinese, and the toy set for tests."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from beauty_models.files import new_file, write_json
from beauty_models.intake import synthetic
from beauty_models.intake.images import encode

ABOUT = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": "Products drawn and described by beauty_models/recommend/starter.py and beauty_models/intake/synthetic.py.",
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
SIZES = ("S", "M", "L")
WORN = {"tops", "outerwear", "dresses", "bottoms"}  # departments whose products have sizes
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
MOODS = [
    ("for long walks by the sea", "适合海边漫步"),
    ("for quiet days at home", "适合居家"),
    ("for the office and after", "上班下班都合适"),
    ("for summer evenings", "适合夏夜"),
    ("for travelling light", "适合轻装旅行"),
]


@dataclass(frozen=True)
class Product:
    """A product of the drawn shop and the colours it comes in."""

    sku: str
    kind: str
    pattern: str
    line: tuple[str, str]
    material: tuple[str, str]
    mood: tuple[str, str]
    colours: tuple[str, ...]

    @property
    def department(self) -> str:
        return synthetic.KINDS[self.kind].department


def _rows(product: Product, chance: random.Random) -> list[list[str]]:
    """Return the rows of a product: one for each colour, and for clothes one for each size of it; sizes share the picture."""
    kind, (material, material_zh), (line, line_zh) = (
        synthetic.KINDS[product.kind],
        product.material,
        product.line,
    )
    pattern, pattern_zh = (
        ("", "")
        if product.pattern == "plain"
        else (product.pattern, synthetic.PATTERNS[product.pattern])
    )
    name, name_zh = (
        " ".join(word for word in (line, pattern, kind.english) if word),
        f"{line_zh}{pattern_zh}{kind.chinese}",
    )
    description = (
        f"<p>{name.capitalize()} {product.mood[0]}.</p><ul><li>{material.capitalize()}, made to last</li>"
        f"<li>{product.pattern.capitalize()} finish &amp; clean lines</li></ul>"
    )
    description_zh = f"<p>{name_zh},{product.mood[1]}。</p><ul><li>{material_zh},经久耐用</li></ul>"
    price = f"{chance.randint(9, 120)}.{chance.choice(['00', '50', '90'])}"
    found = []
    for colour in product.colours:
        for size in SIZES if product.department in WORN else ("",):
            sku = "-".join(part for part in (product.sku, colour, size) if part)
            path = f"Shop/{product.department.capitalize()}/{kind.english.capitalize()}"
            found.append(
                [
                    sku,
                    product.sku,
                    name,
                    name_zh,
                    description,
                    description_zh,
                    path,
                    kind.chinese,
                    colour,
                    synthetic.COLORS[colour][1],
                    material,
                    material_zh,
                    price,
                    _file(product, colour),
                ]
            )
    return found


def _file(product: Product, colour: str) -> str:
    return f"images/{product.sku.lower()}-{colour}.jpg"


def _draw(raw: Path, product: Product, colour: str, size: int, seed: int) -> None:
    with new_file(raw / _file(product, colour)) as file:
        file.write_bytes(
            encode(synthetic.product(product.kind, colour, product.pattern, size=size, seed=seed))
        )


def _write(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with new_file(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _relations(products: Sequence[Product]) -> list[list[str]]:
    """Return pairs that go together: of departments that do, in the same pattern and with a colour in common."""
    return [
        [one.sku, other.sku]
        for one in products
        for other in products
        if other.department == GOES_WITH[one.department]
        and one.pattern == other.pattern
        and set(one.colours) & set(other.colours)
    ]


def _histories(
    products: Sequence[Product], shoppers: int, chance: random.Random
) -> list[list[str]]:
    """Return purchases of shoppers who have a favourite colour and a favourite pattern, and now and then something else."""
    found = []
    for number in range(1, shoppers + 1):
        colour, pattern = (
            chance.choice(list(synthetic.COLORS)),
            chance.choice(list(synthetic.PATTERNS)),
        )
        liked = [
            product
            for product in products
            if colour in product.colours and product.pattern == pattern
        ]
        chosen = chance.sample(liked, min(len(liked), chance.randint(3, 6))) + chance.sample(
            list(products), 1
        )
        chance.shuffle(chosen)
        for day, product in enumerate(chosen, 1):
            sku = (
                f"{product.sku}-{colour}"
                if colour in product.colours and product.department not in WORN
                else product.sku
            )
            found.append([f"shopper-{number}", sku, f"2025-{1 + day // 28:02}-{day % 28 + 1:02}"])
    return found


def _queries(products: Sequence[Product]) -> list[list[str]]:
    """Return what people type, in English and Chinese, with every variant that it should find."""
    found = []
    for product in products:
        kind = synthetic.KINDS[product.kind]
        for colour in product.colours:
            sku = f"{product.sku}-{colour}" + ("-S" if product.department in WORN else "")
            pattern, pattern_zh = (
                ("", "")
                if product.pattern == "plain"
                else (f"{product.pattern} ", synthetic.PATTERNS[product.pattern])
            )
            found += [
                [f"{colour} {pattern}{kind.english}", sku],
                [f"{synthetic.COLORS[colour][1]}{pattern_zh}{kind.chinese}", sku],
            ]
    return found


def _dirt(raw: Path, rows: list[list[str]]) -> None:
    """Add what real deliveries bring: a picture missing, one cut off, one in CMYK, a product without text, a SKU that is there twice."""
    first = dict(zip(HEADER, rows[0], strict=True))
    bad = {
        "LOST-1": {"image": "images/lost.jpg"},
        "CUT-1": {"image": "images/cut.jpg"},
        "MUTE-1": dict.fromkeys(HEADER[2:12], ""),
        rows[3][0]: {"price": "1.00"},
    }
    rows += [
        list((first | {"sku": sku, "parent": ""} | change).values()) for sku, change in bad.items()
    ]
    whole = (raw / first["image"]).read_bytes()
    (raw / "images/cut.jpg").write_bytes(whole[: len(whole) // 2])
    target = raw / rows[10][HEADER.index("image")]
    with Image.open(target) as picture:
        cmyk = picture.convert("CMYK")
    cmyk.save(target, "JPEG", quality=95)


def _shop(raw: Path, products: Sequence[Product], size: int, chance: random.Random) -> None:
    rows = [row for product in products for row in _rows(product, chance)]
    (raw / "images").mkdir(parents=True, exist_ok=True)
    for number, product in enumerate(products):
        for place, colour in enumerate(product.colours):
            _draw(raw, product, colour, size, 100 * number + place)
    _dirt(raw, rows)
    _write(raw / "products.csv", HEADER, rows)
    _write(raw / "related.csv", ["sku", "linked_sku"], _relations(products))
    _write(raw / "queries.csv", ["query", "sku"], _queries(products))
    write_json(raw / "LICENSE.json", ABOUT)


def starter(*, raw: Path) -> None:
    """Write a shop of 120 products in one to three colours into the folder ``raw``, always the same one.

    ``products.csv`` has names, descriptions, categories, colours and materials in English and Chinese; ``related.csv``,
    ``histories.csv`` (200 shoppers) and ``queries.csv`` serve evaluation; ``images/`` has a picture for each colour and 60
    more that no product names. A few rows and pictures are broken, as in real deliveries.
    """
    chance = random.Random(7)
    combinations = [(kind, pattern) for kind in synthetic.KINDS for pattern in synthetic.PATTERNS]
    chance.shuffle(combinations)
    products = []
    free = {
        combination: chance.sample(list(synthetic.COLORS), len(synthetic.COLORS))
        for combination in combinations
    }
    for number in range(120):
        kind, pattern = combinations[number % len(combinations)]
        colours = tuple(sorted(free[kind, pattern].pop() for _ in range(chance.randint(1, 3))))
        material = chance.choice(MATERIALS[synthetic.KINDS[kind].department])
        products.append(
            Product(
                f"P{number + 1:03}",
                kind,
                pattern,
                chance.choice(LINES),
                material,
                chance.choice(MOODS),
                colours,
            )
        )
    _shop(raw, products, 224, chance)
    _write(raw / "histories.csv", ["shopper", "sku", "date"], _histories(products, 200, chance))
    for number in range(60):
        picture = synthetic.product(
            chance.choice(list(synthetic.KINDS)),
            chance.choice(list(synthetic.COLORS)),
            chance.choice(list(synthetic.PATTERNS)),
            size=224,
            seed=10_000 + number,
            background="room",
        )
        with new_file(raw / f"images/shopper-{number + 1:02}.jpg") as file:
            file.write_bytes(encode(picture))


def toy(*, raw: Path) -> None:
    """Write 60 products at 48 pixels into the folder ``raw``, always the same ones: five kinds, six colours, plain or striped."""
    chance = random.Random(7)
    every = [
        (kind, colour, pattern)
        for kind in ("dress", "pants", "hat", "shoes", "bag")
        for pattern in ("plain", "striped")
        for colour in ("red", "yellow", "green", "blue", "black", "pink")
    ]
    chance.shuffle(every)
    products = [
        Product(
            f"T{number + 1:02}",
            kind,
            pattern,
            ("", ""),
            MATERIALS[synthetic.KINDS[kind].department][0],
            MOODS[0],
            (colour,),
        )
        for number, (kind, colour, pattern) in enumerate(every)
    ]
    _shop(raw, products, 48, chance)
    _write(raw / "histories.csv", ["shopper", "sku", "date"], _histories(products, 30, chance))
