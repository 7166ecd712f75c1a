"""Bring one stage up to date: with `tasks.pipeline.repro`, which runs DVC's command line, the only bridge to DVC.

DVC decides whether a stage is stale and records what it made, exactly as ``dvc repro`` does; this module asks it. It
imports `dvc` when asked, not before, and knows nothing of Prefect.

Two flows (or a flow and a ``dvc repro``) in one workspace lose nothing: a file lock per stage under ``.beauty/locks``
makes the second flow wait and ask again, and where DVC itself says that a path is busy, it is asked again later.

The stages ``code@FAMILY`` write which code the others run (`beauty_models.code`). They are plumbing: brought up to date
before DVC is asked about the others, and seen by nobody.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout

from beauty_models import code
from tasks.pipeline import cache, child, repro
from tasks.pipeline.repro import reproduce
from tasks.state import STATE, OnLine

if TYPE_CHECKING:
    from dvc.repo import Repo

LOCKS = STATE / "locks"
CODE = "code"  # the stage that writes which code the others run

_dvc = threading.RLock()  # DVC's Python side is not made for threads


class Stage(NamedTuple):
    """A node of dvc.yaml's graph. A ``dvc add``-ed folder of raw data is one as well, with ``source`` true."""

    name: str  # finetune@sentiment, or data/raw/sentiment.dvc
    family: str
    tags: tuple[str, ...]  # of `meta` in dvc.yaml: cpu or gpu
    retries: int
    timeout_hours: float
    needs: tuple[str, ...]  # the stages whose outputs it reads
    source: bool

    @property
    def verb(self) -> str:
        """The name without the family: ``finetune``."""
        return self.name.partition("@")[0]


class Result(NamedTuple):
    """What became of a stage: ``state`` is Skipped, Restored (from DVC's run cache) or Completed."""

    stage: str
    family: str
    state: str
    seconds: float


@contextmanager
def open_repo() -> Iterator[Repo]:
    """Yield DVC's view of the current folder, locked against other DVC processes while the block runs."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with _dvc:
        try:
            repo = Repo(_wait_for_lock=True)
            with repo.lock:
                yield repo
        except DvcException as error:
            raise ValueError(f"DVC: {error}") from error
        finally:
            if "repo" in locals():
                repo.close()


def _describe(node: Any, needs: Iterable[Any]) -> Stage:
    name, meta = node.addressing, node.meta or {}
    family = name.partition("@")[2] or Path(name).stem
    limits = {
        "tags": tuple(meta.get("tags", ["cpu"])),
        "retries": meta.get("retries", 0),
        "timeout_hours": meta.get("timeout_hours", 24),
    }
    return Stage(
        name=name,
        family=family,
        needs=tuple(n.addressing for n in needs),
        source=node.cmd is None,
        **limits,
    )


def _is_code(node: Any) -> bool:
    return str(node.addressing).partition("@")[0] == CODE


def _graph(repo: Repo, families: Iterable[str]) -> dict[str, Stage]:
    import networkx

    wanted, nodes = (
        set(families),
        repo.index.graph,
    )  # edges point from a stage to what it depends on
    ordered = [
        _describe(node, (need for need in nodes.successors(node) if not _is_code(need)))
        for node in networkx.dfs_postorder_nodes(nodes)
        if not _is_code(node)
    ]
    return {stage.name: stage for stage in ordered if stage.family in wanted}


def graph(families: Iterable[str]) -> dict[str, Stage]:
    """Return the stages of ``families`` by name, each after those it needs; without ``code``.

    Raises:
        ValueError: dvc.yaml is not valid, in DVC's words.
    """
    with open_repo() as repo:
        return _graph(repo, families)


def _flat(value: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {
        key: leaf
        for name, part in value.items()
        for key, leaf in _flat(part, f"{prefix}.{name}").items()
    }


def _changed_params(dependency: Any) -> Iterator[str]:
    old, new = dependency.hash_info.value or {}, dependency.read_params()
    for block in dependency.params:
        before, after = (
            _flat(values[block], block) if block in values else {} for values in (old, new)
        )
        for key in dict.fromkeys([*after, *before]):
            if before.get(key) != after.get(key) or (key in before) != (key in after):
                shown = [
                    repr(values[key]) if key in values else "nothing" for values in (before, after)
                ]
                yield f"{dependency} {key}: {shown[0]} → {shown[1]}"


def _code_of(dependency: Any, node: Any) -> bool:
    """Return whether ``dependency`` says which code ``node`` runs."""
    makers = [maker for maker in node.repo.index.graph.successors(node) if _is_code(maker)]
    return any(cache.holds(out, dependency) for maker in makers for out in maker.outs)


def _changed_code(dependency: Any) -> Iterator[str]:
    """Yield which modules changed since the stage ran, as far as DVC's cache has what ran then."""
    before = cache.old_text(dependency)
    now = Path(dependency.fs_path)
    if before is None or not now.exists():
        yield "its code changed"
        return
    for module in code.changed(code.parse(before), code.parse(now.read_text(encoding="utf-8"))):
        yield f"{module} changed"


