"""The ``beauty`` command: init, retrain, fetch, why, models, evaluate, predict, rollback, registry.

``--json`` on any of them leaves nothing on standard output but the JSON; logs go to standard error. The exit code is 0 only
on success; an error is one line, or its traceback with BEAUTY_TRACEBACK=1. ``beauty retrain`` with ``--set``, ``--profile``,
``--source`` or ``--map`` edits params.yaml first (see `cli.edit`) and says what it changed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Retrain beauty and fashion models.",
)

NO_GIT = (
    "DVC wants to know its repository: clone the project, or in this folder run `git init`, "
    "or `dvc config --local core.no_scm true` to do without git"
)

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
def _answer(as_json: bool) -> Iterator[list[Any]]:
    """Yield a list to put the answer in. With ``as_json`` all output of the block, children's included, goes to standard error."""
    answer: list[Any] = []
    if not as_json:
        yield answer
        return
    sys.stdout.flush()
    standard = os.dup(1)
    os.dup2(2, 1)
    try:
        yield answer
    finally:
        sys.stdout.flush()
        os.dup2(standard, 1)
        os.close(standard)
        if answer:
            print(json.dumps(answer[0], ensure_ascii=False, indent=2), flush=True)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _families(named: list[str] | None) -> list[str]:
    from beauty_models import params  # pydantic, which `beauty --help` does not need

    return params.chosen(named)


KEY_LIBRARIES = ("torch", "transformers", "dvc", "prefect", "mlflow")


def _version(wanted: bool) -> None:
    """Print the version, the commit of the code where it is a clone, and the libraries that results depend on."""
    if not wanted:
        return
    import subprocess
    from importlib.metadata import version

    root = Path(__file__).parents[1]
    describe = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    commit = ""
    if (root / ".git").exists():
        commit = subprocess.run(describe, capture_output=True, text=True).stdout.strip()
    print(f"beauty-models {version('beauty-models')}{f' ({commit})' if commit else ''}")
    print(
        f"Python {sys.version.split()[0]}, {', '.join(f'{n} {version(n)}' for n in KEY_LIBRARIES)}"
    )
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

    with _answer(as_json) as answer:
        wanted = _families(families)
        if source is not None:
            check_source(source)
        changes = edit.from_source(families or [], source, edit.mapping(maps or []), profile)
        changes |= edit.from_sets(sets or [])
        if told := edit.apply(changes):
            _log(
                "\n".join(
                    [
                        "params.yaml changed (undo: git checkout params.yaml):",
                        *(f"  {line}" for line in told),
                    ]
                )
            )
        from cli.show import outcome

        failed = _run(wanted, answer)
        if not as_json:
            outcome(answer[0], wanted, failed is not None)
        if failed:
            raise failed


def _run(families: list[str], answer: list[Any]) -> Exception | None:
    """Put the outcome of a run into ``answer``; return the error when a part of it failed.

    With nothing to do and no server that should hear of it, the answer comes without starting Prefect.
    """
    from cli.show import progress_display
    from flows import servers, settings

    settings.configure()
    if servers.configured_api() is None:
        from tasks import pending

        if (stages := pending.all_done(families)) is not None:
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
    from cli import init as first
    from cli.show import lines

    given = first.labels_of(labels or [])
    columns = edit.mapping(maps or [])
    with _answer(as_json) as answer:
        known = _families([family])[0] if family else None
        delivery = first.look(source, _log)
        proposal = first.propose(delivery, known, columns, given)
        asking = not (yes or as_json)
        if proposal.unknown and asking:
            lines(first.lines(proposal))
            given |= _ask_labels(proposal)
            proposal = first.propose(delivery, known, columns, given)
        if open_question := first.undecided(proposal):
            raise ValueError(f"{source}: {open_question}")
        changes = first.changes(proposal, profile)
        if not as_json:
            lines(first.lines(proposal))
        if asking and not _agreed("Write this to params.yaml?"):
            raise ValueError("nothing was written")
        told = edit.apply(changes) if yes or asking else []
        command = f"beauty retrain {proposal.family}"
        answer.append(asdict(proposal) | {"written": told, "next": command})
        if told:
            _log("\n".join(["params.yaml changed (undo: git checkout params.yaml):", *told]))
        if not as_json and not run:
            print(f"next: {command}")
    if run and (yes or asking):
        retrain([proposal.family], None, None, None, None, as_json)


def _ask_labels(proposal: Any) -> dict[str, str]:
    """Ask for the class of each unknown value; return value → class."""
    from cli.init import IGNORE

    try:
        return {
            value: typer.prompt(
                f"{value!r}, {count:,} rows: which class ({IGNORE} leaves them out)?"
            )
            for value, count in proposal.unknown.items()
        }
    except typer.Abort:
        raise ValueError(f"no answer; say --label CLASS={next(iter(proposal.unknown))}") from None


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

    with _answer(as_json) as answer:
        answer.append(
            [
                {"family": family, "changed": fetch_family(family, _log)}
                for family in _families(families)
            ]
        )
        for entry in [] if as_json else answer[0]:
            print(f"{entry['family']}: {'new raw data' if entry['changed'] else 'nothing new'}")


