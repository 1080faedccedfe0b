"""The live view of a terminal (Rich). Imported only where there is one.

What was said scrolls up as ordinary lines, so that the terminal's own scroll-back, search and copy work. Below it live
the words of the current turn and a status line. The user's words are dim until they are final; the agent's are dim
until they were heard, and struck out between brackets when they never will be.

    you  How far is it from Oslo to Bergen?
  agent  About four hundred and sixty—[kilometres by road]
    ● listening · 640 ms (waiting 500, thinking 80, voicing 50, playout 10)
    1,234 tokens · $0.0042

Text keeps the terminal's own colours and only names and the state's dot have one, so that light and dark both work;
nothing is said by colour alone, so that `NO_COLOR` does too. A painter thread writes to the terminal, at most so many
times a second and only after a change: a slow terminal never holds up the session.
"""

from __future__ import annotations

import contextlib
import threading

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from mmagent.core.events import (
    AgentStateChanged,
    Announcement,
    BargeIn,
    Closed,
    Error,
    MetricsCollected,
    SessionReconnected,
    SessionReconnecting,
    State,
    Usage,
    Warning,
)
from mmagent.sinks.printable import latency, money, printable, usage, wait
from mmagent.sinks.screen import DOT, Bottom, Row, Status, words
from mmagent.sinks.transcript import Line, Transcript

REFRESHES_PER_SECOND = 12.0

_STATES: dict[State, tuple[str, str]] = {
    "connecting": ("connecting", "dim"),
    "listening": ("listening", "dim"),
    "user_speaking": ("hearing you", "cyan"),
    "thinking": ("thinking", "magenta"),
    "speaking": ("speaking", "green"),
    "paused": ("paused", "dim"),
    "reconnecting": ("reconnecting", "red"),
    "closed": ("closed", "dim"),
}


