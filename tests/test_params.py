"""What params.yaml may not hold.

Numbers that are none, aliases without an end, values that no code can take.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from beauty_models import families, params

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
    assert ("gate", "floor") in places and ("finetune", "learning_rate") in places
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


class _Renaming(params.Section):
    RENAMED: ClassVar[dict[str, str]] = {"view": "view_size", "keep": "wiseft_alpha"}

    view_size: int
    wiseft_alpha: float


def test_a_key_of_before_is_told_its_name_of_today() -> None:
    with pytest.raises(ValueError, match="`view` is now `view_size`") as refused:
        _Renaming.model_validate({"view": 3, "wiseft_alpha": 1.0})
    assert "missing" not in str(refused.value) and "keep" not in str(refused.value)
    assert _Renaming.model_validate({"view_size": 3, "wiseft_alpha": 1.0}).view_size == 3


def test_a_block_that_an_old_file_lacks_is_told_without_printing_the_others(tmp_path: Path) -> None:
    blocks = params.read(ROOT / "params.yaml")
    block = blocks["sentiment"]
    del block["export"]
    block["finetune"]["unfreeze"] = block["finetune"].pop("unfreeze_per_epoch")
    with pytest.raises(ValueError, match="families.sentiment.export: missing; add it") as refused:
        params.check("sentiment", block)
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
