"""Bring one stage up to date as ``dvc repro`` does: DVC decides if it is stale and records it.

Beyond that: two flows at once wait for each other, damage on the disk is found before it is used,
and a result is refused when its inputs changed while it was made.
"""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from beauty_models import code
from tasks.pipeline import cache, child, repro
from tasks.pipeline.graph import Stage, as_stage, find_node, open_repo
from tasks.pipeline.locks import machine_lock, release_dead_locks
from tasks.pipeline.repro import reproduce
from tasks.pipeline.staleness import changed_code, outdated_code, own_reasons, tells_code
from tasks.state import OnLine

if TYPE_CHECKING:
    from dvc.repo import Repo

BUSY_S = 2.0  # between two attempts at a path that another DVC process uses


class Result(NamedTuple):
    """What became of a stage."""

    stage: str
    family: str
    state: str  # Skipped, Restored (from DVC's run cache) or Completed
    seconds: float


class StageRow(TypedDict):
    """What became of a stage, as screens and ``--json`` show it."""

    stage: str  # without its family
    family: str
    state: str  # Completed, Restored, Skipped, Failed or NotRun
    seconds: float


def update_stage(
    stage: Stage,
    timeout_s: float,
    on_line: OnLine,
    stop: threading.Event | None = None,
    pull: bool = False,
) -> Result:
    """Run ``stage`` through DVC if it is stale; dvc.lock ends as ``dvc repro`` would leave it.

    ``on_line`` gets each line the stage prints. Setting ``stop`` ends the stage and all its
    processes. ``pull`` takes a result that another machine pushed to the DVC remote rather than
    making it again. What is damaged on the disk or in DVC's cache, inputs too, is not used: it is
    told, deleted and made anew.

    Raises:
        ValueError: the stage failed by a mistake of the user's; the message begins with the
            stage's ``error:`` line.
        RuntimeError: it failed otherwise, an input changed while it ran, or the disk damages what
            is made.
        TimeoutError: it took longer than ``timeout_s`` seconds, not counting the time it waited
            for another run.
        child.StoppedError: ``stop`` was set.
    """
    stop = stop or threading.Event()
    start = time.monotonic()
    remade: set[str] = set()  # producers of damaged inputs, each of which gets one more chance

    def result(state: str) -> Result:
        return Result(stage.name, stage.family, state, time.monotonic() - start)

    with machine_lock(stage.name, stop, on_line):
        # Each round looks anew: while this one waited, another process may have made the result.
        while True:
            _update_code(stage, on_line, stop)
            plan = _plan(stage, remade, on_line)
            if plan is None:
                return result("Skipped")
            for producer in plan.remake:
                remade.add(producer.name)
                update_stage(producer, producer.timeout_s, on_line, stop, pull)
            if plan.remake:
                continue
            # What trains goes first: one family's champion is there before all have their data.
            yields = "gpu" not in stage.tags
            state = reproduce(stage.name, timeout_s, on_line, stop, pull, yields)
            if state == "Completed":
                # Code is an input as well, and may have been edited while the stage ran.
                _update_code(stage, on_line, stop)
                _refuse_changed_inputs(stage.name, plan.input_hashes)
            if state == "Restored" and pull and _remove_damaged_result(stage.name, on_line):
                # The remote's copy is damaged, and stays so: make it here.
                pull = False
                continue
            if state:
                return result(state)
            on_line("waiting: another DVC process uses the same paths")
            if stop.wait(BUSY_S):
                raise child.StoppedError(f"{stage.name}: stopped while waiting")


class _Plan(NamedTuple):
    """What a stale stage needs before it runs."""

    remake: list[Stage]  # damaged inputs are gone, and these make them anew; then look again
    input_hashes: dict[str, Any]  # of the inputs it is about to read, when nothing is to be remade


def _plan(stage: Stage, remade: set[str], on_line: OnLine) -> _Plan | None:
    """Return what a stage needs before it runs; None when it is up to date."""
    with open_repo() as repo:
        node = find_node(repo, stage.name)
        if not any(own_reasons(node)):
            return None
        producers = _remove_damaged_inputs(repo, node, remade, on_line)
        input_hashes: dict[str, Any] = {}
        # While an input is missing there is nothing to compare a result with.
        if not producers:
            input_hashes = _input_hashes(node)
            cache.delete_damaged_results(repo, node, on_line)
        release_dead_locks(repo)
    return _Plan(producers, input_hashes)