def _own_reasons(node: Any) -> Iterator[str]:
    """Yield why DVC would run this node, leaving aside those it depends on."""
    if node.cmd and not any(out.hash_info for out in node.outs):
        yield "never run"
        return
    if node.is_callback or node.always_changed:
        yield "runs every time"
    if node.changed_stage():
        yield "its command or its outputs in dvc.yaml changed"
    for dependency in () if node.frozen else node.deps:
        for path, what in dependency.status().items():
            if isinstance(what, dict):
                yield from _changed_params(dependency)
            elif _code_of(dependency, node):
                yield from _changed_code(dependency)
            else:
                yield f"{path} is missing" if what == "deleted" else f"{path} changed"
    for out in node.outs:
        for path, what in out.status().items():
            yield f"{path} " + {
                "deleted": "is missing",
                "not in cache": "is not in DVC's cache",
            }.get(what, "is not what this stage made")


def _stale(repo: Repo, stages: Iterable[str]) -> dict[str, list[str]]:
    reasons: dict[Any, list[str]] = {}
    nodes = repo.index.graph

    def collect(node: Any) -> list[str]:
        if node not in reasons:
            upstream = [n for n in nodes.successors(node) if collect(n)]
            reasons[node] = [*_own_reasons(node), *(f"{n.addressing} is stale" for n in upstream)]
        return reasons[node]

    return {name: collect(_node(repo, name)) for name in stages}


def stale(stages: Iterable[str]) -> dict[str, list[str]]:
    """Return for each stage the reasons why it must run; none when it is up to date.

    A stage whose upstream is stale is stale. Only ``code`` is run, and only where the code changed.

    Raises:
        ValueError: dvc.yaml is not valid, in DVC's words, or has no such stage.
        RuntimeError: ``code`` failed, in its last lines.
    """
    names = list(stages)
    with open_repo() as repo:
        outdated = _outdated_code(repo, names)
        if not outdated:
            return _stale(repo, names)
    _write_code(outdated)
    with open_repo() as repo:
        return _stale(repo, names)


def survey(families: Iterable[str]) -> tuple[dict[str, Stage], dict[str, list[str]]]:
    """Return `graph` and `stale` of ``families``, for the price of one look.

    Raises:
        ValueError, RuntimeError: as `stale`.
    """
    wanted = list(families)
    with open_repo() as repo:
        stages = _graph(repo, wanted)
        outdated = _outdated_code(repo, stages)
        if not outdated:
            return stages, _stale(repo, stages)
    _write_code(outdated)
    with open_repo() as repo:
        stages = _graph(repo, wanted)
        return stages, _stale(repo, stages)


def _outdated_code(repo: Repo, names: Iterable[str]) -> list[Stage]:
    """Return the stages that must write anew which code the stages ``names`` run."""
    nodes = repo.index.graph
    needs = dict.fromkeys(need for name in names for need in nodes.successors(_node(repo, name)))
    outdated = [need for need in needs if _is_code(need) and any(_own_reasons(need))]
    return [_describe(maker, nodes.successors(maker)) for maker in outdated]


def _write_code(outdated: Iterable[Stage]) -> None:
    """Run these ``code`` stages. One that a training still depends on is left: its run may take hours."""
    with open_repo() as repo:
        for what in outdated:
            cache.check_restorable(repo, _node(repo, what.name), _unheard)
        _release_dead(repo)
    for what in outdated:
        limit = what.timeout_hours * 3600
        reproduce(what.name, limit, _unheard, threading.Event(), pull=False)


