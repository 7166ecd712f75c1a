"""Writing within the grammar: valid whatever the weights say, the same alone and in a batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_writer import small_writer

from beauty_models.tutorial.examples import answer, documents, encode_lines
from beauty_models.tutorial.generation import Sampling, generate
from beauty_models.tutorial.grammar import COMPLETE, INVALID, MAX_STEPS, MIN_STEPS, next_state
from beauty_models.tutorial.structure import Request, Tutorial, parse, prompt

REQUESTS = [
    Request(look="natural", language="en", products=("primer", "blush"), steps=4),
    Request(look="自然妆", language="zh", occasion="约会", skin_type="dry"),
    Request(look="<|endoftext|>", language="en", steps=1),
]
WILD = Sampling(temperature=5.0, top_k=0, top_p=1.0, repetition_penalty=1.0)


def test_utf8_is_told_as_python_tells_it() -> None:
    generator = torch.Generator().manual_seed(3)
    told = 0
    for _ in range(3000):
        length = int(torch.randint(1, 5, (1,), generator=generator))
        # lead and continuation bytes are as frequent as plain ones
        content = bytes(torch.randint(0x60, 0x100, (length,), generator=generator).tolist())
        state = COMPLETE
        for byte in content:
            state = next_state(state, byte) if state != INVALID else INVALID
        try:
            content.decode()
            valid = True
        except UnicodeDecodeError:
            valid = False
        assert (state == COMPLETE) == valid
        told += valid
    assert told > 50


@pytest.mark.parametrize("sampling", [WILD, Sampling(), Sampling(temperature=0.0)])
def test_random_weights_write_valid_tutorials(sampling: Sampling) -> None:
    drafts = generate(small_writer(context=1500), REQUESTS, sampling)
    for request, draft in zip(REQUESTS, drafts, strict=True):
        tutorial = draft.tutorial
        assert parse(draft.text) == tutorial
        assert "\ufffd" not in draft.text
        assert tutorial.title and tutorial.language == request.language
        assert tutorial.look == request.look.strip()
        if request.products:
            assert tutorial.products == request.products
        if request.steps:
            assert len(tutorial.steps) == request.steps
        else:
            assert MIN_STEPS <= len(tutorial.steps) <= MAX_STEPS
        assert all(len(step.encode()) >= 8 for step in tutorial.steps)


def test_a_context_that_runs_out_still_ends_in_a_tutorial() -> None:
    request = Request(look="a", language="en", steps=12)
    [draft] = generate(small_writer(context=150), [request], WILD)
    assert draft.cut and parse(draft.text) == draft.tutorial
    assert draft.tokens <= 150


def test_a_request_that_the_context_cannot_hold_is_told() -> None:
    with pytest.raises(ValueError, match="more than a third of the 150"):
        generate(small_writer(context=150), [Request(look="long " * 100)], Sampling())


def test_alone_and_in_a_batch_the_same_is_written() -> None:
    writer = small_writer(context=1500)
    together = generate(writer, REQUESTS, Sampling())
    [first] = generate(writer, REQUESTS[:1], Sampling())
    assert first.text == together[0].text
    again = generate(writer, REQUESTS, Sampling())
    assert [draft.text for draft in again] == [draft.text for draft in together]
    other = generate(writer, REQUESTS, Sampling(seed=8))
    assert other[0].text != together[0].text


def test_what_is_streamed_is_the_text() -> None:
    parts: dict[int, list[str]] = {0: [], 1: []}
    drafts = generate(
        small_writer(context=1500),
        REQUESTS[:2],
        Sampling(),
        lambda number, text: parts[number].append(text),
    )
    assert ["".join(pieces) for pieces in parts.values()] == [draft.text for draft in drafts]
    assert len(parts[1]) > 10


@torch.inference_mode()
def test_greedy_tokens_are_those_of_the_network_without_a_cache() -> None:
    """Each free token is the likeliest allowed one of a pass over all that stands before it."""
    writer = small_writer(context=1500)
    writer.network.eval()
    request = REQUESTS[1]
    [draft] = generate(writer, [request], Sampling(temperature=0.0, repetition_penalty=1.0))
    # the title's first bytes: within a line every byte of UTF-8 may come
    asked = [writer.boundary, *encode_lines(writer, prompt(request)), *writer.encode("title:")]
    title = draft.text.split("\n")[0].removeprefix("title:")
    for _ in range(5):
        logits = writer.network(torch.tensor([asked])).logits[0, -1]
        likeliest = logits.argsort(descending=True).tolist()
        token = next(
            t for t in likeliest if t != writer.boundary and title.startswith(writer.decode([t]))
        )
        rank = likeliest.index(token)
        assert rank < 250  # some are not allowed, such as half a character or a line break
        asked.append(token)
        title = title[len(writer.decode([token])) :]


def test_training_and_writing_cut_a_line_into_the_same_tokens() -> None:
    writer = small_writer(context=1500)
    drafts = generate(writer, REQUESTS, Sampling())
    for draft in drafts:
        assert "\ufffd" not in draft.text
        ids = encode_lines(writer, draft.text)
        assert writer.decode(ids) == draft.text
        labels = writer.encode("title:")
        assert ids[: len(labels)] == labels


def test_the_loss_is_on_the_answer_only() -> None:
    writer = small_writer()
    tutorial = Tutorial("t", "en", "l", "o", "dry", ("p",), (), ("one", "two", "three"))
    request = Request(look="t", language="en", steps=3)
    [document] = documents(writer, [(request, answer(request, tutorial))], 512)
    read = writer.decode(document.ids[: document.first_target])
    assert read == prompt(request)
    predicted = writer.decode(document.ids[document.first_target :])
    # what was not asked for is not answered
    assert predicted.startswith("title: t\nlanguage: en\nlook: t\nproducts: p\n1. one")
    assert document.ids[-1] == writer.boundary
    assert documents(writer, [(request, tutorial)], 20) == []


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}, {"repetition_penalty": 0.0}]
)
def test_settings_that_draw_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(Sampling(), **wrong)  # type: ignore[arg-type]
