"""What a shop gets for its texts: from where, how sure, what to look at, and what is kept."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from word_by_word import UNITS, WORDS, WordByWord

from beauty_models.translate.detection import Detector
from beauty_models.translate.directions import Choice, Directions, _threshold, decide
from beauty_models.translate.glossary import Glossary, term
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.methods import (
    COPY,
    DICTIONARY,
    LIKELIEST,
    MEMORY,
    METHODS,
    MODEL,
    Methods,
    without_stutter,
)
from beauty_models.translate.model import Translation
from beauty_models.translate.pipeline import FOUND, Answer, Pipeline, Query
from beauty_models.translate.protected import Value
from beauty_models.translate.quality import (
    FEATURES,
    Estimator,
    Evidence,
    Forecast,
    Quality,
    cross_fitted,
    fit,
    fit_forecast,
)
from beauty_models.translate.sampling import languages_of, pairs, sample
from beauty_models.translate.spacing import parted


def validated(units: pd.DataFrame) -> Directions:
    """Return what is decided on ``units`` by a translator of a dozen words."""
    translator: Any = WordByWord()
    languages = [name for name in languages_of(units) if name in translator.languages]
    methods = Methods.of(translator, TranslationMemory(UNITS))
    return decide(methods, sample(units, languages, 0, 7))


def measured(method: str) -> Choice:
    return Choice(method, {name: 50.0 + (name == method) for name in METHODS}, 9)


def pipeline(serving: dict[tuple[str, str], str] | None = None) -> Pipeline:
    translator: Any = WordByWord()
    choices = {("en", "de"): measured(MODEL), ("de", "en"): measured(MODEL)}
    choices |= {direction: measured(method) for direction, method in (serving or {}).items()}
    thresholds = dict.fromkeys(METHODS, 0.8)
    return Pipeline(
        Methods.of(translator, TranslationMemory(UNITS)), Directions(choices, thresholds)
    )


def ask(text: str, target: str = "de", source: str = "en", **options: Any) -> Answer:
    [answer] = pipeline(options.pop("serving", None)).translate(
        [Query(text, target, source)], **options
    )
    assert not answer.error, answer.error
    return answer


def test_what_the_memory_has_is_not_asked_of_the_model() -> None:
    known = ask("Matte lipstick")
    assert known == Answer("Matter Lippenstift", "en", "de", FOUND, 1.0, ())
    with_numbers = ask("SERUM 50 ml")
    assert with_numbers.translation == "Serum, 50 ml" and with_numbers.method == FOUND
    ambiguous = ask("Other")
    assert ambiguous.translation == "Andere" and "other translations" in ambiguous.look[0]


def test_the_rest_is_the_models_with_what_must_be_kept() -> None:
    answer = ask("Matte foundation with {size} 30 ml")
    assert answer.method == MODEL
    assert answer.translation == "mattes Grundierung mit {size} 30 ml"
    assert answer.confidence == 1 and answer.look == ()
    unsure = ask("Matte lippy thing")
    assert unsure.look == ("confidence 0.33",)


@pytest.mark.parametrize(
    ("source", "written", "expected"),
    [
        ("<0> lipstick <1>", "Lippen<0>stift<1>", "Lippen <0> stift <1>"),
        ("<0> <1>", "<1><0>", "<1> <0>"),
        ("pre<0> and <1>er", "vor<0>und<1>er", "vor<0> und <1>er"),
        ("<0> lipstick <1>", "口红<0>套装<1>", "口红<0>套装<1>"),
        ("<2>bold<3> <0>", "<2>fett<3><0>", "<2>fett<3><0>"),
        ("<0>, <1>", "<0>/<1>", "<0>/<1>"),
        ("none", "keine", "keine"),
    ],
)
def test_values_do_not_run_into_words(source: str, written: str, expected: str) -> None:
    texts = [("Ruby", "term"), ("30 ml", "measure"), ("<b>", "tag"), ("</b>", "tag")]
    values = [Value(text, kind) for text, kind in texts]
    assert parted(source, written, values) == expected


def test_an_address_swallows_no_word_of_its_neighbour() -> None:
    address = [Value("www.veloria.com", "address")]
    assert parted("<0> lipstick", "<0>口红", address) == "<0> 口红"
    assert parted("lipstick: <0>", "口红：<0>", address) == "口红：<0>"


@pytest.mark.parametrize(
    ("text", "look"),
    [
        ("Not a matte foundation", "'Not' is not denied in it"),
        (
            "{n, plural, one {# lipstick} other {# lipsticks}}",
            "the words within braces stay as they are",
        ),
        ("Der rote Lippenstift ist matt", "said to be en: it reads like de"),
    ],
)
def test_what_reads_well_and_may_be_wrong_is_called_to_attention(text: str, look: str) -> None:
    looks = ask(text).look
    assert any(look in said for said in looks), looks


def test_a_network_that_stutters_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORDS["en", "de"], "satin", "seidig seidig seidig")
    assert ask("Satin foundation").translation == "seidig Grundierung"
    assert without_stutter("very very red", "sehr sehr rot") == "sehr sehr rot"
    assert without_stutter("for you", "quand vous vous maquillez") == "quand vous vous maquillez"
    assert without_stutter("Ylang-Ylang-Öl", "ylang ylang oil") == "ylang ylang oil"
    assert without_stutter("ボンボン 帽子", "Bonbon bonbon hat") == "Bonbon bonbon hat"
    assert without_stutter("<0> <1>", "<0> <0> <1>") == "<0> <0> <1>"


def test_a_memory_that_tears_a_range_apart_is_not_taken() -> None:
    memory = TranslationMemory(
        pd.DataFrame({"en": ["Set 3, 12 g"], "de": ["12 g, und davon ein Set aus 3"]})
    )
    translator: Any = WordByWord()
    served = Pipeline(
        Methods.of(translator, memory), Directions({("en", "de"): measured(MEMORY)}, {})
    )
    [answer] = served.translate([Query("Set 5-10 g", "de", "en")])
    assert "5-10 g" in answer.translation and answer.method != MEMORY
    assert not any("torn" in said for said in answer.look)


def test_equal_queries_are_translated_once() -> None:
    lines = pipeline()
    answers = lines.translate([Query("Satin foundation", "de", "en")] * 3)
    assert len({answer.translation for answer in answers}) == 1 and len(answers) == 3
    translator: Any = lines.translator
    assert len(translator.asked) == 1


def test_the_glossary_goes_before_memory_and_model() -> None:
    terms = Glossary((term("lipstick", {"de": "Lippenfarbe"}), term("Ruby & Co")))
    answer = ask("Matte lipstick", more_terms=terms)
    assert answer.translation == "mattes Lippenfarbe" and answer.method == MODEL
    assert ask("Ruby & Co serum", more_terms=terms).translation == "Ruby & Co Serum"


def test_a_long_text_goes_in_pieces_and_keeps_its_lines() -> None:
    text = "Matte lipstick\n\n  Satin foundation with serum. Matte foundation with serum.\n"
    answer = ask(text)
    assert answer.translation == (
        "Matter Lippenstift\n\n  seidiges Grundierung mit serum. mattes Grundierung mit serum.\n"
    )
    # the weakest piece: "serum." with its point is no word of this translator
    assert answer.confidence == pytest.approx(0.75)
    lines = pipeline()
    lines.translate([Query(text, "de", "en")])
    translator: Any = lines.translator
    assert [request.text for request in translator.asked] == [
        "Satin foundation with serum.",
        "Matte foundation with serum.",
    ]


def test_a_line_of_100_kb_with_tags_and_many_numbers_is_translated() -> None:
    text = "Matte serum with 30 ml <b>serum</b> " * 2900
    answer = ask(text)
    assert len(text) > 100_000
    assert answer.translation.count("<b>") == 2900 and answer.translation.count("30 ml") == 2900
    assert not any("lost" in reason for reason in answer.look)


def test_another_method_serves_a_direction_where_it_is_better_and_says_so() -> None:
    serving = {("en", "zh-CN"): MEMORY, ("zh-CN", "en"): COPY}
    answer = ask("Mattes lipstick", target="zh-CN", serving=serving)
    assert answer.translation == "哑光口红" and answer.method == MEMORY
    assert 0 < answer.confidence < 1
    lines = pipeline(serving)
    assert "en to zh-CN is served by its nearest known text" in lines.told("en", "zh-CN")
    assert "9 validation texts" in lines.told("zh-CN", "en")
    assert lines.told("en", "de") == ""


def test_what_nobody_has_measured_is_flagged() -> None:
    answer = ask("红色粉底", target="de", source="zh-CN")
    assert "nobody has measured zh-CN to de" in answer.look


def test_where_the_nearest_text_has_other_numbers_the_model_answers() -> None:
    serving = {("en", "de"): MEMORY}
    answer = ask("Satin lipstick with {size}", serving=serving)
    assert answer.translation == "seidiges Lippenrot mit {size}" and answer.method == MODEL
    assert not any("lost" in reason for reason in answer.look)
    # nothing is lost here
    assert ask("Satins lipstick", serving=serving).method == MEMORY


def test_what_the_model_writes_in_broken_characters_the_dictionary_answers() -> None:
    lines = pipeline()
    lines.methods.translator._one = lambda request: Translation("Sa\ufffdtin", 0.0)  # type: ignore[attr-defined]
    [answer] = lines.translate([Query("Satin foundation", "de", "en")])
    assert answer.method == DICTIONARY and "\ufffd" not in answer.translation


@pytest.mark.parametrize(
    ("text", "source", "target", "error"),
    [
        ("", "en", "de", "no text"),
        ("\u200b \ufeff", "en", "de", "no text"),
        ("Matte", "en", "xx", "'xx': not a language of this model, which knows en, de, zh-CN"),
        ("Matte", "klingon", "de", "'klingon': not a language"),
        ("Matte", "en", "zh", "'zh': not a language of this model; zh-CN?"),
        ("Matt\ufffd", "en", "de", "characters that are lost"),
        ("أحمر شفاه", "", "de", "in none of the model's languages"),
    ],
)
def test_what_cannot_be_translated_says_why(
    text: str, source: str, target: str, error: str
) -> None:
    good = Query("Matte lipstick", "de", "en")
    bad, known = pipeline().translate([Query(text, target, source), good])
    assert error in bad.error and bad.translation == ""
    assert known.translation == "Matter Lippenstift"


def test_names_of_languages_and_texts_that_are_in_the_target_already() -> None:
    assert ask("Matte lipstick", target="de-AT", source="EN").target == "de"
    same = ask("Matte lipstick", target="en")
    assert same.translation == "Matte lipstick" and same.method == COPY


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Satin lipsticks", "en"),
        ("Lippenstift matt", "de"),
        ("红色口红", "zh-CN"),
        ("12 ml", "und"),
    ],
)
def test_the_language_is_told_from_the_text(text: str, language: str) -> None:
    [answer] = pipeline().translate([Query(text, "de" if language != "de" else "en")])
    assert answer.source == language


def test_numbers_alone_need_no_model_and_their_units_are_those_of_the_reader() -> None:
    answer = ask("30毫升 {size}", target="en", source="")
    assert answer.translation == "30 ml {size}" and answer.method == COPY and answer.look == ()


def test_a_text_in_another_script_than_is_said_is_flagged() -> None:
    assert any("said to be zh-CN" in reason for reason in ask("губная помада", "de", "zh-CN").look)


def test_nobody_knows_a_language_without_a_text() -> None:
    detector = Detector(TranslationMemory(UNITS), ["en", "de"])
    assert detector.guess("שפתון").language == ""
    assert 0 < detector.guess("xyz").probability <= 1


def test_the_best_on_validation_serves_and_is_kept(tmp_path: Path) -> None:
    validation = pd.DataFrame(
        {
            "id": ["a", "b"],
            "kind": "",
            "en": ["Matte foundation", "Satin foundation"],
            "de": ["mattes Grundierung", "seidiges Grundierung"],
            "zh-CN": ["哑光口红", "缎光口红"],
            "ko": ["매트", "새틴"],
        }
    )
    decided = validated(validation)
    assert decided.method("en", "de") == MODEL
    # the model copies there, and a copy is no better: the model keeps what it is equal in
    assert decided.method("de", "zh-CN") == MEMORY
    assert ("en", "ko") not in decided.choices, "no language of this model"
    assert decided.choices["en", "de"].chrf[MODEL] == 100
    decided.save(tmp_path)
    assert Directions.load(tmp_path) == decided


def test_of_each_text_the_best_guess_is_taken() -> None:
    queries = [Query("Matte lipsticks", "de", "en"), Query("serum with foundation", "de", "en")]
    even = Estimator((0.0,) * FEATURES, 0.0)
    sure = Estimator((0.0,) * FEATURES, 3.0)
    # of the memory by how near its text is, of the model 50, of the dictionary 0
    columns = Evidence.of([], {MODEL: [], MEMORY: [], DICTIONARY: []}).together().shape[1]
    nothing = (0.0,) * columns
    near = tuple(100.0 * (place == 2) for place in range(columns))
    quality = Quality(
        {MODEL: even, MEMORY: sure, DICTIONARY: even},
        {
            MODEL: Forecast(nothing, 50.0),
            MEMORY: Forecast(near, -25.0),  # better than 50 from a similarity of 0.75 on
            DICTIONARY: Forecast(nothing, 0.0),
        },
    )
    taught = pipeline({("en", "de"): LIKELIEST})
    taught.directions = replace(taught.directions, quality=quality)
    known, new = taught.translate(queries)
    assert (known.translation, known.method) == ("Matter Lippenstift", MEMORY)
    assert (new.translation, new.method) == ("Serum mit Grundierung", MODEL)
    assert known.confidence > 0.9 and new.confidence == pytest.approx(0.5)
    assert taught.told("en", "de") == ""
    translator: Any = taught.translator
    assert len(translator.asked) == 2


def test_a_forecast_is_what_people_would_score() -> None:
    random = np.random.default_rng(3)
    known = random.random((400, 5))
    known[:, 3] = 7.0  # the same everywhere
    scores = 20 + 60 * known[:, 1] + random.normal(0, 1, 400)
    forecast = fit_forecast(known[:300], scores[:300])
    assert np.abs(forecast.chrf(known[300:]) - scores[300:]).mean() < 2
    # of one text alone nothing is learned but what it had
    assert fit_forecast(known[:1], scores[:1]).chrf(known[:2]) == pytest.approx(scores[0])


def test_a_text_is_judged_by_what_other_units_taught() -> None:
    random = np.random.default_rng(4)
    count = 200
    confidence = {name: random.random(count) for name in METHODS}
    alike = {frozenset(pair): random.random(count) for pair in itertools.combinations(METHODS, 2)}
    evidence = Evidence(confidence, alike, np.ones(count))
    # pure noise: seen texts could be told, unseen ones cannot
    scores = {name: random.random(count) * 100 for name in METHODS}
    unit = np.arange(count) // 2
    chosen, likely = cross_fitted(evidence, scores, unit)
    gained = np.stack([scores[name] for name in (MODEL, MEMORY, DICTIONARY)])
    assert abs(gained[chosen, np.arange(count)].mean() - 50) < 8
    right = scores[MODEL] >= 50
    assert abs(likely[MODEL][right].mean() - likely[MODEL][~right].mean()) < 0.1
    # a single unit has no others
    alone, _ = cross_fitted(evidence, scores, np.zeros(count, np.int64))
    assert not alone.any()


def test_the_likeliest_serves_where_each_alone_is_worse() -> None:
    # the memory knows the one kind of texts, the model the other
    rows = []
    for number in range(8):
        rows.append(("Matte lipsticks", "Matter Lippenstift"))
        rows.append(
            (f"satin foundation with serum {number}", f"seidiges Grundierung mit Serum {number}")
        )
    validation = pd.DataFrame(rows, columns=["en", "de"]).assign(kind="")
    validation["id"] = validation.index.astype(str)
    decided = validated(validation)
    choice = decided.choices["en", "de"]
    assert choice.method == LIKELIEST
    assert choice.chrf[LIKELIEST] > max(choice.chrf[MODEL], choice.chrf[MEMORY])


def test_all_directions_test_the_same_units() -> None:
    units = pd.concat([UNITS] * 20, ignore_index=True)
    chosen = pairs(units, "en", "de", 30, 3).index
    assert list(chosen) == list(pairs(units, "de", "en", 30, 3).index)
    assert len(pairs(units, "en", "zh-CN", 0, 3)) == 100
    assert not pairs(units, "en", "zh-CN", 0, 3).isna().any().any()


def test_the_flag_finds_what_it_can_and_is_right_most_of_the_time() -> None:
    def threshold(confidence: list[float], scores: list[float]) -> float:
        return _threshold(np.array(confidence), np.array(scores))

    assert threshold([0.9, 0.2, 0.3, 0.8], [90, 10, 20, 80]) == pytest.approx(0.55)
    assert threshold([0.9, 0.2], [90, 80]) == 0, "nothing is wrong"
    assert threshold([1.0, 0.2], [10, 10]) > 1, "all is wrong, what it is sure of, too"
    # equal confidences are flagged together or not at all
    assert threshold([0.5] * 4 + [0.9], [10, 10, 10, 90, 90]) == pytest.approx(0.7)
    assert threshold([0.5] * 3 + [0.9], [10, 10, 90, 90]) == 0, "wrong one time of three"
    # two more right flags are worth one more wrong one
    assert threshold([0.1, 0.2, 0.3, 0.4, 0.9], [10, 90, 10, 10, 90]) == pytest.approx(0.65)


def test_confidence_is_how_often_people_would_agree() -> None:
    random = np.random.default_rng(2)
    known = random.random((2000, FEATURES))
    # right where the memory says the same, whatever the network thinks of itself
    right = random.random(2000) < known[:, 4]
    estimator = fit(known, right)
    likely = estimator.probability(known)
    for low, high in ((0.0, 0.4), (0.4, 0.6), (0.6, 1.0)):
        inside = (likely >= low) & (likely < high)
        assert right[inside].mean() == pytest.approx(likely[inside].mean(), abs=0.06)
    # nothing is sure where nothing was ever wrong
    assert 0.5 < fit(known[:20], np.ones(20, bool)).probability(known[:1])[0] < 0.97


def test_an_answer_has_the_confidence_that_validation_taught() -> None:
    sure_of_short = Estimator((0.0, 0.0, 0.0, 0.0, 0.0, -10.0), 30.0)
    taught = pipeline()
    taught.directions = replace(taught.directions, quality=Quality({MODEL: sure_of_short}))
    [short, long] = taught.translate(
        [
            Query("matte serum", "de", "en"),
            Query("matte foundation with serum and satin", "de", "en"),
        ]
    )
    assert short.confidence > 0.9 and not short.look
    assert long.confidence < 0.5 and "confidence" in long.look[0]
