"""Typed lines as the user's turns, from a prompt or a pipe; the answers may be spoken into a file.

    piped      a line goes when the answer to the one before is finished; the end of the pipe is the end of the input
    terminal   a line goes when it was typed, also into an answer

The output holds the answers one after another: while nobody speaks there is no time.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from mmagent.clock import Clock
from mmagent.core.events import AgentStateChanged, Announcement, InputEnded, State, Typed
from mmagent.errors import UsageError
from mmagent.transports import Emit, Settled
from mmagent.transports.pipes import Feed
from mmagent.transports.playout import Pacer, Player, open_output


class Keyboard(Protocol):
    """What lines are read from: standard input, or whoever stands before it. `fileno` may raise OSError."""

    def isatty(self) -> bool:
        """Whether somebody types them."""
        ...

    def fileno(self) -> int:
        """Where they are read from."""
        ...

    def __iter__(self) -> Iterator[str]:
        """The lines themselves, where there is no file to read."""
        ...


class TypedTransport:
    """A keyboard as the user. See `open`, and the top of this module.

    It counts on the session for this: a `Typed` while it listens makes it think, and listen again when that is done.
    """

    def __init__(
        self,
        lines: Iterator[str],
        player: Player,
        pacer: Pacer | None,
        *,
        interactive: bool,
        prompt: Callable[[], None] | None = None,
    ) -> None:
        self._feed = Feed(lines, ahead=1)
        self._player = player
        self._pacer = pacer
        self._interactive = interactive
        self._prompt = prompt
        self._state: State = "connecting"
        self._asked = False
        self._changed = asyncio.Event()
        self._closed = self._ended = False

    @classmethod
    def open(
        cls,
        output: str | None = None,
        *,
        fast: bool = False,
        prompt: Callable[[], None] | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        stdin: Keyboard | None = None,
    ) -> TypedTransport:
        """Take lines from standard input.

        Args:
            output: Where spoken answers go: a path, `-` for standard output, None for nowhere.
            fast: Spoken answers take no time.
            prompt: Called when a line is awaited from a terminal.
            clock, sleep, stdin: For tests.

        Raises:
            AudioFileError: The output cannot be written.
        """
        stream = stdin or sys.stdin
        pacer = None if fast else Pacer((clock or Clock()).now, sleep)
        player = Player(open_output(output))
        return cls(_lines(stream), player, pacer, interactive=stream.isatty(), prompt=prompt)

    async def run(self, emit: Emit, settled: Settled) -> None:
        """Pass lines on and play answers until `close`. See `Transport`."""
        self._player.start(emit)
        self._feed.start(self._changed.set)
        try:
            while not self._closed:
                self._changed.clear()
                self._pass_on(emit)
                if self._player.busy:
                    await self._play_on(settled)
                else:
                    if self._pacer is not None:
                        self._pacer.restart()
                    await self._changed.wait()
        finally:
            self.close()
            self._feed.close()
            self._player.close()

    def play(self, pcm: bytes) -> None:
        """Queue sound behind what is queued."""
        self._player.play(pcm)
        self._changed.set()

    def flush(self) -> None:
        """Go silent."""
        self._player.flush()
        self._changed.set()

    def notice(self, event: Announcement) -> None:
        """Follow the state of the agent: it says when the next line may go."""
        if not isinstance(event, AgentStateChanged):
            return
        self._state = event.state
        if event.state == "listening":
            self._asked = False
            if self._interactive and self._prompt is not None:
                self._prompt()
        self._changed.set()

    def close(self) -> None:
        """Make `run` return; the output is whole then."""
        self._closed = True
        self._changed.set()
        self._player.stop()

    async def _play_on(self, settled: Settled) -> None:
        """Play 20 ms, or what is left; as long as it takes, or as soon as the session has heard of the last."""
        await (self._pacer.tick() if self._pacer else settled())
        if not self._closed:
            await self._player.tick(pad=False)

    def _pass_on(self, emit: Emit) -> None:
        """Emit the lines whose time has come, and the end after the last."""
        while self._may_ask() and (line := self._feed.take()) is not None:
            if line.strip():
                self._asked = True
                emit(Typed(line.strip()))
        if self._feed.ended and self._may_ask() and not self._ended:
            self._ended = True
            emit(InputEnded())

    def _may_ask(self) -> bool:
        if self._interactive:
            return self._state not in ("connecting", "reconnecting", "closed")
        return self._state == "listening" and not self._asked


def _lines(stream: Keyboard) -> Iterator[str]:
    """Lines as they are typed. Not by `input`: its terminal modes would outlive a thread that is left behind."""
    try:
        fd = stream.fileno()
    except OSError:  # text in memory
        yield from stream
        return
    rest = b""
    while data := _read(fd):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except OSError as error:
        hint = "A session in the background cannot read the terminal: bring it to the front, or send it lines."
        raise UsageError(f"Standard input cannot be read: {error.strerror}.", hint) from error
