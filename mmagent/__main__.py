"""`mmagent` and `python -m mmagent`: run a command, and end with a sentence and an exit code whatever happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Any

from mmagent.errors import EXIT_DONE, EXIT_INTERRUPTED, MmagentError, UsageError

EXIT_BUG = 70
"""An exception that nobody foresaw: `EX_SOFTWARE` of sysexits.h, which is none of the codes that mean something."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what a narrow encoding cannot write is no reason to fall over
            stream.reconfigure(errors="backslashreplace")
    try:
        from mmagent.cli import run

        code = run(args)
        sys.stdout.flush()
    except SystemExit as exc:  # Typer's completion
        return exc.code if isinstance(exc.code, int) else EXIT_DONE
    except BaseException as exc:  # noqa: BLE001 - the last frame: what comes this far is told in words
        return _told(_leaf(exc), args)
    return code


def _told(exc: BaseException, args: Sequence[str]) -> int:
    from mmagent.cli import report

    usage = _usage(exc, args)
    match usage or exc:
        case MmagentError() as fault:
            report.error(fault)
            return fault.exit_code
        case KeyboardInterrupt():
            return EXIT_INTERRUPTED
        case BrokenPipeError() if _reader_left():
            # What is still buffered has no reader either, and Python would complain of it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return EXIT_DONE
        case _:
            verbose = bool(os.environ.get("MMAGENT_DEBUG")) or not {"-v", "--verbose"}.isdisjoint(args)
            report.bug(exc, verbose)
            return EXIT_BUG


def _leaf(exc: BaseException) -> BaseException:
    """The one exception of a task group that is to be told: ours before any other."""
    while isinstance(exc, BaseExceptionGroup):
        ours = exc.subgroup((MmagentError, KeyboardInterrupt))
        exc = (ours or exc).exceptions[0]
    return exc


def _usage(exc: BaseException, args: Sequence[str]) -> UsageError | None:
    """Typer's own complaint about the command line, as one of ours."""
    import typer

    click_exception: Any = typer.BadParameter.__mro__[2]  # Typer does not export it
    if not isinstance(exc, click_exception):
        return None
    text = " ".join(exc.format_message().split())
    ctx = getattr(exc, "ctx", None)
    command = ctx.command_path if ctx else f"mmagent {args[0]}"
    return UsageError(
        text if text.endswith((".", "?")) else f"{text}.",
        f"See `{command} --help`.",
    )


def _reader_left() -> bool:
    """Whether it is stdout that broke, and not a pipe or socket of an engine's."""
    import select

    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(1, 0)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))


if __name__ == "__main__":
    sys.exit(main())
