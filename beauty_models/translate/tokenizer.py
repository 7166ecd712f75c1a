"""The tokenizer of all languages: byte-pair encoding on bytes, tags of languages, sentinels.

There is no text in any language that it cannot write, and every sentinel is one token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from beauty_models.translate.protected import SENTINELS

BEGIN, PAD, END, UNKNOWN, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
CONTROLS = (BEGIN, PAD, END, UNKNOWN, MASK)
"""In this order: the first four have the ids of M2M100 and mBART."""

# A run of letters with the blank before it, marked by ▁; a digit; a run of other signs. Letters of
# Chinese and Japanese have no blanks between them: their words are found by the merges.
_WORDS = r"▁?[\p{L}\p{M}]+|▁?\p{N}|▁?[^\s\p{L}\p{M}\p{N}▁]+|▁+"


def language_tag(language: str) -> str:
    """Return the token that says a text is, or is to be, in ``language``; as M2M100 spells it."""
    return f"__{language}__"


def learn_tokenizer(
    texts: Iterable[str], languages: Sequence[str], vocabulary: int
) -> PreTrainedTokenizerFast:
    """Return a tokenizer of ``vocabulary`` tokens at most, learned from protected ``texts``.

    A text that begins with a word is read as if a blank stood before it: a word is the same token
    wherever it stands.
    """
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    learned.decoder = decoders.Sequence(
        [decoders.ByteLevel(), decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)]
    )
    tags = [language_tag(language) for language in languages]
    special = [*CONTROLS, *tags]
    trainer = BpeTrainer(
        vocab_size=vocabulary - len(SENTINELS),
        min_frequency=2,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learned.train_from_iterator(_without_sentinels(texts), trainer)
    # not special: decoding keeps them, and `encode_special_tokens` leaves them what they are
    sentinels = [AddedToken(token, special=False, normalized=False) for token in SENTINELS]
    learned.add_tokens(sentinels)
    learned.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, learned.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=learned,
        bos_token=BEGIN,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        mask_token=MASK,
    )


def _without_sentinels(texts: Iterable[str]) -> Iterable[str]:
    """Yield ``texts`` with a blank for each sentinel, whose signs are no part of any word."""
    for text in texts:
        if "<" in text:
            for sentinel in SENTINELS:
                text = text.replace(sentinel, " ")
        yield text
