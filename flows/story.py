"""One page that tells what became of a run, for Prefect's artifacts: verdicts, failures, stages, what to do next.

`page` writes it from what the tasks left in `flows.work.Run`; `publish` puts it into Prefect under a key that stays, also
when the run failed or was stopped.
"""

from __future__ import annotations

import base64
import io
import socket
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from beauty_models import families
from flows import words
from flows.artifacts import decoration, publish_page
from flows.work import Record, Run
from tasks.pipeline import child
from tasks.registry import gate
from tasks.secrets import redact

KEY = "retrain"
SIDE = 320  # pixels: the longer side of a picture, which lies in Prefect's database
CELL = 18  # characters of a name in a cell
REGISTER = "register"

FATES = {
    "champion": "New champion",
    "challenger": "Challenger",
    "failed": "Failed",
    "stopped": "Stopped",
    "done": "Up to date",
    "unchanged": "Unchanged",
    "idle": "Not begun",
}
"""What may become of a family in a run, and how the headline calls it."""


class Page(NamedTuple):
    """What Prefect shows: a line of when and where, and below it the story itself, both Markdown."""

    description: str
    markdown: str


def page(
    run: Run, names: Sequence[str], seconds: float, error: BaseException | None = None
) -> Page:
    """Return the story of ``run`` over the families ``names``, which took ``seconds`` and ended with ``error``."""
    fates = {family: _fate(run, family) for family in names}
    parts = [f"## {_headline(fates)}"]
    if error and not _told_by_tasks(run, error):
        parts += [_first_line(error)]
    parts += _verdicts(run, names)
    parts += _failures(run)
    parts += ["### Stages", _stages(run, names)]
    for family in names:
        parts += _section(run, family, fates[family])
    where = f"on {socket.gethostname()}, in `{Path.cwd()}`"
    return Page(f"{words.duration(seconds)} {where}", "\n\n".join(parts) + "\n")


@decoration
def publish(
    run: Run, names: Sequence[str], seconds: float, error: BaseException | None = None
) -> None:
    """Show the story as Prefect's artifact `KEY`; each run adds a version to it."""
    still = run._replace(tasks=dict(run.tasks))  # a task that nobody waits for may go on
    publish_page(KEY, *page(still, names, seconds, error))


def _records(run: Run, family: str) -> dict[str, Record]:
    """Return what the family's tasks left, by stage, fetch or register."""
    return {verb: record for (verb, whose), record in run.tasks.items() if whose == family}


def _fate(run: Run, family: str) -> str:
    """Return what became of the family: a key of `FATES`."""
    records = _records(run, family)
    states = {record.state for record in records.values()}
    if not records:
        return "idle"
    if "Failed" in states:
        return "failed"
    if run.stop.is_set() and (states & {"Stopped", "Running"} or _not_run(run, family)):
        return "stopped"
    if REGISTER in records and (model := records[REGISTER].result):
        return "champion" if "champion" in model["aliases"] else "challenger"
    return "unchanged" if states == {"Skipped"} else "done"


def _not_run(run: Run, family: str) -> bool:
    """Return whether a stage of the family was never begun."""
    known = _records(run, family)
    return any(what.family == family and what.verb not in known for what in run.stages.values())


def _headline(fates: dict[str, str]) -> str:
    """Return the families by what became of them, the news first."""
    told = []
    for fate, title in FATES.items():
        if names := [family for family, found in fates.items() if found == fate]:
            told.append(f"{title}: {', '.join(names)}")
    return " · ".join(told)


def _told_by_tasks(run: Run, error: BaseException) -> bool:
    """Return whether ``error`` only repeats what failed tasks said."""
    failed = any(record.state == "Failed" for record in run.tasks.values())
    return failed and isinstance(error, Exception) and not isinstance(error, child.StoppedError)


def _first_line(error: BaseException) -> str:
    """Return why the run itself ended early."""
    if isinstance(error, child.StoppedError) or not isinstance(error, Exception):
        return f"**The run was stopped before its end**{f': {error}' if str(error) else ''}."
    return f"**The run ended early:** {_quoted(str(error))}"


def _quoted(text: str) -> str:
    """Return the first line of ``text`` as code, which Markdown takes as it is and pages wrap; without secrets."""
    line = redact(text.strip().partition("\n")[0]).replace("`", "'")
    return f"`{line or 'no message'}`"


