"""What a command says when it ends badly, and the plain or pretty table, and the bar, that several commands show."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from mmagent.errors import MmagentError

_RED, _DIM, _OFF = "\x1b[1;31m", "\x1b[2m", "\x1b[0m"


def coloured(stream: TextIO) -> bool:
    """Whether colour may be written: a terminal that can, and no `NO_COLOR` (any value but an empty one)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def error(fault: MmagentError) -> None:
    """What happened and what to do, each on a line of its own, on stderr."""
    _say(fault.message, fault.hint)


def bug(fault: BaseException, verbose: bool) -> None:
    """An exception that nobody foresaw: a sentence, and the traceback here (`verbose`) or in a file."""
    text = "".join(traceback.format_exception(fault))
    name = type(fault).__name__
    if verbose:
        sys.stderr.write(text)
        return _say(f"{name}: this is a bug in mmagent.", "Please report it with the lines above.")
    with tempfile.NamedTemporaryFile("w", prefix="mmagent-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(text)
    return _say(f"{name}: this is a bug in mmagent.", f"Please report it with {file.name}, which says where.")


def _say(message: str, hint: str) -> None:
    red, dim, off = (_RED, _DIM, _OFF) if coloured(sys.stderr) else ("", "", "")
    sys.stderr.write(f"{red}mmagent:{off} {_clean(message)}\n")
    if hint:
        sys.stderr.write(f"{dim}  {_clean(hint)}{off}\n")


def _clean(text: str) -> str:
    """Control characters spelled out: a file's name must not move the cursor, and a sentence is one line."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout: Rich's on a terminal; columns two spaces apart, never cut, in a pipe."""
    body = [list(row) for row in rows]
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        pretty = Table(*headers, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in body:
            pretty.add_row(*(Text(cell, overflow="fold") for cell in row))
        Console().print(pretty)
        return
    lines = [[header.lower() for header in headers], *body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    for line in lines:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n")


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while a model comes, told (bytes so far, bytes in all); nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=None)  # pulses until the first byte: pip is looking for the address
        yield lambda done, total: progress.update(task, completed=done, total=total)
