"""GGUF: what another library reads of the file writes the same text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_writer import small_writer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from beauty_models.tutorial.export_gguf import check_gguf, write_gguf
from beauty_models.tutorial.model import LanguageModel, save


def _small_llama() -> LanguageModel:
    """Return a network of SmolLM2's kind: rotary, grouped heads, tied embeddings."""
    gpt2 = small_writer()
    torch.manual_seed(2)
    config: Any = LlamaConfig(
        vocab_size=gpt2.network.config.vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.5,
    )
    return LanguageModel(LlamaForCausalLM(config), gpt2.tokenizer, dict(gpt2.card))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_transformers_writes_the_same_text_from_the_file(kind: str, tmp_path: Path) -> None:
    language_model = small_writer() if kind == "gpt2" else _small_llama()
    # half precision holds these numbers exactly, so nothing is lost on the way
    for weight in language_model.network.parameters():
        weight.data = (weight.data * 3).half().float()
    file = tmp_path / "model.gguf"
    write_gguf(language_model, file)
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
    assert check_gguf(language_model, file) == 80
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    text = "1. Press primer 先把脸洗干净\n"
    assert tokenizer.encode(text, add_special_tokens=False) == language_model.encode(text)


def test_a_file_of_other_weights_is_told(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    write_gguf(small_writer(seed=1), file)
    with pytest.raises(ValueError, match="writes .* for 'soft smoky eye', the model"):
        check_gguf(small_writer(seed=5), file)


def test_an_architecture_without_a_counterpart_is_told(tmp_path: Path) -> None:
    language_model = small_writer()
    language_model.network.config.model_type = "other"
    with pytest.raises(ValueError, match="other: only llama, gpt2 can be exported"):
        write_gguf(language_model, tmp_path / "model.gguf")
    assert not list(tmp_path.iterdir())


def test_the_saved_folder_opens_in_transformers(tmp_path: Path) -> None:
    language_model = small_writer()
    save(language_model, tmp_path)
    network: Any = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.tensor([language_model.encode("Press primer")])
    own: Any = language_model.network.eval()
    assert torch.equal(network(ids).logits, own(ids).logits)
