"""The loss of writing a text, token by token, and what both trainings do with the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from beauty_models.training.bert import pad
from beauty_models.training.optimization import ParameterGroup
from beauty_models.translate.model import Translator


def sequence_loss(
    translator: Translator,
    states: torch.Tensor,
    mask: torch.Tensor,
    targets: Sequence[Sequence[int]],
    tags: Sequence[int],
    smoothing: float = 0.0,
) -> tuple[torch.Tensor, int]:
    """Return the summed cross-entropy of ``targets``, each with its end, and how many tokens.

    Args:
        states: of the encoder [n, source length, width].
        mask: true where they are real.
        targets: token ids, without tag and end.
        tags: of the languages that they are in.
        smoothing: share of the probability that goes to all other tokens (Szegedy et al. 2016).
    """
    end = translator.vocabulary.end
    inputs = []
    wanted = []
    for ids, tag in zip(targets, tags, strict=True):
        inputs.append(torch.tensor([end, tag, *ids]))
        wanted.append(torch.tensor([*ids, end]))
    padded, real = pad(inputs, translator.vocabulary.padding)
    hidden = translator.decoded(states, mask, padded)
    # the first place would have to guess the tag, which is given. The head is as wide as the
    # vocabulary: at real places only, a quarter of the step's time is saved
    logits = translator.head(hidden[:, 1:][real[:, 1:]])
    labels = torch.cat(wanted).to(logits.device)
    loss = nn.functional.cross_entropy(
        logits.float(), labels, label_smoothing=smoothing, reduction="sum"
    )
    return loss, len(labels)


def set_training(translator: Translator, dropout: float) -> None:
    """Put the network into training, with its fastest attention and ``dropout``."""
    translator.network.train()
    # product texts are short: on a CPU, too, the fused kernel saves a twentieth of a step
    translator.network.set_attn_implementation("sdpa")
    for module in translator.network.modules():
        parts: Any = module
        # BART and its heirs keep a number and call the function
        if isinstance(getattr(parts, "dropout", None), float):
            # attention's dropout forbids the fused kernels and gains nothing here
            parts.dropout = 0.0 if "Attention" in type(module).__name__ else dropout


def groups(translator: Translator, rate: float) -> list[ParameterGroup]:
    """Return the optimizer's groups: matrices, and vectors, which weight decay would only harm."""
    parameters = list(translator.network.parameters())
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim < 2]
    return [
        {"params": matrices, "lr": rate},
        {"params": vectors, "lr": rate, "weight_decay": 0.0},
    ]
