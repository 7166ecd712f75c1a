"""One page that tells what became of a run: verdicts, failures, stages, what to do next.

`page` writes it from what the tasks left in `flows.run_context.RunContext`; `publish` puts it into
Prefect's artifacts under a key that stays, also when the run failed or was stopped.
"""

from __future__ import annotations

import socket
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from beauty_models import families
from flows import words
from flows.artifacts import in_background, inline_picture, publish_page
from flows.run_context import RunContext, TaskRecord
from tasks.pipeline import child
from tasks.registry import gate
from tasks.registry.register import Registration
from tasks.secrets import redact

KEY = "retrain"
# Pixels: the longer side of a picture, which lies in Prefect's database. As noise, the costliest,
# it takes 85 kB on its page.
SIDE = 320
CELL = 18  # characters of a name in a cell
REGISTER = "register"

# What may become of a family in a run, and how the headline calls it, the news first.
RESULTS = {
    "champion": "New champion",
    "challenger": "Challenger",
    "failed": "Failed",
    "stopped": "Stopped",
    "done": "Up to date",
    "unchanged": "Unchanged",
    "idle": "Not begun",
}


class Page(NamedTuple):
    """What Prefect shows: a line of when and where, and below it the story; both Markdown."""

    description: str
    markdown: str


def page(
    run: RunContext, names: Sequence[str], seconds: float, error: BaseException | None = None
) -> Page:
    """Return the story of ``run`` over the families ``names``.

    It took ``seconds`` and ended with ``error``.
    """
    results = {family: _result(run, family) for family in names}
    parts = [f"## {_headline(results)}"]
    if error and not _repeats_tasks(run, error):
        parts += [_early_end(error)]
    parts += _verdicts(run, names)
    parts += _failures(run)
    parts += ["### Stages", _stages(run, names)]
    for family in names:
        parts += _section(run, family, results[family])
    where = f"on {socket.gethostname()}, in `{Path.cwd()}`"
    return Page(f"{words.format_duration(seconds)} {where}", "\n\n".join(parts) + "\n")


@in_background
def publish(
    run: RunContext, names: Sequence[str], seconds: float, error: BaseException | None = None
) -> None:
    """Show the story as Prefect's artifact `KEY`; each run adds a version to it."""
    # A copy: a task that nobody waits for may go on and write its record.
    ended = run._replace(tasks=dict(run.tasks))
    publish_page(KEY, *page(ended, names, seconds, error))


def _records(run: RunContext, family: str) -> dict[str, TaskRecord]:
    """Return what the family's tasks left, by stage, fetch or register."""
    return {verb: record for (verb, whose), record in run.tasks.items() if whose == family}


def _result(run: RunContext, family: str) -> str:
    """Return what became of the family: a key of `RESULTS`."""
    records = _records(run, family)
    states = {record.state for record in records.values()}
    if not records:
        return "idle"
    if "Failed" in states:
        return "failed"
    # A family that had ended before the run was stopped was not stopped.
    if run.stop.is_set() and (states & {"Stopped", "Running"} or _has_unbegun_stage(run, family)):
        return "stopped"
    if REGISTER in records and (model := records[REGISTER].result):
        return "champion" if "champion" in model["aliases"] else "challenger"
    return "unchanged" if states == {"Skipped"} else "done"


def _has_unbegun_stage(run: RunContext, family: str) -> bool:
    """Return whether a stage of the family was never begun."""
    begun = _records(run, family)
    own = [stage for stage in run.stages.values() if stage.family == family]
    return any(stage.verb not in begun for stage in own)


def _headline(results: dict[str, str]) -> str:
    """Return the families by what became of them, the news first."""
    parts = []
    for result, title in RESULTS.items():
        names = [family for family, its_result in results.items() if its_result == result]
        if names:
            parts.append(f"{title}: {', '.join(names)}")
    return " · ".join(parts)


def _repeats_tasks(run: RunContext, error: BaseException) -> bool:
    """Return whether ``error`` only repeats what failed tasks said."""
    failed = any(record.state == "Failed" for record in run.tasks.values())
    return failed and not _was_stopped(error)


def _was_stopped(error: BaseException) -> bool:
    """Return whether somebody ended the run: a cancellation, Ctrl-C, a shutdown."""
    return isinstance(error, child.StoppedError) or not isinstance(error, Exception)


def _early_end(error: BaseException) -> str:
    """Return why the run itself ended early."""
    if _was_stopped(error):
        reason = f": {error}" if str(error) else ""
        return f"**The run was stopped before its end**{reason}."
    return f"**The run ended early:** {_quoted(str(error))}"


def _quoted(text: str) -> str:
    """Return the first line of ``text`` as code, without secrets.

    Markdown takes code as it is, and pages wrap it.
    """
    # A ` within would end the code.
    line = redact(text.strip().partition("\n")[0]).replace("`", "'")
    return f"`{line or 'no message'}`"


