"""The graph of dvc.yaml: its stages, what they need, and where DVC keeps what they make.

It imports `dvc` when asked, not before, and knows nothing of Prefect. A node is DVC's own object
for a stage (`dvc.stage.Stage`), a `Stage` what the rest of this program knows of it.

DVC documents `dvc.api` for other programs, which tells neither the graph nor why a stage is stale.
So this room uses DVC's own classes, `Repo`, its index and its stages, which promise nothing: as of
DVC 3.67, in this room alone, with tests on a real DVC. What even they keep to themselves, by a name
with an underscore, says so where it is used.

The stages ``code@FAMILY`` write which code the others run (`beauty_models.code`). They are
plumbing: brought up to date before DVC is asked about the others, and seen by nobody.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.state import STATE

if TYPE_CHECKING:
    from dvc.repo import Repo

CODE = "code"  # the stage that writes which code the others run

_dvc_lock = threading.RLock()  # DVC's Python side is not made for threads


class Stage(NamedTuple):
    """A stage of dvc.yaml. A ``dvc add``-ed folder of raw data is one too: ``source`` is true."""

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

    @property
    def timeout_s(self) -> float:
        """How long it may run, in seconds."""
        return self.timeout_hours * 3600


@contextmanager
def open_repo() -> Iterator[Repo]:
    """Yield DVC's view of the current folder, locked against other DVC processes meanwhile.

    Raises:
        ValueError: dvc.yaml is not valid, or the block failed in DVC; in DVC's words.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with _dvc_lock:
        repo: Repo | None = None
        try:
            # Private argument of DVC's `Repo`, what its option --wait-for-lock sets: without it a
            # lock that another process holds for a moment is an error.
            repo = Repo(_wait_for_lock=True)
            with repo.lock:
                _read_index(repo)
                yield repo
        except DvcException as error:
            raise ValueError(f"DVC: {error}") from error
        finally:
            if repo is not None:
                repo.close()


def _read_index(repo: Repo) -> None:
    """Have DVC read dvc.yaml and dvc.lock; a lock that is damaged is set aside, and that is said.

    Raises:
        DvcException: dvc.yaml is not valid, or dvc.lock cannot be read and is not damaged: git
            ignores it, or a merge that is the user's to resolve stands in it.
    """
    from dvc.exceptions import DvcException

    try:
        _ = repo.index
    except DvcException:
        file = Path(repo.root_dir) / "dvc.lock"
        if not _is_damaged(repo, file):
            raise
        STATE.mkdir(exist_ok=True)
        kept = file.replace(STATE / "dvc.lock.damaged")
        print(
            f"dvc.lock was damaged, as by a kill while DVC wrote it; it lies in {kept} now. "
            "What the stages made comes back from DVC's cache.",
            file=sys.stderr,
        )


def _is_damaged(repo: Repo, file: Path) -> bool:
    """Return whether ``file``, a dvc.lock, is not what DVC writes.

    DVC empties it and then writes it: killed in between, it leaves nothing or a half, and every
    later command of DVC fails on it. The run cache still has what each stage made.
    """
    from dvc.dvcfile import Lockfile
    from dvc.exceptions import DvcException
    from dvc.utils.serialize import ParseError
    from dvc.utils.strictyaml import YAMLValidationError

    try:
        Lockfile(repo, str(file)).load()
    except (ParseError, YAMLValidationError):
        return b"<<<<<<<" not in file.read_bytes()
    except DvcException:
        return False
    return False


def as_stage(node: Any, needs: Iterable[Any]) -> Stage:
    """Return what is known of a node that reads the outputs of the nodes ``needs``."""
    name = node.addressing
    meta = node.meta or {}
    return Stage(
        name=name,
        # data/raw/sentiment.dvc has no @: its family is the file's name
        family=name.partition("@")[2] or Path(name).stem,
        tags=tuple(meta.get("tags", ["cpu"])),
        retries=meta.get("retries", 0),
        timeout_hours=meta.get("timeout_hours", 24),
        needs=tuple(need.addressing for need in needs),
        source=node.cmd is None,
    )


def is_code(node: Any) -> bool:
    """Return whether a node is a stage ``code@FAMILY``."""
    return str(node.addressing).partition("@")[0] == CODE


def find_node(repo: Repo, name: str) -> Any:
    """Return the node of the stage ``name``.

    Raises:
        ValueError: dvc.yaml has no such stage.
    """
    for node in repo.index.stages:
        if node.addressing == name:
            return node
    names = ", ".join(node.addressing for node in repo.index.stages)
    raise ValueError(f"dvc.yaml: no stage {name}; there are: {names}")


def stages_of(repo: Repo, families: Iterable[str]) -> dict[str, Stage]:
    """Return `graph` as an open ``repo`` has it."""
    import networkx

    wanted = set(families)
    # DVC's edges point from a stage to what it depends on, so postorder has needs first.
    nodes = repo.index.graph
    stages = {}
    for node in networkx.dfs_postorder_nodes(nodes):
        if is_code(node):
            continue
        needs = [need for need in nodes.successors(node) if not is_code(need)]
        stage = as_stage(node, needs)
        if stage.family in wanted:
            stages[stage.name] = stage
    return stages


def graph(families: Iterable[str]) -> dict[str, Stage]:
    """Return the stages of ``families`` by name, each after those it needs; without ``code``.

    Raises:
        ValueError: dvc.yaml is not valid, in DVC's words.
    """
    with open_repo() as repo:
        return stages_of(repo, families)


class Storage(NamedTuple):
    """Where DVC keeps what stages make; folders and addresses are absolute."""

    folder: Path  # of the cache
    objects: Path  # in it
    remotes: dict[str, str]  # name → address


def storage() -> Storage:
    """Return where DVC keeps what stages make.

    `dvc remote list` would fold addresses longer than the screen into several lines.
    """
    with open_repo() as repo:
        remotes = {name: str(remote["url"]) for name, remote in repo.config["remote"].items()}
        return Storage(Path(repo.cache.local_cache_dir), Path(repo.cache.local.path), remotes)
