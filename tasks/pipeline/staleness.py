"""Which stages must run, and why: DVC decides, this module asks it and puts its answer into words.

Before DVC is asked, the stages ``code@FAMILY`` are brought up to date, half a second each: they
write which code the other stages run (docs/decisions/2026-11-26-staleness.md).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beauty_models import code, families
from tasks.pipeline import cache
from tasks.pipeline.graph import Stage, as_stage, find_node, is_code, open_repo, stages_of
from tasks.pipeline.locks import release_dead_locks
from tasks.pipeline.repro import reproduce

if TYPE_CHECKING:
    from dvc.repo import Repo


def stale_reasons(stages: Iterable[str]) -> dict[str, list[str]]:
    """Return for each stage the reasons why it must run; none when it is up to date.

    A stage whose upstream is stale is stale. Only ``code`` is run, and only where the code changed.

    Raises:
        ValueError: dvc.yaml is not valid, in DVC's words, or has no such stage.
        RuntimeError: ``code`` failed, in its last lines.
    """
    names = list(stages)
    with open_repo() as repo:
        outdated = outdated_code(repo, names)
        if not outdated:
            return _all_reasons(repo, names)
    _write_code(outdated)
    # A new look: DVC keeps what it has read of a file for as long as the repo is open.
    with open_repo() as repo:
        return _all_reasons(repo, names)


def survey(families: Iterable[str]) -> tuple[dict[str, Stage], dict[str, list[str]]]:
    """Return `graph` and `stale_reasons` of ``families``, for the price of one look.

    Raises:
        ValueError, RuntimeError: as `stale_reasons`.
    """
    wanted = list(families)
    with open_repo() as repo:
        stages = stages_of(repo, wanted)
        outdated = outdated_code(repo, stages)
        if not outdated:
            return stages, _all_reasons(repo, stages)
    _write_code(outdated)
    with open_repo() as repo:
        stages = stages_of(repo, wanted)
        return stages, _all_reasons(repo, stages)


def _all_reasons(repo: Repo, stages: Iterable[str]) -> dict[str, list[str]]:
    reasons: dict[Any, list[str]] = {}
    nodes = repo.index.graph

    def collect(node: Any) -> list[str]:
        # A node that several others need is asked once: DVC hashes files for an answer.
        if node not in reasons:
            stale_needs = [need for need in nodes.successors(node) if collect(need)]
            inherited = [f"{need.addressing} is stale" for need in stale_needs]
            reasons[node] = [*own_reasons(node), *inherited]
        return reasons[node]

    return {name: collect(find_node(repo, name)) for name in stages}


def own_reasons(node: Any) -> Iterator[str]:
    """Yield why DVC would run this node, leaving aside those it depends on."""
    if node.cmd and not any(out.hash_info for out in node.outs):
        # dvc.lock has no entry; each input and output would be a reason of its own
        yield "never run"
        return
    if node.is_callback or node.always_changed:
        yield "runs every time"
    if node.changed_stage():
        yield "its command or its outputs in dvc.yaml changed"
    if not node.frozen:  # DVC does not look at the inputs of a frozen stage either
        for dependency in node.deps:
            yield from _changed_dependency(dependency, node)
    for out in node.outs:
        for path, status in out.status().items():
            yield f"{path} {OUTPUT_STATUS.get(status, 'is not what this stage made')}"


OUTPUT_STATUS = {"deleted": "is missing", "not in cache": "is not in DVC's cache"}
"""DVC's words for an output, and ours."""


def _changed_dependency(dependency: Any, node: Any) -> Iterator[str]:
    """Yield what changed of a dependency of ``node`` since it ran."""
    for path, status in dependency.status().items():
        # Of parameters DVC says what became of each key; of a file or folder one word.
        if isinstance(status, dict):
            yield from _changed_params(dependency)
        elif tells_code(dependency, node):
            modules = changed_code(dependency, node)
            if modules is None:
                yield "its code changed"
                continue
            for module in modules:
                yield f"{module} changed"
        elif status == "deleted":
            yield f"{path} is missing"
        else:
            yield f"{path} changed"


def _flatten(value: Any, prefix: str) -> dict[str, Any]:
    """Return ``a.b.c`` → value for each leaf of ``value``; an empty mapping is a leaf."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for name, part in value.items():
        leaves |= _flatten(part, f"{prefix}.{name}")
    return leaves


def _changed_params(dependency: Any) -> Iterator[str]:
    """Yield each parameter with another value than at the stage's last run.

    A stage depends on a block of params.yaml, and DVC says only that the block changed.
    """
    old_values = dependency.hash_info.value or {}
    new_values = dependency.read_params()
    for block in dependency.params:
        before = _flatten(old_values[block], block) if block in old_values else {}
        after = _flatten(new_values[block], block) if block in new_values else {}
        for key in dict.fromkeys([*after, *before]):
            if key in before and key in after and before[key] == after[key]:
                continue
            old = repr(before[key]) if key in before else "nothing"
            new = repr(after[key]) if key in after else "nothing"
            yield f"{dependency} {key}: {old} → {new}"


def tells_code(dependency: Any, node: Any) -> bool:
    """Return whether ``dependency`` says which code ``node`` runs."""
    code_nodes = [need for need in node.repo.index.graph.successors(node) if is_code(need)]
    return any(cache.contains(out, dependency) for need in code_nodes for out in need.outs)


def changed_code(dependency: Any, node: Any) -> list[str] | None:
    """Return which modules changed since ``node`` ran, those nearest to its function first.

    None when DVC's cache no longer has what ran then: dvc.lock holds its hash alone.
    """
    before = cache.cached_text(dependency)
    now = Path(dependency.fs_path)
    if before is None or not now.exists():
        return None
    names = code.changed(code.parse(before), code.parse(now.read_text(encoding="utf-8")))
    verb, _, family = node.addressing.partition("@")
    return code.nearest_first(families.module(verb, family), names)


def outdated_code(repo: Repo, names: Iterable[str]) -> list[Stage]:
    """Return the ``code`` stages that must say anew which code the stages ``names`` run."""
    nodes = repo.index.graph
    needs: dict[Any, None] = {}  # in order, each once
    for name in names:
        needs |= dict.fromkeys(nodes.successors(find_node(repo, name)))
    outdated = [need for need in needs if is_code(need) and any(own_reasons(need))]
    return [as_stage(node, nodes.successors(node)) for node in outdated]


def _write_code(outdated: Iterable[Stage]) -> None:
    """Run these ``code`` stages, unseen.

    One that a training still depends on is left as it is: DVC lets nobody write what another
    process reads, and that may take hours.
    """
    with open_repo() as repo:
        for stage in outdated:
            cache.delete_damaged_results(repo, find_node(repo, stage.name), _ignore_line)
        release_dead_locks(repo)
    for stage in outdated:
        reproduce(
            stage.name, stage.timeout_s, _ignore_line, threading.Event(), pull=False, yields=False
        )


def _ignore_line(line: str) -> None:
    """Take a line of what no screen shows."""