# Within a cell: Prefect's pages wrap none, and cut a table that is too wide.
BREAK = "<br>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = []
    for row in [head, ["---"] * len(head), *rows]:
        cells = [cell.replace("|", r"\|").replace("\n", BREAK) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _verdicts(run: RunContext, names: Sequence[str]) -> list[str]:
    """Return a table with a line for each model that the gate judged in this run."""
    rows = []
    for family in names:
        record = _records(run, family).get(REGISTER)
        if record and record.result:
            rows.append(_verdict(record.result))
    head = ["family", "this model", "champion\nbefore"]
    head += ["best baseline", "lead at\nleast", "verdict"]
    return [_table(head, rows)] if rows else []


def _verdict(model: Registration) -> list[str]:
    """Return a model's line.

    It has the gate's metric, its interval, what it was held against, and the verdict.
    """
    family = model["family"]
    verdict = model["verdict"]
    metric = verdict["metric"]
    rows = gate.rows(verdict, model["metrics"])
    own = rows[0]
    # The strongest baseline is the first: see `gate.rows`.
    baseline = next(row for row in rows if row.lead is not None)
    former = "none"
    if champion := verdict["champion"]:
        value = champion["metrics"][metric]
        former = f"{_bold(value)}\nversion {champion['version']}"
    interval = words.format_interval(own.interval)
    return [
        family,
        f"{_bold(own.value)}\n{interval}\n{_wrapped(family, metric)}",
        former,
        f"{_bold(baseline.value)}\n{_wrapped(family, baseline.name)}",
        f"{baseline.lead:+.4f}",
        "passed:\nchampion" if verdict["passed"] else "not passed:\nchallenger",
    ]


def _bold(value: float) -> str:
    return f"**{words.format_number(value)}**"


def _wrapped(family: str, name: str) -> str:
    """Return a metric or baseline in words, in lines that fit a cell."""
    in_words = families.in_words(family, name)
    return "\n".join(textwrap.wrap(in_words, CELL, break_on_hyphens=False))


def _failures(run: RunContext) -> list[str]:
    """Return what failed: each message's first line, where the others are, and what to do."""
    parts = []
    for (verb, family), record in run.tasks.items():
        if record.state != "Failed":
            continue
        # Pulling and pushing are of no one family.
        arguments = [] if family == "all" else [family]
        retry = words.beauty_command("retrain", *arguments)
        log = run.log_file(verb, family)
        all_lines = f"All that it said: `{log}`. " if log.exists() else ""
        parts += [
            f"### {family}: {verb} failed",
            _quoted(record.error),
            f"{all_lines}When the cause is mended, `{retry}` goes on from there; what is done is "
            "not done again.",
        ]
    return parts


def _stages(run: RunContext, names: Sequence[str]) -> str:
    """Return a table: a line per family, a column per stage, with state and time."""
    stages = [stage.verb for stage in run.stages.values() if not stage.source]
    begun = {verb for verb, _ in run.tasks}
    # Each once, in the order of the graph; a run of stages alone neither fetches nor registers.
    columns = ["fetch"] if "fetch" in begun else []
    columns += dict.fromkeys(stages)
    columns += [REGISTER] if REGISTER in begun else []
    rows = []
    for family in names:
        records = _records(run, family)
        rows.append([family, *(_cell(records.get(verb)) for verb in columns)])
    return _table(["family", *columns], rows)


def _cell(record: TaskRecord | None) -> str:
    if record is None:
        return "–"
    if record.state == "Skipped" or not record.seconds:
        return record.state
    return f"{record.state}\n{words.format_duration(record.seconds)}"


def _section(run: RunContext, family: str, result: str) -> list[str]:
    """Return what a family's model is worth, a picture, its report, and the next command."""
    register = _records(run, family).get(REGISTER)
    if register and register.result:
        return _model(register.result)
    if result == "unchanged":
        return [f"### {family}", "Nothing has changed: data, code and params are those of before."]
    if register and register.state == "Skipped":
        listing = words.beauty_command("models", family)
        return [f"### {family}", f"No new version: this very model is registered, see `{listing}`."]
    retry = f"`{words.beauty_command('retrain', family)}`"
    if result == "stopped":
        return [f"### {family}", f"{retry} goes on from the last checkpoint."]
    if result == "idle":
        return [f"### {family}", f"{retry} begins it."]
    return []


def _model(model: Registration) -> list[str]:
    """Return what a new version is worth, why it did not pass, and how to ask it."""
    family = model["family"]
    version = model["version"]
    sentence = words.worth(model).removeprefix(f"{family}: ")
    parts = [f"### {family} version {version}", sentence[:1].upper() + sentence[1:]]
    notes = [f"- ✗ {problem}" for problem in _failed_criteria(model)]
    notes += [f"- ⚠ {warning}" for warning in model["warnings"]]
    if notes:
        parts.append("\n".join(notes))
    if picture := _picture(family):
        parts.append(picture)
    if account := words.data_account(family):
        parts.append(account)
    parts.append(f"Ask it: `{words.predict_command(model)}`")
    report = families.path("report", family) / "index.html"
    places = [f"Report: `{report}`"] if report.exists() else []
    if address := words.mlflow_page(model):
        places.append(f"[version {version} in MLflow]({address})")
    if places:
        parts.append(" · ".join(places))
    return parts


def _failed_criteria(model: Registration) -> list[str]:
    """Return the criteria that the model did not meet, in words."""
    lines = gate.missed_floors(model["verdict"])
    for criterion in model["verdict"]["criteria"]:
        against = criterion["against"]
        # One that is against nothing is a floor of another figure, or does not apply and passes.
        if criterion["passed"] or against is None:
            continue
        name = criterion["name"].replace(against, families.in_words(model["family"], against))
        bound = f", needed {criterion['bound']}" if criterion["bound"] else ""
        lines.append(f"{name}: {words.format_number(criterion['value'])}{bound}")
    return lines


def _picture(family: str) -> str:
    """Return the picture that tells most of the family's report, small, as Markdown.

    Nothing where there is none.
    """
    file = families.path("report", family) / families.wording(family).picture
    if not file.is_file():
        return ""
    return inline_picture(file, file.name, SIDE)
