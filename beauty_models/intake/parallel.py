"""Work on many files in parts, by several processes: those of this machine, or a Dask cluster's.

Who works is the machine's affair and no param, because the results are the same and no stage may
become stale by it. The environment says it:

- ``BEAUTY_WORKERS``: processes on this machine; one for each core where it is not set.
- ``DASK_SCHEDULER_ADDRESS``: the scheduler of a Dask cluster, as Dask itself calls it; its workers
  see the same files under the same paths, and have the same code and libraries.
"""

from __future__ import annotations

import os
import platform
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import loky
from PIL import features

from beauty_models import code
from beauty_models.intake import parent
from beauty_models.progress import log_line

WORKERS = "BEAUTY_WORKERS"
SCHEDULER = "DASK_SCHEDULER_ADDRESS"

PART = 16  # files that a process gets at once: a quarter of a second's work, or a few
PARTS_AHEAD = 2  # for each worker: what is done and waits for its turn is held in memory

# A new process imports for half a second; one that has nothing to do gives its memory back.
IDLE_S = 30
# A part alone keeps a core busy. A pool of OpenMP threads in each of several processes only spins.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

CONNECT_S = 30
LOOK_S = 10  # between two looks whether a cluster still has workers
WITHOUT_WORKERS_S = 300  # a cluster that grows as it is needed takes minutes to start the first

# What turns a file's bytes into others. Where one differs, a cluster's pictures would be others.
LIBRARIES = (
    *("numpy", "scipy", "pillow", "pi-heif", "imagehash"),
    *("opencv-python-headless", "ai-edge-litert"),
)
WITNESSES = 20  # files that each worker of a cluster must see as they are here

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


class Terms(NamedTuple):
    """What a cluster's workers must have in common with this machine."""

    module: str  # that holds what they run
    code: str  # digest of it, and of all that it imports
    libraries: str
    files: tuple[tuple[str, int], ...]  # path, bytes


class Engine(Protocol):
    """Processes that work."""

    deaths: tuple[type[BaseException], ...]
    """What `result` raises where the process of a part died."""

    attempts: int
    """Processes that a file must kill before it is left out."""

    def width(self) -> int:
        """Return how many parts may be under way."""

    def submit(self, work: Callable[[Any], Any], part: Sequence[Any]) -> Any:
        """Begin with a part; return its future."""

    def result(self, future: Any) -> Any:
        """Return the outcomes of a part, when they are there."""

    def give_up(self, futures: Sequence[Any]) -> None:
        """Have no process go on with these parts: the run ends, or its last result is there."""


def outcomes(
    work: Callable[[Task], Outcome],
    tasks: Sequence[Task],
    file_of: Callable[[Task], Path],
    lost: Outcome,
) -> Iterator[Outcome]:
    """Yield ``work`` of each of the ``tasks``, in their order, however many processes there are.

    What waits for its turn is little; nothing grows with the number of tasks. Where a process dies
    (a decoder that a hostile file brings down, too little memory, somebody's ``kill``), the tasks
    that it had are done again one at a time, so that one that kills again is known: its outcome is
    ``lost``, and no other's.

    Args:
        work: a function of a module, or `functools.partial` of one; it raises what ends the run.
        file_of: task → the file that it reads.

    Raises:
        ValueError: the environment names what cannot be, or a cluster has other code, libraries or
            files.
        OSError: a cluster does not answer, or goes away.
    """
    waiting: deque[tuple[Sequence[Task], Any]] = deque()
    parts = iter([tasks[start : start + PART] for start in range(0, len(tasks), PART)])
    with _engine(work, tasks, file_of) as engine:
        try:
            while True:
                while len(waiting) < engine.width() and (part := next(parts, None)) is not None:
                    waiting.append((part, engine.submit(work, part)))
                if not waiting:
                    return
                part, future = waiting.popleft()
                try:
                    done = engine.result(future)
                except engine.deaths:
                    _await(engine, [other for _, other in waiting])
                    done = _one_at_a_time(engine, work, part, lost)
                yield from done
        finally:
            engine.give_up([future for _, future in waiting])


def _await(engine: Engine, futures: Sequence[Any]) -> None:
    """Return when no part is under way: a process that dies then had one file only."""
    for future in futures:
        # An error, too, is told when it is this part's turn.
        try:
            engine.result(future)
        except Exception:
            continue


