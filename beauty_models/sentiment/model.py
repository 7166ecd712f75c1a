"""The network: a BERT encoder, mean pooling, LayerNorm, a head for sentiment, one for aspects.

A saved model is a folder that transformers opens by itself:
``pipeline("text-classification", model=folder)`` answers with the classes' names and calibrated
probabilities (see `sequence_classifier`). Beside it lie ``head.safetensors``, the heads as they
were trained, and ``classifier.json`` with classes, aspects, temperature and the backbone's licence.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from beauty_models import progress
from beauty_models.backbones.loading import from_pretrained, network
from beauty_models.device import attention, device, precision
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.training.bert import (
    TOKENS,
    batches_by_tokens,
    encode,
    layers,
    max_positions,
    mean_pool,
    pad,
)
from beauty_models.training.finite import require_finite

POLARITIES = ["negative", "neutral", "positive"]
ASPECT_STATES = 4  # of an aspect: not mentioned, then the polarities
NORM_EPS = 1e-12  # small enough that a scaled input is normalised to the same output
OLD_NORM_EPS = 1e-5  # of folders saved before they were sequence classifiers of transformers

# Powers of two, so that scaling and its undoing lose no bit. The pooling layer has a residual
# connection that mean pooling has not: the token's own state is added. It is scaled down, and the
# mean up, until it weighs 2⁻²⁰ of the mean. Both halves stay within the range of float16.
STATE_SCALE = 2.0**-8  # of what the last trained layer puts out
MEAN_SCALE = 2.0**12  # of the mean in the pooling layer
# tanh(x · 2⁻¹²) is x · 2⁻¹² to 6 digits for |x| < 10
LINEAR_SCALE = 2.0**-12
# gelu(x + 32) is x + 32 for |x| < 20; a LayerNorm of width n puts out less than √n times its weight
GELU_SHIFT = 32.0
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of n texts."""

    probabilities: Floats  # [n, classes], calibrated
    aspects: Floats  # [n, aspects, 4]: not mentioned, negative, neutral, positive


