"""Writing tutorials: sampled token by token within the grammar, many at once, with a cache.

Rows of a batch are at different places of their tutorials: each feeds what it sampled and what the
grammar forces behind it, so that no forward pass is spent on a token that is known.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from beauty_models.device import attention, device, precision
from beauty_models.params import Precision
from beauty_models.training.finite import require_finite
from beauty_models.tutorial.examples import encode_lines
from beauty_models.tutorial.grammar import Allowed, TokenTable, Writer, written_text
from beauty_models.tutorial.lexical import phrases_of
from beauty_models.tutorial.model import LanguageModel
from beauty_models.tutorial.structure import Request, Tutorial, parse, prompt

BATCH = 16  # tutorials at once
# Tokens that the repetition penalty looks back on. Over a whole tutorial every "the" and every
# full stop is penalized, and what is left to choose is odd.
PENALTY_WINDOW = 64
OnText = Callable[[int, str], None]
"""(number of the request, characters that were just written)."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; ``temperature`` 0 takes the likeliest, whatever the rest says."""

    temperature: float = 0.7
    top_k: int = 50  # 0 takes all
    top_p: float = 0.9  # Holtzman et al. 2020
    repetition_penalty: float = 1.05  # Keskar et al. 2019; 1 is off
    seed: int = 7
    lexical_constraints: bool = True  # the steps have to name the products and the skin asked for

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0:
            raise ValueError("temperature and top_k are 0 or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is a share above 0, up to 1 (got {self.top_p:g})")
        if self.repetition_penalty <= 0:
            raise ValueError("repetition_penalty is above 0; 1 switches it off")


@dataclass(frozen=True)
class Draft:
    """A tutorial as the model wrote it, before anybody checked it."""

    request: Request
    tutorial: Tutorial
    text: str
    tokens: int  # written, forced ones included
    cut: bool  # whether something had to end where the model would have gone on


