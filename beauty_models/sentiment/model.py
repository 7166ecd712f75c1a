"""The network: a BERT encoder, mean pooling and LayerNorm, a head for the sentiment and one for every aspect.

A saved model is a folder: the encoder and tokenizer as transformers writes them (``AutoModel.from_pretrained`` reads
it), ``head.safetensors``, and ``classifier.json`` with classes, aspects, temperature and the backbone's licence.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from beauty_models.backbones import from_pretrained, network
from beauty_models.common import progress
from beauty_models.common.bert import TOKENS, encode, layers, mean, pad, tokenize
from beauty_models.common.files import new_folder, read_json, write_json
from beauty_models.common.training import attention, by_length, device, precision, require_finite

STATES = 4  # of an aspect: not mentioned, negative, neutral, positive
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Predictions:
    """``probabilities`` [n, classes], calibrated; ``aspects`` [n, aspects, 4]: not mentioned, negative, neutral, positive."""

    probabilities: Floats
    aspects: Floats


class Classifier(nn.Module):
    """Texts → probabilities of the classes and, where the data had them, of the aspects."""

    def __init__(
        self,
        encoder: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        classes: list[str],
        aspects: list[str],
        max_tokens: int,
        backbone: dict[str, Any],
        dropout: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder, self.tokenizer = encoder, tokenizer
        self.classes, self.aspects, self.polarities = (
            classes,
            aspects,
            ["negative", "neutral", "positive"],
        )
        self.max_tokens, self.backbone, self.temperature = max_tokens, backbone, temperature
        width = encoder.config.hidden_size
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.sentiment = nn.Linear(width, len(classes))
        self.aspect = nn.Linear(width, STATES * len(aspects)) if aspects else None

    def encode(
        self, hidden: torch.Tensor, mask: torch.Tensor, start: int, stop: int
    ) -> torch.Tensor:
        """Return the output of layers ``start`` to ``stop``−1 for ``hidden`` [n, length, width], the input of layer ``start``."""
        return encode(self.encoder, hidden, mask, start, stop)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings [n, length, width] of token ids [n, length]."""
        embedded: torch.Tensor = self.encoder.embeddings(input_ids=ids)
        return embedded

    def heads(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of the classes [n, classes] and of the aspects [n, aspects, 4] for normalised features [n, width]."""
        dropped = self.dropout(pooled)
        spoken = self.aspect(dropped) if self.aspect else dropped.new_zeros(len(dropped), 0)
        return self.sentiment(dropped), spoken.unflatten(-1, (len(self.aspects), STATES))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of `heads` for token ids [n, length] with ``mask`` true where a token is real."""
        return self.heads(
            self.norm(mean(self.encode(self.embed(ids), mask, 0, len(layers(self.encoder))), mask))
        )

    @torch.inference_mode()
    def predict(self, texts: Sequence[str], title: str = "predict") -> Predictions:
        """Return the predictions for ``texts``, in their order."""
        self.eval().to(device())
        self.encoder.set_attn_implementation(attention(training=False))
        rows = tokenize(self.tokenizer, texts, self.max_tokens)
        probabilities = np.zeros((len(rows), len(self.classes)), np.float32)
        aspects = np.zeros((len(rows), len(self.aspects), STATES), np.float32)
        lengths = np.array([len(row) for row in rows], np.int64)
        with progress.bar(title, len(rows)) if title else nullcontext() as bar, precision("auto"):
            for batch in by_length(lengths, TOKENS // self.max_tokens):
                sentiment, aspect = self(
                    *pad([rows[i] for i in batch], self.tokenizer.pad_token_id)
                )
                probabilities[batch] = (
                    torch.softmax(sentiment.float() / self.temperature, -1).cpu().numpy()
                )
                aspects[batch] = torch.softmax(aspect.float(), -1).cpu().numpy()
                if bar:
                    bar.advance(len(batch))
        require_finite(torch.from_numpy(probabilities), f"{title or 'predict'}: the probabilities")
        return Predictions(probabilities, aspects)


def save(classifier: Classifier, folder: Path, history: list[dict[str, float]]) -> None:
    """Write ``classifier`` and the ``history`` of its training to ``folder``, whole or not at all.

    Raises:
        OSError: the disk is full; what was in ``folder`` before is untouched.
    """
    head = {
        name: value.cpu().contiguous()
        for name, value in classifier.state_dict().items()
        if not name.startswith("encoder.")
    }
    with new_folder(folder) as temporary:
        classifier.encoder.save_pretrained(temporary)
        classifier.tokenizer.save_pretrained(temporary)
        save_file(head, temporary / "head.safetensors")
        write_json(temporary / "history.json", history)
        write_json(temporary / "backbone.json", classifier.backbone)
        write_json(
            temporary / "classifier.json",
            {
                "classes": classifier.classes,
                "aspects": classifier.aspects,
                "max_tokens": classifier.max_tokens,
                "temperature": classifier.temperature,
                **classifier.backbone,
            },
        )


def load(folder: Path) -> Classifier:
    """Return the classifier saved in ``folder``.

    Raises:
        ValueError: the folder is not a saved classifier.
    """
    card = read_json(folder / "classifier.json")
    encoder = network(AutoModel, folder, add_pooling_layer=False)
    classifier = Classifier(
        encoder,
        from_pretrained(AutoTokenizer, folder),
        card["classes"],
        card["aspects"],
        card["max_tokens"],
        read_json(folder / "backbone.json"),
        temperature=card["temperature"],
    )
    missing, unexpected = classifier.load_state_dict(
        load_file(folder / "head.safetensors"), strict=False
    )
    if unexpected or any(not name.startswith("encoder.") for name in missing):
        raise ValueError(
            f"{folder / 'head.safetensors'}: not the head of this classifier; retrain or restore the folder"
        )
    return classifier
