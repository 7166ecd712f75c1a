"""Beam search with a key-value cache that keeps every sentinel of its source, by construction.

A sentinel that the source does not hold cannot be written, none is written twice, and no sentence
ends before all are written: lexically constrained decoding (Hokamp & Liu 2017), whose constraints
are single tokens here, so that a mask over the logits is all that it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from beauty_models.training.finite import require_finite
from beauty_models.translate.protected import SENTINELS

NEVER = float("-inf")
# A translation is cut at so many tokens; of 196,000 pairs of product texts none needs more.
LONGEST_RATIO = 2
LONGEST_EXTRA = 16
# Rows that are finished are dropped once a quarter of them is: dropping copies the cache.
KEPT_SHARE = 0.75


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a tokenizer that decoding treats in a way of its own."""

    end: int
    padding: int
    sentinels: torch.Tensor  # [32], ids of <0> … <31>
    banned: torch.Tensor  # ids that are never written, but for sentinels of the source

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast, tags: Iterable[str]) -> Vocabulary:
        """Return those of ``tokenizer``; ``tags`` are its tokens of languages."""
        ids = tokenizer.get_vocab()
        sentinels = [ids[token] for token in SENTINELS]
        end = int(tokenizer.eos_token_id)
        banned = {*sentinels, *tokenizer.all_special_ids, *(ids[tag] for tag in tags)}
        # a "<" could make up a sentinel of ordinary tokens, and of a tag, which is protected
        banned |= {number for token, number in ids.items() if "<" in token}
        banned.discard(end)
        return cls(
            end,
            int(tokenizer.pad_token_id),
            torch.tensor(sentinels),
            torch.tensor(sorted(banned)),
        )


class Model(Protocol):
    """What decoding needs of a translator."""

    network: PreTrainedModel
    vocabulary: Vocabulary

    def head(self, hidden: torch.Tensor, /) -> torch.Tensor:
        """Return the logits over the vocabulary."""


class Draft(NamedTuple):
    """A translation that decoding may lean on."""

    ids: list[int]  # tokens, without tag and end; empty where there is none
    known: list[bool]  # of each token, whether it is a translation and not a word left as it was


@dataclass(frozen=True)
class Copying:
    """A draft for each sentence, and how strongly decoding leans on it.

    Where the last token stands in the draft, the one that follows it there has its logit raised by
    ``bias``: the network must be e^bias times as sure of another one. What it writes instead leads
    on without a draft, until it comes back to one of the draft's tokens. Words that the dictionary
    left as they were have no bias: the network may know them.
    """

    drafts: torch.Tensor  # [n, length], each with its end, padded by -1
    known: torch.Tensor  # [n, length], which of these tokens are to be leant on
    bias: float

    @classmethod
    def of(cls, drafts: Sequence[Draft], end: int, bias: float) -> Copying:
        """Return it for ``drafts``; an empty one is none."""
        ids = [torch.tensor([*draft.ids, end] if draft.ids else [-1]) for draft in drafts]
        known = [torch.tensor([*draft.known, bool(draft.ids)]) for draft in drafts]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1)
        return cls(padded, torch.nn.utils.rnn.pad_sequence(known, batch_first=True), bias)

    def raise_logits(self, logits: torch.Tensor, current: Beams) -> None:
        """Raise the logits [rows, size] of the draft's tokens in place."""
        numbers = current.numbers.to(logits.device)
        drafts = self.drafts.to(logits.device)[numbers]
        places = current.places.clamp(max=drafts.shape[1] - 1)
        tokens = drafts.gather(1, places)
        known = self.known.to(logits.device)[numbers].gather(1, places)
        raised = torch.where(current.following & known, self.bias, 0.0).flatten()[:, None]
        raised = raised.to(logits.dtype)
        logits.scatter_add_(1, tokens.clamp(min=0).flatten()[:, None], raised)

    def follow(self, current: Beams, token: torch.Tensor) -> None:
        """Move ``current`` on in the drafts behind the tokens [n, k] that were just written."""
        drafts = self.drafts.to(token.device)[current.numbers.to(token.device)][:, None]
        order = torch.arange(drafts.shape[-1], device=token.device)
        here = (drafts == token[..., None]) & (order >= current.places[..., None])
        current.following = here.any(-1)
        # the nearest place of the token, from where the hypothesis was on
        found = here.long().argmax(-1) + 1
        current.places = torch.where(current.following, found, current.places)


