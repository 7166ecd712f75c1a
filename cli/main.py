"""The ``beauty`` command: init, retrain, fetch, why, evaluate, predict, models, rollback, registry.

``--json`` on any of them leaves nothing on standard output but the JSON; logs go to standard error.
The exit code is 0 only on success; an error is one line, or its traceback with BEAUTY_TRACEBACK=1.
``beauty retrain`` with ``--set``, ``--profile``, ``--source`` or ``--map`` edits params.yaml first
(see `cli.edit`) and says what it changed.

Every command imports what it needs itself: torch, MLflow and Prefect take seconds that ``--help``
and an answer without them need not wait for.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from cli.command import (
    Families,
    Family,
    Json,
    Map,
    answering,
    chosen,
    known,
    log_changes,
    log_line,
)
from cli.versions import versions_app

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Retrain beauty and fashion models.",
)

NO_GIT = (
    "DVC wants to know its repository: clone the project, or in this folder run `git init`, "
    "or `dvc config --local core.no_scm true` to do without git"
)
KEY_LIBRARIES = ("torch", "transformers", "dvc", "prefect", "mlflow")

# Errors whose message is written for a person. The name of any other one is told with it.
PLAIN_ERRORS = (ValueError, OSError, RuntimeError)


def _version(wanted: bool) -> None:
    """Print the version, the commit of a clone, and the libraries that results depend on."""
    if not wanted:
        return
    import subprocess
    from importlib.metadata import version

    root = Path(__file__).parents[1]
    commit = ""
    # Without .git of its own, git would tell the commit of a project that lies around this one.
    if (root / ".git").exists():
        describe = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(describe, capture_output=True, text=True).stdout.strip()
    libraries = ", ".join(f"{name} {version(name)}" for name in KEY_LIBRARIES)
    print(f"beauty-models {version('beauty-models')}{f' ({commit})' if commit else ''}")
    print(f"Python {sys.version.split()[0]}, {libraries}")
    raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print versions and end."),
    ] = False,
) -> None:
    pass


@app.command()
def retrain(
    families: Families = None,
    source: Annotated[
        str | None,
        typer.Option(help="A file, folder, glob, s3://bucket/prefix or starter; for one family."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Lay profiles/NAME.yaml over params.yaml.", metavar="NAME")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Such as sentiment.finetune.epochs=3.", metavar="KEY=VALUE"),
    ] = None,
    maps: Map = None,
    as_json: Json = False,
) -> None:
    """Fetch, bring every stale stage up to date, compare with the champion, register."""
    from cli import edit
    from tasks.sources.fetch import check_source

    with answering(as_json) as answer:
        wanted = chosen(families)
        if source is not None:
            check_source(source)  # before params.yaml names a source that is not there
        changes = edit.from_source(families or [], source, edit.mapping(maps or []), profile)
        # Last, so that a value that is set by hand wins over the one of a profile.
        changes |= edit.from_sets(sets or [])
        log_changes(edit.apply(changes))
        _run_and_show(wanted, answer, as_json)


def _run_and_show(families: list[str], answer: list[Any], as_json: bool) -> None:
    """Retrain ``families`` and show what came of it, also where a part of it failed."""
    from cli.show import outcome

    error = run_flow(families, answer)
    if not as_json:
        outcome(answer[0], families, error is not None)
    if error:
        raise error


def run_flow(families: list[str], answer: list[Any]) -> Exception | None:
    """Put the outcome of a run into ``answer``; return the error when a part of it failed."""
    from cli.show import progress_display
    from flows import servers, settings

    settings.configure()
    # With nothing to do, and no server that should hear of it, the answer comes without Prefect,
    # whose import alone takes longer than DVC's answer.
    if servers.configured_api() is None:
        from tasks import pending

        stages = pending.all_done(families)
        if stages is not None:
            answer.append({"stages": stages, "registered": []})
            return None
    with servers.api(), progress_display() as on_event:
        from flows import retrain as flow

        try:
            answer.append(flow.run(families, on_event))
        except flow.RetrainError as error:
            answer.append(error.outcome)
            return error
    return None


@app.command()
def init(
    source: Annotated[str, typer.Argument(help="A file, folder, glob or s3://bucket/prefix.")],
    family: Annotated[
        str | None, typer.Option(help="The family, when the data could be for several.")
    ] = None,
    maps: Map = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            help="CLASS=VALUE, such as positive=good; ignore=VALUE leaves its rows out.",
            metavar="CLASS=VALUE",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="profiles/NAME.yaml in place of own.yaml.", metavar="NAME")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    run: Annotated[bool, typer.Option("--retrain", help="Retrain right after writing.")] = False,
    as_json: Json = False,
) -> None:
    """Look at data of your own, propose the settings, and write them after a yes."""
    from dataclasses import asdict

    from cli import edit
    from cli import init as proposals
    from cli.show import lines

    classes = proposals.labels_of(labels or [])
    columns = edit.mapping(maps or [])
    # A program that reads JSON answers no questions: without --yes it gets the proposal alone.
    asking = not (yes or as_json)
    with answering(as_json) as answer:
        proposal = _propose(source, family, columns, classes, asking)
        changes = proposals.changes(proposal, profile)
        if not as_json:
            lines(proposals.lines(proposal))
        if asking and not _agreed("Write this to params.yaml?"):
            raise ValueError("nothing was written")
        # A yes was given, on the command line or now.
        changed = edit.apply(changes) if yes or asking else []
        command = f"beauty retrain {proposal.family}"
        answer.append(asdict(proposal) | {"written": changed, "next": command})
        log_changes(changed)
        if not as_json and not run:
            print(f"next: {command}")
    # Below the first answer, so that with --json each of the two is one JSON text.
    if run and (yes or asking):
        with answering(as_json) as answer:
            _run_and_show([proposal.family], answer, as_json)


def _propose(
    source: str,
    family: str | None,
    columns: dict[str, str],
    classes: dict[str, str],
    asking: bool,
) -> Any:
    """Return the proposal for ``source``; the class of an unknown label is asked for.

    Raises:
        ValueError: something is still open, which the message says how to answer.
    """
    from cli import init as proposals
    from cli.delivery import read_delivery
    from cli.show import lines

    # Told before a large delivery is read.
    wanted = chosen([family])[0] if family else None
    delivery = read_delivery(source, log_line)
    proposal = proposals.propose(delivery, wanted, columns, classes)
    if proposal.unknown and asking:
        lines(proposals.lines(proposal))
        classes = classes | _ask_labels(proposal.unknown)
        # Anew, so that what was answered is checked and counted like the rest.
        proposal = proposals.propose(delivery, wanted, columns, classes)
    open_question = proposals.undecided(proposal)
    if open_question:
        raise ValueError(f"{source}: {open_question}")
    return proposal


def _ask_labels(unknown: dict[str, int]) -> dict[str, str]:
    """Ask for the class of each unknown value; return value → class."""
    from cli.init import IGNORE

    classes = {}
    try:
        for value, count in unknown.items():
            question = f"{value!r}, {count:,} rows: which class ({IGNORE} leaves them out)?"
            classes[value] = typer.prompt(question)
    except typer.Abort:
        raise ValueError(f"no answer; say --label CLASS={next(iter(unknown))}") from None
    return classes


def _agreed(question: str) -> bool:
    """Ask; no answer at all (a script's empty standard input) is an error that names --yes."""
    try:
        return bool(typer.confirm(question))
    except typer.Abort:
        raise ValueError("no answer, so nothing was written; --yes writes without asking") from None


@app.command()
def fetch(families: Families = None, as_json: Json = False) -> None:
    """Bring in new raw data and do nothing with it."""
    from tasks.sources.fetch import fetch as fetch_family

    with answering(as_json) as answer:
        entries = []
        for family in chosen(families):
            entries.append({"family": family, "changed": fetch_family(family, log_line)})
        answer.append(entries)
        if as_json:
            return
        for entry in entries:
            print(f"{entry['family']}: {'new raw data' if entry['changed'] else 'nothing new'}")


@app.command()
def why(families: Families = None, as_json: Json = False) -> None:
    """Say of each stage whether it must run, and because of what."""
    from tasks.pipeline.graph import graph
    from tasks.pipeline.staleness import stale_reasons

    with answering(as_json) as answer:
        stages = graph(chosen(families))
        reasons = stale_reasons(stages)
        rows = []
        for node in stages.values():
            because = reasons[node.name]
            # Raw data that is as DVC knows it is no stage that anybody waits for.
            if node.source and not because:
                continue
            rows.append(
                {
                    "stage": node.verb,
                    "family": node.family,
                    "stale": bool(because),
                    "because": because,
                }
            )
        answer.append(rows)
        if not as_json:
            from cli.show import reasons as show

            show(rows)


@app.command()
def evaluate(
    family: Family,
    source: Annotated[
        str, typer.Option(help="A file, folder, glob or s3://bucket/prefix with labels.")
    ],
    version: Annotated[
        int | None, typer.Option(help="A registered version; the champion when not given.")
    ] = None,
    maps: Map = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="FAMILY.ingest.KEY=VALUE for this data, such as what its labels mean.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a registered model and the baselines on data of your own."""
    from cli import edit
    from tasks.evaluate import evaluate_on

    with answering(as_json) as answer:
        wanted = chosen([family])[0]
        columns = edit.mapping(maps or [])
        ingest = edit.ingest_of(wanted, sets or [])
        answer.append(evaluate_on(wanted, source, version, columns, log_line, ingest))
        if not as_json:
            from cli.show import evaluation

            evaluation(answer[0])


def _predict_help(context: typer.Context, family: str) -> str:
    """Return the command's help and, where a family is named, what that one can be asked.

    Raises:
        ValueError: there is no such family.
    """
    general = context.get_help()
    if not family:
        return general
    from beauty_models.families import names

    if family not in names():
        raise ValueError(f"unknown family {family!r}; there are: {', '.join(names())}")
    from beauty_models.serving.batch import help_text

    return f"{general}\n{help_text(family)}"


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],  # it has its own, which knows the family
    }
)
def predict(
    context: typer.Context,
    # Not required, for --help alone.
    family: Annotated[
        str,
        typer.Argument(help="A family of params.yaml.", metavar="FAMILY", show_default=False),
    ] = "",
    version: Annotated[
        str, typer.Option(help="A registered version's number or alias, such as challenger.")
    ] = "champion",
    as_json: Json = False,
    help_: Annotated[bool, typer.Option("--help", help="Show this message and exit.")] = False,
) -> None:
    """Ask the champion, or another version.

    Further arguments are the family's own, such as --text TEXT, or --file IN --out OUT for a whole
    table: `beauty predict FAMILY --help` shows them with what they mean.
    """
    if help_:
        print(_predict_help(context, family))
        return
    if not family:
        context.fail("Missing argument 'FAMILY'.")
    from tasks.predict import predict as ask

    with answering(as_json) as answer:
        answer.append(ask(known(family), context.args, version))
        if not as_json:
            from cli.show import rows

            rows(answer[0])


