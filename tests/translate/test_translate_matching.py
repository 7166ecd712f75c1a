"""translate's matching: twins of listings, by embeddings and by words; its own CLI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from word_by_word import UNITS, WordByWord

from beauty_models import params
from beauty_models.device import precision
from beauty_models.translate import Matching, twins
from beauty_models.translate.matching import Listings, Matcher, learn_matcher, recall
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.methods import Methods
from beauty_models.translate.pipeline import Pipeline
from beauty_models.translate.predict import predict
from beauty_models.translate.sentences import drawn_twins, info_nce, learn_projection

ROOT = Path(__file__).parents[2]


def section(**changes: Any) -> Matching:
    block = params.load("translate", ROOT / "params.yaml").finetune.matching
    return block.model_copy(update=changes)


def methods(units: pd.DataFrame = UNITS) -> Methods:
    translator: Any = WordByWord()
    return Methods.of(translator, TranslationMemory(units))


def vectors(*rows: list[float]) -> Listings:
    array = np.array(rows, np.float32)
    return Listings("en", [f"t{row}" for row in range(len(rows))], array)


class Embeddings(Matcher):
    """Compares by the vectors alone."""

    def __init__(self) -> None:
        super().__init__(None, methods(), 0.0)


def test_what_is_nearer_to_another_listing_is_no_twin() -> None:
    # the first is a hub: nearest to both queries, but the second query has no other near it
    gallery = vectors([1.0, 0.0], [0.8, 0.6])
    queries = vectors([1.0, 0.0], [0.95, 0.31])
    matcher = Embeddings()
    assert matcher.nearest(queries, gallery) == [0, 0]
    found = matcher.twins(queries, gallery)
    assert [twin.row for twin in found] == [0, 1]
    assert found[0].mutual and found[1].mutual
    assert found[0].similarity == pytest.approx(1.0)


def test_a_query_whose_twin_is_nearer_to_another_is_told() -> None:
    found = Embeddings().twins(vectors([1.0, 0.0], [0.6, 0.8]), vectors([1.0, 0.0]))
    assert [twin.row for twin in found] == [0, 0]
    assert [twin.mutual for twin in found] == [True, False]


def test_few_queries_at_a_time_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    queries = vectors(*random.normal(size=(20, 4)).tolist())
    gallery = vectors(*random.normal(size=(30, 4)).tolist())
    whole = Embeddings().twins(queries, gallery)
    monkeypatch.setattr("beauty_models.translate.matching.CELLS", 90)
    assert Embeddings().twins(queries, gallery) == whole


def test_a_projection_learns_what_the_encoder_does_not_tell() -> None:
    random = torch.Generator().manual_seed(5)
    meaning = torch.randn(400, 8, generator=random)
    # what both texts say, beneath a language's own noise, which is stronger
    ours = torch.cat([meaning, 3 * torch.randn(400, 8, generator=random)], 1)
    theirs = torch.cat([meaning, 3 * torch.randn(400, 8, generator=random)], 1)
    ours, theirs = (torch.nn.functional.normalize(part, dim=1) for part in (ours, theirs))
    numbers = torch.arange(800).reshape(400, 2)
    choices = section(epochs=60, batch=100, learning_rate=0.02)
    projection = learn_projection(ours[:300], theirs[:300], numbers[:300], choices, 7)
    before = (ours[300:] @ theirs[300:].T).argmax(1)
    projected = [
        torch.nn.functional.normalize(projection(part[300:]), dim=1) for part in (ours, theirs)
    ]
    after = (projected[0] @ projected[1].T).argmax(1)
    truth = torch.arange(100)
    assert (before == truth).float().mean() < 0.5 < (after == truth).float().mean()
    again = learn_projection(ours[:300], theirs[:300], numbers[:300], choices, 7)
    assert torch.equal(again.weight, projection.weight)


def test_pairs_that_share_a_text_are_no_negatives() -> None:
    unit = torch.nn.functional.normalize(torch.ones(2, 3), dim=1)
    alike = ~torch.eye(2, dtype=torch.bool)
    # both pairs are equal: nothing is left to learn
    assert info_nce(unit, unit, alike, 0.05).item() == pytest.approx(0.0, abs=1e-6)
    assert info_nce(unit, unit, ~alike & alike, 0.05).item() == pytest.approx(np.log(2), rel=1e-5)


def test_twins_are_of_two_languages_and_no_more_than_asked() -> None:
    drawn = drawn_twins(UNITS, ["en", "de", "zh-CN"], 4, 7)
    assert len(drawn) == 4 and drawn == drawn_twins(UNITS, ["en", "de", "zh-CN"], 4, 7)
    for first, second in drawn:
        says_both = UNITS.isin([first]).any(axis=1) & UNITS.isin([second]).any(axis=1)
        assert says_both.any() and first != second


@pytest.fixture(scope="module")
def learned() -> Matcher:
    """Return a matcher with a real multilingual encoder."""
    # as training runs it where bfloat16 is fast; what is small stays in float32
    with precision("bfloat16"):
        return learn_matcher(methods(), UNITS, section(units=6, epochs=2, batch=4), 7)


def test_an_encoder_knows_twins_whose_words_the_shop_never_used(learned: Matcher) -> None:
    units = pd.DataFrame(
        {
            "en": ["hair dryer", "sunscreen", "nail polish", "leather handbag", "running shoes"],
            "de": ["Haartrockner", "Sonnencreme", "Nagellack", "Ledertasche", "Laufschuhe"],
        }
    )
    said = {name: learned.read(units[name].tolist(), name) for name in ("en", "de")}
    found = recall(learned, units, said["en"], said["de"])
    assert found is not None and found.queries == 5 and found.recall >= 0.8
    assert np.allclose(np.linalg.norm(said["en"].vectors, axis=1), 1, atol=1e-4)


def test_a_saved_matcher_answers_the_same_and_names_its_licence(
    learned: Matcher, tmp_path: Path
) -> None:
    learned.save(tmp_path)
    again = Matcher.load(tmp_path, learned.methods)
    texts = ["Satin lipstick", "嘴唇", ""]
    assert np.allclose(again.read(texts, "en").vectors, learned.read(texts, "en").vectors)
    assert again.weight == learned.weight
    assert '"license": "MIT"' in (tmp_path / "matching.json").read_text()
    from transformers import AutoModel

    assert AutoModel.from_pretrained(tmp_path / "matching").config.hidden_size == 384


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder of a model that matches by words."""
    known = methods()
    languages: Any = {}
    monkeypatch.setattr(Pipeline, "load", lambda _: Pipeline(known, languages))
    Matcher(None, known).save(tmp_path)
    return tmp_path


