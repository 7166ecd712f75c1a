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
    """Return the licence that a folder's README or the hub's model card states.

    The second value says whether commercial use is allowed; None where the licence does not tell.
    """
    from huggingface_hub import ModelCard

    readme = Path(base) / "README.md"
    try:
        license_ = ModelCard.load(readme if readme.exists() else base).data.get("license")
    # No card, no network, a card that does not parse: all mean that nothing is stated.
    except Exception:
        license_ = None
    name = str(license_ or "not stated")
    return name, _allows_commercial_use(name)


def _allows_commercial_use(license_: str) -> bool | None:
    name = license_.lower()
    if name in PERMISSIVE:
        return True
    # Creative Commons writes "non-commercial" as a part of the name: cc-by-nc-4.0, cc-by-nc-sa-4.0.
    if "nc" in name.split("-"):
        return False
    return None