def _unheard(line: str) -> None:
    """Take a line of what no screen shows."""


def _node(repo: Repo, name: str) -> Any:
    for node in repo.index.stages:
        if node.addressing == name:
            return node
    raise ValueError(
        f"dvc.yaml: no stage {name}; there are: {', '.join(node.addressing for node in repo.index.stages)}"
    )


def _inputs(node: Any) -> dict[str, Any]:
    """Return the hash of each dependency as it lies there now (of params: their values)."""
    return {
        str(dependency): dependency.get_hash().value if dependency.exists else None
        for dependency in node.deps
    }


def _forget(repo: Repo, node: Any) -> None:
    """Take back what DVC recorded of the stage's last run, in dvc.lock and in the run cache."""
    import shutil

    from dvc.stage.cache import _get_stage_hash

    shutil.rmtree(repo.stage_cache._get_cache_dir(_get_stage_hash(node)), ignore_errors=True)
    node.dvcfile._lockfile.remove_stage(node)


def _check_inputs(name: str, before: dict[str, Any]) -> None:
    """Refuse the result of a stage that DVC booked on other inputs than it began with: it hashes them afterwards.

    So does code that changed meanwhile: the stage may have loaded the new one.
    """
    with open_repo() as repo:
        node = _node(repo, name)
        changed = []
        for dependency in node.deps:
            path, booked = str(dependency), dependency.hash_info.value
            if before[path] != booked:
                changed.append(path)
            elif _code_of(dependency, node) and dependency.status():
                changed += [why.removesuffix(" changed") for why in _changed_code(dependency)]
        if changed:
            _forget(repo, node)
            raise RuntimeError(
                f"{name}: {', '.join(changed)} changed while the stage ran; its result was not recorded. Run it again."
            )


def _release_dead(repo: Repo) -> None:
    """Drop the path locks of DVC processes that were killed and whose process number another program has now."""
    import psutil
    from dvc.rwlock import _edit_rwlock

    def alive(holder: dict[str, Any]) -> bool:
        try:
            arguments = holder["cmd"].partition(" ")[
                2
            ]  # the first word is dvc's own path, by whatever name
            return " ".join(psutil.Process(holder["pid"]).cmdline()).endswith(arguments)
        except psutil.Error:
            return False

    with _edit_rwlock(
        repo.tmp_dir, repo.fs, repo.config["core"].get("hardlink_lock", False)
    ) as locks:
        for path in [path for path, holder in locks["write"].items() if not alive(holder)]:
            del locks["write"][path]
        for path, holders in list(locks["read"].items()):
            locks["read"][path] = [holder for holder in holders if alive(holder)]


