"""The network: a BERT reads the text, an image network sees the photo, three fusions join them.

The fusions and each input alone, five branches, say what garment it is. They stand on the same two
networks and learn together, so that they can be compared. One of them serves, or a mixture:
``ensemble``, the mean of the fusions; ``late_average``, the mean of the inputs alone; ``blend``,
the mean of those two. Data without texts (or without pictures) make a model of the other input
alone.

A saved model is a folder: ``text`` and ``image`` as transformers writes them
(``AutoModel.from_pretrained`` reads them), ``head.safetensors``, ``tryon.json`` with labels and
settings, ``text.json`` and ``image.json`` with the licences of the backbones, and the garments on
sale: ``gallery.parquet`` with ``gallery.faiss``, the index of their features in the same order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import normalize

from beauty_models import progress
from beauty_models.device import attention, device, precision
from beauty_models.files import read_json, write_json
from beauty_models.intake import images
from beauty_models.intake.shards import Pictures
from beauty_models.retrieval import index
from beauty_models.training import bert
from beauty_models.training.finite import require_finite
from beauty_models.tryon.fusion import FUSIONS, TokenFeatures
from beauty_models.tryon.heads import Head, label_column
from beauty_models.tryon.towers import INPUTS, ROWS, Inputs, Networks, Towers, load_networks

PARTS = ("train", "validation", "test")
THUMBNAIL = 96  # pixels, the shorter side of a garment's picture in the gallery
ALONE = {"text": "text_only", "image": "image_only"}  # input → its own branch
MIXTURES = ("ensemble", "late_average", "blend")
NETWORKS = ("text.", "image.")  # how the names of the two networks' weights begin
NOTHING: frozenset[str] = frozenset()
Floats = NDArray[np.float32]
ByBranch = dict[str, torch.Tensor]
"""Branch or mixture → its features [n, width] or logits [n, labels of all heads]."""


@dataclass(frozen=True)
class Config:
    """What the network is built from besides the two backbones; it travels in tryon.json."""

    heads: list[Head]  # what is told apart, the garment's class first
    size: int  # pixels a side of what the image network sees
    max_tokens: int
    width: int  # of the fused features
    attention_heads: int
    fusion: str  # the fusion that serves, or one of `MIXTURES`


@dataclass(frozen=True)
class Predictions:
    """What `FusionClassifier.predict` returns."""

    probabilities: dict[str, Floats]  # head → [n, labels], calibrated
    logits: dict[str, dict[str, Floats]]  # branch or mixture → head → [n, labels]
    features: Floats  # [n, width], of length 1


def _modality_dropout(
    inputs: dict[str, TokenFeatures], drop: dict[str, float]
) -> dict[str, TokenFeatures]:
    """Return ``inputs`` with the text or the picture of some rows taken away, never the only one.

    ``drop`` says how often each is.
    """
    text = inputs["text"].present
    image = inputs["image"].present
    # One number decides of both, at its two ends: a row never loses text and picture. So the model
    # learns to answer with either (ModDrop: Neverova et al. 2016).
    draw = torch.rand(len(text), device=text.device)
    lost_text = image & (draw < drop["text"])
    lost_image = text & (draw >= 1 - drop["image"])
    return {
        "text": inputs["text"]._replace(present=text & ~lost_text),
        "image": inputs["image"]._replace(present=image & ~lost_image),
    }


class FusionClassifier(Towers):
    """Texts and photos, either of which may be missing → garment class, attributes and features.

    By the features garments are found. ``temperatures`` calibrate the probabilities of each head.
    """

    def __init__(
        self,
        config: Config,
        networks: Networks,
        dropout: float = 0.0,
        temperatures: dict[str, float] | None = None,
    ) -> None:
        super().__init__(*networks, config.size, config.max_tokens)
        self.config = config
        self.temperatures = temperatures or {}
        self.label_counts = [len(head["labels"]) for head in config.heads]
        # Names of the modules are those of saved weights. In their order the weights begin at
        # random and the norm of all gradients is summed (ParameterDict sorts a dict by its keys),
        # so that another order would train another model.
        self.norms = nn.ModuleDict()
        missing = {}
        for name, width in self.widths.items():
            self.norms[name] = nn.LayerNorm(width)
            missing[name] = nn.Parameter(torch.zeros(width))
        self.missing = nn.ParameterDict(missing)
        branch_widths = {ALONE[name]: self.widths[name] for name in self.widths}
        self.fusions = nn.ModuleDict()
        if len(self.widths) == 2:
            for name, fusion in FUSIONS.items():
                self.fusions[name] = fusion(
                    self.widths["text"], self.widths["image"], config.width, config.attention_heads
                )
                branch_widths[name] = config.width
        self.heads = nn.ModuleDict()
        for branch, width in branch_widths.items():
            self.heads[branch] = nn.Linear(width, sum(self.label_counts))
        self.dropout = nn.Dropout(dropout)

    @property
    def branches(self) -> list[str]:
        """The branches there are: each input alone and, with both, the fusions."""
        return list(self.heads)

    @property
    def served(self) -> str:
        """The branch or mixture that serves; the only branch where there is but one input."""
        return self.config.fusion if self.fusions else self.branches[0]

    def features(
        self, inputs: dict[str, TokenFeatures], drop: dict[str, float] | None = None
    ) -> ByBranch:
        """Return the features [n, width] of every branch.

        ``drop`` says how often each input is hidden from the fusions, never the only one.
        """
        # A norm for each: the features of two networks differ in size.
        pooled = {}
        for name, tokens in inputs.items():
            mean = bert.mean_pool(tokens.values, tokens.mask)
            pooled[name] = self.norms[name](mean)
        features = {ALONE[name]: values for name, values in pooled.items()}
        if not self.fusions:
            return features
        seen = _modality_dropout(inputs, drop) if drop else inputs
        # Each input's own branch keeps what is there; only the fusions see the gaps.
        either = {}
        for name in ALONE:
            present = seen[name].present[:, None]
            either[name] = torch.where(present, pooled[name], self.missing[name])
        for name, fusion in self.fusions.items():
            features[name] = fusion(
                either["text"],
                either["image"],
                words=seen["text"],
                patches=seen["image"],
            )
        return features

    def classify(self, features: ByBranch) -> ByBranch:
        """Return the logits [n, labels of all heads] of every branch."""
        logits = {}
        for branch, values in features.items():
            logits[branch] = self.heads[branch](self.dropout(values))
        return logits

    def by_head(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return ``logits`` [n, labels of all heads] cut into heads."""
        names = [head["name"] for head in self.config.heads]
        parts = logits.split(self.label_counts, -1)
        return dict(zip(names, parts, strict=True))

    def mix(self, logits: ByBranch, inputs: dict[str, TokenFeatures]) -> ByBranch:
        """Return ``logits`` of the branches and, when there are both inputs, of the mixtures.

        Where one of the ``inputs`` is missing the late average is what the other one says.
        """
        if not self.fusions:
            return logits
        present = torch.stack([inputs[name].present for name in ALONE])
        present = present.float()
        # Of a row with neither the weights are 0, not NaN.
        weights = present / present.sum(0).clamp(min=1)
        alone = torch.stack([logits[branch] for branch in ALONE.values()])
        late_average = (weights[..., None] * alone).sum(0)
        fused = torch.stack([logits[name] for name in FUSIONS])
        ensemble = fused.mean(0)
        blend = (ensemble + late_average) / 2
        return logits | {"ensemble": ensemble, "late_average": late_average, "blend": blend}

    def _embed(self, features: ByBranch, present: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the features [n, width], of length 1, by which garments are found.

        They are those of the branches that serve, side by side.
        """
        if self.served == "late_average":
            parts = []
            for name, branch in ALONE.items():
                # What is missing adds nothing to the inner product with a garment.
                vectors = normalize(features[branch], dim=-1)
                parts.append(vectors * present[name][:, None])
        else:
            # A blend is found by its fusions: they tell garments apart as the whole blend does,
            # and are narrower.
            fusions = list(FUSIONS) if self.served in MIXTURES else [self.served]
            parts = [normalize(features[name], dim=-1) for name in fusions]
        return normalize(torch.cat(parts, -1), dim=-1)

    def infer(
        self, inputs: Inputs, count: int, wanted_precision: str = "auto", title: str = ""
    ) -> tuple[ByBranch, ByBranch]:
        """Return the features of every branch, and the logits of every branch and mixture.

        Args:
            inputs: what they are computed for.
            count: how many rows ``inputs`` has.
            wanted_precision: of the computation: auto, float32 or bfloat16.
            title: of the progress bar; "" shows none.

        Raises:
            NotFiniteError: a logit is NaN or infinite.
        """
        [outputs] = self._infer_variants(inputs, count, [NOTHING], wanted_precision, title)
        return outputs

    @torch.no_grad()
    def _infer_variants(
        self,
        inputs: Inputs,
        count: int,
        variants: Sequence[frozenset[str]],
        wanted_precision: str,
        title: str,
    ) -> list[tuple[ByBranch, ByBranch]]:
        """Return what `infer` returns once for each of ``variants``: the inputs it takes away."""
        self.eval()
        if self.text is not None:
            self.text.set_attn_implementation(attention(training=False))
        features: list[dict[str, list[torch.Tensor]]] = [defaultdict(list) for _ in variants]
        logits: list[dict[str, list[torch.Tensor]]] = [defaultdict(list) for _ in variants]
        shown = progress.bar(title, count) if title else nullcontext()
        with shown as bar, precision(wanted_precision):
            for start in range(0, count, ROWS):
                stop = min(start + ROWS, count)
                encoded = inputs.encode_batch(np.arange(start, stop))
                for number, variant in enumerate(variants):
                    seen = self._take_away(encoded, variant)
                    batch_features = self.features(seen)
                    for name, values in batch_features.items():
                        features[number][name].append(values.float().cpu())
                    batch_logits = self.mix(self.classify(batch_features), seen)
                    for name, values in batch_logits.items():
                        logits[number][name].append(values.float().cpu())
                if bar:
                    bar.advance(stop - start)
        outputs = []
        for by_name, logits_by_name in zip(features, logits, strict=True):
            all_features = {name: torch.cat(parts) for name, parts in by_name.items()}
            all_logits = {name: torch.cat(parts) for name, parts in logits_by_name.items()}
            for branch, values in all_logits.items():
                require_finite(values, f"the logits of {branch}")
            outputs.append((all_features, all_logits))
        return outputs

    def _take_away(
        self, encoded: dict[str, TokenFeatures], names: frozenset[str]
    ) -> dict[str, TokenFeatures]:
        """Return ``encoded`` as it would be if nobody had the inputs ``names``."""
        seen = {}
        for name, tokens in encoded.items():
            seen[name] = self.absent_input(name, len(tokens.present)) if name in names else tokens
        return seen

    def predict(
        self, texts: Sequence[str], keys: Sequence[str], pictures: Pictures, title: str = "predict"
    ) -> Predictions:
        """Return the predictions for ``texts`` with the ``pictures`` called ``keys``.

        "" stands for what is missing.
        """
        [predictions] = self._predict_variants(texts, keys, pictures, [NOTHING], title)
        return predictions

    def predict_with_and_without(
        self, texts: Sequence[str], keys: Sequence[str], pictures: Pictures, title: str
    ) -> tuple[Predictions, dict[str, Predictions]]:
        """Return what `predict` returns, and by input the predictions without that input.

        The two networks, which take nearly all the time, run once for all of them.
        """
        names = list(INPUTS)
        variants = [NOTHING, *(frozenset([name]) for name in names)]
        whole, *lacking = self._predict_variants(texts, keys, pictures, variants, title)
        return whole, dict(zip(names, lacking, strict=True))

    def _predict_variants(
        self,
        texts: Sequence[str],
        keys: Sequence[str],
        pictures: Pictures,
        variants: Sequence[frozenset[str]],
        title: str,
    ) -> list[Predictions]:
        self.to(device())
        inputs = Inputs(self, texts, keys, pictures)
        predictions = []
        outputs = self._infer_variants(inputs, len(texts), variants, "auto", title)
        for variant, (features, logits) in zip(variants, outputs, strict=True):
            present = dict(inputs.present)
            for name in variant:
                present[name] = torch.zeros_like(present[name])
            predictions.append(self._as_predictions(features, logits, present))
        return predictions

    def _as_predictions(
        self, features: ByBranch, logits: ByBranch, present: dict[str, torch.Tensor]
    ) -> Predictions:
        logits_by_head = {}
        for branch, values in logits.items():
            by_head = self.by_head(values)
            logits_by_head[branch] = {head: part.numpy() for head, part in by_head.items()}
        # Calibrated by one number for each head (Guo et al. 2017), fitted on the validation split.
        probabilities = {}
        for head, values in self.by_head(logits[self.served]).items():
            calibrated = values / self.temperatures[head]
            probabilities[head] = torch.softmax(calibrated, -1).numpy()
        embedding = self._embed(features, present).numpy()
        return Predictions(probabilities, logits_by_head, embedding)


def save(classifier: FusionClassifier, folder: Path) -> None:
    """Write ``classifier`` into the existing ``folder``."""
    classifier.save_networks(folder)
    # The rest of the weights: the networks are in folders of their own, for transformers.
    heads = {}
    for name, value in classifier.state_dict().items():
        if not name.startswith(NETWORKS):
            heads[name] = value.cpu().contiguous()
    save_file(heads, folder / "head.safetensors")
    config = vars(classifier.config)
    write_json(folder / "tryon.json", config | {"temperatures": classifier.temperatures})


def load(folder: Path) -> FusionClassifier:
    """Return the classifier saved in ``folder``.

    Raises:
        ValueError: the folder is not a saved classifier.
    """
    config = read_json(folder / "tryon.json")
    temperatures = config.pop("temperatures")
    classifier = FusionClassifier(
        Config(**config), load_networks(folder), temperatures=temperatures
    )
    weights = load_file(folder / "head.safetensors")
    missing, unexpected = classifier.load_state_dict(weights, strict=False)
    # Not strict: the two networks have files of their own.
    if unexpected or any(not name.startswith(NETWORKS) for name in missing):
        raise ValueError(
            f"{folder / 'head.safetensors'}: not the heads of this model; retrain or restore the "
            "folder"
        )
    return classifier


def write_gallery(
    classifier: FusionClassifier, data: Path, folder: Path, settings: dict[str, int]
) -> int:
    """Write the garments on sale, with small pictures, and the index of their features.

    Args:
        classifier: makes the features.
        data: what `ingest` wrote.
        folder: where the two files go.
        settings: those of `index.build`.

    Returns:
        How many garments there are; without any nothing is written.
    """
    files = [data / f"{name}.parquet" for name in PARTS]
    frame = pd.concat(map(pd.read_parquet, files))
    # By key, so that ties in the index are broken alike each time; each picture is offered once.
    frame = frame[frame["offered"]].sort_values("key").drop_duplicates("image")
    if frame.empty:
        return 0
    pictures = Pictures(data, *PARTS)
    predictions = classifier.predict(
        frame["text"].tolist(), frame["image"].tolist(), pictures, "garments on sale"
    )
    built = index.build(predictions.features, **settings)
    index.write(built, folder / "gallery.faiss")
    thumbnails = []
    for key in frame["image"]:
        thumbnail = images.shrink(pictures.image(key), THUMBNAIL)
        thumbnails.append(images.encode(thumbnail, 85))
    labels = [label_column(head["name"]) for head in classifier.config.heads]
    gallery = frame[["key", "id", "product", "name", "text", *labels]]
    gallery.assign(thumbnail=thumbnails).to_parquet(folder / "gallery.parquet", index=False)
    return len(frame)
