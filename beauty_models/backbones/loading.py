"""The one door for networks and tokenizers that others made.

No code of theirs is run, and nothing is unpickled.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import dynamic_module_utils

# A library in between may ask transformers without saying `trust_remote_code`. Then transformers
# would ask the person at the terminal (or a pipe) whether a model's own code may run. With 0
# seconds to answer it never asks, it refuses.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0

# Suffixes of weights files that can run code when they are read.
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def package(name: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        ValueError: it is not installed.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ValueError(f"base: the package {name} is not installed; run `make install`")
    return Path(spec.origin).parent


def pickled(folder: Path, name: str) -> str:
    """Return in words for the user why the weights file ``name`` of ``folder`` is not loaded."""
    return (
        f"{folder} has its weights as {name}, a pickle, which can run code when it is read; "
        "only safetensors are loaded: where you trust it, load it with its own library and save it "
        "again as safetensors"
    )


def why_not(place: str | Path, error: Exception) -> str:
    """Return in words for the user why ``place`` could not be loaded.

    Args:
        place: a folder or a hub id.
        error: what the library raised.
    """
    message = str(error)
    if "custom code" in message or "trust_remote_code" in message:
        return (
            f"{place} wants Python code of its own to be run (auto_map in its JSON files), "
            "and that is never done here; take a model whose architecture the library itself has"
        )
    folder = Path(place)
    # Of a folder of pickles the library says only that a file is missing, so we look for them.
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if folder.is_dir() and pickles and not any(folder.glob("*.safetensors")):
        return pickled(folder, pickles[0])
    reason = message.splitlines()[0] if message else type(error).__name__
    return f"{place} could not be loaded: {reason}"


def from_pretrained(auto_class: Any, place: str | Path, **settings: Any) -> Any:
    """Return ``auto_class.from_pretrained(place)``, of one of transformers' Auto classes.

    This is the one door for files of others: code that comes with a model is never run, and
    weights are never unpickled.

    Raises:
        ValueError: it cannot be loaded like that; the message says why.
    """
    try:
        return auto_class.from_pretrained(place, trust_remote_code=False, **settings)
    # Files that a library did not expect make it raise whatever it likes.
    except Exception as error:
        raise ValueError(why_not(place, error)) from error


def network(auto_class: Any, place: str | Path, **settings: Any) -> Any:
    """Return the float32 network at ``place``, by `from_pretrained`, from safetensors only."""
    return from_pretrained(auto_class, place, dtype=torch.float32, use_safetensors=True, **settings)
