"""What ``beauty`` shows a person: bars while stages run, tables of what came out.

Every screen is made for 80 columns and still right in 60: nothing is ever cut with an ellipsis,
what is too wide is folded, and records too wide for a table are shown one field a line. A pipe gets
the same as a terminal of 80 columns.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flows import words
from flows.events import OnEvent
from tasks.secrets import redact

if TYPE_CHECKING:  # pydantic and yaml cost what most screens do not need
    from beauty_models.params import Gate
    from tasks.registry.register import Registration
    from tasks.registry.registry import Version

COLORS = {
    "Completed": "green",
    "Restored": "cyan",
    "Skipped": "dim",
    "Failed": "red",
    "NotRun": "yellow",
    "Stopped": "yellow",
}
BAR_WIDTH = 12  # leaves room in 80 columns for what a stage says of itself
UNLIMITED = 10_000  # columns, wider than any table


def console() -> Console:
    """Return the standard output as rich draws on it.

    Its width is the true one, 80 where it is no terminal and COLUMNS says nothing.
    """
    # Neither highlights nor emoji: a label such as ":smile:" is data, and stands as it is.
    return Console(highlight=False, emoji=False)


def _show(content: Any = "", indent: int = 0) -> None:
    """Print a line or a table, folded rather than cut."""
    from rich.padding import Padding

    # A Text, because rich would take "[red]" in a string for markup.
    line = Text(content, overflow="fold") if isinstance(content, str) else content
    console().print(Padding(line, (0, 0, 0, indent)) if indent else line)


def _show_command(command: str) -> None:
    """Print a command that is to be copied."""
    # Never wrapped: a line that is copied must not have a line break inside its quotes.
    console().print(Text(f"  {command}"), soft_wrap=True)


@contextmanager
def progress_display() -> Iterator[OnEvent]:
    """Yield an ``on_event`` for `flows.retrain.run`: bars on a terminal, plain lines elsewhere."""
    # Standard output is for the answer alone, so that it can be piped.
    errors = Console(stderr=True)
    if not errors.is_terminal:
        yield _print_event
        return
    with bars_on(errors) as on_event:
        yield on_event


@contextmanager
def bars_on(screen: Console) -> Iterator[OnEvent]:
    """Yield an ``on_event`` that draws a bar per stage on ``screen``.

    It shows the share that is done, the time so far, and what the stage says of itself.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=BAR_WIDTH),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=screen) as bars:
        yield _bars(bars)


def _print_event(kind: str, stage: str, family: str, payload: Any) -> None:
    """Print an event as a line, those aside that nobody reads a log for."""
    line = ""
    if kind == "warning":
        line = f"warning: {payload}"
    elif kind == "line":
        line = f"{stage}@{family}: {payload}"
    elif kind == "progress":
        line = f"{stage}@{family}: {payload['share']:.0%} {payload['text']}"
    elif kind == "end" and payload["state"] != "Skipped":
        took = f"{payload['state']} after {payload['seconds']:.1f} s"
        line = f"{stage}@{family}: {took}{_reason(payload)}"
    if line:
        print(line, file=sys.stderr, flush=True)


def _bars(bars: Progress) -> OnEvent:
    tasks: dict[str, TaskID] = {}

    def on_event(kind: str, stage: str, family: str, payload: Any) -> None:
        if kind == "warning":
            bars.console.print(f"[yellow]warning:[/] {escape(payload)}", highlight=False)
            return
        name = f"{stage}@{family}"
        # A stage that starts again, a retry, gets a new bar.
        if kind == "start" or name not in tasks:
            tasks[name] = bars.add_task(name, total=None, note="")
        if kind == "line":
            bars.console.print(f"[dim]{name}[/] {escape(payload)}", highlight=False)
        elif kind == "progress":
            note = payload["text"].removeprefix(f"{stage}: ")  # the bar is called so already
            bars.update(tasks[name], total=1.0, completed=payload["share"], note=escape(note))
        elif kind == "end":
            state = payload["state"]
            reason = _reason(payload)
            # On a line of its own: a retry that ends well would leave no trace of it.
            if reason:
                bars.console.print(f"[dim]{name}[/] {state}{escape(reason)}", highlight=False)
            note = f"[{COLORS[state]}]{state}[/]"
            visible = state != "Skipped"
            bars.update(tasks[name], total=1.0, completed=1.0, visible=visible, note=note)

    return on_event


def _reason(end: dict[str, Any]) -> str:
    """Return why a task failed: the first line of its error."""
    if end["state"] != "Failed":
        return ""
    error = str(end.get("error", "")).partition("\n")[0]
    # An address in a message may have a password in it.
    return f": {redact(error)}" if error else ""


def _table(*columns: str) -> Table:
    """Return a table whose columns fold what is too wide, the widest first, and cut nothing."""
    # Neither edges nor padding: in 60 columns every one of them counts.
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    return table


