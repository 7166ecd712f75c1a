"""translate's network: tokens, decoding that keeps every sentinel, saving, embeddings, losses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from beauty_models.params import Scratch
from beauty_models.translate import bases
from beauty_models.translate.drafts import Drafts
from beauty_models.translate.examples import ParallelTexts, wanted
from beauty_models.translate.glossary import Glossary, Term, term
from beauty_models.translate.infilling import infill
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.model import Request, Translator
from beauty_models.translate.patterns import SENTINEL
from beauty_models.translate.protected import SENTINELS
from beauty_models.translate.sequence_loss import sequence_loss
from beauty_models.translate.tokenizer import language_tag, learn_tokenizer

TEXTS = [
    "Matte lipstick",
    "Shiny lip gloss <0>",
    "マットリップスティック",
    "哑光口红 > 唇彩",
    "Crème légère für trockene Haut",
    "립스틱 <1> 매트",
]
LANGUAGES = ["en", "ja", "zh-CN"]


def untrained() -> Translator:
    torch.manual_seed(0)
    shape = Scratch(layers=2, hidden=32, heads=2, vocabulary=500)
    return bases.scratch(TEXTS * 5, LANGUAGES, shape)


@pytest.fixture(scope="module")
def translator() -> Translator:
    return untrained()


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS,
        "<31>ml <2>, a  b。",
        "naïve 🎉 Ω مرحبا",
        "> <0> <",
        "</s> <mask> __ja__ <s>",
        "▁",
        "",
    ],
)
def test_any_text_comes_back_from_its_tokens(translator: Translator, text: str) -> None:
    ids = translator.encode([text])[0]
    special = set(translator.tokenizer.all_special_ids)
    assert not special & set(ids)
    written = translator.tokenizer.decode(ids, skip_special_tokens=True)
    # the marker of blanks is the one character that is written otherwise
    assert written == text.replace("▁", " ").lstrip() or written == text


def test_sentinels_and_tags_are_single_tokens(translator: Translator) -> None:
    assert [len(ids) for ids in translator.encode(SENTINELS)] == [1] * len(SENTINELS)
    assert len({translator.tag(language) for language in LANGUAGES}) == len(LANGUAGES)


def test_a_word_is_the_same_token_at_the_beginning_and_within() -> None:
    tokenizer = learn_tokenizer(["lipstick and lipstick"] * 9, ["en"], 400)
    first, _, last = tokenizer("lipstick and lipstick", add_special_tokens=False)["input_ids"]
    assert first == last


@pytest.mark.parametrize("beams", [1, 3])
def test_every_sentinel_is_written_once_and_no_other(translator: Translator, beams: int) -> None:
    requests = [
        Request("Matte <0> and <3> gloss", "en", "ja"),
        Request("<31>", "ja", "en"),
        Request(" ".join(SENTINELS), "en", "zh-CN"),
        Request("Matte lipstick", "en", "ja"),
        Request("", "en", "ja"),
        Request("a <7>", "en", "ja", draft="b <7> <7> <9>"),
    ]
    for request, translation in zip(
        requests, translator.translate(requests, beams=beams), strict=True
    ):
        written = sorted(match[0] for match in SENTINEL.finditer(translation.text))
        assert written == sorted(match[0] for match in SENTINEL.finditer(request.text))
        assert 0 <= translation.confidence <= 1


def test_a_sentinel_cannot_be_spelled(translator: Translator) -> None:
    banned = set(translator.vocabulary.banned.tolist())
    spelled = {i for token, i in translator.tokenizer.get_vocab().items() if "<" in token}
    assert spelled - banned == {translator.vocabulary.end}


def test_a_batch_translates_as_one_by_one(translator: Translator) -> None:
    requests = [
        Request("Matte lipstick <0> for dry lips <1>", "en", "ja"),
        Request("哑光", "zh-CN", "en"),
        Request("Shiny", "en", "zh-CN"),
    ]
    together = translator.translate(requests)
    for request, translation in zip(requests, together, strict=True):
        alone = translator.translate([request])[0]
        assert alone.text == translation.text
        assert alone.confidence == pytest.approx(translation.confidence, rel=1e-3)


def test_greedy_decoding_is_that_of_transformers(translator: Translator) -> None:
    ids = translator.source(translator.encode(["Matte lip gloss"])[0], "en")[None]
    start = torch.tensor([[translator.vocabulary.end, translator.tag("ja")]])
    generated = translator.network.generate(
        input_ids=ids,
        decoder_input_ids=start,
        max_new_tokens=20,
        num_beams=1,
        do_sample=False,
        suppress_tokens=translator.vocabulary.banned.tolist(),
    )
    expected = translator.tokenizer.decode(generated[0, 2:], skip_special_tokens=True)
    written = translator.translate([Request("Matte lip gloss", "en", "ja")])[0].text
    assert written[:20] == expected.strip()[:20]
    assert len(written) > 10


def test_more_beams_find_a_likelier_text(translator: Translator) -> None:
    request = Request("Matte <0>", "en", "ja")
    greedy = translator.translate([request], beams=1)[0]
    wide = translator.translate([request], beams=6)[0]
    assert wide.confidence >= greedy.confidence or "\ufffd" in wide.text


def test_languages_that_were_not_learned_are_named(translator: Translator) -> None:
    with pytest.raises(ValueError, match="not learned the language 'pt'; it knows en, ja, zh-CN"):
        translator.translate([Request("a", "en", "pt")])


def test_a_text_that_is_too_long_is_refused_by_its_length(translator: Translator) -> None:
    with pytest.raises(ValueError, match="translate it in pieces"):
        translator.translate([Request("x1" * 2000, "en", "ja")])


OPENED = """
import json, sys
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
folder = sys.argv[1]
model = AutoModelForSeq2SeqLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
inputs = tokenizer("__en__ Matte lip <0>", return_tensors="pt")
written = model.generate(
    input_ids=inputs["input_ids"],
    forced_bos_token_id=tokenizer.convert_tokens_to_ids("__ja__"),
    max_new_tokens=5,
)
assert not any(name.startswith("beauty_models") for name in sys.modules)
print(json.dumps([inputs["input_ids"][0].tolist(), written[0, 1].item()]))
"""


def test_a_saved_folder_opens_without_our_code(translator: Translator, tmp_path: Path) -> None:
    translator.save(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", OPENED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    ids, tag = json.loads(done.stdout.splitlines()[-1])
    assert ids == translator.source(translator.encode(["Matte lip <0>"])[0], "en").tolist()
    assert tag == translator.tag("ja")
    loaded = Translator.load(tmp_path)
    request = [Request("Matte <0>", "en", "ja")]
    assert loaded.translate(request) == translator.translate(request)


def test_a_folder_learns_another_language(translator: Translator, tmp_path: Path) -> None:
    translator.save(tmp_path)
    again = bases.load(str(tmp_path), [*LANGUAGES, "fr"])
    rows = again.network.get_input_embeddings().weight.shape[0]
    assert again.tag("fr") == len(translator.tokenizer) == rows - 1
    assert again.card == translator.card
    assert again.translate([Request("Matte <4>", "en", "fr")])[0].text.count("<4>") == 1


def test_infilling_hides_a_share_and_never_a_sentinel() -> None:
    random = np.random.default_rng(1)
    kept = frozenset([7])
    visible = hidden = 0
    for _ in range(300):
        noisy = infill([7, *range(10, 29)], 0.35, 3.0, 4, kept, random)
        assert noisy.count(7) == 1
        visible += sum(token >= 10 for token in noisy)
        hidden += 19 - sum(token >= 10 for token in noisy)
        # a span is one mask
        assert all(pair != (4, 4) for pair in zip(noisy, noisy[1:], strict=False))
    assert 0.22 < hidden / (visible + hidden) < 0.37


def test_a_target_gets_the_numbers_of_its_source(translator: Translator) -> None:
    frame = pd.DataFrame(
        {
            "id": ["a", "b"],
            "kind": ["", ""],
            "en": ["30 ml serum for 5 EUR", "A 2-piece set"],
            "ja": ["5 EURの美容液30 ml", "セット"],
        }
    )
    texts = ParallelTexts(frame, translator, wanted([], ["en", "ja"]), 64)
    assert [unit for unit, _ in texts.units] == [0]
    assert texts.unequal == 2  # both directions of the set, whose numbers differ
    pair = texts.pair(0, ("en", "ja"))
    assert translator.tokenizer.decode(pair.source) == "<0> serum for <1>"
    assert translator.tokenizer.decode(pair.target) == "<1>の美容液<0>"


def test_brands_are_learned_as_what_is_kept(translator: Translator) -> None:
    frame = pd.DataFrame({"en": ["Ruby Lab lipstick 3 g"], "ja": ["Ruby Labのリップ 3 g"]})
    brands = Glossary((Term("Ruby Lab"), term("lipstick", {"ja": "口紅"}))).brands
    texts = ParallelTexts(frame, translator, wanted([], ["en", "ja"]), 64, brands)
    pair = texts.pair(0, ("en", "ja"))
    assert translator.tokenizer.decode(pair.source) == "<0> lipstick <1>"
    assert translator.tokenizer.decode(pair.target).replace(" ", "") == "<0>のリップ<1>"


def test_directions_are_chosen_by_stars() -> None:
    assert wanted(["* en"], LANGUAGES) == [("ja", "en"), ("zh-CN", "en")]
    assert len(wanted([], LANGUAGES)) == 6
    with pytest.raises(ValueError, match="'en pt' is none of the data"):
        wanted(["en pt"], LANGUAGES)


def test_drafts_are_by_units_that_are_not_their_own() -> None:
    units = [("Red bag", "Roter Beutel"), ("Blue cap", "Blaue Kappe")] * 4
    frame = pd.DataFrame(units, columns=["en", "de"])
    frame.insert(0, "id", [str(i) for i in range(8)])
    drafts = Drafts(TranslationMemory(frame), [0, 1] * 4)
    # the half without red bags knows nothing of them
    assert drafts.of(0, "Red bag", "en", "de") == "Red bag"
    assert drafts.of(0, "Blue cap", "en", "de") == "Blaue Kappe"


def test_padding_changes_no_loss(translator: Translator) -> None:
    short, long = [10, 11], [12, 13, 14, 15, 16]
    tag = translator.tag("ja")
    with torch.no_grad():
        alone = []
        for ids in (short, long):
            states, mask = translator.encoded([translator.source(ids, "en")])
            alone.append(sequence_loss(translator, states, mask, [ids], [tag]))
        rows = [translator.source(ids, "en") for ids in (short, long)]
        together, count = sequence_loss(
            translator, *translator.encoded(rows), [short, long], [tag, tag]
        )
    assert count == alone[0][1] + alone[1][1] == 9  # with an end each
    assert together.item() == pytest.approx(sum(loss.item() for loss, _ in alone), rel=1e-4)


def test_tags_are_spelled_as_m2m100_does() -> None:
    assert language_tag("zh-CN") == "__zh-CN__"


def test_a_strong_bias_writes_the_draft_as_it_is(translator: Translator, tmp_path: Path) -> None:
    translator.save(tmp_path)
    copying = Translator.load(tmp_path)
    copying.copy_bias = 50.0
    requests = [
        Request("Matte <0> gloss <1>", "en", "ja", draft="リップ <1> 哑光 <0> lip lip"),
        Request("Matte", "en", "ja", draft="Shiny"),
    ]
    for beams in (1, 2):
        written = [t.text for t in copying.translate(requests, beams=beams)]
        assert written == [request.draft for request in requests]
    # a sentinel that the draft lacks is written all the same
    lacking = copying.translate([Request("Matte <3>", "en", "ja", draft="哑光")])[0].text
    assert lacking.count("<3>") == 1
    # without a draft the network is on its own
    alone = [Request("Matte", "en", "ja")]
    assert copying.translate(alone) == translator.translate(alone)


def test_words_that_the_dictionary_left_are_not_leant_on(
    translator: Translator, tmp_path: Path
) -> None:
    translator.save(tmp_path)
    copying = Translator.load(tmp_path)
    copying.copy_bias = 50.0
    draft = "リップ Shiny 哑光"
    whole = Request("Matte Shiny", "en", "ja", draft)
    [written] = copying.translate([whole])
    assert written.text == draft
    [freed] = copying.translate([whole._replace(unknown=((4, 9),))])
    assert freed.text.startswith("リップ") and freed.text != draft
