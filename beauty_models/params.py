"""A typed, closed view of params.yaml.

Every value comes from the file, an unknown or missing key is an error.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from copy import deepcopy
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails

from beauty_models.families import names, optional_stages

PARAMS_FILE = Path("params.yaml")
LARGEST = 100_000  # values in a params.yaml; the project's own has some hundred
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what numpy takes
Names = Annotated[list[str], Field(min_length=1)]


def _rising(shares: tuple[float, float]) -> tuple[float, float]:
    if not 0 < shares[0] <= shares[1]:
        raise ValueError("the least share comes first, is above 0, and is not above the largest")
    return shares


Crop = Annotated[tuple[Share, Share], AfterValidator(_rising)]  # least and largest, of an area
Precision = Literal["auto", "float32", "bfloat16"]


class Section(BaseModel):
    """A block of params.yaml: frozen, no defaults, numbers are finite.

    Keys that the class does not name are refused. Those that it once named stand in ``RENAMED``, so
    that `check` tells a params.yaml from before the new names instead of unknown and missing keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    RENAMED: ClassVar[dict[str, str]] = {}
    """Old key → what is to stand there today."""


class Gate(Section):
    """What a candidate must reach to become champion; the same for every family."""

    metric: str  # a key of metrics/<family>/evaluate.json
    larger_is_better: bool  # of `metric`; false for a loss or an error
    baselines: Names  # each must be beaten in `metric`; names as in evaluate.json before the slash
    floor: float  # the worst value of `metric` that may serve
    tolerance: Annotated[float, Field(ge=0)]  # how much worse than the champion is "not worse"
    # other figures of which more is better → the least that may serve; most families have none
    floors: dict[str, float] = {}

    @model_validator(mode="before")
    @classmethod
    def _says_what_to_add(cls, block: Any) -> Any:
        """Tell a params.yaml from before these keys what to write, not only what is missing."""
        lines = {
            "larger_is_better": "`larger_is_better: true` (false where a smaller metric is better)",
            "baselines": "`baselines: [NAME, …]` (before, each NAME of which "
            "metrics/<family>/evaluate.json has NAME/METRIC.margin_low counted)",
        }
        if isinstance(block, dict):
            lines = {key: line for key, line in lines.items() if key not in block}
            if lines:
                raise ValueError(f"add {' and '.join(lines.values())}")
        return block


class Split(Section):
    """Shares of the products (of the examples, where these have none) that go to each part."""

    train: Share
    validation: Share
    test: Share

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if abs((total := self.train + self.validation + self.test) - 1) > 1e-6:
            raise ValueError(f"the shares add up to {total:g}; they must add up to 1")
        return self


def _encoding(name: str) -> str:
    if name == "auto":
        return name
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(f"{name!r} is no encoding that Python knows, such as cp1250") from None


class Reading(Section):
    """How files are read that may be read in several ways; ``auto`` goes by their own evidence."""

    encoding: Annotated[str, AfterValidator(_encoding)]  # of texts that are not UTF-8
    dates: Literal["auto", "day_first", "month_first"]  # 01/02/2026
    # a quotation mark that makes one cell of several lines, each of which has a row's cells
    quotes: Literal["auto", "cells", "text"]
    sheets: Literal["auto", "first"]  # of a workbook with several of the same columns
    aside: list[str]  # patterns of files that are not read


class Pictures(Section):
    """Which pictures are taken, and how they are kept."""

    max_pixels: Positive  # width × height; larger ones are refused unread
    min_side: Positive  # pixels
    side: Positive  # the shorter side as it is kept, pixels
    # bits of the perceptual hash, of 64, by which a copy of a picture may differ
    duplicate_hash_distance: Annotated[int, Field(ge=0, le=63)]
    # mean absolute difference of colors, 0 to 255, by which a copy may differ
    duplicate_color_distance: Annotated[float, Field(ge=0)]

    RENAMED: ClassVar[dict[str, str]] = {
        "repeat_bits": "duplicate_hash_distance",
        "repeat_colour": "duplicate_color_distance",
    }


class Scratch(Section):
    """The text network that `scratch` builds, and its own tokenizer."""

    layers: Positive
    hidden: Annotated[int, Field(ge=8)]
    heads: Positive
    vocabulary: Annotated[int, Field(ge=100)]


class OptimizerParams(Section):
    """What `training.optimization.Optimization` reads: the section of every training has it."""

    seed: Seed
    warmup: Share  # of the steps
    weight_decay: Annotated[float, Field(ge=0)]
    precision: Precision


