"""What ``beauty`` shows a person: bars while stages run, tables of what came out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import print as show
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

OnEvent = Callable[[str, str, str, Any], None]

COLOURS = {
    "Completed": "green",
    "Restored": "cyan",
    "Skipped": "dim",
    "Failed": "red",
    "NotRun": "yellow",
}


@contextmanager
def watching() -> Iterator[OnEvent]:
    """Yield an ``on_event`` for `flows.retrain.run`: bars and lines on a terminal, plain lines elsewhere, all on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:
        yield _bars(bars)


def _plain(kind: str, stage: str, family: str, payload: Any) -> None:
    name = f"{stage}@{family}"
    if kind == "line":
        print(f"{name}: {payload}", file=sys.stderr, flush=True)
    elif kind == "progress":
        print(f"{name}: {payload['share']:.0%} {payload['text']}", file=sys.stderr, flush=True)
    elif kind == "end" and payload["state"] != "Skipped":
        print(
            f"{name}: {payload['state']} after {payload['seconds']:.1f} s",
            file=sys.stderr,
            flush=True,
        )


def _bars(bars: Progress) -> OnEvent:
    tasks: dict[str, TaskID] = {}

    def on_event(kind: str, stage: str, family: str, payload: Any) -> None:
        name = f"{stage}@{family}"
        if kind == "start" or name not in tasks:
            tasks[name] = bars.add_task(name, total=None, note="")
        if kind == "line":
            bars.console.print(f"[dim]{name}[/] {escape(payload)}", highlight=False)
        elif kind == "progress":
            bars.update(
                tasks[name], total=1.0, completed=payload["share"], note=escape(payload["text"])
            )
        elif kind == "end":
            state = payload["state"]
            bars.update(
                tasks[name],
                total=1.0,
                completed=1.0,
                visible=state != "Skipped",
                note=f"[{COLOURS[state]}]{state}[/]",
            )

    return on_event


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold", min_width=10)
    return table


def _figure(value: Any) -> str:
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def outcome(result: dict[str, Any], families: list[str]) -> None:
    """Print the states of the stages and the verdict on each new model, or that nothing has changed."""
    if not result["registered"] and all(stage["state"] == "Skipped" for stage in result["stages"]):
        show(
            f"Nothing has changed: data, code and params of {', '.join(families)} are those of the last run."
        )
        return
    table = _table("stage", "family", "state", "seconds")
    for stage in result["stages"]:
        state = stage["state"]
        table.add_row(
            stage["stage"],
            stage["family"],
            f"[{COLOURS[state]}]{state}[/]",
            f"{stage['seconds']:.1f}",
        )
    show(table)
    for model in result["registered"]:
        show(Markdown(model["verdict_markdown"]))
        show(
            f"{model['family']} version {model['version']} is {', '.join(model['aliases'])}: {escape(model['mlflow_url'])}"
        )


def reasons(rows: list[dict[str, Any]]) -> None:
    """Print which stages must run and why."""
    table = _table("stage", "family", "", "because")
    for row in rows:
        table.add_row(
            row["stage"],
            row["family"],
            "[yellow]stale[/]" if row["stale"] else "[dim]up to date[/]",
            escape("\n".join(row["because"])),
        )
    show(table)


def versions(rows: list[dict[str, Any]]) -> None:
    """Print the registered versions with the figure their gate looked at."""
    if not rows:
        show("No model is registered yet; `beauty retrain` makes the first.")
        return
    table = _table("family", "version", "alias", "metric", "gate", "commit")
    for row in rows:
        gate, lineage = row["gate"], row["lineage"]
        passed = {True: "[green]passed[/]", False: "[red]failed[/]"}.get(gate.get("passed"), "–")
        commit = (
            f"{(lineage.get('git_commit') or '–')[:8]}{' *' if lineage.get('git_dirty') else ''}"
        )
        figure = f"{gate.get('metric', '')} {_figure(gate.get('value'))}"
        cells = (
            row["family"],
            str(row["version"]),
            f"[bold]{', '.join(row['aliases'])}[/]",
            figure,
            passed,
            commit,
        )
        table.add_row(*cells, escape(str(lineage.get("data_source", "–"))))
    show(table)
    if any(row["lineage"].get("git_dirty") for row in rows):
        show("* with changes that were not committed")


def evaluation(result: dict[str, Any]) -> None:
    """Print a model's figures on outside data beside its baselines'."""
    table = _table("metric", f"version {result['version']}", "interval", *result["baselines"])
    for name, value in result["metrics"].items():
        interval = " – ".join(map(_figure, result["intervals"].get(name, [])))
        table.add_row(
            name,
            _figure(value),
            interval,
            *(_figure(baseline.get(name)) for baseline in result["baselines"].values()),
        )
    show(table)
    show(
        f"{result['n']} rows; {result['rejected']} rejected, {result['seen_in_training']} left out because the model was trained on them"
    )


def rows(answer: Any) -> None:
    """Print a list of flat records as a table, anything else as it is."""
    if not (isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer)):
        show(answer)
        return
    table = _table(*answer[0])
    for row in answer:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    show(table)


def _cell(value: Any) -> str:
    return (
        ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
        if isinstance(value, dict)
        else _figure(value)
    )
