"""The network: a BERT reads the text, an image network sees the photo, three fusions and each alone say what garment it is.

All five branches stand on the same two networks and learn together, so that they can be compared; one of them, or the mean of
the fusions, serves. Data without texts (or without pictures) make a model of the other input alone.

A saved model is a folder: ``text`` and ``image`` as transformers writes them (``AutoModel.from_pretrained`` reads them),
``head.safetensors``, ``tryon.json`` with labels and settings, ``text.json`` and ``image.json`` with the licences of the backbones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from beauty_models import vision
from beauty_models.common import bert, progress
from beauty_models.common.files import read_json, write_json
from beauty_models.common.shards import Pictures, centre
from beauty_models.common.training import attention, device, precision
from beauty_models.vision import Vision

ROWS = 32  # per batch where nothing is learned
FUSIONS = ("concat", "gated", "cross")
ALONE = {"text": "text_only", "image": "image_only"}
Floats = NDArray[np.float32]


class Places(NamedTuple):
    """What one network makes of its input: ``values`` [n, places, width], ``mask`` [n, places] of what is real, ``there`` [n]."""

    values: torch.Tensor
    mask: torch.Tensor
    there: torch.Tensor


class Concat(nn.Module):
    """Fusion by concatenation: one layer over both features side by side."""

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        self.join = nn.Sequential(nn.Linear(text + image, width), nn.GELU())

    def forward(self, text: torch.Tensor, image: torch.Tensor, words: Places, patches: Places) -> torch.Tensor:
        """Return the fused features [n, width] of ``text`` [n, text width] and ``image`` [n, image width]."""
        fused: torch.Tensor = self.join(torch.cat([text, image], -1))
        return fused


class Gated(nn.Module):
    """Fusion by a weighted average whose weights the inputs decide: the gated multimodal unit (Arevalo et al. 2017, eq. 1–3)."""

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        self.text, self.image, self.gate = nn.Linear(text, width), nn.Linear(image, width), nn.Linear(text + image, width)

    def forward(self, text: torch.Tensor, image: torch.Tensor, words: Places, patches: Places) -> torch.Tensor:
        """Return the fused features [n, width] of ``text`` [n, text width] and ``image`` [n, image width]."""
        weight = torch.sigmoid(self.gate(torch.cat([text, image], -1)))
        fused: torch.Tensor = weight * torch.tanh(self.text(text)) + (1 - weight) * torch.tanh(self.image(image))
        return fused


class Cross(nn.Module):
    """Fusion by cross-attention: every word looks at the places of the picture, every place at the words (Lu et al. 2019)."""

    def __init__(self, text: int, image: int, width: int, heads: int) -> None:
        super().__init__()
        self.text, self.image = (nn.Sequential(nn.LayerNorm(w), nn.Linear(w, width), nn.LayerNorm(width)) for w in (text, image))
        self.no_text, self.no_image = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.to_image, self.to_text = (nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(2))
        self.join = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU())

    def forward(self, text: torch.Tensor, image: torch.Tensor, words: Places, patches: Places) -> torch.Tensor:
        """Return the fused features [n, width] of the outputs by place, ``words`` and ``patches``."""
        said, said_mask = _shown(self.text(words.values), words, self.no_text)
        seen, seen_mask = _shown(self.image(patches.values), patches, self.no_image)
        told = said + self.to_image(said, seen, seen, key_padding_mask=~seen_mask, need_weights=False)[0]
        looked = seen + self.to_text(seen, said, said, key_padding_mask=~said_mask, need_weights=False)[0]
        fused: torch.Tensor = self.join(torch.cat([bert.mean(told, said_mask), bert.mean(looked, seen_mask)], -1))
        return fused


def _shown(values: torch.Tensor, places: Places, missing: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``values`` and their mask, with one learned place instead of all where the input is not there."""
    first = torch.zeros_like(places.mask)
    first[:, 0] = True
    there = places.there[:, None]
    return torch.where(there[..., None], values, missing), torch.where(there, places.mask, first)


