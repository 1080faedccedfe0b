"""The options that give the model functions, for every session command: `--tools` and `--confirm-tools`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmagent.errors import UsageError

if TYPE_CHECKING:
    from mmagent.agent import ToolBox
    from mmagent.cli.ask import Questions

ToolsFile = Annotated[
    Path | None,
    typer.Option(
        "--tools",
        metavar="FILE.py",
        help="Functions that the model may call: those marked @function_tool, else all public ones with annotations.",
    ),
]

ConfirmTools = Annotated[bool, typer.Option("--confirm-tools", help="Ask on the terminal before a function runs.")]


def open_tools(path: Path | None, confirm: bool, *, silent: bool) -> tuple[ToolBox | None, Questions | None]:
    """The functions of the file, and who asks before they run. `silent`: no warning would be shown.

    Raises:
        UsageError: There is nobody to ask, or nothing to ask about.
        ConfigError: The file cannot be used.
    """
    if path is None:
        if confirm:
            raise UsageError("--confirm-tools asks before functions run, and there are none.", "Give --tools FILE.py.")
        return None, None
    if confirm and silent:
        raise UsageError("--confirm-tools has to ask, and neither -q nor --json shows the question.", "Drop one.")
    if confirm and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "--confirm-tools has to ask, and there is no terminal to ask on.",
            "Run it in a terminal, or mark what is harmless and leave --confirm-tools out.",
        )
    from mmagent.agent import ToolBox
    from mmagent.cli.ask import Questions

    tools = ToolBox.from_file(path)
    questions = Questions(sys.stdin) if not silent and sys.stdin.isatty() and sys.stderr.isatty() else None
    if questions is not None and (confirm or any(tool.confirm for tool in tools)):
        tools.confirm, tools.confirm_all = questions.ask, confirm
        return tools, questions
    return tools, None
