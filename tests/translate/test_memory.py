"""What training has translated before: memory, dictionary, chrF, and which of them serves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sacrebleu.metrics.chrf import CHRF

from beauty_models.evaluation import bootstrap
from beauty_models.translate import scoring
from beauty_models.translate.dictionary import Dictionaries
from beauty_models.translate.memory import ALIKE, TranslationMemory
from beauty_models.translate.scripts import tokens

UNITS = pd.DataFrame(
    [
        ("Matte lipstick", "哑光口红", "Matter Lippenstift"),
        ("Matte foundation", "哑光粉底", "Matte Foundation"),
        ("Satin lipstick", "缎光口红", "Satin-Lippenstift"),
        ("Satin blush", "缎光腮红", "Satin-Rouge"),
        ("Cream foundation", "霜状粉底", "Creme-Foundation"),
        ("Serum 30 ml", "精华液 30 毫升", "Serum, 30 ml"),
        ("Beauty > Makeup > Lipstick", "美妆 > 彩妆 > 口红", None),
        ("Other", "其他", "Andere"),
        ("Other", "其他", "Sonstiges"),
        ("Other", "其它", "Sonstiges"),
    ],
    columns=["en", "zh-CN", "de"],
).assign(id=[f"u{i}" for i in range(10)], kind="")


@pytest.fixture(scope="module")
def memory() -> TranslationMemory:
    return TranslationMemory(UNITS)


def test_a_known_text_is_translated_as_before_with_its_own_numbers(
    memory: TranslationMemory,
) -> None:
    known = memory.exact("Matte lipstick", "en", "zh-CN")
    assert known is not None and known.translation == "哑光口红" and known.similarity == 1
    # spaces and what nobody sees do not count
    assert memory.exact(" Matte\u200b  lipstick", "en", "zh-CN") == known
    alike = memory.exact("MATTE LIPSTICK", "en", "zh-CN")
    assert alike is not None and alike[1:] == ("哑光口红", ALIKE)
    other = memory.exact("Serum 50 ml", "en", "de")
    assert other is not None and other.translation == "Serum, 50 ml"
    assert memory.exact("Serum 50 ml SPF 20", "en", "de") is None
    assert memory.exact("Beauty > Makeup > Lipstick", "en", "de") is None
    assert memory.exact("Matte lipstick", "en", "ko") is None


def test_of_several_translations_the_commonest_is_taken_and_its_share_told(
    memory: TranslationMemory,
) -> None:
    match = memory.exact("Other", "en", "de")
    assert match is not None
    assert match.translation == "Sonstiges" and match.similarity == pytest.approx(2 / 3)


def test_the_nearest_text_must_have_the_target_language(memory: TranslationMemory) -> None:
    asked = ["Beauty > Makeup > Lipsticks", "Serum 75 ml now", "ξ"]
    chinese = memory.nearest(asked, "en", "zh-CN")
    german = memory.nearest(asked, "en", "de")
    assert chinese[0] is not None and chinese[0].translation == "美妆 > 彩妆 > 口红"
    assert german[0] is not None and "ippenstift" in german[0].translation
    assert chinese[1] is not None and chinese[1].translation == "精华液 75 ml"
    assert 0 < chinese[1].similarity < 1
    assert chinese[2] is None
    assert memory.nearest(asked, "en", "ko") == [None, None, None]


def test_the_memory_is_kept_in_a_folder(memory: TranslationMemory, tmp_path: Path) -> None:
    memory.save(tmp_path)
    before = (tmp_path / "memory.parquet").read_bytes()
    again = TranslationMemory.load(tmp_path)
    assert again.exact("Other", "zh-CN", "en") == memory.exact("Other", "zh-CN", "en")
    assert again.languages == ("en", "zh-CN", "de")
    again.save(tmp_path)
    assert (tmp_path / "memory.parquet").read_bytes() == before
    with pytest.raises(ValueError, match="no such file; run finetune again"):
        TranslationMemory.load(tmp_path / "nowhere")


def test_words_parts_and_whole_texts_are_looked_up_the_longest_first(
    memory: TranslationMemory,
) -> None:
    to_chinese = Dictionaries(memory).of("en", "zh-CN")
    # words that occur together, with capitals or not
    assert to_chinese.translate("satin foundation").text == "缎光粉底"
    # a part of a path, and a text as a whole
    assert to_chinese.translate("Makeup > Matte foundation").text == "彩妆 > 哑光粉底"
    assert to_chinese.translate("Matte <0> lipstick").text == "哑光<0>口红"
    unknown = to_chinese.translate("Matte zirconium")
    assert unknown.text == "哑光zirconium" and unknown.known == 0.5
    # where what it left as it was stands
    assert [unknown.text[start:end] for start, end in unknown.unknown] == ["zirconium"]
    spaced = Dictionaries(memory).of("zh-CN", "en").translate("粉底Ω <0>好")
    assert [spaced.text[start:end] for start, end in spaced.unknown] == ["Ω", "好"]
    assert to_chinese.translate("<0>").known == 1
    assert Dictionaries(memory).of("zh-CN", "en").translate("缎光粉底").text == "satin foundation"
    assert Dictionaries(memory).of("en", "ja").translate("Matte").text == "Matte"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("L'Oréal mat, 2-en-1", ["L'Oréal", "mat", ",", "2", "-", "en", "-", "1"]),
        ("任天堂DS用ケース", ["任", "天", "堂", "DS", "用", "ケ", "ー", "ス"]),
        ("립스틱 <0> 매트", ["립스틱", "<0>", "매트"]),
        ("", []),
    ],
)
def test_tokens(text: str, words: Sequence[str]) -> None:
    assert tokens(text) == words


def _sentences(seed: int, count: int) -> tuple[list[str], list[str]]:
    """Return translations and references with every kind of shared and missing n-gram."""
    draw = random.Random(seed)
    alphabet = "abcde 口红哑光é"
    written, wanted = [], []
    for _ in range(count):
        reference = "".join(draw.choices(alphabet, k=draw.randint(1, 30))).strip() or "a"
        translation = "".join(c for c in reference if draw.random() > 0.2)
        written.append(draw.choice([reference, translation, translation[::-1], ""]))
        wanted.append(reference)
    return written, wanted


@pytest.mark.parametrize("seed", range(5))
def test_chrf_is_that_of_sacrebleu(seed: int) -> None:
    written, wanted = _sentences(seed, 60)
    theirs = CHRF()
    counts = scoring.chrf_counts(written, wanted)
    ours = bootstrap.point_estimate(scoring.corpus_chrf, counts)
    assert ours == pytest.approx(theirs.corpus_score(written, [wanted]).score, abs=1e-9)
    for sentence, reference, score in zip(
        written, wanted, scoring.sentence_chrf(counts), strict=True
    ):
        assert score == pytest.approx(theirs.sentence_score(sentence, [reference]).score, abs=1e-9)
    signature = str(theirs.get_signature())
    assert signature.startswith(scoring.CHRF_SIGNATURE)


def test_the_mean_of_directions_leaves_out_those_without_a_sentence() -> None:
    first, second = _sentences(8, 6), _sentences(9, 6)
    counts = [scoring.chrf_counts(*first), scoring.chrf_counts(*second)]
    counts[1][3:] = 0
    rows = np.concatenate(counts, 1)
    mean = scoring.mean_chrf(2)
    alone = [bootstrap.point_estimate(scoring.corpus_chrf, rows) for rows in counts]
    assert bootstrap.point_estimate(mean, rows) == pytest.approx(np.mean(alone))
    only_first = np.array([[0, 0, 0, 1, 1, 1.0]])
    of_first = scoring.corpus_chrf(counts[0], only_first)
    assert mean(rows, only_first) == pytest.approx(of_first)
