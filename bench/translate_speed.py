"""How fast product texts are translated and learned, beside transformers, on this machine.

`python -m bench.translate_speed` takes a network of random weights, or with ``--model DIR`` a saved
one, and the starter's texts in all languages but Japanese, into which they are translated: sorted
by length, and a hundred of them one by one; transformers' `generate` then takes the same texts in
the same batches. Training takes the same pairs from English, once by the family's own step and once
by `Seq2SeqTrainer`, both with fused AdamW, clipped gradients and the same precision. Processor time
of this process counts, so that what else runs here counts less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from beauty_models import params
from beauty_models.device import fast_bfloat16
from beauty_models.params import Scratch
from beauty_models.training.bert import batches_by_tokens, pad
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.translate import Finetune, bases
from beauty_models.translate.decoding import Hypothesis
from beauty_models.translate.drafts import Drafts
from beauty_models.translate.examples import ParallelTexts
from beauty_models.translate.finetune import Trainer
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.model import TOKENS, Request, Translation, Translator
from beauty_models.translate.pretrain import templates
from beauty_models.translate.sampling import languages_of
from beauty_models.translate.starter import starter

DIRECTION = ("en", "ja")  # that is learned
ONE_BY_ONE = 100  # texts; all of them would take long
WARMUP = 10  # training steps


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor seconds that ``work`` takes, and what it returns."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def starter_units() -> pd.DataFrame:
    """Return the starter's product texts, a column for each language."""
    with tempfile.TemporaryDirectory() as folder:
        starter(raw=Path(folder) / "raw")
        return pd.read_csv(Path(folder) / "raw" / "products.tsv", sep="\t", dtype=str)


