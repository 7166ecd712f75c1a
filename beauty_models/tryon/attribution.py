"""What decided: the words without which the answer is less sure, and the places of the photo that speak for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beauty_models.device import attention
from beauty_models.intake.shards import Pictures
from beauty_models.intake.text import words
from beauty_models.tryon.model import Answer, Stylist
from beauty_models.tryon.towers import Inputs

WORDS = 60  # at most of a text, the first ones


@dataclass(frozen=True)
class Reasons:
    """Why ``label`` is likely: ``words`` with what each adds to its probability; ``heat`` [rows, columns], 0 to 1, or None without a photo."""

    label: str
    probability: float
    words: list[tuple[str, float]]
    heat: NDArray[np.float32] | None
    alone: dict[str, tuple[str, float]]  # what text and photo each say alone: label and probability


def _without(text: str, told: list[str]) -> list[str]:
    """Return ``text`` without each of its words ``told`` in turn."""
    found, at = [], 0
    for word in told:
        at = text.index(word, at)
        found.append(text[:at] + text[at + len(word) :])
        at += len(word)
    return found


def word_effects(
    stylist: Stylist, text: str, key: str, pictures: Pictures, answer: Answer
) -> list[tuple[str, float]]:
    """Return the words of ``text`` and how much less likely the answered class is without each (leave one out: Li et al. 2016)."""
    told = [word for word in words(text) if any(map(str.isalnum, word))][:WORDS]
    if not told:
        return []
    head = stylist.shape.heads[0]["name"]
    said = answer.probabilities[head][0]
    others = stylist.predict(_without(text, told), [key] * len(told), pictures, "").probabilities[
        head
    ]
    return [
        (word, float(said.max() - other[said.argmax()]))
        for word, other in zip(told, others, strict=True)
    ]


def heat(
    stylist: Stylist, text: str, key: str, pictures: Pictures, label: int
) -> NDArray[np.float32]:
    """Return which places of the photo speak for class ``label`` [rows, columns], 0 to 1 (Grad-CAM: Selvaraju et al. 2017, eq. 1–2).

    The last feature map is taken as the layer; its places are those of a convolution's map or a transformer's patches.
    """
    stylist.eval()
    if stylist.text is not None:
        stylist.text.set_attn_implementation(attention(training=False))
    with torch.no_grad():
        inputs = Inputs(stylist, [text], [key], pictures).take(np.arange(1))
    values = inputs["image"].values.detach().requires_grad_(True)
    inputs["image"] = inputs["image"]._replace(values=values)
    logits = stylist.mix(stylist.classify(stylist.features(inputs)), inputs)
    logits[stylist.served][0, label].backward()
    assert values.grad is not None
    weights = values.grad.mean(1, keepdim=True)
    map_ = torch.relu((weights * values.detach()).sum(-1))[0]
    side = round(len(map_) ** 0.5)
    return (map_ / map_.max().clamp(min=1e-12)).view(side, side).cpu().numpy().astype(np.float32)


def explain(stylist: Stylist, text: str, key: str, pictures: Pictures) -> Reasons:
    """Return why the model answers as it does to ``text`` and the photo ``key``; "" stands for what is missing."""
    head: dict[str, Any] = stylist.shape.heads[0]
    answer = stylist.predict([text, text, ""], [key, "", key], pictures, "")
    probabilities = answer.probabilities[head["name"]]
    best = probabilities.argmax(1)
    told = {"text": 1, "photo": 2} if text and key else {}
    alone = {
        name: (head["labels"][best[i]], float(probabilities[i].max())) for name, i in told.items()
    }
    return Reasons(
        head["labels"][best[0]],
        float(probabilities[0].max()),
        word_effects(stylist, text, key, pictures, answer),
        heat(stylist, text, key, pictures, int(best[0])) if key else None,
        alone,
    )
