"""The options that every session command shares, made from the table of settings.

    app = command_app()

    @app.command(cls=Command)
    @with_settings
    def talk(loaded: Loaded, output: Annotated[Path | None, typer.Option(help="...")] = None) -> None: ...

`with_settings` gives the command a flag for each setting, and `--preset`; the function gets them as one `Loaded`.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer
import typer.core

from mmagent.config import SETTINGS, Loaded, Setting, load, presets
from mmagent.core.settings import TurnDetection

P = ParamSpec("P")
R = TypeVar("R")

_TURN = {"turn_detection", *TurnDetection.__struct_fields__}
_LOCAL = {"brain", "stt", "tts"}


def command_app() -> typer.Typer:
    """What a command's file calls `app`."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class Command(typer.core.TyperCommand):
    """A command whose help is in panels, and plain: Rich's would cost more time than all the rest."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options under their panels' names, a command's own first."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                own = "Arguments" if param.param_type_name == "argument" else "Options"
                panels.setdefault(getattr(param, "rich_help_panel", None) or own, []).append(record)
        for panel, records in panels.items():
            with formatter.section(panel):
                formatter.write_dl(records)


def with_settings(command: Callable[Concatenate[Loaded, P], R]) -> Callable[P, R]:
    """Give a command the shared options; it is called with what they come to as its first argument."""
    signature = inspect.signature(command, eval_str=True)
    own = list(signature.parameters.values())[1:]
    shared = list(_shared())

    @functools.wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = {key: value for key in SETTINGS if (value := kwargs.pop(key, None)) is not None}
        names: Any = kwargs.pop("preset", None)
        return command(load(given, names or (), os.environ, Path.cwd()), *args, **kwargs)

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared)]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    del call.__wrapped__  # Typer would look for annotations there
    return call


def _shared() -> Iterator[inspect.Parameter]:
    preset = typer.Option(
        "--preset",
        metavar="NAME|FILE",
        help="Settings from a TOML file, by name or path; may be repeated, the later wins.",
        autocompletion=_complete_preset,
        rich_help_panel="Settings",
    )
    yield _parameter("preset", Annotated[list[str] | None, preset])
    for setting in SETTINGS.values():
        yield _parameter(setting.key, Annotated[bool | None if setting.boolean else str | None, _option(setting)])


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _option(setting: Setting) -> Any:
    """A flag whose value is text: `config` reads it, so that a flag, a variable and a file have one set of rules."""
    default = setting.show(setting.default)
    panel = "Turn detection" if setting.key in _TURN else "Local engine" if setting.key in _LOCAL else "Settings"
    return typer.Option(
        f"{setting.flag}/--no-{setting.flag.removeprefix('--')}" if setting.boolean else setting.flag,
        metavar=None if setting.boolean else setting.metavar,
        help=f"{setting.help} [default: {default}]" if default else setting.help,
        show_default=False,
        autocompletion=None if setting.boolean else _completer(setting.choices),
        rich_help_panel=panel,
    )


def _completer(words: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _complete_preset(incomplete: str) -> list[tuple[str, str]]:
    """Names with each file's first line, which says what the preset is for."""
    found = presets(os.environ)
    return [(name, _first_line(path)) for name, path in found.items() if name.startswith(incomplete)]


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline().lstrip("# ").strip()
    except OSError:
        return ""