def requests_of(units: pd.DataFrame, count: int) -> list[Request]:
    """Return ``count`` texts at most, each once, that are to be translated into one language."""
    found: dict[Request, None] = {}
    for source in languages_of(units):
        if source == DIRECTION[1]:
            continue
        for text in templates(units[source].dropna().tolist()):
            if text:
                found[Request(text, source, DIRECTION[1])] = None
    chosen = list(found)
    # of all languages: a part of the first alone would be shorter or longer texts
    return chosen[:: max(1, len(chosen) // count)][:count]


def generated(translator: Translator, requests: list[Request], longest: int) -> int:
    """Translate ``requests`` with transformers' `generate`; return how many tokens it wrote."""
    network: Any = translator.network
    sources = translator.encode([request.text for request in requests])
    rows = [
        translator.source(ids, request.source)
        for ids, request in zip(sources, requests, strict=True)
    ]
    lengths = pd.Series(map(len, rows)).to_numpy()
    tokens = 0
    for batch in batches_by_tokens(lengths, TOKENS):
        ids, mask = pad([rows[row] for row in batch], translator.vocabulary.padding)
        written = network.generate(
            input_ids=ids,
            attention_mask=mask.long(),
            forced_bos_token_id=translator.tag(DIRECTION[1]),
            max_new_tokens=longest,
            num_beams=1,
            do_sample=False,
        )
        # without </s> and the tag that it begins with
        tokens += int((written[:, 2:] != translator.vocabulary.padding).sum())
    return tokens


class Counting(Translator):
    """A translator that counts the tokens that it writes, ends included."""

    lengths: list[int]

    def _written(self, hypotheses: Sequence[Hypothesis]) -> list[Translation]:
        self.lengths += [len(hypothesis.ids) + 1 for hypothesis in hypotheses]
        return super()._written(hypotheses)


def translating(model: Translator, requests: list[Request]) -> None:
    """Measure decoding and print its rows of the table."""
    translator = Counting(model.network, model.tokenizer, model.languages, model.card)
    translator.lengths = []
    translator.translate(requests[:8])  # the first pass is slow
    translator.lengths = []
    spent, _ = seconds(lambda: translator.translate(requests, beams=1))
    lengths = list(translator.lengths)
    print(f"{len(requests)} texts sorted by length: {len(requests) / spent:.0f} texts/s")
    some = requests[:: max(1, len(requests) // ONE_BY_ONE)]
    alone, _ = seconds(lambda: [translator.translate([request], beams=1) for request in some])
    print(f"one by one: {len(some) / alone:.0f} texts/s")
    print(f"  sorted over one by one: {len(requests) / spent * alone / len(some):.1f}")
    theirs, tokens = seconds(lambda: generated(translator, requests, max(lengths) + 2))
    own_speed, their_speed = sum(lengths) / spent, tokens / theirs
    print(f"ours {own_speed:.0f} tokens/s, transformers' generate {their_speed:.0f} tokens/s")
    print(f"  ours over theirs: {own_speed / their_speed:.2f}")


def learning(translator: Translator, units: pd.DataFrame, section: Finetune) -> None:
    """Measure an epoch of either trainer and print its rows of the table."""
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments

    texts = ParallelTexts(units, translator, [DIRECTION], section.max_tokens)
    drafts = Drafts(TranslationMemory(units), texts.first)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "none", "", 1e9)
        trainer = Trainer(translator, texts, drafts, [], section, checkpoint)
        trainer.begin_epoch(0)
        batches = trainer.batches(0)
        # what only our loop does is off: both take the same texts
        trainer.pairs = [pair._replace(draft=[]) for pair in trainer.pairs]

        def epoch() -> None:
            for number, batch in enumerate(batches):
                trainer.step(batch, number)

        # the first steps are slow, and the other trainer finds a process that has made them
        for number, batch in enumerate(batches[:WARMUP]):
            trainer.step(batch, number)
        ours, _ = seconds(epoch)
        end, tag = translator.vocabulary.end, translator.tag(DIRECTION[1])
        rows = []
        for pair in trainer.pairs:
            source = translator.source(pair.source, pair.source_language).tolist()
            rows.append(
                {
                    "input_ids": source,
                    "attention_mask": [1] * len(source),
                    "labels": [tag, *pair.target, end],
                }
            )
        low = section.precision == "bfloat16" or (section.precision == "auto" and fast_bfloat16())
        settings = Seq2SeqTrainingArguments(
            folder,
            per_device_train_batch_size=section.batch,
            num_train_epochs=1,
            learning_rate=section.learning_rate,
            bf16=low,
            optim="adamw_torch_fused",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        )
        translator.network.set_attn_implementation("sdpa")
        collator = DataCollatorForSeq2Seq(translator.tokenizer)
        other = Seq2SeqTrainer(
            model=translator.network, args=settings, train_dataset=rows, data_collator=collator
        )
        theirs, _ = seconds(other.train)
    count = len(rows)
    print(f"training: ours {count / ours:.0f} pairs/s, Seq2SeqTrainer {count / theirs:.0f} pairs/s")
    print(f"  ours over theirs: {theirs / ours:.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.translate_speed", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--model", type=Path, help="a folder that finetune wrote")
    parser.add_argument("--texts", type=int, default=10_000, help="that are translated")
    parser.add_argument("--units", type=int, default=2000, help="that are learned from")
    options = parser.parse_args()
    units = starter_units()
    torch.manual_seed(1)
    if options.model:
        translator = Translator.load(options.model)
    else:
        shape = Scratch(layers=2, hidden=128, heads=4, vocabulary=4000)
        languages = languages_of(units)
        texts = [text for name in languages for text in templates(units[name].dropna().tolist())]
        translator = bases.scratch(texts, languages, shape)
    translating(translator, requests_of(units, options.texts))
    section = params.load("translate").finetune
    # the other trainer's smoothing does not know M2M100
    section = section.model_copy(update={"label_smoothing": 0.0})
    both = units.dropna(subset=list(DIRECTION)).reset_index(drop=True)
    learning(translator, both.head(options.units), section)


if __name__ == "__main__":
    main()
