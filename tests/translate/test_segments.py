"""Long texts in pieces: nothing lost, nothing that must be kept cut in two."""

from __future__ import annotations

import random

import pytest

from beauty_models.translate.glossary import Glossary
from beauty_models.translate.protected import MOST, find, protect
from beauty_models.translate.segments import cut, joined


def size(text: str) -> int:
    """Count as a tokenizer of four characters a token would."""
    return -(-len(text) // 4)


def whole(text: str, most: int = 16) -> list[str]:
    """Return the pieces of ``text``, once it is sure that they make it again."""
    segments = cut(text, size, most)
    assert joined(segments, [segment.text for segment in segments]) == text
    for segment in segments:
        assert segment.text == segment.text.strip()
        assert not segment.behind.strip()
        protect(segment.text)
    return [segment.text for segment in segments if segment.text]


def test_short_texts_stay_whole_and_lines_stay_lines() -> None:
    assert whole("Matte lipstick") == ["Matte lipstick"]
    assert whole("  One.\r\n\r\n  Two. Three. \n") == ["One.", "Two. Three."]
    assert whole("") == [] and whole(" \n ") == []


def test_sentences_before_clauses_before_words() -> None:
    first = "A cream for dry skin, rich and mild."
    second = "It stays on for hours."
    assert whole(f"{first} {second}", 12) == [first, second]
    assert whole("rich, mild and soft without perfume", 6) == [
        "rich, mild and soft",
        "without perfume",
    ]
    assert whole("保湿面霜。适合干性皮肤使用。", 2) == ["保湿面霜。", "适合干性皮肤", "使用。"]


def test_a_value_is_never_cut_in_two() -> None:
    tag = f'<a href="{"x" * 200}">'
    assert tag in whole(f"See {tag} for more of it and still more of the same", 8)
    assert any(
        "{a_long_placeholder}" in piece for piece in whole("word " * 5 + "{a_long_placeholder}", 8)
    )


def test_no_piece_has_more_values_than_there_are_sentinels() -> None:
    numbers = " and ".join(str(number) for number in range(100, 200))
    pieces = whole(numbers, 10_000)
    assert len(pieces) > 1
    assert all(len(find(piece)) <= MOST for piece in pieces)


@pytest.mark.parametrize("seed", range(20))
def test_any_text_is_made_again_of_its_pieces(seed: int) -> None:
    draw = random.Random(seed)
    parts = ["word", " ", ". ", "\n", "。", "30 ml", "{size}", "<b>", "口红", "é", "\t", "🎨", "> "]
    text = "".join(draw.choices(parts, k=draw.randint(0, 400)))
    most = draw.choice([1, 3, 16, 64])
    for piece in whole(text, most):
        # a value alone may be longer
        assert size(piece) <= most or len(find(piece)) > 0


def test_a_line_of_100_kb_is_cut_in_one_go() -> None:
    measured = 0

    def counting(text: str) -> int:
        nonlocal measured
        measured += len(text)
        return size(text)

    line = "a word and 30 ml of it " * 4500
    segments = cut(line, counting, 32, Glossary())
    assert joined(segments, [segment.text for segment in segments]) == line
    assert measured < 20 * len(line), "each piece must not measure all that is left"
