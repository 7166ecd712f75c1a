"""What a person reads of a registered version: its model card, and its page in MLflow. Markdown."""

from __future__ import annotations

import shlex
from pathlib import Path

from beauty_models import families
from tasks.registry import flavor
from tasks.registry.lineage import Lineage, warnings


def model_card(family: str, metrics: dict[str, float], lineage: Lineage) -> str:
    """Return the family's model card with a section on this very model."""
    lines = [_family_card(family), "", "## This version", "", *_origins(lineage)]
    lines += [f"- {warning}" for warning in warnings(lineage)]
    lines += ["", "| metric | value |", "|---|---:|"]
    lines += [f"| {name} | {value:.4f} |" for name, value in sorted(metrics.items())]
    return "\n".join(lines) + "\n"


def version_page(family: str, version: int, summary: str, lineage: Lineage) -> str:
    """Return what MLflow's page of the version says.

    That is ``summary`` first, the gate's verdict, then where the model comes from, how to ask it,
    and the family's model card.
    """
    example = shlex.join(families.wording(family).example)
    ask = f"`beauty predict {family} --version {version} {example}`"
    # A family without a ``serving`` module is no model of MLflow.
    if flavor.files(family):
        uri = f"models:/{family}/{version}"
        ask += f', or in Python `mlflow.pyfunc.load_model("{uri}").predict(frame)`'
    parts = [
        summary,
        "### Where it comes from",
        "",
        *_origins(lineage),
        "",
        "### Asking it",
        "",
        ask,
        "",
        join_paragraphs(_family_card(family)),
    ]
    return "\n".join(parts) + "\n"


def _family_card(family: str) -> str:
    """Return the family's README.md, which is its model card."""
    readme = Path("beauty_models") / family / "README.md"
    if not readme.exists():
        return f"# {family}"
    return readme.read_text(encoding="utf-8").rstrip()


def _origins(lineage: Lineage) -> list[str]:
    """Return where a model comes from, as lines of a Markdown list."""
    licenses = {"data": lineage["data_license"], **lineage["backbone_licenses"]}
    lines = [f"- Data: {lineage['data_source']}, DVC {lineage['dvc'].get('raw', 'unknown')}"]
    for subject, license in licenses.items():
        lines.append(f"- Licence of {subject}: {license['license'] or 'none stated'}")
    changed = " with uncommitted changes" if lineage["git_dirty"] else ""
    lines.append(f"- Code: {lineage['git_commit'] or 'not in git'}{changed}")
    lines.append(f"- Test split: SHA-256 {lineage['split_sha256']}")
    return lines


STRUCTURE = ("|", "#", "-", "*", ">", "```", "1.", " ")
"""How a line begins that Markdown takes for more than a paragraph's text."""


def join_paragraphs(markdown: str) -> str:
    """Return ``markdown`` with each paragraph in one line.

    MLflow breaks a line wherever the file does, and our files are wrapped.
    """
    lines: list[str] = []
    fenced = False
    joins = False  # the next line of text belongs to the last one
    for line in markdown.splitlines():
        # ** begins a bold word of a paragraph, and * an entry of a list
        is_text = bool(line) and (not line.startswith(STRUCTURE) or line.startswith("**"))
        if line.startswith("```"):
            fenced = not fenced
        if joins and is_text:
            lines[-1] += f" {line}"
        else:
            lines.append(line)
        joins = is_text and not fenced
    return "\n".join(lines)