def hold(name: str, stop: threading.Event, on_line: OnLine) -> FileLock:
    """Return the machine's lock ``name`` under ``.beauty/locks``, acquired; a ``with`` gives it back.

    Raises:
        child.StoppedError: ``stop`` was set while waiting.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    lock = FileLock(LOCKS / (re.sub(r"[^\w@.-]", "_", name) + ".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        on_line(f"waiting: another run holds {name}")
        try:
            lock.acquire(cancel_check=stop.is_set)
        except Timeout:
            raise child.StoppedError(f"{name}: stopped while waiting") from None
    return lock


class Storage(NamedTuple):
    """Where DVC keeps what stages make: the cache's folder, its objects, and the remotes' addresses, all absolute."""

    folder: Path
    objects: Path
    remotes: dict[str, str]


def storage() -> Storage:
    """Return where DVC keeps what stages make; `dvc remote list` would fold long addresses into several lines."""
    with open_repo() as repo:
        remotes = {name: str(remote["url"]) for name, remote in repo.config["remote"].items()}
        return Storage(Path(repo.cache.local_cache_dir), Path(repo.cache.local.path), remotes)


def share(verb: str, on_line: OnLine, stop: threading.Event) -> None:
    """``pull`` what other machines made, as `repro.share`, without what is damaged in the cache or the remote; or ``push``.

    Raises:
        RuntimeError, child.StoppedError: as `repro.share`.
    """
    if verb != "pull":
        repro.share(verb, on_line, stop)
        return
    with open_repo() as repo:
        awaited = cache.before_pull(repo, on_line)
    repro.share(verb, on_line, stop)
    with open_repo() as repo:
        cache.after_pull(repo, awaited, on_line)


def _take_out_damage(repo: Repo, node: Any, mended: set[str], on_line: OnLine) -> list[Stage]:
    """Remove the inputs of ``node`` that were damaged on the disk, unheard of by DVC; return the stages that make them anew.

    Raises:
        ValueError: nothing here makes the input, it is delivered data.
        RuntimeError: it was made anew before (its stage is in ``mended``) and is damaged again.
    """
    makers = []
    for damage in cache.damaged_inputs(repo, node):
        if damage.maker is None or damage.maker.cmd is None:
            name = damage.maker.addressing if damage.maker else damage.path
            raise ValueError(
                f"{node.addressing}: {damage.path} changed on the disk, though its time and size did not; if it is damaged, "
                f"`dvc checkout --force {name}` brings back what was added; if it is meant, `touch` its files"
            )
        maker = _describe(damage.maker, repo.index.graph.successors(damage.maker))
        if maker.name in mended:
            raise RuntimeError(
                f"{node.addressing}: {damage.path} was made anew and is damaged again; check the disk"
            )
        cache.remove_output(repo, damage, on_line)
        makers.append(maker)
    return makers


def _pulled_damage(name: str, on_line: OnLine) -> bool:
    """Return whether what was just pulled for the stage ``name`` is damaged; then it is removed, here and in the cache."""
    with open_repo() as repo:
        node = _node(repo, name)
        if not cache.check_restorable(repo, node, on_line):
            return False
        node.remove_outs(force=True)
        return True


def _bring_code(stage: Stage, on_line: OnLine, stop: threading.Event) -> None:
    """Have it written which code ``stage`` runs, as it lies there now.

    Raises:
        ValueError, RuntimeError, TimeoutError, child.StoppedError: as `bring_up_to_date`.
    """
    with open_repo() as repo:
        outdated = _outdated_code(repo, [stage.name])
    for what in outdated:
        bring_up_to_date(what, what.timeout_hours * 3600, on_line, stop)


def bring_up_to_date(
    stage: Stage,
    timeout_s: float,
    on_line: OnLine,
    stop: threading.Event | None = None,
    pull: bool = False,
) -> Result:
    """Run ``stage`` through DVC if it is stale; dvc.lock ends as ``dvc repro`` would leave it.

    ``on_line`` gets each line the stage prints. Setting ``stop`` ends the stage and all its processes.
    ``pull`` takes a result that another machine pushed to the DVC remote rather than making it again.
    What is damaged on the disk or in DVC's cache, inputs too, is not used: it is told, deleted and made anew.

    Raises:
        ValueError: the stage failed by a mistake of the user's; the message begins with the stage's ``error:`` line.
        RuntimeError: it failed otherwise, an input changed while it ran, or the disk damages what is made.
        TimeoutError: it took longer than ``timeout_s`` seconds, not counting the time it waited for another run.
        child.StoppedError: ``stop`` was set.
    """
    stop, began = stop or threading.Event(), time.monotonic()
    mended: set[str] = set()
    with hold(stage.name, stop, on_line):
        while True:
            _bring_code(stage, on_line, stop)
            with open_repo() as repo:
                node = _node(repo, stage.name)
                if not any(_own_reasons(node)):
                    return Result(stage.name, stage.family, "Skipped", time.monotonic() - began)
                makers = _take_out_damage(repo, node, mended, on_line)
                if not makers:
                    before = _inputs(node)
                    cache.check_restorable(repo, node, on_line)
                _release_dead(repo)
            for maker in makers:
                mended.add(maker.name)
                bring_up_to_date(maker, maker.timeout_hours * 3600, on_line, stop, pull)
            if makers:
                continue
            state = reproduce(stage.name, timeout_s, on_line, stop, pull)
            if state == "Completed":
                _bring_code(stage, on_line, stop)
                _check_inputs(stage.name, before)
            if state == "Restored" and pull and _pulled_damage(stage.name, on_line):
                pull = False  # the remote's copy is damaged: make it here
                continue
            if state:
                return Result(stage.name, stage.family, state, time.monotonic() - began)
            on_line("waiting: another DVC process uses the same paths")
            if stop.wait(2):
                raise child.StoppedError(f"{stage.name}: stopped while waiting")
