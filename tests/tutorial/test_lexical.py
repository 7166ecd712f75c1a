"""Phrases that a text must say: each is said, and where the model would say it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from small_writer import small_writer

from beauty_models.tutorial.generation import Sampling, generate
from beauty_models.tutorial.lexical import FORCED_AFTER, Phrases, phrases_of
from beauty_models.tutorial.structure import Request
from beauty_models.tutorial.writing import wishes

VOCABULARY = ["the", "your", " face", " primer", " oil", "."]


def encode(text: str) -> list[int]:
    """Return the numbers of the words of ``text``."""
    return [VOCABULARY.index(f" {word}") for word in text.split()]


def likely(**shares: float) -> torch.Tensor:
    """Return logits under which words have ``shares``, the others next to none."""
    logits = torch.full((len(VOCABULARY),), math.log(1e-6))
    for word, share in shares.items():
        logits[VOCABULARY.index(f" {word}")] = math.log(share)
    return logits


def begun(phrases: list[str]) -> Phrases:
    owed = Phrases(encode, phrases)
    owed.open(1)
    owed.take(b" apply the")
    return owed


def test_a_phrase_begins_where_its_first_word_is_likely() -> None:
    owed = begun(["face primer"])
    assert not owed.may_end
    assert owed.next_token(likely(oil=0.9), 400) is None
    assert owed.next_token(likely(oil=0.6, face=0.3), 400) == VOCABULARY.index(" face")
    owed.take(b" face")
    assert owed.next_token(likely(primer=0.5), 400) == VOCABULARY.index(" primer")
    owed.take(b" primer")
    assert owed.may_end and not owed.pending


def test_a_phrase_is_given_up_where_it_does_not_go_on() -> None:
    owed = begun(["face primer"])
    assert owed.next_token(likely(face=0.9), 400) is not None
    owed.take(b" face")
    # "apply to your face." said no face primer
    assert owed.next_token(likely(oil=0.999), 400) is None
    assert not owed.may_end


def test_what_is_owed_is_said_at_last_whatever_it_costs() -> None:
    late = begun(["face primer"])
    late.take(b" and wait" * FORCED_AFTER)
    assert late.next_token(likely(oil=0.999), 400) == VOCABULARY.index(" face")
    full = begun(["face primer"])
    assert full.next_token(likely(oil=0.999), 12) == VOCABULARY.index(" face")


def test_steps_share_what_is_missing_and_what_was_said_is_not_owed() -> None:
    owed = Phrases(encode, ["oil", "primer", "face"])
    owed.open(2)
    owed.take(b" Oil")
    assert not owed.may_end  # two of three belong into the first of two steps
    owed.take(b" on the face")
    assert owed.may_end and owed.pending == ["primer"]
    owed.open(4)
    assert not owed.may_end


def test_random_weights_honour_every_wish() -> None:
    requests = [
        Request(
            "glow", "en", products=("face oil", "rose lipstick", "primer"), steps=2, skin_type="dry"
        ),
        Request("自然妆", "zh", products=("粉底液", "口红", "眉笔", "腮红"), skin_type="oily"),
    ]
    writer = small_writer(context=4000)
    for sampling in (Sampling(), Sampling(temperature=0.0)):
        drafts = generate(writer, requests, sampling)
        for request, draft in zip(requests, drafts, strict=True):
            said = " ".join(draft.tutorial.steps).casefold()
            assert all(phrase in said for phrase in phrases_of(request))
            told = wishes(request, draft.tutorial)
            unmet = [wish for wish, met in told.items() if not met]
            # random letters are in no language
            assert [wish for wish in unmet if not wish.startswith("language")] == []
    free = generate(writer, requests, replace(Sampling(), lexical_constraints=False))
    assert not all(wishes(requests[0], free[0].tutorial).values())