def _signed(lead: float | None) -> str:
    return "" if lead is None else f"{lead:+.4f}"


def _mark(passed: bool | None) -> Text:
    if passed is None:
        return Text(" ")
    return Text("✓", "green") if passed else Text("✗", "red")


def outcome(result: dict[str, Any], families: list[str], failed: bool = False) -> None:
    """Print the states of the stages and, of each new model, verdict, worth and what to do next.

    Where something ``failed``, what was done beside it is shown all the same.
    """
    # A stage that was restored is no idle one: other files now stand in build/.
    idle = all(stage["state"] == "Skipped" for stage in result["stages"])
    if idle and not result["registered"]:
        if failed:
            return
        named = ", ".join(families)
        _show(f"Nothing has changed: data, code and params of {named} are those of the last run.")
        return
    table = _table("stage", "family", "state", "seconds")
    for stage in result["stages"]:
        state = Text(stage["state"], COLORS[stage["state"]])
        table.add_row(stage["stage"], stage["family"], state, f"{stage['seconds']:.1f}")
    _show(table)
    for model in result["registered"]:
        _registered(model)
    if failed:
        for stage in result["stages"]:
            if stage["state"] == "Failed":
                family = stage["family"]
                _show(f"{family}: not registered, for {stage['stage']} failed; run it again.")
        return
    # A model that is bit by bit that of a version is not registered again.
    known = {model["family"] for model in result["registered"]}
    for family in families:
        if family not in known:
            _show()
            _show(
                f"{family}: no new version; this very model is registered (beauty models {family})."
            )


def _registered(model: Registration) -> None:
    """Print a new model: the gate's verdict, its worth, the report, the next command."""
    from beauty_models import families

    family = model["family"]
    name = families.in_words(family, model["verdict"]["metric"])
    _show()
    _show(Text(f"{family} version {model['version']} by {name}", "bold"))
    _verdict(model)
    for warning in model["warnings"]:
        _show(f"⚠ {warning}")
    _show(words.worth(model))
    # Not there when another machine evaluated it, or build/ was deleted since.
    report = families.path("report", family) / "index.html"
    if report.exists():
        _show(f"The report: {report}")
    if account := words.data_account(family):
        _show(account)
    # The path of `beauty` is in it where the shell does not find it.
    _show("Ask it:")
    _show_command(words.predict_command(model))
    page = words.mlflow_page(model)
    _show(f"In MLflow: {page}" if page else "All versions in the browser: make ui")


def _verdict(model: Registration) -> None:
    """Print the model and what it was held against, a row each.

    A row has the gate's metric, its interval and the least lead of the model.
    """
    from tasks.registry import gate

    verdict = model["verdict"]
    table = _table("", "", verdict["metric"], "interval", "lead at least")
    for row in gate.rows(verdict, model["metrics"]):
        table.add_row(
            _mark(row.passed),
            Text(row.name),
            words.format_number(row.value),
            words.format_interval(row.interval),
            _signed(row.lead),
        )
    _show(table)
    for missed in gate.missed_floors(verdict):
        _show(f"✗ {missed}")
    if verdict["champion"] and verdict["tolerance"]:
        tolerance = words.format_number(verdict["tolerance"])
        _show(f"It may be {tolerance} worse than the champion (gate.tolerance).")
    _show()


def lines(texts: list[str]) -> None:
    """Print lines that words alone break."""
    for text in texts:
        _show(Text(text))


def reasons(rows: list[dict[str, Any]]) -> None:
    """Print which stages must run and why; of many changed modules the first ones."""
    table = _table("stage", "family", "", "because")
    for row in rows:
        reasons = words.because(row["because"], row["family"])
        because = "\n".join(_shortened(reason, row["family"]) for reason in reasons)
        state = Text("stale", "yellow") if row["stale"] else Text("up to date", "dim")
        table.add_row(row["stage"], row["family"], state, Text(because, overflow="fold"))
    _show(table)


def _shortened(reason: str, family: str) -> str:
    # The table names the family already.
    own = f"params.yaml families.{family}."
    return f"params {reason.removeprefix(own)}" if reason.startswith(own) else reason


def versions(rows: list[Version]) -> None:
    """Print the registered versions, family by family, with the figure their gate looked at."""
    if not rows:
        _show("No model is registered yet; `beauty retrain` makes the first.")
        return
    # dict.fromkeys keeps the order, in which the newest version comes first.
    for family in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == family]
        metric = own[0]["gate"].get("metric", "value")
        _show(Text(family, "bold"))
        table = _table("version", "alias", metric, "gate", "commit", "data")
        for row in own:
            table.add_row(*_version(row, metric))
        _show(table)
        _show()
    if any(row["lineage"].get("git_dirty") for row in rows):
        _show("* with changes that were not committed")
    _show("Ask one of them, also a challenger:")
    _show_command(words.predict_command(rows[0]))


