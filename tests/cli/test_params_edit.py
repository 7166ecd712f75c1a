"""params.yaml is edited in place: own data gets own settings, what nobody named stays."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from beauty_models import params
from cli import edit

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "params.yaml").read_text(encoding="utf-8")
SPLIT = "split: {train: 0.6, validation: 0.15, test: 0.25}"


def commit(message: str) -> None:
    author = ["-c", "user.name=x", "-c", "user.email=x@y"]
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", *author, "commit", "-qm", message], check=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git clone of params.yaml and the profiles as the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "profiles", "profiles")
    Path("params.yaml").write_text(LINES, encoding="utf-8")
    subprocess.run(["git", "init", "-q"], check=True)
    commit("start")
    return tmp_path


def from_source(family: str, source: str, profile: str | None = None) -> list[str]:
    return edit.apply(edit.from_source([family], source, {}, profile))


def test_own_data_gets_own_settings_and_the_starter_gets_its_own_back(project: Path) -> None:
    told = from_source("tryon", "photos/")
    assert (
        "tryon.pretrain.size: 128 → 224" in told and "tryon.source: 'starter' → 'photos/'" in told
    )
    block = params.read()["tryon"]
    own = params.read(Path("profiles/own.yaml"))["tryon"]
    assert params.merge(block, own) == block
    assert from_source("tryon", "photos/") == [], "the same once more"
    commit("own data")
    edit.apply(edit.from_sets(["tryon.pretrain.size=160"]))
    commit("tuned")
    assert from_source("tryon", "more-photos/") == ["tryon.source: 'photos/' → 'more-photos/'"]
    assert params.read()["tryon"]["pretrain"]["size"] == 160, "tuned by hand, kept"
    assert "tryon.pretrain.size: 160 → 128" in from_source("tryon", "starter")
    assert params.read() == params.read(ROOT / "params.yaml")


def test_another_profile_takes_the_place_of_own(project: Path) -> None:
    from_source("tryon", "photos/", profile="full")
    block = params.read()["tryon"]
    assert block["pretrain"]["image"] == "facebook/dinov2-base"
    assert block["finetune"]["learning_rate"] == 5e-5, "own.yaml has another one"


def test_the_starter_without_history_says_so(project: Path) -> None:
    from_source("tryon", "photos/")
    shutil.rmtree(".git")
    with pytest.raises(ValueError, match="not in git's history"):
        from_source("tryon", "starter")


def test_an_alias_is_cut_where_it_is_set(project: Path) -> None:
    text = LINES.replace(SPLIT, SPLIT.replace("{", "&parts {"), 1)
    own = "split: {train: 0.7, validation: 0.1, test: 0.2}"
    Path("params.yaml").write_text(text.replace(own, "split: *parts", 1), encoding="utf-8")
    shares = {"train": 0.6, "validation": 0.15, "test": 0.25}
    assert params.read()["sentiment"]["ingest"]["split"] == shares
    sets = ["recommend.ingest.split.train=0.5", "recommend.ingest.split.test=0.35"]
    assert len(edit.apply(edit.from_sets(sets))) == 2
    assert params.read()["recommend"]["ingest"]["split"]["train"] == 0.5
    assert params.read()["sentiment"]["ingest"]["split"] == shares
    sets = ["sentiment.ingest.split.train=0.55", "sentiment.ingest.split.test=0.3"]
    edit.apply(edit.from_sets(sets))
    assert params.read()["recommend"]["ingest"]["split"]["train"] == 0.5


def test_what_a_merge_key_hands_on_is_not_changed_untold(project: Path) -> None:
    others, sentiment, rest = LINES.partition("  sentiment:\n")
    text = others + sentiment + rest.replace("    gate:\n", "    gate: &gate\n", 1)
    before, name, after = text.partition("  makeup:\n")  # what follows tryon
    head, mark, tail = before.rpartition("    gate:\n")
    changed = head + "    gate:\n      <<: *gate\n" + name + after
    Path("params.yaml").write_text(changed, encoding="utf-8")
    assert mark and tail and params.read()["tryon"]["gate"]["floor"] == 0.7
    with pytest.raises(ValueError, match=r"tryon\.gate\.floor would change with it"):
        edit.apply(edit.from_sets(["sentiment.gate.floor=0.8"]))
    assert Path("params.yaml").read_text(encoding="utf-8") == changed
    edit.apply(edit.from_sets(["tryon.gate.floor=0.5"]))
    gates = [params.read()[family]["gate"]["floor"] for family in ("sentiment", "tryon")]
    assert gates == [0.7, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("families:\n  a: &x\n    b: *x\n", "an alias .* stands within what it names"),
        ("families:\n  a: &x [1, *x]\n", "an alias .* stands within what it names"),
        ("families:\n  a: {n: 1, n: 2}\n", "the key 'n' stands twice"),
        ("families: {a: " + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ("families: [", "not valid YAML"),
    ],
)
def test_files_that_cannot_mean_what_they_say(project: Path, text: str, message: str) -> None:
    Path("params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        params.read()
    with pytest.raises(ValueError, match=message):
        edit.apply({("a", "n"): 1})
    assert Path("params.yaml").read_text(encoding="utf-8") == text


def test_another_encoding_is_named(project: Path) -> None:
    Path("params.yaml").write_bytes(LINES.encode("utf-16"))
    with pytest.raises(ValueError, match="not UTF-8 .*save it as UTF-8"):
        params.read()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_stay(project: Path, mark: str) -> None:
    before = (mark + LINES.replace("\n", "\r\n")).encode("utf-8")
    Path("params.yaml").write_bytes(before)
    edit.apply(edit.from_sets(["sentiment.finetune.epochs=9"]))
    after = Path("params.yaml").read_bytes()
    pairs = zip(before.split(b"\n"), after.split(b"\n"), strict=True)
    assert sum(old != new for old, new in pairs) == 1
    assert params.read()["sentiment"]["finetune"]["epochs"] == 9


def test_a_class_may_be_added_and_a_typing_error_may_not(project: Path) -> None:
    told = edit.apply(edit.from_sets(["sentiment.ingest.labels.neutral=[ok, 中评]"]))
    assert told == ["sentiment.ingest.labels.neutral: none → ['ok', '中评']"]
    assert params.read()["sentiment"]["ingest"]["labels"]["neutral"] == ["ok", "中评"]
    with pytest.raises(ValueError, match="did you mean sentiment.ingest.labels"):
        edit.apply(edit.from_sets(["sentiment.ingest.label.neutral=[ok]"]))


def test_evaluate_takes_sets_of_ingest_alone() -> None:
    given = ['sentiment.ingest.labels.positive=["good"]', "sentiment.ingest.max_rejected=0.5"]
    assert edit.ingest_of("sentiment", given) == {
        "labels": {"positive": ["good"]},
        "max_rejected": 0.5,
    }
    for other in (
        "sentiment.finetune.epochs=3",
        "tryon.ingest.min_examples=1",
        "sentiment.source=x",
    ):
        with pytest.raises(ValueError, match=r"evaluate takes sentiment\.ingest\.KEY only"):
            edit.ingest_of("sentiment", [other])


def test_the_former_names_of_picture_settings_are_told(project: Path) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    former = text.replace("duplicate_hash_distance", "repeat_bits")
    assert former != text
    Path("params.yaml").write_text(former, encoding="utf-8")
    for family in ("recommend", "tryon"):
        with pytest.raises(ValueError, match="`repeat_bits` is now `duplicate_hash_distance`"):
            params.load(family)
    Path("params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="now tryon.ingest.pictures.duplicate_color_distance"):
        edit.apply(edit.from_sets(["tryon.ingest.pictures.repeat_colour=1"]))