class Hypothesis(NamedTuple):
    """A finished translation, without tag and end."""

    ids: list[int]
    confidence: float  # geometric mean of its tokens' probabilities, the end's among them


@dataclass
class Beams:
    """The hypotheses of ``n`` sentences, ``k`` each, best first."""

    ids: torch.Tensor  # [n, k, length]
    scores: torch.Tensor  # [n, k], sums of log probabilities
    lengths: torch.Tensor  # [n, k], tokens that were scored
    ended: torch.Tensor  # [n, k]
    remaining: torch.Tensor  # [n, k, 32], sentinels still to be written
    limits: torch.Tensor  # [n], tokens at most, the end among them
    numbers: torch.Tensor  # [n], of the sentences
    places: torch.Tensor  # [n, k], of the next token in the draft
    following: torch.Tensor  # [n, k], whether the last token was the draft's

    def select(self, rows: torch.Tensor) -> Beams:
        """Return the sentences ``rows``."""
        return Beams(
            self.ids[rows],
            self.scores[rows],
            self.lengths[rows],
            self.ended[rows],
            self.remaining[rows],
            self.limits[rows],
            self.numbers[rows],
            self.places[rows],
            self.following[rows],
        )


def beam_search(
    model: Model,
    states: torch.Tensor,
    mask: torch.Tensor,
    sources: Sequence[Sequence[int]],
    tags: torch.Tensor,
    beams: int,
    copying: Copying | None = None,
) -> list[Hypothesis]:
    """Return the best translation of each sentence; with ``beams`` 1 greedily.

    Hypotheses are compared by their mean log probability per token. A sentence is finished when its
    best hypothesis has ended.

    Args:
        states: of the encoder [n, source length, width].
        mask: true where they are real.
        sources: the token ids of each text, without tags, ends and drafts.
        tags: [n], the token that each translation begins with.
        copying: drafts of the sentences; None decodes by the network alone.

    Raises:
        NotFiniteError: the network's weights are no numbers.
    """
    n = len(sources)
    current = _start(model.vocabulary, sources, tags, beams)
    cache = _Cache(model.network, states, mask, beams)
    start = torch.full_like(tags, model.vocabulary.end)
    inputs = torch.stack([start, tags], 1).repeat_interleave(beams, 0)
    found: dict[int, Hypothesis] = {}
    while True:
        # of no numbers none is the largest: nothing would ever end
        logits = require_finite(
            model.head(cache.read(inputs)).float(), "the logits of the next token"
        )
        if copying is not None:
            copying.raise_logits(logits, current)
        current, parents = _extend(current, logits, model.vocabulary)
        if copying is not None:
            copying.follow(current, current.ids[:, :, -1])
        _collect(current, found)
        if len(found) == n:
            return [found[number] for number in range(n)]
        alive = (~current.ended[:, 0]).nonzero().flatten()
        if len(alive) <= KEPT_SHARE * len(parents):
            current = current.select(alive)
            cache.keep(parents[alive].flatten())
        elif beams > 1:
            cache.reorder(parents.flatten())
        inputs = current.ids[:, :, -1].reshape(-1, 1)


