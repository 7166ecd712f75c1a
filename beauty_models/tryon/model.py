"""The network: a BERT reads the text, an image network sees the photo; three fusions and each input alone say what garment it is.

All five branches stand on the same two networks and learn together, so that they can be compared; one of them serves, or a mixture:
``ensemble``, the mean of the fusions; ``late_average``, the mean of the inputs alone; ``blend``, the mean of those two. Data without
texts (or without pictures) make a model of the other input alone.

A saved model is a folder: ``text`` and ``image`` as transformers writes them (``AutoModel.from_pretrained`` reads them),
``head.safetensors``, ``tryon.json`` with labels and settings, ``text.json`` and ``image.json`` with the licences of the backbones,
and the garments on sale: ``gallery.parquet`` with ``gallery.faiss``, the index of their features in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from beauty_models import progress
from beauty_models.device import attention, device, precision
from beauty_models.files import read_json, write_json
from beauty_models.intake import images
from beauty_models.intake.shards import Pictures
from beauty_models.retrieval import index
from beauty_models.training import bert
from beauty_models.training.finite import require_finite
from beauty_models.tryon.fusion import FUSIONS, Places
from beauty_models.tryon.towers import ROWS, Inputs, Networks, Towers, load_networks

PARTS = ("train", "validation", "test")
THUMBNAIL = 96  # pixels, the shorter side of a garment's picture in the gallery
ALONE = {"text": "text_only", "image": "image_only"}
MIXTURES = ("ensemble", "late_average", "blend")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """What the network is built from besides the two backbones; it travels in tryon.json."""

    heads: list[dict[str, Any]]  # name, labels: what is told apart, the garment's class first
    size: int  # pixels a side of what the image network sees
    max_tokens: int
    width: int  # of the fused features
    attention_heads: int
    fusion: str  # the fusion that serves, or one of `MIXTURES`


@dataclass(frozen=True)
class Answer:
    """What `Stylist.predict` found: ``probabilities`` of each head [n, labels], calibrated; ``features`` [n, width], of length 1.

    ``logits`` are those of every branch and mixture, by head.
    """

    probabilities: dict[str, Floats]
    logits: dict[str, dict[str, Floats]]
    features: Floats


def _hidden(inputs: dict[str, Places], drop: dict[str, float]) -> dict[str, Places]:
    """Return ``inputs`` with the text or the picture of some rows taken away: modality dropout."""
    text, image = (inputs[name].there for name in ("text", "image"))
    chance = torch.rand(len(text), device=text.device)
    return {
        "text": inputs["text"]._replace(there=text & ~(image & (chance < drop["text"]))),
        "image": inputs["image"]._replace(there=image & ~(text & (chance >= 1 - drop["image"]))),
    }


class Stylist(Towers):
    """Texts and photos, either of which may be missing → garment class, attributes, and features by which garments are found."""

    def __init__(
        self,
        shape: Shape,
        networks: Networks,
        dropout: float = 0.0,
        temperatures: dict[str, float] | None = None,
    ) -> None:
        super().__init__(*networks, shape.size, shape.max_tokens)
        self.shape, self.temperatures = shape, temperatures or {}
        self.sizes = [len(head["labels"]) for head in shape.heads]
        self.norms = nn.ModuleDict(
            {name: nn.LayerNorm(width) for name, width in self.widths.items()}
        )
        self.missing = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(width)) for name, width in self.widths.items()}
        )
        both = list(FUSIONS) if len(self.widths) == 2 else []
        wide = {ALONE[name]: width for name, width in self.widths.items()} | dict.fromkeys(
            both, shape.width
        )
        self.fusions = nn.ModuleDict(
            {
                name: FUSIONS[name](
                    self.widths["text"], self.widths["image"], shape.width, shape.attention_heads
                )
                for name in both
            }
        )
        self.heads = nn.ModuleDict(
            {name: nn.Linear(width, sum(self.sizes)) for name, width in wide.items()}
        )
        self.dropout = nn.Dropout(dropout)

    @property
    def branches(self) -> list[str]:
        """The branches there are: each input alone and, with both, the fusions."""
        return list(self.heads)

    def features(
        self, inputs: dict[str, Places], drop: dict[str, float] | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the features [n, width] of every branch. ``drop`` says how often each input is hidden from the fusions, never the only one."""
        pooled = {
            name: self.norms[name](bert.mean(places.values, places.mask))
            for name, places in inputs.items()
        }
        found = {ALONE[name]: values for name, values in pooled.items()}
        if self.fusions:
            seen = _hidden(inputs, drop) if drop else inputs
            text, image = (
                torch.where(seen[name].there[:, None], pooled[name], self.missing[name])
                for name in ("text", "image")
            )
            found |= {
                name: fusion(text, image, seen["text"], seen["image"])
                for name, fusion in self.fusions.items()
            }
        return found

    def classify(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the logits [n, labels of all heads] of every branch."""
        return {name: self.heads[name](self.dropout(values)) for name, values in features.items()}

    def by_head(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return ``logits`` [n, labels of all heads] cut into heads."""
        return {
            head["name"]: part
            for head, part in zip(self.shape.heads, logits.split(self.sizes, -1), strict=True)
        }

    @property
    def served(self) -> str:
        """The branch or mixture that serves; the only branch where there is but one input."""
        return self.shape.fusion if self.fusions else self.branches[0]

    def mix(
        self, logits: dict[str, torch.Tensor], inputs: dict[str, Places]
    ) -> dict[str, torch.Tensor]:
        """Return ``logits`` [n, labels of all heads] of the branches, and those of the mixtures when there are both inputs.

        Where one of the ``inputs`` is missing the late average is what the other one says.
        """
        if not self.fusions:
            return logits
        there = torch.stack([inputs[name].there for name in ALONE]).float()
        weights = there / there.sum(0).clamp(min=1)
        alone = torch.stack([logits[branch] for branch in ALONE.values()])
        late_average = (weights[..., None] * alone).sum(0)
        ensemble = torch.stack([logits[name] for name in FUSIONS]).mean(0)
        blend = (ensemble + late_average) / 2
        return logits | {"ensemble": ensemble, "late_average": late_average, "blend": blend}

    def _embed(
        self, features: dict[str, torch.Tensor], there: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the features [n, width], of length 1, by which garments are found: those of the branches that serve, side by side.

        A blend is found by its fusions: they tell garments apart as the whole blend does, and are narrower.
        """
        if self.served == "late_average":
            parts = [
                nn.functional.normalize(features[branch], dim=-1) * there[name][:, None]
                for name, branch in ALONE.items()
            ]
        else:
            fusions = list(FUSIONS) if self.served in MIXTURES else [self.served]
            parts = [nn.functional.normalize(features[name], dim=-1) for name in fusions]
        return nn.functional.normalize(torch.cat(parts, -1), dim=-1)

    @torch.no_grad()
    def ask(
        self, inputs: Inputs, count: int, wanted: str = "auto", title: str = ""
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return the features of every branch, and the logits of every branch and mixture, for all ``count`` rows of ``inputs``.

        They are computed with precision ``wanted``.
        """
        self.eval()
        if self.text is not None:
            self.text.set_attn_implementation(attention(training=False))
        features, logits = dict[str, list[torch.Tensor]](), dict[str, list[torch.Tensor]]()
        with progress.bar(title, count) if title else nullcontext() as bar, precision(wanted):
            for start in range(0, count, ROWS):
                batch = np.arange(start, min(start + ROWS, count))
                taken = inputs.take(batch)
                made = self.features(taken)
                for name, values in made.items():
                    features.setdefault(name, []).append(values.float().cpu())
                for name, values in self.mix(self.classify(made), taken).items():
                    logits.setdefault(name, []).append(values.float().cpu())
                if bar:
                    bar.advance(len(batch))
        joined = {name: torch.cat(parts) for name, parts in logits.items()}
        for branch, said in joined.items():
            require_finite(said, f"the logits of {branch}")
        return {name: torch.cat(parts) for name, parts in features.items()}, joined

    def predict(
        self, texts: Sequence[str], keys: Sequence[str], pictures: Pictures, title: str = "predict"
    ) -> Answer:
        """Return the answers to ``texts`` with the ``pictures`` called ``keys``; "" stands for what is missing."""
        self.to(device())
        inputs = Inputs(self, texts, keys, pictures)
        features, logits = self.ask(inputs, len(texts), title=title)
        told = {
            name: {head: part.numpy() for head, part in self.by_head(values).items()}
            for name, values in logits.items()
        }
        served = {
            head: torch.softmax(part / self.temperatures[head], -1).numpy()
            for head, part in self.by_head(logits[self.served]).items()
        }
        return Answer(served, told, self._embed(features, inputs.there).numpy())


def save(stylist: Stylist, folder: Path) -> None:
    """Write ``stylist`` into the existing ``folder``."""
    stylist.save_networks(folder)
    head = {
        name: value.cpu().contiguous()
        for name, value in stylist.state_dict().items()
        if not name.startswith(("text.", "image."))
    }
    save_file(head, folder / "head.safetensors")
    write_json(folder / "tryon.json", vars(stylist.shape) | {"temperatures": stylist.temperatures})


def load(folder: Path) -> Stylist:
    """Return the stylist saved in ``folder``.

    Raises:
        ValueError: the folder is not a saved stylist.
    """
    stated = read_json(folder / "tryon.json")
    temperatures = stated.pop("temperatures")
    stylist = Stylist(Shape(**stated), load_networks(folder), temperatures=temperatures)
    missing, unexpected = stylist.load_state_dict(
        load_file(folder / "head.safetensors"), strict=False
    )
    if unexpected or any(not name.startswith(("text.", "image.")) for name in missing):
        raise ValueError(
            f"{folder / 'head.safetensors'}: not the heads of this model; retrain or restore the folder"
        )
    return stylist


def write_gallery(stylist: Stylist, data: Path, folder: Path, settings: dict[str, int]) -> int:
    """Write the garments on sale, with small pictures, and the index of their features into ``folder``; return how many they are.

    ``settings`` are those of `index.build`.
    """
    frame = pd.concat([pd.read_parquet(data / f"{name}.parquet") for name in PARTS])
    frame = frame[frame["offered"]].sort_values("key").drop_duplicates("image")
    if frame.empty:
        return 0
    pictures = Pictures(data, *PARTS)
    answer = stylist.predict(
        frame["text"].tolist(), frame["image"].tolist(), pictures, "garments on sale"
    )
    index.write(index.build(answer.features, **settings), folder / "gallery.faiss")
    small = [
        images.encode(images.shrink(pictures.image(key), THUMBNAIL), 85) for key in frame["image"]
    ]
    columns = [
        "key",
        "id",
        "product",
        "name",
        "text",
        *(f"label.{head['name']}" for head in stylist.shape.heads),
    ]
    frame[columns].assign(thumbnail=small).to_parquet(folder / "gallery.parquet", index=False)
    return len(frame)
