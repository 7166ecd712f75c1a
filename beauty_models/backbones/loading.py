"""The one door for networks and tokenizers that others made: no code of theirs is run, nothing is unpickled."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import dynamic_module_utils

# Where a library in between asks transformers without saying `trust_remote_code`, it would ask the person at the terminal
# (or a pipe) whether a model's own code may run. 0 seconds: it never asks, it refuses.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0


PICKLES = (
    "*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.pkl",
)  # weights that can run code when they are read


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
        f"{folder} has its weights as {name}, a pickle, which can run code when it is read; only safetensors are "
        "loaded: where you trust it, load it with its own library and save it again as safetensors"
    )


def why_not(place: str | Path, error: Exception) -> str:
    """Return in words for the user why what lies at ``place``, a folder or a hub id, could not be loaded."""
    said = str(error)
    if "custom code" in said or "trust_remote_code" in said:
        return (
            f"{place} wants Python code of its own to be run (auto_map in its JSON files), and that is never done here; "
            "take a model whose architecture the library itself has"
        )
    folder = Path(place)
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if folder.is_dir() and pickles and not any(folder.glob("*.safetensors")):
        return pickled(folder, pickles[0])
    first = said.splitlines()[0] if said else type(error).__name__
    return f"{place} could not be loaded: {first}"


def from_pretrained(kind: Any, place: str | Path, **settings: Any) -> Any:
    """Return ``kind.from_pretrained(place)``, of one of transformers' Auto classes: the one door for files of others.

    Code that comes with a model is never run, and weights are never unpickled.

    Raises:
        ValueError: it cannot be loaded like that; the message says why.
    """
    try:
        return kind.from_pretrained(place, trust_remote_code=False, **settings)
    except (
        Exception
    ) as error:  # files that a library did not expect make it raise whatever it likes
        raise ValueError(why_not(place, error)) from error


def network(kind: Any, place: str | Path, **settings: Any) -> Any:
    """Return the float32 network at ``place``, by `from_pretrained`, from safetensors only."""
    return from_pretrained(kind, place, dtype=torch.float32, use_safetensors=True, **settings)
