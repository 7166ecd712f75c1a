"""What params.yaml may not hold.

Numbers that are none, aliases without an end, values that no code can take.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from beauty_models import families, params
from beauty_models.__main__ import main
from cli import edit

ROOT = Path(__file__).parents[1]
FAMILIES = families.names()


def floats(block: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each float in ``block``."""
    if isinstance(block, dict | list):
        pairs = block.items() if isinstance(block, dict) else enumerate(block)
        for key, value in pairs:
            yield from floats(value, (*place, key))
    elif isinstance(block, float):
        yield place


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_number_must_be_finite_and_its_key_is_named(family: str, value: float) -> None:
    block = params.read(ROOT / "params.yaml")[family]
    places = list(floats(block))
    assert ("gate", "floor") in places and any(
        place[0] == "finetune" and place[-1] == "learning_rate" for place in places
    )
    for place in places:
        changed = copy.deepcopy(block)
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        with pytest.raises(ValueError) as refused:
            params.check(family, changed)
        named = ".".join(map(str, place))
        assert f"families.{family}.{named}: Input should be a finite number" in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value"), [("seed", -1), ("seed", 2**32), ("warmup", 1.5), ("warmup", -0.1)]
)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_no_generator_and_no_schedule_can_take_is_refused(
    family: str, key: str, value: float
) -> None:
    block = params.read(ROOT / "params.yaml")[family]
    with pytest.raises(ValueError, match=rf"families\.{family}\.finetune\.{key}: "):
        params.check(family, params.merge(block, {"finetune": {key: value}}))


@pytest.mark.parametrize("crop", [[0.9, 0.5], [0.0, 1.0]])
def test_a_crop_rises(crop: list[float]) -> None:
    block = params.read(ROOT / "params.yaml")["recommend"]
    with pytest.raises(
        ValueError, match=r"families\.recommend\.pretrain\.random_resized_crop: .*comes first"
    ):
        params.check("recommend", params.merge(block, {"pretrain": {"random_resized_crop": crop}}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("families: &a\n  sentiment: *a\n", "an alias"),
        ("families:\n  s: &a [1, {x: *a}]\n", "an alias"),
        ("families: {s: &a [*a]}\n", "an alias"),
        ("families: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
                for old, new in zip("abcdefgh", "bcdefghi", strict=True)
            )
            + "families: *i\n",
            r"[\d,]+ values, aliases written out; less than 100,000",
        ),
        ("families: 2026-13-45\n", "month must be in 1..12"),
        ("families: {a: \x00}\n", "not valid YAML"),
    ],
    ids=["block", "inside a list", "itself", "deep", "bomb", "date", "control character"],
)
def test_yaml_without_an_end_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as refused:
        params.read(file)
    assert str(refused.value).startswith(str(file))


