"""Baselines and measures of the report against values known from elsewhere."""

from __future__ import annotations

import itertools

import pytest

from beauty_models.tutorial.evaluate import retrieved
from beauty_models.tutorial.report.ngrams import END, WittenBell
from beauty_models.tutorial.report.originality import TrainingTexts, distinct, self_bleu
from beauty_models.tutorial.report.retrieval import nearest
from beauty_models.tutorial.structure import Request, Tutorial


def test_witten_bell_is_a_distribution() -> None:
    counted = WittenBell([[0, 1, 0, 2], [1, 1, 0]], 3, 4)
    # all texts of up to three tokens; what is left over is that of longer ones
    total = 0.0
    for length in range(9):
        for text in itertools.product(range(4), repeat=length):
            total += 2 ** -counted.bits(list(text))
        if length == 4:
            at_four = total
    assert at_four < total <= 1


def test_witten_bell_of_one_token_by_hand() -> None:
    counted = WittenBell([[0, 0]], 1, 1)
    # tokens 0, 0 and the end: two types of three; the rest, 2 of 5, is spread over two outcomes
    zero = (2 + 2 * 0.5) / 5
    end = (1 + 2 * 0.5) / 5
    assert 2 ** -counted.bits([0]) == pytest.approx(zero * end)
    assert END < 0


def test_the_longest_copied_run_and_its_text_are_found() -> None:
    training = TrainingTexts(["a", "b"], ["Press the primer in.", "轻轻拍开粉底液，等一分钟。"])
    copied = training.copied("Then PRESS the primer on; 再轻轻拍开粉底液。")
    assert (copied.length, copied.nearest) == (7, "b")
    assert copied.run == "轻 轻 拍 开 粉 底 液"
    # a run does not go on from one text into the next
    assert training.copied("in 轻").length == 1
    assert training.copied("") == (0, "", "")


def test_distinct_and_self_bleu_tell_one_text_from_several() -> None:
    same = ["press the primer in slowly now"] * 3
    others = ["press the primer in", "draw a thin dark line", "curl both lashes twice"]
    assert distinct(same, 2) == pytest.approx(1 / 3)
    assert distinct(others, 2) == 1
    assert self_bleu(same) == pytest.approx(1)
    assert self_bleu(others) < 0.2
    assert self_bleu(same[:1]) == 0


def test_the_nearest_how_to_answers_in_the_language_with_the_steps_that_were_asked() -> None:
    found = [
        Tutorial(title="Smoky eye", language="zh", steps=("一", "二")),
        Tutorial(title="Soft smoky eye", language="en", look="smoky", steps=("a", "b", "c", "d")),
        Tutorial(title="Bare nails", language="en", products=("top coat",), steps=("a", "b")),
    ]
    asked = Request(look="soft smoky eye", language="en", steps=3)
    chosen = nearest(asked, found)
    assert chosen is not None
    assert (chosen.title, chosen.steps) == ("Soft smoky eye", ("a", "b", "c"))
    chosen = nearest(Request(look="hands", language="en", products=("top coat",)), found)
    assert chosen is not None and chosen.title == "Bare nails"
    assert nearest(Request(look="smoky eye", language="fr"), found) is None


def test_what_is_retrieved_is_measured_as_copied() -> None:
    steps = ("Press primer over the cheeks.", "Blend foundation outwards.", "Curl the lashes.")
    found = [Tutorial(title="Natural face", language="en", steps=steps)]
    asked = [Request(look="natural face", language="en", products=("primer", "blush"), steps=3)]
    figures = retrieved(asked, found, frozenset())
    assert figures["accepted_share"] == figures["valid_share"] == 1
    assert figures["honoured_share"] == pytest.approx(3 / 4), "no step has the blush"
    assert figures["copied_run"] == 11
    assert retrieved([Request(look="x", language="zh")], found, frozenset()) == {}
