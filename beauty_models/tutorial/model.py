"""A causal language model and its tokenizer: tokens, loss, low-rank adapters, saving.

A saved folder opens with ``AutoModelForCausalLM.from_pretrained(folder)``: adapters are merged into
the weights first. ``backbone.json`` beside them says what the model began as.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from beauty_models.backbones.loading import from_pretrained, network
from beauty_models.device import device
from beauty_models.files import read_json, write_json
from beauty_models.tutorial import readable

LORA_SCALE = 2  # alpha = 2 · rank, as is usual


@dataclass
class LanguageModel:
    """A network that continues texts, with its tokenizer.

    ``card`` says what it began as, and under which licence.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    card: dict[str, Any]
    adapted: Any = None  # peft's wrapper around ``network``, while adapters learn
    known: frozenset[str] = frozenset()  # what its articles consist of, see `readable`

    def __post_init__(self) -> None:
        backend: Any = self.tokenizer.backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        # a user's "<|endoftext|>" is text: it ends no document
        backend.encode_special_tokens = True

    @property
    def languages(self) -> list[str]:
        """The languages in which it learned to answer requests; [] is not known."""
        return list(self.card.get("languages", []))

    @property
    def boundary(self) -> int:
        """The id of the token that stands before and behind each document."""
        return int(self.tokenizer.eos_token_id)

    @property
    def context(self) -> int:
        """How many tokens the network reads at once."""
        return int(self.network.config.max_position_embeddings)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text`` alone, without boundaries."""
        encoded: Any = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        return list(encoded.ids)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each of ``texts``, without boundaries."""
        backend: Any = self.tokenizer.backend_tokenizer
        return [list(e.ids) for e in backend.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ``ids``."""
        text: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def hidden(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> Any:
        """Return the last hidden states [n, length, width] of token ``ids`` [n, length].

        Args:
            mask: [n, 1, length, length], true where a token (third axis) reads another (fourth).
            positions: of the tokens in their documents [n, length].
        """
        network: Any = self.network
        if network.config._attn_implementation == "eager":
            # added to the scores; the smallest finite number, for a padded row reads nothing
            smallest = torch.finfo(torch.float32).min
            mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, smallest)
        output = network.base_model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False
        )
        return output.last_hidden_state

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits over the vocabulary."""
        network: Any = self.network
        logits: torch.Tensor = network.get_output_embeddings()(hidden)
        return logits

    def adapt(self, rank: int) -> None:
        """Freeze the network and put low-rank adapters into its linear layers (Hu et al. 2021).

        Rank 0 leaves all weights to learn.

        Raises:
            ValueError: peft is not installed.
        """
        if not rank:
            return
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError:
            raise ValueError(
                "lora: the package peft is not installed; `pip install peft==0.21.2`, "
                "or set lora: 0, which trains all weights"
            ) from None
        settings = LoraConfig(
            r=rank, lora_alpha=LORA_SCALE * rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        with warnings.catch_warnings():
            # of transformers, when peft asks for an attribute that will go; of peft, that GPT-2
            # stores its matrices transposed, for which it sees itself
            warnings.simplefilter("ignore")
            self.adapted = get_peft_model(self.network, settings)

    def merge(self) -> None:
        """Add the adapters to the weights, and let all weights learn again."""
        if self.adapted is not None:
            self.network = self.adapted.merge_and_unload()
            self.adapted = None
        self.network.requires_grad_(True)

    def learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the weights that learn, by name."""
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                yield name, parameter


def set_dropout(model: nn.Module, share: float) -> None:
    """Set every dropout of ``model`` to ``share``; attention's own goes off."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if name.endswith("attn_dropout") else share


def save(language_model: LanguageModel, folder: Path) -> None:
    """Write the network, adapters merged, the tokenizer and the card into ``folder``."""
    language_model.merge()
    network: Any = language_model.network
    # dropout belongs to a training, not to what is handed on
    set_dropout(network, 0.0)
    if language_model.card["base"] != "scratch":
        # half the disk, in the precision that such networks are handed round in
        network.to(torch.bfloat16)
    network.save_pretrained(folder)
    language_model.tokenizer.save_pretrained(folder)
    write_json(folder / "backbone.json", language_model.card)
    if language_model.known:
        readable.save(language_model.known, folder)


def load(folder: Path) -> LanguageModel:
    """Return the language model saved in ``folder``, on the device.

    Raises:
        ValueError: the folder is not a saved language model.
    """
    language_model = LanguageModel(
        network(AutoModelForCausalLM, folder),
        from_pretrained(AutoTokenizer, folder, use_fast=True),
        read_json(folder / "backbone.json"),
        known=readable.load(folder),
    )
    language_model.network.to(device())
    return language_model
