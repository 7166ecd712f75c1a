"""The starter's own texts: agreement of each language, and values that every side keeps."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pandas as pd
import pytest

from beauty_models.translate import phrases, starter
from beauty_models.translate.checks import script_fault
from beauty_models.translate.glossary import Glossary
from beauty_models.translate.memories import units
from beauty_models.translate.phrases import LANGUAGES, Modifier, Noun
from beauty_models.translate.protected import protect_pair

FRAMES = {frame["en"]: frame for _, frame in phrases.frames()}


def noun(name: str) -> Noun:
    return next(item for item in phrases.nouns() if item.name("en") == name)


def said(*words: str) -> list[Modifier]:
    return [item for item in phrases.modifiers() if item.words["en"] in words]


@pytest.mark.parametrize(
    ("name", "words", "language", "expected"),
    [
        ("dress", ["black", "cotton", "sleeveless"], "en", "sleeveless black cotton dress"),
        ("dress", ["black", "cotton"], "fr", "robe noire en coton"),
        ("sandals", ["white"], "fr", "sandales blanches"),
        ("boots", ["golden"], "es", "botas doradas"),
        ("dress", ["black", "cotton"], "de", "schwarzes Kleid aus Baumwolle"),
        ("skirt", ["black"], "de", "schwarzer Rock"),
        ("boots", ["black"], "de", "schwarze Stiefel"),
        ("blouse", ["pink"], "de", "rosa Bluse"),
        ("scarf", ["black", "+for men"], "ja", "【メンズ】ブラックのマフラー"),
        ("serum", ["+for dry skin", "moisturising"], "zh-CN", "适合干性肌肤的保湿精华液"),
        ("serum", ["+for dry skin"], "en", "serum for dry skin"),
        ("shampoo", ["nourishing"], "ko", "영양 샴푸"),
    ],
)
def test_modifiers_agree_and_stand_where_they_belong(
    name: str, words: list[str], language: str, expected: str
) -> None:
    assert phrases.phrase(noun(name), said(*words), language) == expected


@pytest.mark.parametrize(
    ("frame", "name", "language", "expected"),
    [
        (
            "The {noun} [is/are] back in stock.",
            "face oil",
            "fr",
            "L'huile visage est de nouveau en stock.",
        ),
        ("The {noun} [is/are] back in stock.", "boots", "de", "Die Stiefel sind wieder auf Lager."),
        (
            "The {noun} [is/are] back in stock.",
            "micellar water",
            "es",
            "El agua micelar vuelve a estar en stock.",
        ),
        ("The {noun} [is/are] back in stock.", "serum", "ko", "세럼이 재입고되었습니다."),
        ("The {noun} [is/are] back in stock.", "mascara", "ko", "마스카라가 재입고되었습니다."),
        (
            "How do you like your new {noun}?",
            "eyeliner",
            "fr",
            "Aimez-vous votre nouvel eye-liner ?",
        ),
        ("How do you like your new {noun}?", "socks", "es", "¿Le gustan sus nuevos calcetines?"),
        ("How do you like your new {noun}?", "dress", "de", "Wie gefällt Ihnen Ihr neues Kleid?"),
    ],
)
def test_a_sentence_agrees_with_its_noun(
    frame: str, name: str, language: str, expected: str
) -> None:
    assert phrases.fill(FRAMES[frame][language], {}, language, noun(name)) == expected


def test_and_is_e_before_an_i_in_spanish() -> None:
    frame = FRAMES["{Noun} and {other} in a gift set"]["es"]
    for other, joined in (("highlighter", "e iluminador"), ("serum", "y sérum")):
        text = phrases.fill(frame, {}, "es", noun("blush"), noun(other))
        assert text == f"Set de regalo: colorete {joined}"


def test_every_word_is_written_in_its_language_and_has_a_gender() -> None:
    for item in phrases.nouns():
        for language in LANGUAGES:
            assert script_fault(item.name(language), language) == "", item
        assert item.genders["fr"] in ("m", "f", "mp", "fp"), item
        assert item.genders["es"] in ("m", "f", "mp", "fp"), item
        assert item.genders["de"] in ("m", "f", "n", "p"), item
    kinds = {item.kind for item in phrases.nouns()}
    for word in phrases.modifiers():
        assert word.classes - {"wear"} <= kinds, word
        for language in ("fr", "es"):
            assert len(word.words[language].split(",")) in (1, 4), word
        for language in LANGUAGES:
            assert (
                word.words[language].strip() and script_fault(word.words[language], language) == ""
            )


def test_every_sentence_has_the_same_slots_and_forms_in_all_languages() -> None:
    for _, frame in (*phrases.frames(), *phrases.sentences()):
        filled = {}
        for language, text in frame.items():
            slots = {slot.casefold() for slot in phrases.re.findall(r"\{(\w+)\}", text)}
            filled[language] = slots
            for choice in phrases._CHOICE.findall(text):
                assert len(choice[1].split("/")) == (2 if language == "en" else 4), text
        assert len(set(map(frozenset, filled.values()))) == 1, frame


def test_the_starter_is_always_the_same_and_every_side_keeps_the_same_values(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        starter.starter(raw=tmp_path / name)
    files = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert files == ["LICENSE.json", "glossary.tsv", "labels.tmx", "products.tsv"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    rows = pd.read_csv(tmp_path / "one/products.tsv", sep="\t", keep_default_na=False, quoting=3)
    assert len(rows) == starter.TITLES + starter.FRAMED and rows["en"].is_unique
    # no slot and no choice is left over
    assert not rows.stack().str.contains(r"\{(?:np|noun|brand|price|n)\}|\[|\(y/e\)|\(은").any()
    brands = Glossary.of(starter.BRANDS)
    texts = [
        dict(row) for row in rows[list(LANGUAGES)].sample(150, random_state=1).to_dict("records")
    ]
    texts += [dict(unit.texts) for unit in units(tmp_path / "one/labels.tmx")]
    for row in texts:
        for source, target in permutations(LANGUAGES, 2):
            if row[source] and row[target]:
                assert protect_pair(row[source], row[target], terms=brands), (
                    row[source],
                    row[target],
                )
