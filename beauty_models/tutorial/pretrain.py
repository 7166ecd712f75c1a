"""Pretraining: causal language modelling on all articles, how-to or not."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from beauty_models import progress
from beauty_models.device import attention, device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.params import Precision
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.finite import require_finite
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization, ParameterGroup
from beauty_models.training.splits import read_split
from beauty_models.tutorial import Pretrain, bases
from beauty_models.tutorial.model import LanguageModel, save, set_dropout
from beauty_models.tutorial.packing import (
    IGNORED,
    Packed,
    article_documents,
    first_rows,
    loss_sum,
    pack,
)

EVALUATION_TOKENS = 4096  # at once, where nothing is learned


def groups(language_model: LanguageModel, rate: float) -> list[ParameterGroup]:
    """Return the optimizer's groups: matrices, and vectors, which weight decay would only harm."""
    matrices = [p for _, p in language_model.learned() if p.ndim > 1]
    vectors = [p for _, p in language_model.learned() if p.ndim < 2]
    chosen = [{"params": matrices, "lr": rate}]
    if vectors:
        chosen.append({"params": vectors, "lr": rate, "weight_decay": 0.0})
    return chosen


@torch.no_grad()
def mean_loss(language_model: LanguageModel, packed: Packed, wanted: Precision) -> float:
    """Return the mean cross-entropy of all targets, in nats per token.

    Raises:
        NotFiniteError: it is NaN or infinite.
    """
    network = language_model.network.eval()
    network.set_attn_implementation(attention(training=False))
    total = 0.0
    count = 0
    size = max(1, EVALUATION_TOKENS // packed.ids.shape[1])
    with precision(wanted):
        for start in range(0, len(packed.ids), size):
            rows = range(start, min(start + size, len(packed.ids)))
            loss, predicted = loss_sum(language_model, packed, rows)
            total += loss.item()
            count += predicted
    mean = total / max(1, count)
    require_finite(torch.tensor(mean), "the losses of the validation articles")
    return mean


def shuffled_batches(rows: int, size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the row numbers of ``epoch`` in batches of ``size``; the last one may be smaller."""
    order = np.random.default_rng((seed, epoch)).permutation(rows).tolist()
    return [order[start : start + size] for start in range(0, rows, size)]


def set_training(language_model: LanguageModel, dropout: float) -> None:
    """Put the network into training, with its fastest attention and ``dropout``."""
    language_model.network.train()
    # on a CPU, too: with rows of 512 tokens 134 tokens per second, 111 by plain matrix products,
    # which are faster where rows are short
    language_model.network.set_attn_implementation("sdpa")
    set_dropout(language_model.network, dropout)


def _train(
    language_model: LanguageModel, packed: Packed, params: Pretrain, checkpoint: Checkpoint
) -> list[dict[str, float]]:
    """Train in place; return ``step`` and mean ``loss`` of each tenth of the run."""
    per_epoch = -(-len(packed.ids) // params.batch)
    steps = round(per_epoch * params.epochs)
    set_training(language_model, params.dropout)

    @lru_cache(1)
    def batches(epoch: int) -> list[list[int]]:
        return shuffled_batches(len(packed.ids), params.batch, params.seed, epoch)

    def loss(step: int) -> torch.Tensor | None:
        rows = batches(step // per_epoch)[step % per_epoch]
        with precision(params.precision):
            total, count = loss_sum(language_model, packed, rows)
        return total / count if count else None

    optimization = Optimization(
        language_model.network,
        groups(language_model, params.learning_rate),
        steps,
        params,
        # the second average of 0.999 looks back further than a short run is long
        betas=(0.9, 0.98),
    )
    return train_steps(optimization, loss, checkpoint, "pretrain")


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train the base on the texts of ``data/train.parquet``; save it to ``pretrained``.

    With ``epochs: 0`` it is saved as it is. The folder opens with
    ``AutoModelForCausalLM.from_pretrained``.

    Returns:
        ``loss_before`` and ``loss_after`` (nats per token of the validation articles),
        ``articles``, ``tokens``, ``parameters``, ``learned`` (parameters).

    Raises:
        ValueError: a split has no article, or the base cannot be loaded.
    """
    texts = read_split(data, "train", "articles")["text"].tolist()
    validation = read_split(data, "validation", "articles")["text"].tolist()
    if params.base == "scratch":
        # seeded by the stage's runner: the first weights are the same in every run
        language_model = bases.scratch(texts, params.scratch, params.max_tokens)
    else:
        language_model = bases.load(params.base)
    if params.max_tokens > language_model.context:
        raise ValueError(
            f"pretrain.max_tokens is {params.max_tokens}, {params.base} reads "
            f"{language_model.context} at once; set max_tokens to that or less"
        )
    language_model.card["scratch"] = params.scratch.model_dump()
    language_model.card["seed"] = params.seed
    language_model.network.to(device())
    packed = pack(article_documents(language_model, texts), params.max_tokens)
    held_out = first_rows(
        pack(article_documents(language_model, validation), params.max_tokens),
        params.validation_tokens,
    )
    parameters = language_model.network.num_parameters()
    progress.log_line(
        f"pretrain: {params.base}, {parameters:,} parameters, {len(texts):,} articles in "
        f"{len(packed.ids):,} rows of {params.max_tokens} tokens"
    )
    loss_before = mean_loss(language_model, held_out, params.precision)
    language_model.adapt(params.lora)
    learned = sum(parameter.numel() for _, parameter in language_model.learned())
    identity = fingerprint(__name__, params, data / "train.parquet")
    checkpoint = Checkpoint(pretrained, identity, params.checkpoint_minutes)
    history = _train(language_model, packed, params, checkpoint) if params.epochs else []
    loss_after = mean_loss(language_model, held_out, params.precision)
    with new_folder(pretrained) as folder:
        save(language_model, folder)
        write_json(folder / "history.json", history)
    # not before the output is there: a run that is killed while it writes goes on from the last one
    checkpoint.clear()
    progress.log_line(
        f"pretrain: loss {loss_before:.3f} → {loss_after:.3f} nats per token "
        f"on {int((held_out.targets != IGNORED).sum()):,} tokens of validation articles"
    )
    return {
        "loss_before": loss_before,
        "loss_after": loss_after,
        "articles": len(texts),
        "tokens": int((packed.documents >= 0).sum()),
        "parameters": parameters,
        "learned": learned,
    }
