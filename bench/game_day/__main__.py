"""``python -m bench.game_day``: play the faults, with one table at the end.

The exit code is 1 if the project did not come back whole.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from beauty_models.files import write_json
from bench.game_day.faults import FAULTS, Game, SkippedError
from bench.game_day.project import FaultError, check_registry, make_template

STYLES = {"ok": "green", "skipped": "yellow", "FAILED": "bold red"}


def _arguments() -> argparse.Namespace:
    names = [fault.__name__ for fault in FAULTS]
    parser = argparse.ArgumentParser(
        prog="python -m bench.game_day", description=f"{__doc__} Faults: {', '.join(names)}."
    )
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--kills", type=int, default=50, help="random kills of a whole run")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random moments")
    parser.add_argument("--keep", action="store_true", help="leave the scratch projects there")
    parser.add_argument("--report", type=Path, help="write what happened as JSON")
    return parser.parse_args()


def _play(game: Game, only: list[str] | None) -> list[dict[str, Any]]:
    rows = []
    for fault in FAULTS:
        if only and fault.__name__ not in only:
            continue
        began = time.monotonic()
        try:
            state, outcome = "ok", fault(game)
        except SkippedError as reason:
            state, outcome = "skipped", str(reason)
        except FaultError as error:
            state, outcome = "FAILED", str(error)
        except Exception as error:  # the game itself: the other faults are still played
            traceback.print_exc()
            state, outcome = "FAILED", f"the game broke: {error}"
        seconds = round(time.monotonic() - began, 1)
        print(f"{fault.__name__}: {state} after {seconds} s: {outcome}", flush=True)
        rows.append({"fault": fault.__name__, "state": state, "what": outcome, "seconds": seconds})
    return rows


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table("fault", "", "seconds", "what happened")
    for row in rows:
        state = row["state"]
        cells = (row["fault"], f"[{STYLES[state]}]{state}[/]", f"{row['seconds']:.0f}")
        table.add_row(*cells, escape(row["what"]))
    Console().print(table)


def main() -> int:
    """Play and return the exit code."""
    options = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="beauty-game-"))
    print(f"game day in {folder}, seed {options.seed}", flush=True)
    try:
        template = make_template(folder / "template")
        reference = make_template(folder / "undisturbed")
        finished = reference.run("retrain")
        if finished.code:
            print(f"error: an undisturbed run failed: {finished.output}", file=sys.stderr)
            return 1
        check_registry(reference, [1])
        game = Game(template, reference.weights(), folder, options.seed, options.kills)
        rows = _play(game, options.only)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    _show(rows)
    if options.report:
        write_json(options.report, {"seed": options.seed, "faults": rows})
    return 1 if any(row["state"] == "FAILED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
