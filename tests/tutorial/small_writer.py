"""A tiny untrained writer, for tests that need any language model at all."""

from __future__ import annotations

import torch

from beauty_models.params import Scratch
from beauty_models.tutorial import bases
from beauty_models.tutorial.model import LanguageModel

TEXTS = [
    "1. Press primer over the face.\n2. Blend foundation from the middle.\n",
    "先把脸洗干净。\n1. 眼皮上铺一层眼影。\n2. 口红从唇中间涂开。\n",
    "title: products: tools: language: skin_type: occasion: look: steps:\n",
]


def small_writer(context: int = 512, seed: int = 1) -> LanguageModel:
    """Return a GPT-2 of random weights that reads ``context`` tokens."""
    torch.manual_seed(seed)
    shape = Scratch(layers=1, hidden=16, heads=2, vocabulary=320)
    return bases.scratch(TEXTS, shape, context)
