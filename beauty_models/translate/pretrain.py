"""Pretraining: denoising texts of all languages, which needs no translations."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from beauty_models import progress
from beauty_models.device import attention, device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.training.batches import Batch, length_bucketed_batches
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import train_steps
from beauty_models.training.optimization import Optimization
from beauty_models.training.splits import hold_out
from beauty_models.translate import Pretrain, bases
from beauty_models.translate.infilling import infill
from beauty_models.translate.model import Translator
from beauty_models.translate.protected import protect
from beauty_models.translate.sequence_loss import groups, sequence_loss, set_training

HELD_OUT = 0.02  # share of the texts on which the loss before and after is measured
MOST_HELD_OUT = 1000
NO_STEP = 1_000_000_007  # of the draws of held-out texts: more than a run has steps


class Example(NamedTuple):
    """A text of a language, as token ids without tag and end."""

    ids: list[int]
    language: str


def templates(texts: list[str]) -> list[str]:
    """Return ``texts`` with sentinels, "" where a text has more values than there are of them."""
    written = []
    for text in texts:
        try:
            written.append(protect(text).text)
        except ValueError:
            written.append("")
    return written


def denoising_loss(
    translator: Translator,
    examples: list[Example],
    params: Pretrain,
    random: np.random.Generator,
) -> tuple[torch.Tensor, int]:
    """Return the summed cross-entropy of writing ``examples`` from their noisy selves."""
    mask_id = int(translator.tokenizer.mask_token_id)
    sentinels = frozenset(translator.vocabulary.sentinels.tolist())
    rows = []
    for example in examples:
        noisy = infill(example.ids, params.mask, params.span_length, mask_id, sentinels, random)
        rows.append(translator.source(noisy, example.language))
    states, mask = translator.encoded(rows)
    tags = [translator.tag(example.language) for example in examples]
    return sequence_loss(translator, states, mask, [e.ids for e in examples], tags)


@torch.inference_mode()
def held_out_loss(translator: Translator, examples: list[Example], params: Pretrain) -> float:
    """Return the mean cross-entropy in nats per token, with the same noise every time."""
    translator.network.eval()
    translator.network.set_attn_implementation(attention(training=False))
    total = 0.0
    count = 0
    for start in range(0, len(examples), params.batch):
        random = np.random.default_rng((params.seed, NO_STEP, start))
        with precision(params.precision):
            loss, tokens = denoising_loss(
                translator, examples[start : start + params.batch], params, random
            )
        total += loss.item()
        count += tokens
    return total / max(1, count)


def _train(
    translator: Translator, examples: list[Example], params: Pretrain, checkpoint: Checkpoint
) -> list[dict[str, float]]:
    """Train in place; return ``step`` and mean ``loss`` of each tenth of the run."""
    lengths = np.array([len(example.ids) for example in examples], np.int64)
    per_epoch = -(-len(examples) // params.batch)
    steps = round(per_epoch * params.epochs)
    set_training(translator, params.dropout)

    # of the current epoch: sorting all rows anew in every step would be slow
    @lru_cache(1)
    def batches(epoch: int) -> list[Batch]:
        return length_bucketed_batches(lengths, params.batch, params.seed, epoch)

    def loss(step: int) -> torch.Tensor:
        batch = batches(step // per_epoch)[step % per_epoch]
        random = np.random.default_rng((params.seed, step))
        with precision(params.precision):
            total, count = denoising_loss(
                translator, [examples[row] for row in batch], params, random
            )
        return total / count

    optimization = Optimization(
        translator.network,
        groups(translator, params.learning_rate),
        steps,
        params,
        # the second average of 0.999 looks back further than a short run is long
        betas=(0.9, 0.98),
    )
    return train_steps(optimization, loss, checkpoint, "pretrain")


def _base(texts: list[str], languages: list[str], params: Pretrain) -> Translator:
    """Return what pretraining begins with, on the device."""
    if params.base == "scratch":
        # seeded by the stage's runner: the first weights are the same in every run
        translator = bases.scratch(texts, languages, params.scratch)
    else:
        translator = bases.load(params.base, languages)
    translator.card["scratch"] = params.scratch.model_dump()
    translator.max_tokens = params.max_tokens
    translator.network.to(device())
    return translator


def _examples(translator: Translator, frame: pd.DataFrame, max_tokens: int) -> list[Example]:
    """Return the texts of ``frame`` that have ``max_tokens`` at most.

    Raises:
        ValueError: there are not two of them.
    """
    examples = []
    encoded = translator.encode(frame["text"].tolist())
    for ids, language in zip(encoded, frame["language"], strict=True):
        if len(ids) <= max_tokens:
            examples.append(Example(ids, language))
    if len(examples) < 2:
        raise ValueError(
            f"pretrain: all {len(frame)} texts have more than {max_tokens} tokens; raise "
            "pretrain.max_tokens"
        )
    return examples


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train the base to denoise ``data/monolingual.parquet``; save it to ``pretrained``.

    With ``epochs: 0`` it is saved as it is. The folder opens with
    ``AutoModelForSeq2SeqLM.from_pretrained``.

    Returns:
        ``loss_before`` and ``loss_after`` (nats per token of held-out texts), ``texts``,
        ``tokens``, ``too_long`` (texts of more than ``max_tokens`` tokens, which are left out),
        ``parameters``.

    Raises:
        ValueError: there are no texts, or the base cannot be loaded.
    """
    frame = pd.read_parquet(data / "monolingual.parquet")
    frame = frame.assign(text=templates(frame["text"].tolist()))
    frame = frame[frame["text"] != ""]
    if len(frame) < 2:
        raise ValueError(f"{data / 'monolingual.parquet'}: no texts; deliver more of them")
    languages = list(read_json(data / "schema.json")["languages"])
    translator = _base(frame["text"].tolist(), languages, params)
    examples = _examples(translator, frame, params.max_tokens)
    share = min(HELD_OUT, MOST_HELD_OUT / len(examples))
    train, held_out = hold_out(examples, share, params.seed)
    parameters = translator.network.num_parameters()
    progress.log_line(
        f"pretrain: {params.base}, {parameters:,} parameters, {len(translator.tokenizer):,} "
        f"tokens, {len(train):,} texts in {len(languages)} languages"
    )
    before = held_out_loss(translator, held_out, params)
    identity = fingerprint(__name__, params, data / "monolingual.parquet", data / "schema.json")
    checkpoint = Checkpoint(pretrained, identity, params.checkpoint_minutes)
    history = _train(translator, train, params, checkpoint) if params.epochs else []
    after = held_out_loss(translator, held_out, params)
    with new_folder(pretrained) as folder:
        translator.save(folder)
        write_json(folder / "history.json", history)
    # not before the output is there: a run that is killed while it writes goes on from the last one
    checkpoint.clear()
    progress.log_line(
        f"pretrain: loss {before:.3f} → {after:.3f} nats per token of {len(held_out):,} texts "
        "held out"
    )
    return {
        "loss_before": before,
        "loss_after": after,
        "texts": len(train),
        "tokens": sum(len(example.ids) for example in train),
        "too_long": len(frame) - len(examples),
        "parameters": parameters,
    }