MAKE = {"concat": Concat, "gated": Gated, "cross": Cross}


@dataclass(frozen=True)
class Shape:
    """What the network is built from besides the two backbones; it travels in tryon.json."""

    heads: list[dict[str, Any]]  # name, labels: what is told apart, the garment's class first
    size: int  # pixels a side of what the image network sees
    max_tokens: int
    width: int  # of the fused features
    attention_heads: int
    fusion: str  # the branch that serves, or ensemble


@dataclass(frozen=True)
class Answer:
    """``probabilities`` of each head [n, labels], calibrated; the ``logits`` of every branch and head; ``features`` [n, width], of length 1."""

    probabilities: dict[str, Floats]
    logits: dict[str, dict[str, Floats]]
    features: Floats


class Stylist(nn.Module):
    """Texts and photos, either of which may be missing → garment class, attributes, and features by which garments are found."""

    def __init__(self, shape: Shape, text: PreTrainedModel | None, tokenizer: PreTrainedTokenizerFast | None, image: Vision | None,
                 cards: dict[str, dict[str, Any]], dropout: float = 0.0, temperatures: dict[str, float] | None = None) -> None:
        super().__init__()
        self.shape, self.tokenizer, self.eye, self.cards = shape, tokenizer, image, cards
        self.temperatures = temperatures or {}
        self.text, self.image = text, image.model if image else None
        self.sizes = [len(head["labels"]) for head in shape.heads]
        self.widths = {name: _width(model) for name, model in (("text", self.text), ("image", self.image)) if model is not None}
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name, width in self.widths.items()})
        self.missing = nn.ParameterDict({name: nn.Parameter(torch.zeros(width)) for name, width in self.widths.items()})
        both = FUSIONS if len(self.widths) == 2 else ()
        self.fusions = nn.ModuleDict({name: MAKE[name](*self.widths.values(), shape.width, shape.attention_heads) for name in both})
        wide = {ALONE[name]: width for name, width in self.widths.items()} | dict.fromkeys(both, shape.width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, sum(self.sizes)) for name, width in wide.items()})
        self.dropout = nn.Dropout(dropout)

    @property
    def branches(self) -> list[str]:
        """The branches there are: each input alone and, with both, the fusions."""
        return list(self.heads)

    def read(self, hidden: torch.Tensor, mask: torch.Tensor, start: int = 0) -> torch.Tensor:
        """Return the text network's output [n, length, width] from the input of its layer ``start``."""
        assert self.text is not None
        return bert.encode(self.text, hidden, mask, start, len(bert.layers(self.text)))

    def look(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the features by place [n, places, width] of uint8 ``pictures`` [n, 3, size, size]."""
        assert self.eye is not None
        return vision.grid(self.eye.model, self.eye.pixels(pictures))

    def look_twice(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the mean of the features of the pictures and, place by place, of their mirror images."""
        plain, mirrored = self.look(pictures), self.look(pictures.flip(-1))
        side = round(plain.shape[1] ** 0.5)
        mean: torch.Tensor = (plain + mirrored.unflatten(1, (side, side)).flip(2).flatten(1, 2)) / 2
        return mean

    def features(self, inputs: dict[str, Places], shown: dict[str, torch.Tensor] | None = None) -> dict[str, torch.Tensor]:
        """Return the features [n, width] of every branch. ``shown`` [n] tells for an input where the fusions may see it."""
        pooled = {name: self.norms[name](bert.mean(places.values, places.mask)) for name, places in inputs.items()}
        found = {ALONE[name]: pooled[name] for name in inputs}
        if self.fusions:
            seen = {name: places._replace(there=places.there & shown[name] if shown else places.there) for name, places in inputs.items()}
            text, image = (torch.where(seen[name].there[:, None], pooled[name], self.missing[name]) for name in ("text", "image"))
            found |= {name: fusion(text, image, seen["text"], seen["image"]) for name, fusion in self.fusions.items()}
        return found

    def classify(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the logits [n, labels of all heads] of every branch."""
        return {name: self.heads[name](self.dropout(values)) for name, values in features.items()}

    def by_head(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return ``logits`` [n, labels of all heads] cut into heads."""
        return {head["name"]: part for head, part in zip(self.shape.heads, logits.split(self.sizes, -1), strict=True)}

    def serving(self) -> list[str]:
        """Return the branches whose mean serves."""
        return [self.shape.fusion] if self.shape.fusion in self.heads else [name for name in FUSIONS if name in self.heads]

    def serve(self, branches: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the mean of the serving branches: of their logits, or of any other tensors of the same shape."""
        return torch.stack([branches[name] for name in self.serving()]).mean(0)

    def blank(self, name: str, count: int) -> Places:
        """Return ``count`` inputs of the kind ``name`` that are not there."""
        nothing = torch.zeros(count, dtype=torch.bool, device=device())
        return Places(torch.zeros(count, 1, self.widths[name], device=device()), ~nothing[:, None], nothing)

    def words(self, texts: Sequence[str]) -> Places:
        """Return what the text network makes of ``texts``; an empty one is not there."""
        assert self.text is not None and self.tokenizer is not None
        ids, mask = bert.pad(bert.tokenize(self.tokenizer, texts, self.shape.max_tokens), self.tokenizer.pad_token_id)
        there = torch.tensor([bool(text) for text in texts], device=device())
        return Places(self.read(self.text.embeddings(input_ids=ids), mask).float(), mask, there)

    def patches(self, pictures: torch.Tensor, there: torch.Tensor) -> Places:
        """Return what the image network makes of uint8 ``pictures`` [n, 3, size, size], of which ``there`` [n] are real."""
        values = self.look_twice(pictures)
        return Places(values, torch.ones(values.shape[:2], dtype=torch.bool, device=device()), there.to(device()))

    @torch.inference_mode()
    def predict(self, texts: Sequence[str], images: Sequence[str], pictures: Pictures, title: str = "predict") -> Answer:
        """Return the answers to ``texts`` and ``images``, keys in ``pictures``; "" stands for what is missing."""
        self.eval().to(device())
        if self.text is not None:
            self.text.set_attn_implementation(attention(training=False))
        found: list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = []
        with progress.bar(title, len(texts)) if title else nullcontext() as bar, precision("auto"):
            for start in range(0, len(texts), ROWS):
                some, keys = texts[start : start + ROWS], images[start : start + ROWS]
                inputs = {name: self._input(name, some, keys, pictures) for name in self.widths}
                features = self.features(inputs)
                found.append(({name: values.float().cpu() for name, values in features.items()},
                              {name: values.float().cpu() for name, values in self.classify(features).items()}))
                if bar:
                    bar.advance(len(some))
        return self.answer(*({name: torch.cat([one[part][name] for one in found]) for name in self.heads} for part in (0, 1)))

    def _input(self, name: str, texts: Sequence[str], keys: Sequence[str], pictures: Pictures) -> Places:
        """Return one batch of the kind ``name``; the network is not run where nothing is there."""
        there = torch.tensor([bool(one) for one in (texts if name == "text" else keys)])
        if not there.any():
            return self.blank(name, len(texts))
        if name == "text":
            return self.words(texts)
        seen = torch.zeros(len(keys), 3, self.shape.size, self.shape.size, dtype=torch.uint8)
        seen[there] = pictures.tensor([key for key in keys if key], self.shape.size, centre(self.shape.size))
        return self.patches(seen, there)

    def answer(self, features: dict[str, torch.Tensor], logits: dict[str, torch.Tensor]) -> Answer:
        """Return what `features` and `classify` found for all rows, calibrated."""
        told = {name: {head: part.numpy() for head, part in self.by_head(values).items()} for name, values in logits.items()}
        served = {head: torch.softmax(part / self.temperatures.get(head, 1.0), -1).numpy() for head, part in self.by_head(self.serve(logits)).items()}
        joined = torch.cat([nn.functional.normalize(features[name], dim=-1) for name in self.serving()], -1)
        return Answer(served, told, nn.functional.normalize(joined, dim=-1).numpy())


def _width(model: PreTrainedModel) -> int:
    """Return how many features ``model`` has for each place."""
    return int(model.config.hidden_size if hasattr(model.config, "hidden_size") else model.num_features)


@contextmanager
def full_precision_above(model: PreTrainedModel, lowest: int) -> Iterator[None]:
    """Compute the blocks of ``model`` from ``lowest`` on in float32 where that is faster, whatever autocast says of those below.

    A CPU's bfloat16 makes a convolution three times as fast forward, but a depthwise one four times as slow backward.
    """
    found = vision.blocks(model)[lowest:]
    slow = device().type == "cpu" and any(isinstance(part, nn.Conv2d) and part.groups > 1 for part in model.modules())
    if not slow or not found:
        yield
        return
    first = next(part for part in found[0].modules() if not isinstance(part, nn.ModuleList))
    before: list[bool] = []

    def rise(_: nn.Module, values: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        before.append(torch.is_autocast_enabled("cpu"))
        torch.set_autocast_enabled("cpu", False)
        return tuple(value.float() for value in values)

    def fall(_: nn.Module, values: Any, result: Any) -> None:
        torch.set_autocast_enabled("cpu", before.pop())

    hooks = [first.register_forward_pre_hook(rise), model.register_forward_hook(fall)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def save(stylist: Stylist, folder: Path) -> None:
    """Write ``stylist`` into the existing ``folder``."""
    if stylist.text is not None and stylist.tokenizer is not None:
        stylist.text.save_pretrained(folder / "text")
        stylist.tokenizer.save_pretrained(folder / "text")
    if stylist.eye is not None:
        vision.save(stylist.eye, folder / "image")
    head = {name: value.cpu().contiguous() for name, value in stylist.state_dict().items() if not name.startswith(("text.", "image."))}
    save_file(head, folder / "head.safetensors")
    for name, card in stylist.cards.items():
        write_json(folder / f"{name}.json", card)
    write_json(folder / "tryon.json", vars(stylist.shape) | {"temperatures": stylist.temperatures})


def backbones(folder: Path) -> tuple[PreTrainedModel | None, PreTrainedTokenizerFast | None, Vision | None, dict[str, dict[str, Any]]]:
    """Return text network, tokenizer, image network and the cards of both that lie in ``folder``; None for one that is not there."""
    text = AutoModel.from_pretrained(folder / "text", dtype=torch.float32, add_pooling_layer=False) if (folder / "text").exists() else None
    tokenizer = AutoTokenizer.from_pretrained(folder / "text") if text is not None else None
    image = vision.load(str(folder / "image")) if (folder / "image").exists() else None
    return text, tokenizer, image, {name: read_json(folder / f"{name}.json") for name in ALONE if (folder / name).exists()}


def load(folder: Path) -> Stylist:
    """Return the stylist saved in ``folder``.

    Raises:
        ValueError: the folder is not a saved stylist.
    """
    stated = read_json(folder / "tryon.json")
    temperatures = stated.pop("temperatures")
    text, tokenizer, image, cards = backbones(folder)
    stylist = Stylist(Shape(**stated), text, tokenizer, image, cards, temperatures=temperatures)
    missing, unexpected = stylist.load_state_dict(load_file(folder / "head.safetensors"), strict=False)
    if unexpected or any(not name.startswith(("text.", "image.")) for name in missing):
        raise ValueError(f"{folder / 'head.safetensors'}: not the heads of this model; retrain or restore the folder")
    return stylist