class _Cached:
    """The network with its key-value cache; rows are fed different numbers of tokens."""

    def __init__(self, language_model: LanguageModel, rows: int) -> None:
        self._language_model = language_model
        self._cache = DynamicCache()
        self._valid = torch.zeros(rows, 0, dtype=torch.bool, device=device())
        self._lengths = torch.zeros(rows, dtype=torch.long, device=device())

    def feed(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Read the tokens of each row, one at least; return the logits [n, vocabulary] behind."""
        sizes = torch.tensor([len(row) for row in tokens], device=device())
        width = int(sizes.max())
        ids = torch.zeros(len(tokens), width, dtype=torch.long)
        for row, content in enumerate(tokens):
            ids[row, : len(content)] = torch.tensor(content)
        places = torch.arange(width, device=device())
        fed = places[None, :] < sizes[:, None]
        past = self._valid.shape[1]
        self._valid = torch.cat([self._valid, fed], 1)
        keys = torch.arange(past + width, device=device())
        queries = past + places
        causal = keys[None, :] <= queries[:, None]
        # a padded query reads itself: a softmax over nothing is NaN
        itself = keys[None, :] == queries[:, None]
        mask = (causal[None] & self._valid[:, None, :]) | itself[None]
        positions = (self._lengths[:, None] + places[None, :]).clamp(
            max=self._language_model.context - 1
        )
        network: Any = self._language_model.network
        hidden = network.base_model(
            input_ids=ids.to(device()),
            attention_mask=mask[:, None],
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._lengths = self._lengths + sizes
        last = hidden[torch.arange(len(tokens), device=device()), sizes - 1]
        return self._language_model.head(last).float()

    def keep(self, rows: list[int]) -> None:
        """Forget all rows but ``rows``."""
        chosen = torch.tensor(rows, device=device())
        self._cache.batch_select_indices(chosen)
        self._valid = self._valid[chosen]
        self._lengths = self._lengths[chosen]


def _allowed_mask(table: TokenTable, allowed: Allowed) -> torch.Tensor:
    if allowed.choices:
        mask = torch.zeros(table.free.shape[1], dtype=torch.bool)
        mask[allowed.choices] = True
        return mask
    mask = table.free[allowed.state]
    if allowed.may_end:
        mask = mask.clone()
        mask[table.line_break] = True
    return mask


def _draw(
    logits: torch.Tensor,
    mask: torch.Tensor,
    written: Sequence[int],
    sampling: Sampling,
    generator: torch.Generator,
) -> int:
    """Return one token of ``mask`` by ``logits``, both [vocabulary]."""
    logits = logits.clone()
    if written and sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(written)))
        value = logits[seen]
        penalty = sampling.repetition_penalty
        logits[seen] = torch.where(value > 0, value / penalty, value * penalty)
    logits = logits.masked_fill(~mask, -torch.inf)
    if sampling.temperature == 0:
        return int(logits.argmax())
    logits = logits / sampling.temperature
    count = min(sampling.top_k or len(logits), int(mask.sum()))
    values, tokens = logits.topk(count)
    probabilities = torch.softmax(values, 0)
    # the smallest set of tokens that has top_p of the probability; the first is always in it
    before = probabilities.cumsum(0) - probabilities
    probabilities = torch.where(before < sampling.top_p, probabilities, 0.0)
    place = torch.multinomial(probabilities, 1, generator=generator)
    return int(tokens[place])


def prompt_ids(language_model: LanguageModel, request: Request) -> list[int]:
    """Return the tokens that the model reads of ``request``.

    Raises:
        ValueError: they are more than a third of the context.
    """
    asked = [language_model.boundary, *encode_lines(language_model, prompt(request))]
    # what the request fixes is written once more, behind the title
    if len(asked) > language_model.context // 3:
        raise ValueError(
            f"the request takes {len(asked)} tokens, more than a third of the "
            f"{language_model.context} that this model reads at once; shorten it"
        )
    return asked


class _Row:
    """One tutorial that is being written."""

    def __init__(self, number: int, request: Request, seed: int, on_text: OnText | None) -> None:
        self.number = number
        self.request = request
        # of its own: what else is in the batch changes nothing of what it draws
        self.generator = torch.Generator().manual_seed(seed)
        self.written: list[int] = []
        self.sampled: list[int] = []
        self._on_text = on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def begin(
        self, table: TokenTable, language_model: LanguageModel, sampling: Sampling
    ) -> list[int]:
        """Return the tokens of the prompt and of what is forced behind it."""
        asked = prompt_ids(language_model, self.request)
        phrases = phrases_of(self.request) if sampling.lexical_constraints else []
        self.writer = Writer(table, language_model, self.request, len(asked), phrases)
        forced = self.writer.forced()
        self._emit(table, forced)
        return asked + forced

    def go_on(self, table: TokenTable, logits: torch.Tensor, sampling: Sampling) -> list[int]:
        """Draw a token; return it and those that are forced behind it."""
        allowed = self.writer.allowed()
        token = None if allowed.choices else self.writer.phrase_token(logits)
        if token is None:
            mask = _allowed_mask(table, allowed)
            recent = self.sampled[-PENALTY_WINDOW:]
            token = _draw(logits, mask, recent, sampling, self.generator)
        self.writer.take(token)
        # the structure must repeat its own tokens: they are not penalized
        if not allowed.choices and token != table.line_break:
            self.sampled.append(token)
        tokens = [token, *self.writer.forced()]
        self._emit(table, tokens)
        return tokens

    def _emit(self, table: TokenTable, tokens: list[int]) -> None:
        self.written += tokens
        if self._on_text is None:
            return
        content = b"".join(table.bytes[t] for t in tokens if t != table.boundary)
        text = self._decoder.decode(content)
        if text:
            self._on_text(self.number, text)

    def draft(self, table: TokenTable) -> Draft:
        """Return what was written."""
        text = written_text(table, self.written)
        return Draft(self.request, parse(text), text, len(self.written), self.writer.cut)


@torch.inference_mode()
def generate(
    language_model: LanguageModel,
    requests: Sequence[Request],
    sampling: Sampling,
    on_text: OnText | None = None,
    wanted: Precision = "float32",
) -> list[Draft]:
    """Return a draft for each request, in their order.

    A request draws the same with the same place, seed and settings, whatever else is asked.

    Raises:
        ValueError: a request takes more than a third of the context.
        NotFiniteError: the network's weights are no numbers.
    """
    language_model.network.eval()
    language_model.network.set_attn_implementation(attention(training=False))
    table = TokenTable(language_model)
    drafts: list[Draft] = []
    for start in range(0, len(requests), BATCH):
        rows = []
        for number, request in enumerate(requests[start : start + BATCH], start):
            # a product of a prime, so that neighbouring seeds share no row
            rows.append(_Row(number, request, sampling.seed * 1_000_003 + number, on_text))
        with precision(wanted):
            _write(language_model, table, rows, sampling)
        drafts += [row.draft(table) for row in rows]
    return drafts


def _write(
    language_model: LanguageModel, table: TokenTable, rows: Sequence[_Row], sampling: Sampling
) -> None:
    """Write the tutorials of ``rows`` to their ends."""
    cached = _Cached(language_model, len(rows))
    tokens = [row.begin(table, language_model, sampling) for row in rows]
    active = list(rows)
    while active:
        logits = require_finite(cached.feed(tokens), "the logits of the next token").cpu()
        tokens = [
            row.go_on(table, of_row, sampling) for row, of_row in zip(active, logits, strict=True)
        ]
        going = [place for place, row in enumerate(active) if not row.writer.done]
        if len(going) < len(active):
            if going:
                cached.keep(going)
            active = [active[place] for place in going]
            tokens = [tokens[place] for place in going]