class MaskedLMParams(OptimizerParams):
    """Masked language modelling (Devlin et al. 2019; whole words: Cui et al. 2021)."""

    mask: Share  # of the words is hidden
    epochs: Annotated[float, Field(ge=0)]  # 0 leaves the text network as it is
    batch: Positive
    learning_rate: Rate  # of the body
    head_learning_rate: Rate  # of the language-model head, which wheel: and scratch begin untrained
    dropout: Share


class Index(Section):
    """The faiss index of what can be found."""

    exact_below: Annotated[int, Field(ge=0)]  # entries; from there on HNSW (Malkov & Yashunin 2018)
    links: Annotated[int, Field(ge=2)]  # HNSW's M
    build_width: Positive  # HNSW's efConstruction
    search_width: Positive  # HNSW's ef


F = TypeVar("F", bound=Section)


def _size(node: Any, above: tuple[int, ...], known: dict[int, int], place: str) -> int:
    """Return how many values ``node`` holds once its aliases are written out.

    Args:
        above: the ids of the containers that ``node`` lies in.
        known: id → size of the containers that were counted before; aliases of one object are
            counted once.
        place: the key of ``node``, for messages.

    Raises:
        ValueError: an alias leads back to a container that it lies in.
    """
    if not isinstance(node, dict | list):
        return 1
    if id(node) in above:
        raise ValueError(f"{place}: an alias (*) of a block that it lies in; write its values out")
    if id(node) not in known:
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        inner = (*above, id(node))
        known[id(node)] = 1 + sum(
            _size(value, inner, known, f"{place}.{key}" if place else str(key))
            for key, value in pairs
        )
    return known[id(node)]


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a key that stands twice is an error: the last one would silently win."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
            continue
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key.value!r} stands twice; take one away", key.start_mark
            )
        seen.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def text(file: Path = PARAMS_FILE) -> str:
    """Return the text of ``file`` with its line ends; a byte-order mark stays its first character.

    Raises:
        ValueError: the file is missing or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file; run from the project's root folder") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: not UTF-8 (byte {error.start}); save it as UTF-8, DVC reads nothing else"
        ) from None


@lru_cache(maxsize=4)
def _content(written: str, file: Path) -> dict[str, Any]:
    """Return what ``written``, the text of ``file``, holds.

    Kept, as one run reads the same text many times.
    """
    try:
        content = yaml.load(written, Loader=_Loader)
        size = _size(content, (), {}, "")
    except RecursionError:
        raise ValueError(f"{file}: not valid YAML: nested too deeply") from None
    except yaml.YAMLError as error:
        hint = "; an alias (*NAME) stands within what it names" if "recursive" in str(error) else ""
        raise ValueError(f"{file}: not valid YAML: {error}{hint}") from error
    except ValueError as error:  # an alias to what it lies in; a date that cannot be
        raise ValueError(f"{file}: {error}") from None
    if size >= LARGEST:
        raise ValueError(
            f"{file}: {size:,} values, aliases written out; less than {LARGEST:,} are read"
        )
    families = content.get("families") if isinstance(content, dict) else None
    if not isinstance(families, dict) or not families:
        raise ValueError(f"{file}: needs a mapping `families:` with one block per family")
    checked: dict[str, Any] = content
    return checked


def _content_of(file: Path) -> dict[str, Any]:
    """Return what ``file`` holds, as `read` raises; it is kept, and nobody may change it."""
    return _content(text(file).removeprefix("\ufeff"), file)


def read(file: Path = PARAMS_FILE) -> dict[str, Any]:
    """Return the family blocks of ``file``, unchecked.

    Raises:
        ValueError: the file is missing, is not UTF-8 or YAML, names a key twice, has an alias
            within the block that it stands for, `LARGEST` values or more with its aliases written
            out, or no ``families`` mapping.
    """
    families: dict[str, Any] = deepcopy(_content_of(file)["families"])
    return families


def _offered(blocks: Iterable[str]) -> dict[str, list[str]]:
    """Return each optional stage → those of ``blocks`` that are families and can run it."""
    offered: dict[str, list[str]] = {}
    for family in sorted(set(blocks) & set(names())):
        for stage in optional_stages(family):
            offered.setdefault(stage, []).append(family)
    return offered


def stages(file: Path = PARAMS_FILE) -> dict[str, list[str]]:
    """Return stage → families of the optional stages: what ``stages`` of ``file`` switches on.

    dvc.yaml makes one stage of each pair. A stage that no family of the file has needs no mention.

    Raises:
        ValueError: as `read`; a stage that a family of the file has is not listed (``[]`` switches
            it off), what stands there is no list of families, no family has the stage, or one is
            listed that has it not. All of it at once, a line each.
    """
    content = _content_of(file)
    blocks = content["families"]
    switched = deepcopy(content.get("stages") or {})
    problems = list(_missing_stages(switched, _offered(blocks)))
    if isinstance(switched, dict):
        for stage, listed in switched.items():
            problems += _list_problems(stage, listed, blocks)
    elif not problems:
        problems = [f"stages: write `STAGE: [FAMILY, …]` below it (got {switched!r:.80})"]
    if problems:
        raise ValueError("\n".join(f"{file}: {problem}" for problem in problems))
    checked: dict[str, list[str]] = switched
    return checked


def _missing_stages(switched: Any, offered: dict[str, list[str]]) -> Iterator[str]:
    """Yield what to write for each stage of ``offered`` for which ``switched`` has no list."""
    for stage, able in offered.items():
        if not isinstance(switched, dict) or not isinstance(switched.get(stage), list):
            yield (
                f"needs `stages: {{{stage}: [{', '.join(able)}]}}` beside "
                f"`families:`, or `{stage}: []` to leave that stage out"
            )


def _list_problems(stage: str, listed: Any, blocks: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with the families ``listed`` for ``stage``."""
    able = _offered(names())
    if not isinstance(listed, list) or not all(isinstance(family, str) for family in listed):
        # where a family of the file has the stage, `_missing_stages` has said what to write
        if isinstance(listed, list) or stage not in _offered(blocks):
            yield (
                f"stages.{stage}: a list of families is to stand there, such as "
                f"[sentiment] or [] (got {listed!r:.80})"
            )
        return
    if stage not in able:
        has_not = f"{' and '.join(listed)} has no stage of that name, and " if listed else ""
        yield (
            f"stages.{stage}: {has_not}no family has one; there are {', '.join(able) or 'none'}: "
            "write one of these, or take the line away"
        )
        return
    known = names()
    for family in listed:
        if family not in blocks:
            nor = "" if family in known else f" and no such family, only {', '.join(known)}"
            block = f"no block families.{family}{nor}"
            yield f"stages.{stage}: there is {block}; take it out of the list"
        elif family not in able[stage]:
            yield f"stages.{stage}: {family} has no stage of that name; take it out of the list"