# Without a name its commands are the app's own, listed in the help behind those above.
app.add_typer(versions_app)


def _stop(number: int, frame: FrameType | None) -> None:
    """Do as Ctrl-C does, for which everything is prepared."""
    raise KeyboardInterrupt


def _call() -> int:
    """Run the command line; return its exit code, after telling an error."""
    try:
        app()
    except SystemExit as end:  # how typer ends a command
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        if os.environ.get("BEAUTY_TRACEBACK"):
            raise
        _tell(error)
        return 1
    return 0


def _tell(error: Exception) -> None:
    """Print what went wrong, without any secret in it, and the remedy where git is missing."""
    from tasks.secrets import redact

    kind = ""
    if not isinstance(error, PLAIN_ERRORS):
        kind = f"{type(error).__name__} (BEAUTY_TRACEBACK=1 shows where): "
    log_line(f"error: {kind}{redact(str(error))}")
    # DVC's own words, which name no remedy.
    if "is not a git repository" in str(error):
        log_line(NO_GIT)


def main() -> None:
    """Run the command line; the console script ``beauty``."""
    # So that a run that is terminated stops its children, as Ctrl-C does.
    signal.signal(signal.SIGTERM, _stop)
    code = _call()
    local = sys.modules.get("flows.local")
    if local is not None and local.prefect_is_stuck.is_set():
        # The usual end would wait for Prefect's threads, which wait for a dead server.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