@app.command()
def why(families: Families = None, as_json: Json = False) -> None:
    """Say of each stage whether it must run, and because of what."""
    from tasks.pipeline.graph import graph
    from tasks.pipeline.staleness import stale_reasons

    with _answer(as_json) as answer:
        stages = graph(_families(families))
        reasons = stale_reasons(stages)
        shown = [node for node in stages.values() if reasons[node.name] or not node.source]
        answer.append(
            [
                {
                    "stage": n.verb,
                    "family": n.family,
                    "stale": bool(reasons[n.name]),
                    "because": reasons[n.name],
                }
                for n in shown
            ]
        )
        if not as_json:
            from cli.show import reasons as show

            show(answer[0])


@app.command()
def models(
    family: Annotated[str | None, typer.Argument(show_default=False)] = None, as_json: Json = False
) -> None:
    """List the registered versions, newest first."""
    from tasks.registry.registry import versions

    with _answer(as_json) as answer:
        answer.append(versions(_families([family])[0] if family else None))
        if not as_json:
            from cli.show import versions as show

            show(answer[0])


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

    with _answer(as_json) as answer:
        known, columns = _families([family])[0], edit.mapping(maps or [])
        ingest = edit.ingest_of(known, sets or [])
        answer.append(evaluate_on(known, source, version, columns, _log, ingest))
        if not as_json:
            from cli.show import evaluation

            evaluation(answer[0])


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def predict(
    context: typer.Context,
    family: Family,
    version: Annotated[
        str, typer.Option(help="A registered version's number, champion or challenger.")
    ] = "champion",
    as_json: Json = False,
) -> None:
    """Ask the champion, or another version. Further arguments are the family's own, such as --text TEXT or --file FILE."""
    from tasks.predict import predict as ask

    with _answer(as_json) as answer:
        answer.append(ask(_families([family])[0], context.args, version))
        if not as_json:
            from cli.show import rows

            rows(answer[0])


@app.command()
def rollback(
    family: Family,
    to: Annotated[
        int | None, typer.Option(help="The version; the champion before when not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an earlier version champion again."""
    from tasks.registry.registry import rollback as move

    with _answer(as_json) as answer:
        answer.append(move(_families([family])[0], to))
        if not as_json:
            passed = "" if answer[0]["gate"].get("passed") else " (it had not passed the gate)"
            print(f"{family}: version {answer[0]['version']} is champion{passed}")


registry_app = typer.Typer(no_args_is_help=True, help="Save the local registry, and restore it.")
app.add_typer(registry_app, name="registry")


@registry_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write, such as registry.zip.")],
    as_json: Json = False,
) -> None:
    """Save the whole local registry, every version with its files, to one file."""
    from tasks.registry.backup import backup as save

    with _answer(as_json) as answer:
        answer.append(save(file, _log))
        if not as_json:
            print(f"{file}: {answer[0]['bytes']:,} bytes; {_counted(answer[0])}")


@registry_app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="An archive of `beauty registry backup`.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where there are versions; they are moved aside.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a saved registry in the place of this checkout's."""
    from tasks.registry.backup import restore as put_back

    with _answer(as_json) as answer:
        answer.append(put_back(file, force, _log))
        if not as_json:
            print(f"restored {_counted(answer[0])}; start `make ui` anew if it runs")
            if aside := answer[0]["aside"]:
                print(f"what stood there before is in {aside}")


def _counted(saved: dict[str, Any]) -> str:
    """Return in words which versions a backup holds, and which of them are damaged."""
    counts = [f"{count} of {name}" for name, count in saved["versions"].items()]
    told = f"versions: {', '.join(counts)}" if counts else "no versions"
    if saved["damaged"]:
        told += f"; NOT as they were registered: {', '.join(saved['damaged'])}"
    return told


def _stop(number: int, frame: FrameType | None) -> None:
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
        kind = (
            ""
            if isinstance(error, ValueError | OSError | RuntimeError)
            else f"{type(error).__name__} (BEAUTY_TRACEBACK=1 shows where): "
        )
        from tasks.secrets import redact

        _log(f"error: {kind}{redact(str(error))}")
        if "is not a git repository" in str(error):
            _log(NO_GIT)
        return 1
    return 0


def main() -> None:
    """Run the command line; the console script ``beauty``."""
    signal.signal(
        signal.SIGTERM, _stop
    )  # so that a terminated run stops its children as Ctrl-C does
    code = _call()
    local = sys.modules.get("flows.local")
    if local is not None and local.prefect_is_stuck.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # the usual end would wait for Prefect, which waits for a dead server
    sys.exit(code)


if __name__ == "__main__":
    main()
