"""Which code a stage runs: ``python -m beauty_models code sentiment`` writes a file per stage.

A stage runs the module of its function, what ``python -m beauty_models`` itself runs, and whatever
these import, inside functions too. That is read from syntax trees, so nothing is imported and torch
is not waited for. A module's hash is of its tree without docstrings: comments, docstrings and
formatting change no result, so they make nothing stale.

What is loaded by a name that is put together (``import_module``) is not seen. A contract test holds
the list against what a stage really imports.
"""

from __future__ import annotations

import ast
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

from beauty_models import families
from beauty_models.files import new_folder

PACKAGE = Path(__file__).parent
RUNNER = f"{PACKAGE.name}.__main__"
SHOWN_MODULES = 5  # in a message; an upgrade may change hundreds


class Source(NamedTuple):
    """What a module's text says."""

    digest: str  # SHA-256 of its syntax tree without docstrings
    imports: frozenset[str]  # modules, or names in them


class _Docstrings(ast.NodeTransformer):
    """Takes out the strings that stand alone as a statement.

    These are docstrings, also those below an assignment.
    """

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_string = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_string else node


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            # a name in it may be a module, too
            for alias in node.names:
                yield f"{module}.{alias.name}"


# the stages of a family share most of their modules
@cache
def _read(text: bytes, package: str) -> Source:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        # Python itself says it best, in the stage that imports it; the others are not concerned.
        return Source(hashlib.sha256(text).hexdigest(), frozenset())
    imports = frozenset(_imports(tree, package))
    # without line numbers, so that formatting does not count
    dump = ast.dump(_Docstrings().visit(tree))
    return Source(hashlib.sha256(dump.encode()).hexdigest(), imports)


def _files() -> dict[str, Path]:
    """Return each module of this package → its file."""
    files = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        files[".".join(part for part in parts if part != "__init__")] = file
    return files


def digests(module: str) -> dict[str, str]:
    """Return module → hash of all that runs when ``module`` holds a stage's function.

    ``module`` is in it, too.

    Raises:
        ValueError: there is no such module.
    """
    return dict(sorted(_digests_outwards(module).items()))


def _digests_outwards(module: str) -> dict[str, str]:
    """Return `digests` in the order of a breadth-first search along the imports of ``module``.

    Of what is equally far, modules of its own family come first.
    """
    files = _files()
    if module not in files:
        place = PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")
        raise ValueError(f"{place}: not there; a stage's function is to stand in it")
    digest_of: dict[str, str] = {}
    family = module.rpartition(".")[0]
    # what only the runner imports is further from the stage than all that the stage does
    for start in (module, RUNNER):
        waiting = deque([start])
        while waiting:
            name = waiting.popleft()
            # what is not in `files` is another package, or a name in a module and no module
            if name in digest_of or name not in files:
                continue
            above = name.rpartition(".")[0]
            package = name if files[name].name == "__init__.py" else above
            source = _read(files[name].read_bytes(), package)
            digest_of[name] = source.digest
            waiting += sorted(source.imports, key=lambda one: (not one.startswith(family), one))
            # to import a.b.c runs a and a.b first
            waiting.append(above)
    return digest_of


def nearest_first(module: str, names: list[str]) -> list[str]:
    """Return ``names`` by how many imports they are away from ``module``.

    Those that it no longer imports come last.
    """
    if module not in _files():
        return names
    place = {name: number for number, name in enumerate(_digests_outwards(module))}
    return sorted(names, key=lambda name: place.get(name, len(place)))


def shortened(names: Sequence[str]) -> str:
    """Return the first `SHOWN_MODULES` of ``names``, and how many there are besides."""
    shown = ", ".join(names[:SHOWN_MODULES])
    more = len(names) - SHOWN_MODULES
    return f"{shown} and {more} more" if more > 0 else shown


def text(module: str) -> str:
    """Return `digests` as lines ``module hash``.

    Raises:
        ValueError: as `digests`.
    """
    lines = [f"{name} {digest}\n" for name, digest in digests(module).items()]
    return "".join(lines)


def parse(lines: str) -> dict[str, str]:
    """Return the `digests` that `text` made ``lines`` of."""
    return dict(line.split(" ") for line in lines.splitlines())


def changed(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return the modules in which two `digests` differ, those that only one has included."""
    return sorted({name for name, _ in before.items() ^ now.items()})


def write(family: str) -> None:
    """Write the file of each stage to ``build/<family>/code``.

    Raises:
        ValueError: a stage has no module.
    """
    with new_folder(families.path("code", family)) as folder:
        for stage in families.stages(family):
            lines = text(families.module(stage, family))
            (folder / f"{stage}.txt").write_text(lines, encoding="utf-8")


def check(stage: str, family: str) -> None:
    """Refuse to run other code than the result will be recorded under, where that is written down.

    Raises:
        ValueError: modules changed since; with their names.
    """
    file = families.path("code", family) / f"{stage}.txt"
    if not file.exists():
        return
    recorded = parse(file.read_text(encoding="utf-8"))
    module = families.module(stage, family)
    names = nearest_first(module, changed(recorded, digests(module)))
    if names:
        raise ValueError(
            f"{shortened(names)}: changed since {file} was written, so that {stage}'s result would "
            f"be recorded as that of other code; run it again by `beauty retrain {family}` or "
            f"`dvc repro`, or write the file anew by `python -m beauty_models code {family}`"
        )
