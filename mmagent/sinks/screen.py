"""What the live view is made of (Rich): rows of the conversation, the status line, the end of what is too long."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mmagent.sinks.printable import printable, shorten
from mmagent.sinks.transcript import Line

GUTTER = 7  # "warning", the longest name
DOT = " · "
NARROW = 36  # columns; below, the gutter would cost more than it gives

_NAMES = {
    "you": "bold cyan",
    "agent": "bold green",
    "tool": "dim",
    "latency": "dim",
    "usage": "dim",
    "note": "dim",
    "warning": "bold magenta",
    "error": "bold red",
}


class Status:
    """Parts in a row, over as many lines as they need, with the last column free: a terminal may wrap there.

    Each part is a list of spellings, the longest first; the first that fits a line is taken.
    """

    def __init__(self, parts: list[list[Text]]) -> None:
        self._parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich asks for it."""
        indent = "" if options.max_width < NARROW else "  "
        room = max(options.max_width - 1 - len(indent), 1)
        lines: list[Text] = []
        for spellings in self._parts:
            part = next((one for one in spellings if one.cell_len <= room), spellings[-1])
            if lines and lines[-1].cell_len + len(DOT) + part.cell_len <= room:
                lines[-1] = Text.assemble(lines[-1], (DOT, "dim"), part)
            else:
                lines.append(part.copy())
        for line in lines:
            line.truncate(room, overflow="ellipsis")
            yield Text(indent) + line


class Bottom:
    """As much of the end of `body` as fits above `foot`: of a long answer the newest words stay in sight."""

    def __init__(self, body: RenderableType, foot: RenderableType) -> None:
        self._body = body
        self._foot = foot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich asks for it."""
        foot = console.render_lines(self._foot, options, pad=False)
        room = max(options.size.height - 1 - len(foot), 0)
        body = console.render_lines(self._body, options, pad=False)
        for line in [*body[max(len(body) - room, 0) :], *foot]:
            yield from line
            yield Segment.line()


class Row:
    """A name in the gutter and what belongs to it; on a narrow terminal one after the other."""

    def __init__(self, name: str, text: Text) -> None:
        self._name = name
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich asks for it."""
        style = _NAMES[self._name]
        if options.max_width < NARROW:
            yield Text.assemble((f"{self._name}: ", style), self._text)
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(width=GUTTER, justify="right", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row(Text(self._name, style), self._text)
        yield table


def words(line: Line) -> Text:
    """What was said, and how sure it is: dim is not final or not heard, struck out was never heard."""
    text, unheard = printable(line.text, newlines=True), printable(line.unheard, newlines=True)
    if line.speaker == "tool":
        return Text(shorten(printable(line.text), 200), "dim")
    if line.speaker == "you":
        if line.done:
            return Text(text or "[inaudible]", "" if text else "dim")
        return Text(text or "…", "dim")
    if line.interrupted:
        left = Text(f"[{unheard.strip()}]", "dim strike") if unheard.strip() else Text()
        return Text(text.rstrip()) + Text("—", "dim") + left
    return Text(text) + Text(unheard, "dim")
