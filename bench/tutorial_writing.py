"""How fast tutorials are written and learned, beside transformers, on this machine.

`python -m bench.tutorial_writing` takes a GPT-2 of random weights, or with ``--model DIR`` a saved
one, and writes for one request and for 16 together; transformers' `generate` then draws as many
tokens with the same settings. Training takes the same packed rows, once by the family's own step
and once by transformers' `Trainer`. Processor time of this process counts, so that what else runs
here counts less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from beauty_models.params import Scratch
from beauty_models.tutorial import bases
from beauty_models.tutorial.examples import encode_lines
from beauty_models.tutorial.generation import Sampling, generate
from beauty_models.tutorial.model import LanguageModel, load
from beauty_models.tutorial.packing import Packed, article_documents, loss_sum, pack
from beauty_models.tutorial.pretrain import groups, set_training
from beauty_models.tutorial.starter import ARTICLES
from beauty_models.tutorial.structure import Request, prompt

TOGETHER = 16
ROWS = 32  # packed rows that are learned from
LENGTH = 256
BATCH = 4


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor seconds that ``work`` takes, and what it returns."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def articles() -> list[str]:
    """Return the starter's articles."""
    return [file.read_text(encoding="utf-8") for file in sorted(ARTICLES.glob("*/*.md"))]


def ours(language_model: LanguageModel, requests: list[Request]) -> tuple[float, int]:
    """Return tokens per second, and tokens for each request."""
    spent, drafts = seconds(lambda: generate(language_model, requests, Sampling()))
    tokens = sum(draft.tokens for draft in drafts)
    return tokens / spent, tokens // len(requests)


def theirs(language_model: LanguageModel, request: Request, count: int, tokens: int) -> float:
    """Return the tokens per second of transformers' `generate` for ``count`` of ``request``."""
    network: Any = language_model.network.eval()
    asked = [language_model.boundary, *encode_lines(language_model, prompt(request))]
    ids = torch.tensor([asked] * count)
    sampling = Sampling()
    spent, _ = seconds(
        lambda: network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            do_sample=True,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
        )
    )
    return count * tokens / spent


def learned_ours(language_model: LanguageModel, packed: Packed) -> float:
    """Return the tokens per second of the family's own training step."""
    set_training(language_model, 0.0)
    optimizer = torch.optim.AdamW(groups(language_model, 1e-4), fused=True)

    def work() -> None:
        for start in range(0, len(packed.ids), BATCH):
            total, count = loss_sum(language_model, packed, range(start, start + BATCH))
            (total / count).backward()
            torch.nn.utils.clip_grad_norm_(language_model.network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return packed.ids.numel() / seconds(work)[0]


def learned_theirs(language_model: LanguageModel, packed: Packed) -> float:
    """Return the tokens per second of transformers' `Trainer` on the same rows."""
    from transformers import Trainer, TrainingArguments

    rows = []
    for row in range(len(packed.ids)):
        ids = packed.ids[row]
        # Trainer's models shift the labels themselves; that a row holds several articles, and which
        # token reads which, they are not told: it is the same work
        rows.append({"input_ids": ids, "labels": ids})
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        )
        trainer = Trainer(language_model.network, settings, train_dataset=rows)  # type: ignore
        return packed.ids.numel() / seconds(trainer.train)[0]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.tutorial_writing", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--model", type=Path, help="a folder that finetune wrote")
    options = parser.parse_args()
    texts = articles()
    torch.manual_seed(1)
    if options.model:
        language_model = load(options.model)
    else:
        shape = Scratch(layers=4, hidden=256, heads=4, vocabulary=2000)
        language_model = bases.scratch(texts, shape, 1024)
    request = Request(look="smoky eye", language="en", steps=6)
    generate(language_model, [request], Sampling(temperature=0.0))  # the first pass is slow
    print(f"{'':28}{'ours':>10}{'transformers':>14}   tokens per processor second")
    for count in (1, TOGETHER):
        own, tokens = ours(language_model, [request] * count)
        other = theirs(language_model, request, count, tokens)
        print(f"{f'writing, {count} together':28}{own:10.0f}{other:14.0f}")
    one = theirs(language_model, request, 1, tokens)
    print(f"{f'writing, {TOGETHER} one by one':28}{'':10}{one:14.0f}")
    packed = pack(article_documents(language_model, texts), LENGTH)
    packed = Packed(*(part[:ROWS] for part in packed))
    own = learned_ours(language_model, packed)
    other = learned_theirs(language_model, packed)
    print(f"{'training':28}{own:10.0f}{other:14.0f}")


if __name__ == "__main__":
    main()
