"""Packed rows: nothing is lost, nobody reads a neighbour; bits are counted once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_writer import TEXTS, small_writer

from beauty_models.tutorial.packing import IGNORED, Document, article_documents, loss_sum, pack
from beauty_models.tutorial.scoring import _windows, text_bits


def test_a_document_is_worth_the_same_alone_and_packed() -> None:
    writer = small_writer()
    writer.network.eval()
    documents = article_documents(writer, TEXTS)
    length = sum(len(document.ids) for document in documents)
    packed = pack(documents, length)
    assert len(packed.ids) == 1
    with torch.no_grad():
        for implementation in ("eager", "sdpa"):
            writer.network.set_attn_implementation(implementation)
            together, count = loss_sum(writer, packed, [0])
            alone = 0.0
            for document in documents:
                loss, _ = loss_sum(writer, pack([document], len(document.ids)), [0])
                alone += loss.item()
            assert together.item() == pytest.approx(alone, rel=1e-5)
            assert count == length - len(documents)


def test_every_target_stands_in_one_row() -> None:
    random = np.random.default_rng(1)
    documents = []
    for number in range(20):
        ids = (1000 * number + np.arange(random.integers(2, 40))).tolist()
        documents.append(Document(ids, first_target=1 + number % 2))
    packed = pack(documents, 16)
    wanted = [i for document in documents for i in document.ids[document.first_target :]]
    found = packed.targets[packed.targets != IGNORED].tolist()
    assert sorted(found) == sorted(wanted)
    follows = packed.targets != IGNORED
    assert torch.equal(packed.targets[follows], packed.ids[follows] + 1)


def test_windows_score_every_token_once() -> None:
    ids = list(range(100))
    for window in (10, 33, 99, 200):
        scored = []
        for piece, first in _windows(ids, window):
            assert len(piece) <= window + 1
            scored += piece[first + 1 :]
        assert scored == ids[1:]


def test_bits_are_those_of_the_network() -> None:
    writer = small_writer()
    writer.network.eval()
    bits = text_bits(writer, TEXTS, "test")
    for text, value in zip(TEXTS, bits, strict=True):
        ids = torch.tensor([[writer.boundary, *writer.encode(text), writer.boundary]])
        with torch.no_grad():
            logits = writer.network(ids).logits[0, :-1]
        nats = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
        assert value == pytest.approx(nats.item() / math.log(2), rel=1e-5)


def test_a_user_text_holds_no_boundary() -> None:
    writer = small_writer()
    assert writer.boundary not in writer.encode("a<|endoftext|>b")
    assert writer.decode(writer.encode("a<|endoftext|>b")) == "a<|endoftext|>b"
