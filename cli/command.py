"""What all commands of ``beauty`` share: common arguments, and where their output goes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

Families = Annotated[
    list[str] | None,
    typer.Argument(
        help="Families of params.yaml; all of them when none is named.", show_default=False
    ),
]
Family = Annotated[str, typer.Argument(help="A family of params.yaml.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="text=COLUMN,label=COLUMN: the columns that hold the fields.",
        show_default=False,
    ),
]


@contextmanager
def answering(as_json: bool) -> Iterator[list[Any]]:
    """Yield a list to put the answer in; with ``as_json`` it is printed at the end.

    All other output of the block, children's included, then goes to standard error.
    """
    answer: list[Any] = []
    if not as_json:
        yield answer
        return
    sys.stdout.flush()
    # The descriptor, not sys.stdout: children and C libraries write to the descriptor.
    standard_output = os.dup(1)
    os.dup2(2, 1)
    try:
        yield answer
    finally:
        sys.stdout.flush()
        os.dup2(standard_output, 1)
        os.close(standard_output)
        # Also after an error: a run that failed in part still says what it did.
        if answer:
            print(json.dumps(answer[0], ensure_ascii=False, indent=2), flush=True)


def log_line(line: str) -> None:
    """Print ``line`` to standard error at once."""
    print(line, file=sys.stderr, flush=True)


def chosen(named: list[str] | None) -> list[str]:
    """Return the families ``named``, or all of params.yaml; ValueError for one it does not have."""
    from beauty_models import params  # pydantic, which `beauty --help` does not need

    return params.chosen(named)


def known(family: str) -> str:
    """Return ``family``; ValueError where params.yaml has no such block.

    For commands that run no stage: they go on while a params.yaml of before waits for what is new.
    """
    from beauty_models import params  # as above

    return params.known(family)


def log_changes(changed: list[str]) -> None:
    """Say which values of params.yaml were changed."""
    if changed:
        lines = "".join(f"\n  {line}" for line in changed)
        log_line(f"params.yaml changed (undo: git checkout params.yaml):{lines}")