class LiveConsole:
    """Shows a session on a terminal.

    Args:
        console: Where. None: standard error, so that standard output stays free for results.
        verbose: Also a line for each turn's latency, each response's usage and each barge-in.
        quiet: No warnings, tool calls or closing line.
        refreshes_per_second: At most so many repaints. 0: no painter thread, each announcement is painted as it comes.

    Raises:
        OSError: from `handle`, when the terminal has gone. `close` never raises it, and leaves the terminal whole.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        verbose: bool = False,
        quiet: bool = False,
        refreshes_per_second: float = REFRESHES_PER_SECOND,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._verbose = verbose and not quiet
        self._quiet = quiet
        # What goes to standard output is none of ours: it may be a pipe.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="visible",
        )
        self._transcript = Transcript()
        self._state: State = "connecting"
        self._latency: MetricsCollected | None = None
        self._usage: Usage | None = None
        self._waits: dict[str, MetricsCollected] = {}  # of answers that are not whole yet
        self._turns = 0

        self._lock = threading.Lock()
        self._finished: list[RenderableType] = []
        self._failure: OSError | ValueError | None = None
        self._period = 1 / refreshes_per_second if refreshes_per_second else 0.0
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._painter: threading.Thread | None = None

    # --- what the session says ----------------------------------------------------------------------------------

    def handle(self, now: int, event: Announcement) -> None:
        """Take in an announcement; the painter shows it."""
        if self._failure is not None:
            raise self._failure
        if self._closing.is_set():
            return
        with self._lock:
            self._learn(event)
            for line in self._transcript.take(now, event):
                self._finish(line)
            if isinstance(event, Closed):
                self._finish_what_is_left()
            self._note(now, event)
        self._wake()

    def close(self) -> None:
        """Show what is left; give the terminal back. May be called twice, or after a failure."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._changed.set()
        if self._painter is not None:
            self._painter.join(timeout=2)
            if self._painter.is_alive():
                return  # the terminal itself is stopped (Ctrl-S): whoever writes to it now would be stuck, too
        with self._lock:
            self._finish_what_is_left()
        try:
            with contextlib.suppress(OSError, ValueError):
                if self._finished or self._live.is_started:
                    self._paint(live=False)
        finally:
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()

    def _learn(self, event: Announcement) -> None:
        match event:
            case AgentStateChanged(state=state):
                self._state = state
            case MetricsCollected():
                self._latency = event
                if not self._transcript.gone(event.item_id):
                    self._waits[event.item_id] = event
                elif self._verbose:
                    self._add("latency", "", latency(event))
            case Usage():
                self._usage = event
            case _:
                pass

    def _note(self, now: int, event: Announcement) -> None:
        match event:
            case Error(message=message, hint=hint):
                self._add("error", message, hint)
            case _ if self._quiet:
                pass
            case Warning(message=message, hint=hint):
                self._add("warning", message, hint)
            case SessionReconnecting(reason=reason, attempt=attempt):
                self._add("warning", f"The link was lost ({reason}).", f"Trying again, attempt {attempt}.")
            case SessionReconnected(away_ms=away):
                self._add("note", f"The link is back after {away / 1000:.1f} s.")
            case Closed(reason=reason):
                minutes, seconds = divmod(now // 1_000_000, 60)
                self._add("note", f"{reason or 'ended'} · {minutes}:{seconds:02d} · {self._count()}")
            case Usage() if self._verbose:
                self._add("usage", "", usage(event))
            case BargeIn(silence_ms=silence) if self._verbose:
                self._add("note", "", f"silent {silence} ms after you spoke up")
            case _:
                pass

    def _count(self) -> str:
        turns = f"{self._turns} answer{'' if self._turns == 1 else 's'}"
        return DOT.join([turns, *self._spent()])

    def _finish(self, line: Line) -> None:
        if line.speaker == "agent":
            self._turns += 1
        if line.speaker == "tool" and self._quiet:
            return
        waited = self._waits.pop(line.item_id, None)
        if not (line.speaker == "agent" and not line.text and not line.unheard):
            self._finished.append(Row(line.speaker, words(line)))
        if self._verbose and waited is not None:
            self._add("latency", "", latency(waited))

    def _finish_what_is_left(self) -> None:
        for line in self._transcript.close():
            self._finish(line)

    def _add(self, name: str, message: str, dim: str = "") -> None:
        text = Text(printable(message))
        if dim:
            text.append((" " if message else "") + printable(dim), "dim")
        self._finished.append(Row(name, text))

    # --- what is on the screen ----------------------------------------------------------------------------------

    def view(self) -> RenderableType:
        """The live part of the screen: the open lines and the status."""
        rows = [Row(line.speaker, words(line)) for line in self._transcript.open]
        return Bottom(Group(*rows), Status(self._status()))

    def _status(self) -> list[list[Text]]:
        """The parts of the status line, each from the longest spelling to the shortest."""
        name, style = _STATES[self._state]
        parts = [[Text.assemble(("● ", style), name)]]
        if self._latency is not None:
            parts.append([Text(latency(self._latency), "dim"), Text(wait(self._latency), "dim")])
        if spent := self._spent():
            parts.append([Text(DOT.join(spent), "dim"), Text(spent[-1], "dim")])
        return parts

    def _spent(self) -> list[str]:
        if self._usage is None:
            return []
        tokens = f"{self._usage.session_input_tokens + self._usage.session_output_tokens:,} tokens"
        cost = self._usage.session_cost_usd
        return [tokens] if cost is None else [tokens, money(cost, self._usage.estimated)]

    def _wake(self) -> None:
        if not self._period:
            self._paint()
            return
        if self._painter is None:
            self._painter = threading.Thread(target=self._keep_painting, name="console-painter", daemon=True)
            self._painter.start()
        self._changed.set()

    def _keep_painting(self) -> None:
        while not self._closing.is_set():
            self._changed.wait()
            self._changed.clear()
            try:
                self._paint()
            except (OSError, ValueError) as failure:  # ValueError: the stream was closed, or cannot spell a character
                self._failure = failure
                return
            self._closing.wait(self._period)

    def _paint(self, *, live: bool = True) -> None:
        """Finished lines above, the live part below, in one write."""
        with self._lock:
            finished, self._finished = self._finished, []
            view = self.view() if live else Text()
        # Here and not before the first announcement: until then the terminal is the command's own.
        self._live.start()
        with self._console:
            self._live.update(view)
            for row in finished:
                self._console.print(row)
            self._live.refresh()