def test_aliases_that_end_are_read(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("families:\n  a: &a {n: 1}\n  b: *a\n  c: {<<: *a, m: 2}\n")
    assert params.read(file) == {"a": {"n": 1}, "b": {"n": 1}, "c": {"n": 1, "m": 2}}


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(b"families: \xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        params.read(file)


def rename(block: dict[str, Any], **old: str) -> None:
    """Put keys of before in the place of today's; ``old`` is today's → before."""
    for today, before in old.items():
        block[before] = block.pop(today)


def test_keys_of_before_are_told_at_once_however_deep_they_stand() -> None:
    """And what else is wrong with the file stands in the same message."""
    block = params.read(ROOT / "params.yaml")["tryon"]
    rename(block["evaluate"], listed_errors="worst")
    rename(block["pretrain"], wiseft_alpha="keep", masked_language_model="words")
    rename(block["finetune"], view_size="view")
    rename(block["finetune"]["augment"], random_resized_crop="crop", random_erasing="erase")
    rename(block["ingest"]["pictures"], duplicate_hash_distance="repeat_bits")
    block["pretrain"]["words"]["batch"] = 0
    del block["gate"]["floor"]
    with pytest.raises(ValueError) as refused:
        params.check("tryon", block)
    place, stays = "params.yaml: families.tryon.", ": rename in the file, the value stays"
    assert sorted(str(refused.value).splitlines()) == [
        f"{place}evaluate: `worst` is now `listed_errors`{stays}",
        f"{place}finetune.augment: `crop` is now `random_resized_crop`; "
        f"`erase` is now `random_erasing`{stays}",
        f"{place}finetune: `view` is now `view_size`{stays}",
        f"{place}gate.floor: missing; add it as the params.yaml that comes with this version "
        "has it",
        f"{place}ingest.pictures: `repeat_bits` is now `duplicate_hash_distance`{stays}",
        f"{place}pretrain.masked_language_model.batch: Input should be greater than or equal to 1 "
        "(got 0)",
        f"{place}pretrain: `words` is now `masked_language_model`; "
        f"`keep` is now `wiseft_alpha`{stays}",
    ]


def test_a_key_of_before_beside_its_new_name_is_to_go() -> None:
    block = params.read(ROOT / "params.yaml")["tryon"]
    block["finetune"]["view"] = 3
    with pytest.raises(ValueError) as refused:
        params.check("tryon", block)
    assert str(refused.value) == (
        "params.yaml: families.tryon.finetune: `view` is now `view_size`, which stands there, too; "
        "take `view` away"
    )
    block["finetune"] = 3
    with pytest.raises(ValueError, match="finetune: Input should be a valid dictionary"):
        params.check("tryon", block)


def optional_section(folder: Path, listed: list[str], export: Any) -> Path:
    """Write a params.yaml that lists ``listed`` for export and has ``export`` as its section.

    None leaves the section out.
    """
    block = params.read(ROOT / "params.yaml")["sentiment"]
    del block["export"]
    if export is not None:
        block["export"] = export
    stages = params.stages(ROOT / "params.yaml") | {"export": listed}
    content = {"stages": stages, "families": {"sentiment": block}}
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return file


def test_the_section_of_an_optional_stage_is_needed_where_it_is_listed(tmp_path: Path) -> None:
    whole = params.read(ROOT / "params.yaml")["sentiment"]["export"]
    off = optional_section(tmp_path, [], None)
    assert params.load("sentiment", off).export is None
    with pytest.raises(ValueError, match="families.sentiment.export: missing; add it"):
        params.load("sentiment", off, ["export"])
    listed = optional_section(tmp_path, ["sentiment"], None)
    with pytest.raises(ValueError, match="families.sentiment.export: missing; add it"):
        params.load("sentiment", listed)
    # what is there is checked, listed or not
    for families_of_export in ([], ["sentiment"]):
        wrong = optional_section(tmp_path, families_of_export, {**whole, "timed": 0})
        with pytest.raises(ValueError, match=r"families\.sentiment\.export\.timed: .*got 0"):
            params.load("sentiment", wrong)
    assert params.load("sentiment", optional_section(tmp_path, [], whole)).export.timed == 50


def test_values_are_set_where_an_optional_stage_has_no_section(tmp_path: Path) -> None:
    file = optional_section(tmp_path, [], None)
    edit.apply(edit.from_sets(["sentiment.finetune.epochs=2"]), file)
    assert params.load("sentiment", file).finetune.epochs == 2
    listed = optional_section(tmp_path, ["sentiment"], None)
    with pytest.raises(ValueError, match="families.sentiment.export: missing"):
        edit.apply(edit.from_sets(["sentiment.finetune.epochs=2"]), listed)


def test_a_stage_without_its_section_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = optional_section(tmp_path, [], None)
    assert main(["export", "sentiment", "--params", str(file)]) == 1
    assert "families.sentiment.export: missing; add it" in capsys.readouterr().err


def test_a_block_that_an_old_file_lacks_is_told_without_printing_the_others() -> None:
    block = params.read(ROOT / "params.yaml")["sentiment"]
    del block["export"]
    rename(block["finetune"], unfreeze_per_epoch="unfreeze")
    with pytest.raises(ValueError, match="families.sentiment.export: missing; add it") as refused:
        params.check("sentiment", block, needed=["export"])
    lines = str(refused.value).splitlines()
    assert (
        "params.yaml: families.sentiment.finetune: `unfreeze` is now `unfreeze_per_epoch`: "
        "rename in the file, the value stays" in lines
    )
    assert max(map(len, lines)) < 150


def test_parameters_of_an_older_version_are_read_under_the_keys_of_today() -> None:
    block = params.read(ROOT / "params.yaml")["tryon"]
    old = copy.deepcopy(block)
    pictures = old["ingest"]["pictures"]
    pictures["repeat_bits"] = pictures.pop("duplicate_hash_distance")
    augment = old["finetune"]["augment"]
    augment["crop"] = augment.pop("random_resized_crop")
    old["pretrain"]["words"] = old["pretrain"].pop("masked_language_model")
    kept = copy.deepcopy(old)
    assert params.with_todays_keys("tryon", old) == block
    assert old == kept
