"""The translator: an encoder-decoder, its tokenizer, and what both make of protected texts.

A saved folder opens with ``AutoModelForSeq2SeqLM.from_pretrained(folder)`` and ``AutoTokenizer``.
As in M2M100 (Fan et al. 2021) the source begins with the tag of its language, and the decoder with
``</s>`` and the tag of the target language. ``translator.json`` beside them names the languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from beauty_models import device as devices
from beauty_models import progress
from beauty_models.backbones.loading import from_pretrained, network
from beauty_models.files import read_json, write_json
from beauty_models.training.batches import Lengths
from beauty_models.training.bert import batches_by_tokens, pad
from beauty_models.translate.decoding import (
    Copying,
    Draft,
    Hypothesis,
    Vocabulary,
    beam_search,
)
from beauty_models.translate.tokenizer import language_tag

SETTINGS = "translator.json"
MOST_TOKENS = 1000  # of one text; longer ones are to be translated in pieces
TOKENS = 4096  # of a batch where nothing is learned, padding included


class Request(NamedTuple):
    """A text to translate, with sentinels in place of what must be kept (`protected.protect`)."""

    text: str
    source: str  # language tag
    target: str
    draft: str = ""  # what the dictionary makes of it, with the same sentinels; "" is none
    # where in the draft words that it does not know stand as they were: (start, end) in characters
    unknown: tuple[tuple[int, int], ...] = ()


class Translation(NamedTuple):
    """What the model wrote, with the same sentinels as the request."""

    text: str
    confidence: float  # geometric mean of the probabilities of its tokens, 0 to 1


@dataclass
class Translator:
    """A network that translates between ``languages``, with its tokenizer.

    ``card`` says what it began as, and under which licence.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    languages: tuple[str, ...]
    card: dict[str, Any]
    beams: int = 1  # with which it translates unless it is told another number
    max_tokens: int = 64  # of a text that it learned from
    copy_bias: float = 0.0  # how strongly decoding leans on drafts, see `decoding.Copying`
    vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        backend: Any = self.tokenizer.backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        # a "</s>" of a text is text: it ends nothing
        backend.encode_special_tokens = True
        self.vocabulary = Vocabulary.of(self.tokenizer, map(language_tag, self.languages))

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Translator:
        """Return the translator saved in ``folder``, on ``device`` or the fastest there is.

        Raises:
            ValueError: the folder is not a saved translator.
        """
        settings = read_json(folder / SETTINGS)
        translator = cls(
            network(AutoModelForSeq2SeqLM, folder),
            from_pretrained(AutoTokenizer, folder, use_fast=True),
            tuple(settings["languages"]),
            read_json(folder / "backbone.json"),
            settings["beams"],
            settings["max_tokens"],
            settings["copy_bias"],
        )
        translator.network.to(device or devices.device())
        return translator

    def save(self, folder: Path) -> None:
        """Write the network, the tokenizer, the card and the settings into ``folder``."""
        self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_json(folder / "backbone.json", self.card)
        settings = {
            "languages": list(self.languages),
            "beams": self.beams,
            "max_tokens": self.max_tokens,
            "copy_bias": self.copy_bias,
        }
        write_json(folder / SETTINGS, settings)

    def tag(self, language: str) -> int:
        """Return the id of the token of ``language``.

        Raises:
            ValueError: the model has not learned it.
        """
        if language not in self.languages:
            raise ValueError(
                f"the model has not learned the language {language!r}; it knows "
                f"{', '.join(self.languages)}"
            )
        return int(self.tokenizer.convert_tokens_to_ids(language_tag(language)))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of protected ``texts``, without tags and ends."""
        backend: Any = self.tokenizer.backend_tokenizer
        return [list(e.ids) for e in backend.encode_batch(list(texts), add_special_tokens=False)]

    def _drafts(self, requests: Sequence[Request]) -> list[Draft]:
        """Return the tokens of the drafts of ``requests``, and which of them are translations."""
        backend: Any = self.tokenizer.backend_tokenizer
        texts = [request.draft for request in requests]
        drafts = []
        for request, encoding in zip(
            requests, backend.encode_batch(texts, add_special_tokens=False), strict=True
        ):
            known = []
            for start, end in encoding.offsets:
                known.append(
                    not any(start < last and first < end for first, last in request.unknown)
                )
            drafts.append(Draft(list(encoding.ids), known))
        return drafts

    def source(self, ids: Sequence[int], language: str) -> torch.Tensor:
        """Return what the encoder reads of a text's token ``ids``: its tag, it, the end."""
        return torch.tensor([self.tag(language), *ids, self.vocabulary.end])

    def source_with_draft(
        self, ids: Sequence[int], language: str, draft: Sequence[int], target: str
    ) -> torch.Tensor:
        """Return `source` with a ``draft`` in the language ``target`` before it, if there is one.

        It stands where pretraining has a noisy text of that language, which it learned to mend.
        """
        alone = self.source(ids, language)
        if not draft or len(ids) + len(draft) > MOST_TOKENS:
            return alone
        return torch.cat([self.source(draft, target), alone])

    def encoded(self, rows: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the encoder's states [n, length, width] of `source` rows, and their mask."""
        ids, mask = pad(rows, self.vocabulary.padding)
        encoder: Any = self.network.get_encoder()
        states = encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states, mask

    def decoded(self, states: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Return the decoder's states [n, length, width] behind each of its inputs ``ids``.

        Args:
            states: of the encoder [n, source length, width].
            mask: true where they are real.
            ids: [n, length]; no mask is needed, for padding stands behind.
        """
        decoder: Any = self.network.get_decoder()
        output = decoder(
            input_ids=ids,
            encoder_hidden_states=states,
            encoder_attention_mask=mask.long(),
            use_cache=False,
        )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits over the vocabulary."""
        model: Any = self.network
        logits: torch.Tensor = model.get_output_embeddings()(hidden)
        bias = getattr(model, "final_logits_bias", None)  # mBART has one
        return logits if bias is None else logits + bias

    @torch.inference_mode()
    def translate(
        self, requests: Sequence[Request], *, beams: int | None = None, title: str = ""
    ) -> list[Translation]:
        """Return the translation of each request, in their order.

        They are translated longest first, in batches of about equal length; what is asked twice is
        translated once. Every sentinel of a request is written once, and no other one.

        Args:
            requests: in any directions.
            beams: of the search; 1 is greedy, None what the model was saved with.
            title: of a progress bar; none is shown without.

        Raises:
            ValueError: a language is unknown, or a text has more than `MOST_TOKENS` tokens.
        """
        distinct = list(dict.fromkeys(requests))
        encoded = self.encode([request.text for request in distinct])
        drafts = self._drafts(distinct)
        rows = []
        for request, ids, draft in zip(distinct, encoded, drafts, strict=True):
            if len(ids) > MOST_TOKENS:
                raise ValueError(
                    f"a text of {len(ids)} tokens, {MOST_TOKENS} are read at once; "
                    "translate it in pieces"
                )
            rows.append(self.source_with_draft(ids, request.source, draft.ids, request.target))
        self._prepare()
        found: dict[Request, Translation] = {}
        lengths: Lengths = np.array([len(row) for row in rows], np.int64)
        wide = beams or self.beams
        with progress.bar(title, len(distinct)) as bar:
            for batch in batches_by_tokens(lengths, max(1, TOKENS // wide)):
                asked = [distinct[row] for row in batch]
                hypotheses = self._search(
                    [rows[row] for row in batch],
                    [encoded[row] for row in batch],
                    [drafts[row] for row in batch],
                    asked,
                    wide,
                )
                written = self._written(hypotheses)
                found.update(zip(asked, written, strict=True))
                bar.advance(len(asked))
        return [found[request] for request in requests]

    def _search(
        self,
        rows: Sequence[torch.Tensor],
        sources: Sequence[Sequence[int]],
        drafts: Sequence[Draft],
        requests: Sequence[Request],
        beams: int,
    ) -> list[Hypothesis]:
        states, mask = self.encoded(rows)
        tags = torch.tensor([self.tag(request.target) for request in requests])
        copying = None
        if self.copy_bias:
            copying = Copying.of(drafts, self.vocabulary.end, self.copy_bias)
        return beam_search(self, states, mask, sources, tags.to(states.device), beams, copying)

    def _written(self, hypotheses: Sequence[Hypothesis]) -> list[Translation]:
        """Return the texts of ``hypotheses``."""
        backend: Any = self.tokenizer.backend_tokenizer
        texts = backend.decode_batch([h.ids for h in hypotheses], skip_special_tokens=True)
        written = []
        for text, hypothesis in zip(texts, hypotheses, strict=True):
            # bytes that are no character: whoever reads it must be told
            broken = "\ufffd" in text
            written.append(Translation(text.strip(), 0.0 if broken else hypothesis.confidence))
        return written

    def _prepare(self) -> None:
        self.network.eval()
        self.network.set_attn_implementation(devices.attention(training=False))