def _update_code(stage: Stage, on_line: OnLine, stop: threading.Event) -> None:
    """Have it written which code ``stage`` runs, as it lies there now.

    Raises:
        ValueError, RuntimeError, TimeoutError, child.StoppedError: as `update_stage`.
    """
    with open_repo() as repo:
        outdated = outdated_code(repo, [stage.name])
    for code_stage in outdated:
        update_stage(code_stage, code_stage.timeout_s, on_line, stop)


def _input_hashes(node: Any) -> dict[str, Any]:
    """Return the hash of each dependency as it lies there now (of params: their values)."""
    hashes = {}
    for dependency in node.deps:
        hashes[str(dependency)] = dependency.get_hash().value if dependency.exists else None
    return hashes


def _remove_damaged_inputs(repo: Repo, node: Any, remade: set[str], on_line: OnLine) -> list[Stage]:
    """Remove the inputs of ``node`` that were damaged on the disk, unnoticed by DVC.

    Returns:
        The stages that make them anew.

    Raises:
        ValueError: nothing here makes the input, it is delivered data.
        RuntimeError: it was made anew before (its stage is in ``remade``) and is damaged again.
    """
    producers = []
    for damaged in cache.damaged_inputs(repo, node):
        if damaged.producer is None or damaged.producer.cmd is None:
            name = damaged.producer.addressing if damaged.producer else damaged.path
            raise ValueError(
                f"{node.addressing}: {damaged.path} changed on the disk, though its time and size "
                f"did not; if it is damaged, `dvc checkout --force {name}` brings back what was "
                "added; if it is meant, `touch` its files"
            )
        needs = repo.index.graph.successors(damaged.producer)
        # A producer runs once more; a disk that then damages its result again is broken.
        producer = as_stage(damaged.producer, needs)
        if producer.name in remade:
            raise RuntimeError(
                f"{node.addressing}: {damaged.path} was made anew and is damaged again; "
                "check the disk"
            )
        cache.remove_output(repo, damaged, on_line)
        producers.append(producer)
    return producers


def _remove_damaged_result(name: str, on_line: OnLine) -> bool:
    """Remove what was just pulled for the stage ``name`` if it is damaged, here and in the cache.

    Returns:
        Whether it was.
    """
    with open_repo() as repo:
        node = find_node(repo, name)
        if not cache.delete_damaged_results(repo, node, on_line):
            return False
        node.remove_outs(force=True)
        return True


def _refuse_changed_inputs(name: str, before: dict[str, Any]) -> None:
    """Refuse a result that DVC recorded under other inputs than the stage began with.

    DVC hashes the inputs after the run, and would book the result on what lies there then. Code
    that changed meanwhile counts too: the stage may have loaded the new one.

    Raises:
        RuntimeError: an input changed; what DVC recorded is taken back.
    """
    with open_repo() as repo:
        node = find_node(repo, name)
        changed = []
        for dependency in node.deps:
            path = str(dependency)
            if before[path] != dependency.hash_info.value:
                changed.append(path)
            elif tells_code(dependency, node) and dependency.status():
                modules = changed_code(dependency, node)
                changed.append("its code" if modules is None else code.shortened(modules))
        if changed:
            _discard_result(repo, node)
            raise RuntimeError(
                f"{name}: {', '.join(changed)} changed while the stage ran; its result was not "
                "recorded. Run it again."
            )


def _discard_result(repo: Repo, node: Any) -> None:
    """Take back what DVC recorded of the stage's last run, in dvc.lock and in the run cache."""
    # Private API of DVC. There is no command that takes one result out of the run cache, and
    # `dvc remove` would take the stage out of dvc.yaml as well as out of dvc.lock.
    from dvc.stage.cache import _get_stage_hash

    run_folder = repo.stage_cache._get_cache_dir(_get_stage_hash(node))
    shutil.rmtree(run_folder, ignore_errors=True)
    node.dvcfile._lockfile.remove_stage(node)


def sync_remote(direction: str, on_line: OnLine, stop: threading.Event) -> None:
    """``pull`` what other machines made, or ``push`` what this one made, as `repro.sync_remote`.

    A pull leaves out what is damaged in the cache or the remote.

    Raises:
        RuntimeError, child.StoppedError: as `repro.sync_remote`.
    """
    if direction != "pull":
        repro.sync_remote(direction, on_line, stop)
        return
    with open_repo() as repo:
        awaited = cache.before_pull(repo, on_line)
    repro.sync_remote(direction, on_line, stop)
    with open_repo() as repo:
        cache.after_pull(repo, awaited, on_line)