def optional_outputs(family: str, file: Path = PARAMS_FILE) -> dict[str, str]:
    """Return the optional stages that ``file`` switches on for ``family`` → the path names written.

    Disk and dvc.lock keep what was once switched on, and may hold that of an older model: what
    belongs to the present one is asked here.

    Raises:
        ValueError: as `stages`.
    """
    outputs = optional_stages(family)
    return {stage: outputs[stage] for stage, listed in stages(file).items() if family in listed}


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the leaves of ``overlay`` in place of its own; neither is changed."""
    merged = dict(base)
    for key, value in overlay.items():
        old = merged.get(key)
        merged[key] = (
            merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged


def with_todays_keys(family: str, block: dict[str, Any]) -> dict[str, Any]:
    """Return ``block``, which an older release of the family's code kept, under the keys of today.

    A params.yaml is mended by who writes it, as `Section` says; what a registered version holds
    stays as it is, and is read so.
    """
    todays: dict[str, Any] = _with_todays_keys(
        import_module(f"beauty_models.{family}").Params, block
    )
    return todays


def _with_todays_keys(section: type[Section], block: Any) -> Any:
    if not isinstance(block, dict):  # of a file that nobody has checked yet
        return block
    renamed = {
        section.RENAMED[key]: value for key, value in block.items() if key in section.RENAMED
    }
    renamed |= {key: value for key, value in block.items() if key not in section.RENAMED}
    for key, inner in _inner_sections(section):
        if key in renamed:
            renamed[key] = _with_todays_keys(inner, renamed[key])
    return renamed


def _inner_sections(section: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    for key, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield key, inner


def _old_keys(section: type[Section], block: Any, place: str) -> Iterator[str]:
    """Yield a line for each block, at ``place`` or within, that has keys of before."""
    if not isinstance(block, dict):
        return
    renames = []
    for old, new in section.RENAMED.items():
        if old in block and new in block:
            yield f"{place}: `{old}` is now `{new}`, which stands there, too; take `{old}` away"
        elif old in block:
            renames.append(f"`{old}` is now `{new}`")
    if renames:
        yield f"{place}: {'; '.join(renames)}: rename in the file, the value stays"
    inner = dict(_inner_sections(section))
    for key, value in block.items():
        today = section.RENAMED.get(key, key)
        if today in inner:
            yield from _old_keys(inner[today], value, f"{place}.{key}")


def listed_stages(family: str, file: Path = PARAMS_FILE) -> list[str]:
    """Return the optional stages for which ``file`` lists ``family``, whatever else stands there.

    Raises:
        ValueError: as `read`.
    """
    switched = _content_of(file).get("stages")
    if not isinstance(switched, dict):
        return []
    return [
        stage
        for stage in optional_stages(family)
        if isinstance(switched.get(stage), list) and family in switched[stage]
    ]


def check(family: str, block: Any, file: Path = PARAMS_FILE, needed: Iterable[str] = ()) -> Any:
    """Return the family's ``Params`` for ``block``.

    The section of an optional stage is None where it is missing.

    Args:
        needed: the optional stages whose sections must be there, such as `listed_stages`.

    Raises:
        ValueError: naming the file, the full key and what is wrong with its value, one line per
            key. Keys that were renamed are told in the same message, with their new names.
    """
    params = import_module(f"beauty_models.{family}").Params
    spared = [stage for stage in optional_stages(family) if stage not in needed]
    return _checked(_sparing(params, tuple(spared)), block, f"{file}: families.{family}")


@cache
def _sparing(params: type[Section], stages: tuple[str, ...]) -> type[Section]:
    """Return ``params`` with the sections of ``stages`` None where they are missing.

    A family declares them as any other: whether they may be missing, params.yaml says.
    """
    if not stages:
        return params
    fields: dict[str, Any] = {}
    for stage in stages:
        fields[stage] = (params.model_fields[stage].annotation, None)
    return create_model(params.__name__, __base__=params, **fields)


def _checked(section: type[F], block: Any, place: str) -> F:
    """Return ``block``, which stands at ``place``, as a ``section``; ValueError as `check`."""
    lines = list(_old_keys(section, block, place))
    try:
        # Under the keys of today, so that what else is wrong is told in the same message.
        checked = section.model_validate(_with_todays_keys(section, block))
    except ValidationError as error:
        for problem in error.errors():
            key = ".".join([place, *map(str, problem["loc"])])
            lines.append(f"{key}: {_problem(problem)}")
    if lines:
        raise ValueError("\n".join(lines))
    return checked


def _problem(error: ErrorDetails) -> str:
    """Return what is wrong with a value, with the value where that is not a whole block."""
    if error["type"] == "missing":
        return "missing; add it as the params.yaml that comes with this version has it"
    message = error["msg"].removeprefix("Value error, ")  # pydantic's, before a validator's words
    if isinstance(error["input"], dict):
        return message
    return f"{message} (got {error['input']!r:.80})"


def gate(family: str, file: Path = PARAMS_FILE) -> Gate:
    """Return the checked gate of one family, whatever the rest of its block holds.

    Raises:
        ValueError: as `read` and `check`, or ``file`` has no gate for ``family``.
    """
    block = read(file).get(family)
    if not isinstance(block, dict) or "gate" not in block:
        raise ValueError(f"{file}: no block families.{family}.gate")
    return _checked(Gate, block["gate"], f"{file}: families.{family}.gate")


def load(family: str, file: Path = PARAMS_FILE, running: Iterable[str] = ()) -> Any:
    """Return the checked ``Params`` of one family.

    Args:
        running: stages whose sections must be there, though ``file`` may not list them.

    Raises:
        ValueError: as `read` and `check`, or ``file`` has no block for ``family``.
    """
    families = read(file)
    if family not in families:
        raise ValueError(f"{file}: no block families.{family}; it has {', '.join(families)}")
    return check(family, families[family], file, [*listed_stages(family, file), *running])


def chosen(named: list[str] | None, file: Path = PARAMS_FILE) -> list[str]:
    """Return the families ``named``, each once, or all of ``file`` when none are.

    Raises:
        ValueError: as `stages`, or ``file`` has no block of that name.
    """
    stages(file)
    if named:
        return list(dict.fromkeys(known(name, file) for name in named))
    return list(read(file))


def known(family: str, file: Path = PARAMS_FILE) -> str:
    """Return ``family``, for what runs no stage: its models answer whatever else ``file`` holds.

    Raises:
        ValueError: as `read`, or ``file`` has no block of that name.
    """
    blocks = read(file)
    if family not in blocks:
        raise ValueError(f"{file}: no block families.{family}; it has {', '.join(blocks)}")
    return family
