"""`mmagent config`: each setting's effective value and where it came from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mmagent.cli import report
from mmagent.cli.options import Command, command_app, with_settings
from mmagent.config import SECRETS, SETTINGS, Loaded

app = command_app()


@app.command(cls=Command)
@with_settings
def config(
    loaded: Loaded,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Show each setting's effective value and where it came from.

    The later wins: built-in default, preset(s) in order, config file, .env, environment, flag. A setting's key in a
    file is its flag's name with underscores; its variable is MMAGENT_ and the key in capitals.
    """
    shown = {key: setting.show(getattr(loaded.settings, key)) for key, setting in SETTINGS.items()}
    secrets = {name: loaded.secret_origin(name) for name in SECRETS}
    there = loaded.config_file.is_file()
    if as_json:
        settings = {
            key: {"value": _plain(shown[key], getattr(loaded.settings, key)), "origin": loaded.origin(key)}
            for key in shown
        }
        file = {"path": str(loaded.config_file), "exists": there}
        typer.echo(json.dumps({"settings": settings, "secrets": secrets, "config_file": file}, indent=2))
        return
    rows = [(key, value or '""', loaded.origin(key)) for key, value in shown.items()]
    report.table(("Setting", "Value", "Where from"), rows + [(name, "", origin) for name, origin in secrets.items()])
    typer.echo(f"Config file: {loaded.config_file}{'' if there else ' (none yet)'}", err=True)


def _plain(shown: str, value: object) -> object:
    """A JSON value: text as shown, so without passwords; the rest as it is."""
    return shown if isinstance(value, str) else value