def _version(row: Version, metric: str) -> list[Text]:
    """Return a line of a family's table, in which ``metric`` heads the figures."""
    gate = row["gate"]
    lineage = row["lineage"]
    passed: dict[bool | None, Text] = {True: Text("passed", "green"), False: Text("failed", "red")}
    figure = words.format_number(gate.get("value"))
    # An older version may have been judged by a metric that params.yaml no longer names.
    if gate.get("metric", metric) != metric:
        figure += f" ({gate['metric']})"
    commit = (lineage.get("git_commit") or "–")[:8]
    return [
        Text(str(row["version"])),
        Text(", ".join(row["aliases"]), "bold"),
        Text(figure),
        passed.get(gate.get("passed"), Text("–")),
        Text(f"{commit}*" if lineage.get("git_dirty") else commit),
        Text(str(lineage.get("data_source", "–"))),
    ]


def evaluation(result: dict[str, Any]) -> None:
    """Print a model's figures on outside data.

    The gate's metric stands beside every baseline's, the others beside the strongest's alone.
    """
    from beauty_models import params

    gate = params.gate(result["family"])
    metric = gate.metric
    _show(Text(f"{result['family']} version {result['version']}", "bold"))
    _show()
    # Data without one of the classes, say, may not allow the gate's metric.
    strongest = _beside_baselines(result, gate) if metric in result["metrics"] else ""
    others = result["baselines"].get(strongest, {})
    table = _table("figure", "this model", "interval", strongest)
    for name, value in result["metrics"].items():
        interval = words.format_interval(result["intervals"].get(name))
        baseline = words.format_number(others[name]) if name in others else ""
        table.add_row(Text(name), words.format_number(value), interval, baseline)
    _show(table)
    _show()
    _show(
        f"{result['n']} rows; {result['rejected']} rejected, "
        f"{result['seen_in_training']} left out because the model was trained on them"
    )
    _show("The report has the other figures of the baselines, and so has --json.")


def _beside_baselines(result: dict[str, Any], gate: Gate) -> str:
    """Print the gate's metric of the model and of every baseline, best first.

    Returns:
        The best baseline that counts for the gate.
    """
    from beauty_models import families

    metric = gate.metric
    table = _table("", metric, "interval", "lead at least")
    model = words.format_number(result["metrics"][metric])
    table.add_row("this model", model, words.format_interval(result["intervals"].get(metric)), "")
    scored = {}
    flat: dict[str, float] = {}  # as evaluate.json has them: NAME/METRIC
    for name, metrics in result["baselines"].items():
        if metric in metrics:
            scored[name] = metrics
            flat |= {f"{name}/{key}": value for key, value in metrics.items()}
    best_first = sorted(
        scored, key=lambda name: float(scored[name][metric]), reverse=gate.larger_is_better
    )
    for name in best_first:
        metrics = scored[name]
        interval = None
        if f"{metric}.low" in metrics:
            interval = (metrics[f"{metric}.low"], metrics[f"{metric}.high"])
        lead = families.lead(metric, flat, name, gate.larger_is_better)
        figure = words.format_number(metrics[metric])
        table.add_row(name, figure, words.format_interval(interval), _signed(lead))
    _show(table)
    _show()
    # A baseline that the gate does not count may be better: it is shown, but not held against it.
    counted = [name for name in best_first if name in gate.baselines]
    return next(iter(counted or best_first), "")


def rows(answer: Any) -> None:
    """Print records as a table where one fits, else each field on a line of its own.

    Nothing is left out or cut.
    """
    # As psql does in its expanded display.
    if isinstance(answer, dict):
        _fields(answer)
        return
    if not (isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer)):
        _show(_cell(answer))
        return
    # Records may differ in their fields: those of all, in the order in which they appear.
    columns = list(dict.fromkeys(name for row in answer for name in row))
    table = _table(*columns)
    for row in answer:
        table.add_row(*(Text(_cell(row.get(name, ""))) for name in columns))
    # Measured without the screen's limit, which rich would meet by folding cells.
    screen = console()
    unlimited = screen.options.update(width=UNLIMITED)
    if screen.measure(table, options=unlimited).maximum <= screen.width:
        _show(table)
        return
    for row in answer:
        _fields(row)
        _show()


def _fields(record: dict[str, Any], indent: int = 0) -> None:
    """Print a record, a field a line; what is nested stands indented below its name."""
    # In cells of the terminal: a Chinese character takes two.
    widest = max(map(cell_len, record), default=0)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, min_width=widest)
    grid.add_column(overflow="fold")
    for name, value in record.items():
        grid.add_row(Text(name, "dim"), _nested(value))
    _show(grid, indent)


def _nested(value: Any) -> Text:
    """Return a value of a record: records of a list a line each, and so named records."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        lines = [_cell(item) for item in value]
    elif isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
        lines = [f"{name}: {_cell(item)}" for name, item in value.items()]
    else:
        lines = [_cell(value)]
    return Text("\n".join(lines), overflow="fold")


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return words.format_number(value)