def _one_at_a_time(
    engine: Engine, work: Callable[[Task], Outcome], part: Sequence[Task], lost: Outcome
) -> list[Outcome]:
    log_line(f"a process that worked on {len(part)} files died; they are done again one at a time")
    return [_alone(engine, work, task, lost) for task in part]


def _alone(engine: Engine, work: Callable[[Task], Outcome], task: Task, lost: Outcome) -> Outcome:
    for _ in range(engine.attempts):
        try:
            outcome: Outcome
            [outcome] = engine.result(engine.submit(work, [task]))
            return outcome
        except engine.deaths:
            continue
    return lost


def _run(work: Callable[[Any], Any], part: Sequence[Any], terms: Terms | None) -> list[Any]:
    """Return ``work`` of each task of ``part``; this is what the processes run."""
    if terms is not None:
        _check(terms)
    return [work(task) for task in part]


@contextmanager
def _engine(
    work: Callable[[Any], Any], tasks: Sequence[Any], file_of: Callable[[Any], Path]
) -> Iterator[Engine]:
    """Yield the processes that the environment names."""
    address = os.environ.get(SCHEDULER, "")
    if not tasks:
        yield LocalPool(1)
    elif address:
        step = max(1, len(tasks) // WITNESSES)
        files = map(file_of, tasks[::step])
        with _cluster(address, _terms(work, files)) as cluster:
            yield cluster
    else:
        parts = -(-len(tasks) // PART)
        # More processes than parts would only be started.
        yield LocalPool(min(_workers(), parts))


def _workers() -> int:
    asked = os.environ.get(WORKERS, "")
    if not asked:
        # Unlike `os.cpu_count` it knows what a container or a scheduler leaves to this process.
        return int(loky.cpu_count())
    if not asked.isdecimal() or int(asked) < 1:
        raise ValueError(f"{WORKERS} is {asked!r}; it takes a number of processes, 1 or more")
    return int(asked)


class LocalPool:
    """Processes of this machine, kept for the next call for `IDLE_S`.

    Those of loky, because they do not import the main module again: a script without a guard for
    it may ingest, too. And not threads: a decoder that dies would take the whole run with it.
    """

    deaths: tuple[type[BaseException], ...] = (loky.BrokenProcessPool,)
    # A process may be killed by whoever needs its memory, whatever it works on.
    attempts = 2

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def width(self) -> int:
        """Return how many parts may be under way."""
        return PARTS_AHEAD * self.workers

    def submit(self, work: Callable[[Any], Any], part: Sequence[Any]) -> Any:
        """Begin with a part; return its future."""
        while True:
            with warnings.catch_warnings():
                # It waits for what the last call has cancelled, which is right, and warns of it.
                warnings.filterwarnings("ignore", "Trying to resize an executor", UserWarning)
                # A new one where the last is broken.
                pool = loky.get_reusable_executor(
                    max_workers=self.workers,
                    timeout=IDLE_S,
                    env=ENVIRONMENT,
                    initializer=parent.end_with,
                    initargs=(os.getpid(),),
                )
            try:
                return pool.submit(_run, work, part, None)
            except loky.BrokenProcessPool:
                continue  # it broke just now

    def result(self, future: Any) -> Any:
        """Return the outcomes of a part, when they are there."""
        return future.result()

    def give_up(self, futures: Sequence[Any]) -> None:
        """Cancel what has not begun, and wait for the few parts that have."""
        wait([future for future in futures if not future.cancel()])


@contextmanager
def _cluster(address: str, terms: Terms) -> Iterator[Engine]:
    try:
        import distributed
    except ImportError:
        raise ValueError(
            f"{SCHEDULER} is set, and Dask is not installed: pip install 'beauty-models[cluster]'"
        ) from None
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OSError(
            f"no Dask scheduler answers at {address}: {error}; start one (`dask scheduler`), or "
            f"unset {SCHEDULER} to work on this machine"
        ) from None
    with client:
        yield Cluster(client, address, terms)


class Cluster:
    """The workers of a Dask cluster; it does itself again what a dead one had."""

    # Dask has killed several workers with it then (its setting `scheduler.allowed-failures`).
    attempts = 1

    def __init__(self, client: Any, address: str, terms: Terms) -> None:
        import distributed

        self.deaths: tuple[type[BaseException], ...] = (distributed.KilledWorker,)
        self.client = client
        self.address = address
        self.terms = terms
        self._threads = 0
        self._looked = 0.0  # time of the last look at them
        self._seen = time.monotonic()  # when there was one at last
        while not self._look():
            time.sleep(1)
        log_line(f"work is shared by {self._threads} threads of the Dask cluster at {address}")

    def _look(self) -> int:
        """Return how many threads the workers have.

        Raises:
            OSError: there has been none for `WITHOUT_WORKERS_S`.
        """
        now = time.monotonic()
        self._looked = now
        self._threads = sum(self.client.nthreads().values())
        if self._threads:
            self._seen = now
        elif now - self._seen > WITHOUT_WORKERS_S:
            raise OSError(
                f"the Dask cluster at {self.address} has had no worker for {WITHOUT_WORKERS_S} s; "
                f"start one (`dask worker {self.address}`)"
            )
        return self._threads

    def width(self) -> int:
        """Return how many parts may be under way."""
        # Workers come and go.
        if time.monotonic() - self._looked > LOOK_S:
            self._look()
        return PARTS_AHEAD * max(1, self._threads)

    def submit(self, work: Callable[[Any], Any], part: Sequence[Any]) -> Any:
        """Begin with a part; return its future."""
        # One callable: Dask would look for keys of its own in arguments. Not pure: what was
        # computed from a file is not to be taken for what the file holds now.
        return self.client.submit(partial(_run, work, part, self.terms), pure=False)

    def result(self, future: Any) -> Any:
        """Return the outcomes of a part, when they are there.

        Raises:
            OSError: a worker cannot read a file, or the cluster went away.
        """
        import distributed

        while True:
            try:
                return future.result(timeout=LOOK_S)
            except distributed.CancelledError as error:
                raise OSError(f"the Dask cluster at {self.address} went away: {error}") from None
            except ImportError as error:
                raise ValueError(
                    f"a worker of the Dask cluster at {self.address} lacks a module ({error}); "
                    "install this project's code and requirements.lock there"
                ) from None
            except OSError as error:
                # `TimeoutError` is one: nothing is there yet.
                if not future.done():
                    self._look()
                    continue
                raise OSError(
                    f"a worker of the Dask cluster at {self.address}: {error}; all of them must "
                    "see the raw folder under its path here"
                ) from None

    def give_up(self, futures: Sequence[Any]) -> None:
        """Cancel the parts; nobody waits for a cluster that may be gone."""
        for future in futures:
            future.cancel()


def _terms(work: Callable[[Any], Any], files: Iterable[Path]) -> Terms:
    function = work.func if isinstance(work, partial) else work
    module = function.__module__
    seen = [(str(file), file.stat().st_size) for file in files]
    return Terms(module, code.text(module), _libraries(), tuple(seen))


def _libraries() -> str:
    versions = [f"{platform.machine()} Python {platform.python_version()}"]
    for name in LIBRARIES:
        versions.append(f"{name} {metadata.version(name)}")
    # Pillow of a distribution may be built with another one.
    versions.append(f"libjpeg {features.version('jpg')}")
    return ", ".join(versions)


@lru_cache(maxsize=1)
def _check(terms: Terms) -> None:
    """Refuse to work where results could be others; once for each process and run.

    Raises:
        ValueError: code, libraries or files are others.
    """
    here = f"{platform.node()}, a worker of the Dask cluster,"
    if _libraries() != terms.libraries:
        raise ValueError(
            f"{here} has other libraries, so its results could be others; it has {_libraries()}; "
            f"the machine that asks {terms.libraries}"
        )
    changed = code.changed(code.parse(terms.code), code.digests(terms.module))
    if changed:
        raise ValueError(f"{here} has other code: {code.shortened(changed)}; update it there")
    for path, size in terms.files:
        found = Path(path).stat().st_size
        if found != size:
            raise ValueError(
                f"{here} sees another {path}: {found:,} bytes, and not {size:,}; give it the same "
                "raw folder"
            )