def table(file: Path, lines: str) -> Path:
    file.write_text(lines, encoding="utf-8")
    return file


def test_listings_of_two_files_are_matched(served: Path) -> None:
    ours = table(served / "ours.csv", 'title\nMatter Lippenstift\n""\nSerum, 30 ml\nPuder\n')
    theirs = table(
        served / "theirs.csv", "sku,title\n1,Serum 50 ml\n2,Serum 30 ml\n3,Matte lipstick\n"
    )
    asked = ["--listings", str(ours), "--twins", str(theirs), "--from", "de", "--to", "en"]
    first, empty, serum, unknown = predict(model=served, arguments=asked)
    assert (first["twin_sku"], first["twin_title"], first["look"]) == ("3", "Matte lipstick", None)
    assert serum["twin_sku"] == "2" and serum["twin_row"] == 2, "30 ml, not 50 ml"
    assert empty["twin_row"] is None and empty["look"] == "no text"
    # nothing there is a powder
    assert unknown["look"] == twins.NOT_MUTUAL and unknown["similarity"] < 0.5


def test_what_cannot_be_matched_is_told(served: Path) -> None:
    ours = table(served / "ours.csv", "title\nSerum\n")
    asked = ["--listings", str(ours), "--to", "en"]
    with pytest.raises(ValueError, match="--twins FILE"):
        predict(model=served, arguments=asked)
    asked += ["--twins", str(ours), "--from", "de"]
    with pytest.raises(ValueError, match="no column 'name'; there are 'title'"):
        predict(model=served, arguments=[*asked, "--column", "name"])
    with pytest.raises(ValueError, match="no text in the column"):
        empty = table(served / "empty.csv", "title,b\n,x\n")
        predict(model=served, arguments=[*asked, "--listings", str(empty)])
