"""The model as one GGUF file, for llama.cpp, Ollama and others that read it.

``python -m beauty_models.tutorial.export_gguf build/tutorial/model tutorial.gguf`` writes the file
and has transformers, which reads GGUF by code that is not ours, write the same text from it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from beauty_models.tutorial.generation import prompt_ids
from beauty_models.tutorial.model import LanguageModel, load
from beauty_models.tutorial.structure import Request

ARCHITECTURES = {"llama": "llama", "gpt2": "gpt2"}
"""transformers' model type → GGUF's name of the architecture."""

# GGUF's types of a token
NORMAL = 1
CONTROL = 3
# GPT-2 stores these matrices as [in, out], GGUF as [out, in]
TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
# buffers that older versions of transformers saved; they are no weights
NO_WEIGHTS = (".attn.bias", ".attn.masked_bias")
CHECKED_TOKENS = 40
PROMPTS = (
    Request(look="soft smoky eye", language="en", products=("primer", "mascara"), steps=5),
    Request(look="自然妆", language="zh", skin_type="dry"),
)


def _pairs_together(matrix: NDArray[Any], heads: int) -> NDArray[Any]:
    """Return rows of a rotary projection as llama.cpp orders them: both parts of a pair together.

    transformers has them in two halves; `smollm2` reads them the other way round.
    """
    pairs = matrix.shape[0] // heads // 2
    return matrix.reshape(heads, 2, pairs, -1).swapaxes(1, 2).reshape(matrix.shape)


def _write_settings(writer: Any, config: Any, architecture: str) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if architecture == "gpt2":
        writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)


def _write_tokenizer(writer: Any, language_model: LanguageModel) -> None:
    import json

    backend: Any = language_model.tokenizer.backend_tokenizer
    content = json.loads(backend.to_str())
    special = {int(number) for number in backend.get_added_tokens_decoder()}
    by_number = sorted(backend.get_vocab().items(), key=lambda item: item[1])
    digits_alone = '"Digits"' in json.dumps(content["pre_tokenizer"])
    writer.add_tokenizer_model("gpt2")
    # llama.cpp's names of what cuts a text before the merges
    writer.add_tokenizer_pre("smollm" if digits_alone else "gpt-2")
    writer.add_token_list([token for token, _ in by_number])
    writer.add_token_types([CONTROL if n in special else NORMAL for _, n in by_number])
    merges = content["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(language_model.boundary)
    writer.add_eos_token_id(language_model.boundary)
    writer.add_add_bos_token(True)


def _tensor(name: str, weight: torch.Tensor, config: Any, architecture: str) -> NDArray[Any]:
    """Return one weight as GGUF has it, in float32."""
    dense = weight.detach().float().cpu().numpy()
    if architecture == "gpt2":
        return np.ascontiguousarray(dense.T) if name.endswith(TRANSPOSED) else dense
    if name.endswith("q_proj.weight"):
        return _pairs_together(dense, config.num_attention_heads)
    if name.endswith("k_proj.weight"):
        return _pairs_together(dense, config.num_key_value_heads)
    return dense


def write_gguf(language_model: LanguageModel, file: Path) -> None:
    """Write the network and its tokenizer to ``file``: matrices in half precision, vectors in full.

    Half precision is float16: llama.cpp reads it on every machine. A network that was saved in
    bfloat16 loses nothing by it but what lies below float16's smallest numbers.

    Raises:
        ValueError: the architecture has no counterpart here, or gguf is not installed.
    """
    try:
        import gguf
    except ImportError:
        raise ValueError(
            "GGUF is written with the package gguf, which is not installed; run `make install`"
        ) from None
    network: Any = language_model.network
    config = network.config
    architecture = ARCHITECTURES.get(config.model_type)
    if architecture is None:
        raise ValueError(f"{config.model_type}: only {', '.join(ARCHITECTURES)} can be exported")
    names = gguf.get_tensor_name_map(
        gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers
    )
    partial = file.with_name(file.name + ".part")
    writer = gguf.GGUFWriter(partial, architecture)
    writer.add_name("tutorial")
    writer.add_license(language_model.card["license"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _write_settings(writer, config, architecture)
    _write_tokenizer(writer, language_model)
    for name, weight in network.state_dict().items():
        # of tied weights one copy is enough: readers take the embedding for both
        if name.endswith(NO_WEIGHTS) or (name == "lm_head.weight" and config.tie_word_embeddings):
            continue
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if stored is None:
            raise ValueError(f"{name}: GGUF has no name for this weight")
        dense = _tensor(name, weight, config, architecture)
        writer.add_tensor(stored, dense.astype(np.float16) if dense.ndim > 1 else dense)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    # a name that is whole holds a file that is whole
    partial.replace(file)


@torch.inference_mode()
def greedy(network: Any, ids: list[int], tokens: int) -> list[int]:
    """Return the likeliest ``tokens`` tokens behind ``ids``, by transformers' own loop."""
    given = torch.tensor([ids], device=network.device)
    output = network.generate(
        given,
        attention_mask=torch.ones_like(given),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
    )
    written: list[int] = output[0, len(ids) :].tolist()
    return written


def check_gguf(language_model: LanguageModel, file: Path) -> int:
    """Have transformers read ``file`` and write from it; return how many tokens were the same.

    Raises:
        ValueError: it writes another text than the model.
    """
    network: Any = language_model.network.float().eval()
    # with its own configuration: of a GPT-2's file transformers leaves the context at 1,024
    read: Any = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.float32,
        config=network.config,
        trust_remote_code=False,
    ).eval()
    checked = 0
    for request in PROMPTS:
        ids = prompt_ids(language_model, request)
        own, other = greedy(network, ids, CHECKED_TOKENS), greedy(read, ids, CHECKED_TOKENS)
        if own != other:
            raise ValueError(
                f"{file}: writes {language_model.decode(other)!r:.200} for "
                f"{request.look!r}, the model {language_model.decode(own)!r:.200}"
            )
        checked += len(own)
    return checked


def main() -> None:
    """Write the file, check it, say so."""
    arguments = argparse.ArgumentParser(
        prog="python -m beauty_models.tutorial.export_gguf", description=__doc__.partition("\n")[0]
    )
    arguments.add_argument("model", type=Path, help="a folder that finetune wrote")
    arguments.add_argument("file", type=Path, help="ends in .gguf")
    options = arguments.parse_args()
    language_model = load(options.model)
    write_gguf(language_model, options.file)
    checked = check_gguf(language_model, options.file)
    size = options.file.stat().st_size / 1e6
    print(f"{options.file}: {size:.0f} MB; transformers writes the same {checked} tokens from it")


if __name__ == "__main__":
    main()