class _Cache:
    """What the decoder has read so far, a row for each hypothesis."""

    def __init__(self, network: Any, states: torch.Tensor, mask: torch.Tensor, beams: int) -> None:
        self.decoder = network.get_decoder()
        self.states = states.repeat_interleave(beams, 0) if beams > 1 else states
        self.mask = (mask.repeat_interleave(beams, 0) if beams > 1 else mask).long()
        self.cache = EncoderDecoderCache(
            DynamicCache(config=network.config), DynamicCache(config=network.config)
        )

    def read(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the decoder's state [rows, width] behind the last of ``inputs`` [rows, new]."""
        output = self.decoder(
            input_ids=inputs,
            encoder_hidden_states=self.states,
            encoder_attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
        )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden[:, -1]

    def reorder(self, rows: torch.Tensor) -> None:
        """Go on with those ``rows`` that the hypotheses continue, of the same sentences."""
        self.cache.reorder_cache(rows)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with ``rows`` alone."""
        self.reorder(rows)
        self.states = self.states[rows]
        self.mask = self.mask[rows]


def _start(
    vocabulary: Vocabulary, sources: Sequence[Sequence[int]], tags: torch.Tensor, beams: int
) -> Beams:
    """Return the empty hypotheses of all sentences; of each only the first one counts yet."""
    n = len(sources)
    device = tags.device
    remaining = torch.zeros(n, len(SENTINELS), dtype=torch.bool)
    for row, ids in enumerate(sources):
        remaining[row] = torch.isin(vocabulary.sentinels, torch.tensor(list(ids), dtype=torch.long))
    lengths = torch.tensor([len(ids) for ids in sources])
    limits = LONGEST_RATIO * lengths + LONGEST_EXTRA + remaining.sum(1)
    scores = torch.full((n, beams), NEVER, device=device)
    scores[:, 0] = 0.0
    return Beams(
        torch.zeros(n, beams, 0, dtype=torch.long, device=device),
        scores,
        torch.zeros(n, beams, dtype=torch.long, device=device),
        torch.zeros(n, beams, dtype=torch.bool, device=device),
        remaining[:, None].repeat(1, beams, 1).to(device),
        limits.to(device),
        torch.arange(n),
        torch.zeros(n, beams, dtype=torch.long, device=device),
        torch.ones(n, beams, dtype=torch.bool, device=device),
    )


def _extend(
    current: Beams, logits: torch.Tensor, vocabulary: Vocabulary
) -> tuple[Beams, torch.Tensor]:
    """Return the best continuations by a token, and the row of ``logits`` of each [n, k]."""
    n, k = current.scores.shape
    size = logits.shape[-1]
    allowed = _allowed(current, logits, vocabulary)
    totals = current.scores.flatten()[:, None] + allowed
    lengths = current.lengths + (~current.ended).long()
    # of what has not begun all scores are −∞
    means = (totals / lengths.reshape(-1, 1)).view(n, k * size)
    best = means.topk(k, dim=-1).indices
    beam, token = best // size, best % size
    parents = torch.arange(n, device=best.device)[:, None] * k + beam
    sentinel = token[..., None] == vocabulary.sentinels.to(token.device)
    return Beams(
        torch.cat([current.ids.flatten(0, 1)[parents], token[..., None]], -1),
        totals.view(n, k * size).gather(1, best),
        lengths.gather(1, beam),
        current.ended.gather(1, beam) | (token == vocabulary.end),
        current.remaining.flatten(0, 1)[parents] & ~sentinel,
        current.limits,
        current.numbers,
        current.places.gather(1, beam),
        current.following.gather(1, beam),
    ), parents


def _allowed(current: Beams, logits: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
    """Return the log probabilities [rows, size] of what may come next, −∞ for all else.

    They are those of all tokens: a token that the model would not have chosen has a low one, which
    tells in the confidence.
    """
    logp = logits.log_softmax(-1)
    sentinels = vocabulary.sentinels.to(logp.device)
    remaining = current.remaining.flatten(0, 1)
    limits = current.limits[:, None].expand_as(current.ended).flatten()
    ended = current.ended.flatten()
    left = limits - current.ids.shape[-1]  # tokens that may still come, the end among them
    count = remaining.sum(1)
    of_sentinels = logp[:, sentinels].masked_fill(~remaining, NEVER)
    of_end = logp[:, vocabulary.end].masked_fill(count > 0, NEVER)
    logp[:, vocabulary.banned.to(logp.device)] = NEVER
    # no room for anything but what must come
    logp[left <= count + 1] = NEVER
    logp[:, sentinels] = of_sentinels
    logp[:, vocabulary.end] = of_end
    # what has ended stays as it is
    logp[ended] = NEVER
    logp[ended, vocabulary.padding] = 0.0
    return logp


def _collect(current: Beams, found: dict[int, Hypothesis]) -> None:
    """Add the best hypotheses that have ended to ``found``, by the numbers of their sentences."""
    for row in current.ended[:, 0].nonzero().flatten().tolist():
        number = int(current.numbers[row])
        if number not in found:
            found[number] = _hypothesis(current, row)


def _hypothesis(current: Beams, row: int) -> Hypothesis:
    length = int(current.lengths[row, 0])
    mean = float(current.scores[row, 0]) / length
    # without the end
    ids = current.ids[row, 0, : length - 1].tolist()
    return Hypothesis(ids, min(1.0, float(torch.tensor(mean).exp())))
