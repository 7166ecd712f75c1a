"""Commands on registered versions: models, rollback, and backup and restore of the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command import Family, Json, answering, known, log_line

if TYPE_CHECKING:
    from tasks.registry.backup import Restored, Saved

versions_app = typer.Typer()
registry_app = typer.Typer(no_args_is_help=True, help="Save the local registry, and restore it.")
versions_app.add_typer(registry_app, name="registry")


@versions_app.command()
def models(
    family: Annotated[str | None, typer.Argument(show_default=False)] = None, as_json: Json = False
) -> None:
    """List the registered versions, newest first."""
    from tasks.registry.registry import versions

    with answering(as_json) as answer:
        answer.append(versions(known(family) if family else None))
        if not as_json:
            from cli.show import versions as show

            show(answer[0])


@versions_app.command()
def rollback(
    family: Family,
    to: Annotated[
        int | None, typer.Option(help="The version; the champion before when not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an earlier version champion again."""
    # In the functions: MLflow takes seconds to import, and most commands do without it.
    from tasks.registry.registry import rollback as move_alias

    with answering(as_json) as answer:
        champion = move_alias(known(family), to)
        answer.append(champion)
        if not as_json:
            # A person may decide against the gate, and should hear that it is one.
            warning = "" if champion["gate"].get("passed") else " (it had not passed the gate)"
            print(f"{family}: version {champion['version']} is champion{warning}")


@registry_app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write, such as registry.zip.")],
    as_json: Json = False,
) -> None:
    """Save the whole local registry, every version with its files, to one file."""
    from tasks.registry.backup import backup as save

    with answering(as_json) as answer:
        saved = save(file, log_line)
        answer.append(saved)
        if not as_json:
            print(f"{file}: {saved['bytes']:,} bytes; {_in_words(saved)}")


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

    with answering(as_json) as answer:
        restored = put_back(file, force, log_line)
        answer.append(restored)
        if not as_json:
            print(f"restored {_in_words(restored)}; start `make ui` anew if it runs")
            if restored["aside"]:
                print(f"what stood there before is in {restored['aside']}")


def _in_words(saved: Saved | Restored) -> str:
    """Return which versions a backup holds, and which of them are damaged."""
    counts = ", ".join(f"{count} of {name}" for name, count in saved["versions"].items())
    text = f"versions: {counts}" if counts else "no versions"
    if saved["damaged"]:
        text += f"; NOT as they were registered: {', '.join(saved['damaged'])}"
    return text