BREAK = "<br>"  # within a cell: Prefect's pages wrap none, and cut a table that is too wide


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = [[cell.replace("|", r"\|").replace("\n", BREAK) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _verdicts(run: Run, names: Sequence[str]) -> list[str]:
    """Return a table with a line for each model that the gate judged in this run."""
    models = [_records(run, family).get(REGISTER) for family in names]
    rows = [_verdict(record.result) for record in models if record and record.result]
    head = (
        "family",
        "this model",
        "champion\nbefore",
        "best baseline",
        "lead at\nleast",
        "verdict",
    )
    return [_table(head, rows)] if rows else []


def _verdict(model: words.Model) -> list[str]:
    """Return a model's line: the gate's metric, its interval, what it was held against, the verdict."""
    family, verdict = model["family"], model["verdict"]
    metric = verdict["metric"]
    rows = gate.rows(verdict, model["metrics"])
    own = rows[0]
    former = "none"
    if champion := verdict["champion"]:
        former = f"**{words.figure(champion['metrics'][metric])}**\nversion {champion['version']}"
    baseline = next(row for row in rows if row.lead is not None)
    against = f"**{words.figure(baseline.value)}**\n{_folded(family, baseline.name)}"
    return [
        family,
        f"**{words.figure(own.value)}**\n{words.interval(own.interval)}\n{_folded(family, metric)}",
        former,
        against,
        f"{baseline.lead:+.4f}",
        "passed:\nchampion" if verdict["passed"] else "not passed:\nchallenger",
    ]


def _folded(family: str, name: str) -> str:
    said = families.in_words(family, name)
    return "\n".join(textwrap.wrap(said, CELL, break_on_hyphens=False))


def _failures(run: Run) -> list[str]:
    """Return what failed: the first line of each message, where the other lines are, and what to do."""
    parts = []
    for (verb, family), record in run.tasks.items():
        if record.state == "Failed":
            again = words.command("retrain", *([] if family == "all" else [family]))
            log = run.log(verb, family)
            said = f"All that it said: `{log}`. " if log.exists() else ""
            parts += [
                f"### {family}: {verb} failed",
                _quoted(record.error),
                f"{said}When the cause is mended, `{again}` goes on from there; what is done is not done again.",
            ]
    return parts


def _stages(run: Run, names: Sequence[str]) -> str:
    """Return a table: a line per family, a column per stage, with state and time."""
    verbs = dict.fromkeys(
        ["fetch", *(what.verb for what in run.stages.values() if not what.source), REGISTER]
    )
    begun = {verb for verb, _ in run.tasks}
    columns = [verb for verb in verbs if verb in begun or verb not in ("fetch", REGISTER)]
    rows = []
    for family in names:
        known = _records(run, family)
        rows.append([family, *(_cell(known.get(verb)) for verb in columns)])
    return _table(["family", *columns], rows)


def _cell(record: Record | None) -> str:
    if record is None:
        return "–"
    if record.state == "Skipped" or not record.seconds:
        return record.state
    return f"{record.state}\n{words.duration(record.seconds)}"


def _section(run: Run, family: str, fate: str) -> list[str]:
    """Return what a family's model is worth, a picture, where its report is and the command that works next."""
    register = _records(run, family).get(REGISTER)
    if register and register.result:
        return _model(register.result)
    if fate == "unchanged":
        return [f"### {family}", "Nothing has changed: data, code and params are those of before."]
    if register and register.state == "Skipped":
        listed = words.command("models", family)
        return [f"### {family}", f"No new version: this very model is registered, see `{listed}`."]
    again = f"`{words.command('retrain', family)}`"
    if fate == "stopped":
        return [f"### {family}", f"{again} goes on from the last checkpoint."]
    if fate == "idle":
        return [f"### {family}", f"{again} begins it."]
    return []


def _model(model: words.Model) -> list[str]:
    family, version = model["family"], model["version"]
    sentence = words.worth(model).removeprefix(f"{family}: ")
    parts = [f"### {family} version {version}", sentence[:1].upper() + sentence[1:]]
    notes = [f"- ✗ {why}" for why in _not_passed(model)]
    notes += [f"- ⚠ {warning}" for warning in model["warnings"]]
    parts += ["\n".join(notes)] if notes else []
    if picture := _picture(family):
        parts.append(picture)
    parts.append(f"Ask it: `{words.question(model)}`")
    report = families.path("report", family) / "index.html"
    places = [f"Report: `{report}`"] if report.exists() else []
    if address := words.page(model):
        places.append(f"[version {version} in MLflow]({address})")
    return [*parts, " · ".join(places)] if places else parts


def _not_passed(model: words.Model) -> list[str]:
    """Return the criteria that the model did not meet, in words."""
    found = []
    for criterion in model["verdict"]["criteria"]:
        if not criterion["passed"]:
            against = criterion["against"]
            said = families.in_words(model["family"], against)
            name = criterion["name"].replace(against, said)
            bound = f", needed {criterion['bound']}" if criterion["bound"] else ""
            found.append(f"{name}: {words.figure(criterion['value'])}{bound}")
    return found


def _picture(family: str) -> str:
    """Return the picture that tells most of the family's report, small, as Markdown; nothing where there is none."""
    from PIL import Image

    file = families.path("report", family) / families.wording(family).picture
    if not file.is_file():
        return ""
    small = io.BytesIO()
    with Image.open(file) as picture:
        shown = picture.convert("RGB")
    shown.thumbnail((SIDE, SIDE))
    shown.save(small, "WEBP", quality=70)
    address = "data:image/webp;base64," + base64.b64encode(small.getvalue()).decode()
    return f"![{file.name}]({address})"