class Classifier(nn.Module):
    """Texts → probabilities of the classes and, where the data had them, of the aspects."""

    def __init__(
        self,
        encoder: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        classes: list[str],
        aspects: list[str],
        max_tokens: int,
        backbone: dict[str, Any],
        dropout: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.classes = classes
        self.aspects = aspects
        self.polarities = POLARITIES
        self.max_tokens = max_tokens
        self.backbone = backbone
        self.temperature = temperature
        # Training crops to max_tokens; answers are about all that the encoder can read, as they are
        # in transformers alone: cropped ones had another class for 4 of 100 longer reviews.
        tokenizer.model_max_length = max_positions(encoder)
        width = encoder.config.hidden_size
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)
        self.sentiment = nn.Linear(width, len(classes))
        self.aspect = nn.Linear(width, ASPECT_STATES * len(aspects)) if aspects else None

    def encode(
        self, hidden: torch.Tensor, mask: torch.Tensor, start: int, stop: int
    ) -> torch.Tensor:
        """Return the output of layers ``start`` to ``stop``−1, as `training.bert.encode` does."""
        return encode(self.encoder, hidden, mask, start, stop)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings [n, length, width] of token ids [n, length]."""
        embedded: torch.Tensor = self.encoder.embeddings(input_ids=ids)
        return embedded

    def heads(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits for normalised features [n, width].

        Those of the classes are [n, classes], those of the aspects [n, aspects, 4].
        """
        features = self.dropout(pooled)
        aspect = self.aspect(features) if self.aspect else features.new_zeros(len(features), 0)
        shape = (len(self.aspects), ASPECT_STATES)
        return self.sentiment(features), aspect.unflatten(-1, shape)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of `heads` for token ids [n, length], real where ``mask`` is true."""
        depth = len(layers(self.encoder))
        hidden = self.encode(self.embed(ids), mask, 0, depth)
        return self.heads(self.norm(mean_pool(hidden, mask)))

    def tokens(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """Return the token ids of each text, cut where the encoder's positions end.

        They are cut as ``truncation=True`` of transformers cuts them.
        """
        if not len(texts):  # a tokenizer refuses an empty list
            return []
        cut = self.tokenizer(list(texts), truncation=True)["input_ids"]
        return [torch.tensor(ids) for ids in cut]

    @torch.inference_mode()
    def predict(
        self, texts: Sequence[str], title: str = "predict", wanted: str = "auto"
    ) -> Predictions:
        """Return the predictions for ``texts``, in their order, computed with precision ``wanted``.

        ``title`` is that of the progress bar; "" shows none.

        Raises:
            NotFiniteError: a probability is NaN.
        """
        self.eval().to(device())
        self.encoder.set_attn_implementation(attention(training=False))
        rows = self.tokens(texts)
        probabilities = np.zeros((len(rows), len(self.classes)), np.float32)
        aspects = np.zeros((len(rows), len(self.aspects), ASPECT_STATES), np.float32)
        lengths = np.array([len(row) for row in rows], np.int64)
        with progress.bar(title, len(rows)) if title else nullcontext() as bar, precision(wanted):
            for batch in batches_by_tokens(lengths, TOKENS):
                ids, mask = pad([rows[i] for i in batch], self.tokenizer.pad_token_id)
                sentiment, aspect = self(ids, mask)
                # temperature scaling (Guo et al. 2017)
                calibrated = torch.softmax(sentiment.float() / self.temperature, -1)
                probabilities[batch] = calibrated.cpu().numpy()
                aspects[batch] = torch.softmax(aspect.float(), -1).cpu().numpy()
                if bar:
                    bar.advance(len(batch))
        require_finite(torch.from_numpy(probabilities), f"{title or 'predict'}: the probabilities")
        return Predictions(probabilities, aspects)


def _identity_(linear: Any, scale: float, shift: float = 0.0) -> None:
    """Make ``linear`` compute ``scale`` · x + ``shift``."""
    nn.init.eye_(linear.weight).mul_(scale)
    nn.init.constant_(linear.bias, shift)


def _zero_(*linears: Any) -> None:
    for linear in linears:
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)


def _mean_pooling_(layer: Any, norm: nn.LayerNorm) -> None:
    """Turn a BERT layer into mean pooling over the real tokens and ``norm``."""
    attention = layer.attention
    output = layer.output
    # a query of zero scores every token 0, so that it attends to all real ones alike; the feed-
    # forward network adds nothing
    _zero_(attention.self.query, attention.self.key, layer.intermediate.dense, output.dense)
    # what comes in was scaled down by `sequence_classifier`
    _identity_(attention.self.value, 1 / STATE_SCALE)
    _identity_(attention.output.dense, MEAN_SCALE)
    nn.init.ones_(attention.output.LayerNorm.weight)
    nn.init.zeros_(attention.output.LayerNorm.bias)
    output.LayerNorm.load_state_dict(norm.state_dict())


def _head_(model: Any, trained: nn.Linear, temperature: float) -> None:
    """Make the stock head of ``model`` compute ``trained``, its logits divided by ``temperature``.

    A stock head has a nonlinear layer first, which is used where it is linear.
    """
    # BERT has that layer in its pooler, RoBERTa and ELECTRA in the classifier
    pooler = getattr(model.base_model, "pooler", None)
    hidden = pooler.dense if pooler else model.classifier.dense
    linear = model.classifier if pooler else model.classifier.out_proj
    scale = LINEAR_SCALE
    shift = 0.0
    if model.config.model_type == "electra":  # the only head with gelu where the others have tanh
        scale = 1.0
        shift = GELU_SHIFT
    _identity_(hidden, scale, shift)
    # undo scale and shift; in float64, because 2¹² enlarges what float32 would round away
    weight = trained.weight.double()
    linear.weight.copy_(weight / (scale * temperature))
    bias = trained.bias.double() - shift / scale * weight.sum(1)
    linear.bias.copy_(bias / temperature)


@torch.no_grad()
def sequence_classifier(classifier: Classifier) -> PreTrainedModel:
    """Return the sentiment part of ``classifier`` as its architecture's stock sequence classifier.

    Stock heads (BertForSequenceClassification and its like) look at the first token only, through
    a layer with tanh or gelu. One more encoder layer brings the mean of all tokens there, and the
    nonlinear layer is used where it is linear; so the class and its calibrated probabilities are
    the same to about 1e-6. The aspects are not part of it.
    """
    config = copy.deepcopy(classifier.encoder.config)
    config.num_hidden_layers += 1
    config.id2label = dict(enumerate(classifier.classes))
    config.label2id = {name: number for number, name in enumerate(classifier.classes)}
    config.problem_type = "single_label_classification"
    model: Any = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    # not strict: the layer that pools, and BERT's pooler, are set below
    model.base_model.load_state_dict(classifier.encoder.state_dict(), strict=False)
    stack: Any = layers(model.base_model)
    for parameter in stack[-2].output.LayerNorm.parameters():
        parameter.mul_(STATE_SCALE)
    _mean_pooling_(stack[-1], classifier.norm)
    _head_(model, classifier.sentiment, classifier.temperature)
    stock: PreTrainedModel = model.eval()
    return stock


@torch.no_grad()
def _encoder(folder: Path) -> PreTrainedModel:
    """Return the encoder of a saved folder as it was trained.

    That is without the layer that pools, and not scaled.
    """
    model = network(AutoModelForSequenceClassification, folder)
    encoder: Any = model.base_model
    stack: Any = layers(encoder)
    del stack[-1]
    encoder.config.num_hidden_layers -= 1
    for parameter in stack[-1].output.LayerNorm.parameters():
        parameter.div_(STATE_SCALE)
    if hasattr(encoder, "pooler"):
        encoder.pooler = None  # as ``add_pooling_layer=False`` leaves it
    bare: PreTrainedModel = encoder
    return bare


def save(classifier: Classifier, folder: Path, history: list[dict[str, float]]) -> None:
    """Write ``classifier`` and the ``history`` of its training to ``folder``, whole or not at all.

    Raises:
        OSError: the disk is full; what was in ``folder`` before is untouched.
    """
    head = {}
    for name, value in classifier.state_dict().items():
        if not name.startswith("encoder."):
            head[name] = value.cpu().contiguous()
    card = {
        "classes": classifier.classes,
        "aspects": classifier.aspects,
        "max_tokens": classifier.max_tokens,
        "temperature": classifier.temperature,
        **classifier.backbone,
    }
    with new_folder(folder) as temporary:
        sequence_classifier(classifier).save_pretrained(temporary)
        classifier.tokenizer.save_pretrained(temporary)
        save_file(head, temporary / "head.safetensors")
        write_json(temporary / "history.json", history)
        write_json(temporary / "backbone.json", classifier.backbone)
        write_json(temporary / "classifier.json", card)


def load(folder: Path) -> Classifier:
    """Return the classifier saved in ``folder``.

    Raises:
        ValueError: the folder is not a saved classifier.
    """
    card = read_json(folder / "classifier.json")
    [architecture] = from_pretrained(AutoConfig, folder).architectures
    # folders of earlier versions hold the bare encoder; registered ones must still answer
    stock = architecture.endswith("ForSequenceClassification")
    encoder = _encoder(folder) if stock else network(AutoModel, folder, add_pooling_layer=False)
    classifier = Classifier(
        encoder,
        from_pretrained(AutoTokenizer, folder),
        card["classes"],
        card["aspects"],
        card["max_tokens"],
        read_json(folder / "backbone.json"),
        temperature=card["temperature"],
    )
    classifier.norm.eps = NORM_EPS if stock else OLD_NORM_EPS
    file = folder / "head.safetensors"
    # not strict: the encoder's weights are loaded already
    missing, unexpected = classifier.load_state_dict(load_file(file), strict=False)
    missing_head = [name for name in missing if not name.startswith("encoder.")]
    if unexpected or missing_head:
        raise ValueError(f"{file}: not the head of this classifier; retrain or restore the folder")
    return classifier
