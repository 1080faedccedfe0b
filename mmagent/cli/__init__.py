"""The commands, one file each. Each is thin: it fills in options and starts what the library starts.

A command's file is imported when that command runs or shows its help, so `mmagent --help` costs no more than Typer.
Such a file holds `app`, a Typer of `options.command_app()`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core

COMMANDS = {
    "talk-local": "Talk to the assistant through files and pipes, or by typing.",
    "serve": "Offer the local engine as a Realtime server.",
    "models": "List the local models; fetch the ones that no dependency can carry.",
    "config": "Show each setting's effective value and where it came from.",
}
"""Every command and its line of help. `talk-local` lives in `talk_local.py`."""


class LazyGroup(typer.core.TyperGroup):
    """A group that knows its commands' names and lines of help without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, imported now; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mmagent.cli.{cmd_name.replace('-', '_')}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands in `--help`, from the names and lines alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer's, with the nearest command's name in the error."""
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing and not args[0].startswith("-"):
            from mmagent.config.places import nearest
            from mmagent.errors import UsageError

            hint = nearest(args[0], COMMANDS) or f"The commands are {', '.join(COMMANDS)}."
            raise UsageError(f'There is no command "{args[0]}".', hint)
        return super().resolve_command(ctx, args)


# Rich's help would take three times as long to import as all the rest together, so help is plain.
app = typer.Typer(
    name="mmagent", cls=LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False, subcommand_metavar="COMMAND"
)


def _version(asked: bool) -> None:
    if asked:
        import platform

        from mmagent import __version__

        typer.echo(f"mmagent {__version__} (Python {platform.python_version()})")
        raise typer.Exit


@app.callback()
def mmagent(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the versions of mmagent and Python.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """A realtime voice assistant in the terminal.

    `mmagent COMMAND --help` says what a command does and takes.
    """


def run(args: Sequence[str]) -> int:
    """Run a command line and return its exit code. Every exception goes up, Typer's own included."""
    command = typer.main.get_command(app)
    if "_MMAGENT_COMPLETE" in os.environ:  # the shell asks what could follow
        command.main(list(args), prog_name="mmagent")
    # Not `command.main`: that would turn any broken pipe, even an engine's, into a silent exit.
    try:
        with command.make_context("mmagent", list(args) or ["--help"]) as ctx:
            code = command.invoke(ctx)
    except typer.Exit as exc:
        code = exc.exit_code
    return code if isinstance(code, int) else 0
