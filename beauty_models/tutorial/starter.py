"""Raw articles that need no network: the starter, which the project wrote, and the toy set."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from beauty_models.files import new_file, write_json

ARTICLES = Path(__file__).parent / "articles"

STARTER = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": "Articles written for this project, beauty_models/tutorial/articles.",
}
TOY = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": "Articles put together from templates by beauty_models/tutorial/starter.py.",
}


def starter(*, raw: Path) -> None:
    """Write the project's own articles, ``en/*.md`` and ``zh/*.md``, into the folder ``raw``.

    ``LICENSE.json`` beside them says whose they are.
    """
    for article in sorted(ARTICLES.glob("*/*.md")):
        folder = raw / article.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        with new_file(folder / article.name) as file:
            file.write_bytes(article.read_bytes())
    write_json(raw / "LICENSE.json", STARTER)


class ToyWords(NamedTuple):
    """What the toy articles of one language are made of."""

    titles: list[str]
    looks: list[str]
    occasions: list[str]
    openings: list[str]
    steps: dict[str, list[str]]  # product → what is done with it
    endings: list[str]
    essays: list[str]  # sentences of articles that are no how-tos


TOY_WORDS = {
    "en": ToyWords(
        titles=["A {look} look for {occasion}", "How to wear a {look} face", "{look} in minutes"],
        looks=["natural", "smoky", "dewy", "matte", "bold"],
        occasions=["office", "party", "date", "travel"],
        openings=[
            "Start with a clean face and a mirror by the window.",
            "This look takes ten minutes and a steady hand.",
            "Take your time, and keep a cotton bud close.",
        ],
        steps={
            "primer": ["Press primer over the face.", "Pat primer on the nose and wait."],
            "foundation": ["Blend foundation from the middle.", "Tap foundation on thinly."],
            "concealer": ["Dot concealer under the eyes.", "Hide spots with concealer."],
            "blush": ["Sweep blush over the cheeks.", "Smile and dab on blush."],
            "eyeshadow": ["Wash eyeshadow over the lid.", "Draw eyeshadow up to the crease."],
            "mascara": ["Comb mascara through the lashes.", "Wiggle mascara at the root."],
            "lipstick": ["Press lipstick into the lips.", "Fill the lips with lipstick."],
            "powder": ["Dust powder over the forehead.", "Set the chin with powder."],
        },
        endings=["Check it in daylight.", "Blot once and go.", "Take it off before you sleep."],
        essays=[
            "Trends come back when nobody expects them.",
            "A shop window says more than a list of numbers.",
            "Colours look different under the lamps of a store.",
            "Good brushes last for years if they are washed.",
            "Nobody needs ten lipsticks, and everybody has them.",
        ],
    ),
    "zh": ToyWords(
        titles=["{occasion}{look}妆教程", "{look}妆怎么画", "几分钟画好{look}妆"],
        looks=["自然", "烟熏", "水光", "哑光", "浓郁"],
        occasions=["通勤", "派对", "约会", "旅行"],
        openings=["先把脸洗干净，站到窗边。", "这个妆只要十分钟。", "慢慢来，手边放一根棉签。"],
        steps={
            "妆前乳": ["把妆前乳按在脸上。", "鼻子上拍一点妆前乳。"],
            "粉底液": ["粉底液从中间往外推开。", "薄薄拍上粉底液。"],
            "遮瑕膏": ["眼下点上遮瑕膏。", "用遮瑕膏盖住斑点。"],
            "腮红": ["微笑着扫上腮红。", "苹果肌拍一点腮红。"],
            "眼影": ["眼皮上铺一层眼影。", "眼影晕到眼窝为止。"],
            "睫毛膏": ["从根部刷睫毛膏。", "睫毛膏左右轻轻刷。"],
            "口红": ["口红从唇中间涂开。", "把口红按进嘴唇。"],
            "散粉": ["额头扫上散粉。", "用散粉定住下巴。"],
        },
        endings=["到日光下看一看。", "抿一下纸巾就能出门。", "睡前一定要卸妆。"],
        essays=[
            "流行总在没人想到的时候回来。",
            "橱窗比数字更会说话。",
            "店里的灯光会骗人的眼睛。",
            "好刷子洗干净能用好多年。",
            "没人需要十支口红，可人人都有。",
        ],
    ),
}
TOY_ARTICLES = 120
SKIN_TYPES = ["dry", "oily", "normal", "sensitive"]


def _toy_how_to(language: str, rng: random.Random) -> str:
    """Return a how-to with front matter and numbered steps."""
    words = TOY_WORDS[language]
    look = rng.choice(words.looks)
    occasion = rng.choice(words.occasions)
    products = rng.sample(list(words.steps), rng.randint(4, 6))
    title = rng.choice(words.titles).format(look=look, occasion=occasion)
    lines = [
        "---",
        f"title: {title[:1].upper()}{title[1:]}",
        f"language: {language}",
        f"look: {look}",
        f"occasion: {occasion}",
        f"skin_type: {rng.choice(SKIN_TYPES)}",
        f"products: [{', '.join(products)}]",
        "---",
        "",
        rng.choice(words.openings),
        "",
    ]
    for number, product in enumerate(products, start=1):
        lines.append(f"{number}. {rng.choice(words.steps[product])}")
    lines += ["", rng.choice(words.endings), ""]
    return "\n".join(lines)


def _toy_essay(language: str, rng: random.Random) -> str:
    """Return an article without steps, and without front matter."""
    words = TOY_WORDS[language]
    sentences = rng.sample(words.essays, 4)
    space = "" if language == "zh" else " "
    heading = rng.choice(words.looks)
    return f"# {heading}\n\n{space.join(sentences[:2])}\n\n{space.join(sentences[2:])}\n"


def toy(*, raw: Path) -> None:
    """Write some 120 short articles and ``LICENSE.json`` into the folder ``raw``.

    Always the same ones. As in real deliveries one repeats, one is empty, and some are no how-tos.
    """
    rng = random.Random(7)
    articles = []
    for number in range(TOY_ARTICLES):
        language = "zh" if number % 3 == 0 else "en"
        essay = number % 10 == 9
        made = _toy_essay(language, rng) if essay else _toy_how_to(language, rng)
        articles.append((f"{language}-{number:03}.md", made))
    articles.append(("repeated.md", articles[1][1]))
    articles.append(("empty.md", "\n"))
    raw.mkdir(parents=True, exist_ok=True)
    for name, text in articles:
        with new_file(raw / name) as file:
            file.write_text(text, encoding="utf-8")
    write_json(raw / "LICENSE.json", TOY)
