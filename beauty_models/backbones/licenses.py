"""The licence that comes with a pretrained network, and whether it may be used commercially."""

from __future__ import annotations

from pathlib import Path

PERMISSIVE = {
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "bsd-2-clause",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "openrail",
}


def stated_license(base: str) -> tuple[str, bool | None]:
    """Return the licence that a folder's README or the hub's model card states."""
    from huggingface_hub import ModelCard

    readme = Path(base) / "README.md"
    try:
        stated = ModelCard.load(readme if readme.exists() else base).data.get("license")
    except (
        Exception
    ):  # no card, no network, a card that does not parse: all mean that nothing is stated
        stated = None
    name = str(stated or "not stated")
    return name, True if name.lower() in PERMISSIVE else False if "nc" in name.lower().split(
        "-"
    ) else None
