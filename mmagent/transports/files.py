"""Sound from files and pipes, and to them, on a clock made of samples.

Every tick is 20 ms of the session: 480 samples in, 480 samples out. So sample 0 of the output is sample 0 of what the
session heard, and what was played is known to the sample. The output is the session as it sounded, silence included.

    paced   a tick every 20 ms of real time
    fast    a tick whenever all that was emitted is dealt with. While the agent thinks, or has no sound to go on
            speaking, time stands still: the output is the one of an engine that answers at once

Several inputs are several turns: `Cue` says when the next may begin.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import BinaryIO

from mmagent.clock import Clock
from mmagent.core import pcm
from mmagent.core.events import (
    AgentSpeechCommitted,
    AgentSpeechInterrupted,
    AgentStartedSpeaking,
    AgentStateChanged,
    AgentStoppedSpeaking,
    Announcement,
    InputEnded,
    MicAudio,
    PushToTalk,
    State,
    Trouble,
    Usage,
    UserStartedSpeaking,
)
from mmagent.errors import UsageError
from mmagent.transports import Emit, Settled
from mmagent.transports.playout import Pacer, Player, open_output
from mmagent.transports.sources import Source, is_pipe, open_source

_SILENCE = pcm.silence(pcm.BLOCK)
_GAP = pcm.ms_to_samples(200)
"""Silence between an answer and the next file."""

_TAIL_SECONDS = 2.0
"""How long a fast run waits to be told that an answer is whole before it plays a part that is shorter than a tick."""


class Cue:
    """When the next file may begin. Pure: told what the session announces, and asked once a tick.

    1. The session listens, and did so for `wait` samples: none before the first file, 0.2 s after an answer, else
       `patience`, in which the session might yet find that somebody spoke.
    2. With `overlap`: so many samples of the answer have been heard, and it is still heard.
    """

    def __init__(self, patience: int, overlap: int | None) -> None:
        self.state: State = "connecting"
        self.heard = False
        self._patience = patience
        self._overlap = overlap
        self.whole = False
        """Whether nothing more of the answer is being made: what is queued is all there will be."""
        self._wait = 0
        self._listened = 0
        self._heard_from: int | None = None

    @property
    def answering(self) -> bool:
        """Whether an answer is being made or heard."""
        return self.state in ("thinking", "speaking")

    def begin(self) -> None:
        """A file begins. From now on `heard` says whether somebody was heard to speak in it."""
        self._wait, self._listened, self._heard_from = self._patience, 0, None
        self.heard = False

    def notice(self, event: Announcement, played: int) -> None:
        """The session announces `event` when `played` samples have been heard."""
        match event:
            case AgentStateChanged():
                self.state = event.state
                self._listened = 0
                self.whole = self.whole and event.state == "speaking"
            case Usage():
                self.whole = True
            case UserStartedSpeaking():
                self._wait = self._patience
                self.heard = True
            case AgentStartedSpeaking():
                self._heard_from = played
            case AgentStoppedSpeaking():
                self._heard_from = None
            case AgentSpeechCommitted() | AgentSpeechInterrupted():
                self._wait = _GAP
            case _:
                pass

    def due(self, played: int, *, more: bool) -> bool:
        """Whether the next file (there is `more`), or the end, may come. Counts a tick."""
        listened = self._listened
        self._listened += pcm.BLOCK if self.state == "listening" else 0
        if self.state == "listening" and listened >= self._wait:
            return True
        over = self._overlap is not None and self._heard_from is not None and played - self._heard_from >= self._overlap
        return more and over


class FilesTransport:
    """Files as the user, a file as the loudspeaker. See `open`, and the top of this module."""

    def __init__(
        self, sources: Sequence[Source], player: Player, pacer: Pacer | None, cue: Cue, tail: float = _TAIL_SECONDS
    ) -> None:
        self._waiting = deque(sources)
        self._source: Source | None = None
        self._asked = ""
        self._player = player
        self._pacer = pacer
        self._cue = cue
        self._tail = tail
        self._changed = asyncio.Event()
        self._closed = self._ended = False
        self._emit: Emit

    @classmethod
    def open(
        cls,
        inputs: Sequence[str],
        output: str | None = None,
        *,
        fast: bool = False,
        overlap: float | None = None,
        patience_ms: int = 1500,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
    ) -> FilesTransport:
        """Open files and pipes; nothing waits for a pipe yet, and the output keeps what it holds until `run`.

        Args:
            inputs: Paths, or `-` for standard input: one turn each.
            output: A path, or `-` for standard output.
            fast: Not paced by the clock.
            overlap: Each file begins when this many seconds of the answer to the one before were heard.
            patience_ms: How long to wait for an answer: `silence_duration_ms` and a second.
            clock, sleep, stdin, stdout: For tests.

        Raises:
            AudioFileError: A file is missing, is no sound, cannot be written.
            UsageError: `-` stands twice, or the output is one of the inputs.
        """
        if list(inputs).count("-") > 1:
            raise UsageError("Standard input can be read only once.", "Use '-' for one --input at the most.")
        if overlap is not None and overlap < 0:
            raise UsageError(
                f"The overlap is {overlap} s.", "It is counted from the beginning of an answer: 0 or more."
            )
        for path in inputs:
            if output not in (None, "-") and _same(path, str(output)):
                raise UsageError(f"'{path}' is the input and the output.", "Write to another file.")
        pacer = None if fast else Pacer((clock or Clock()).now, sleep)
        cue = Cue(pcm.ms_to_samples(patience_ms), None if overlap is None else int(overlap * pcm.RATE))
        with contextlib.ExitStack() as opened:
            sources = [opened.enter_context(contextlib.closing(open_source(path, stdin))) for path in inputs]
            player = Player(open_output(output, stdout))
            opened.pop_all()  # all went well: they stay open
        return cls(sources, player, pacer, cue)

    async def run(self, emit: Emit, settled: Settled) -> None:
        """Tick until `close`; the first tick is when the session has left `connecting`. See `Transport`."""
        self._emit = emit
        self._player.start(emit)
        for source in self._waiting:
            source.start(self._changed.set)
        try:
            while self._cue.state == "connecting" and not self._closed:
                await self._change()
            while await self._next_tick(settled):
                self._listen()
                await self._player.tick()
        finally:
            self.close()
            self._player.close()
            for rest in (self._source, *self._waiting):
                if rest is not None:
                    rest.close()

    def play(self, pcm: bytes) -> None:
        """Queue sound behind what is queued."""
        self._player.play(pcm)
        self._changed.set()

    def flush(self) -> None:
        """Go silent; exact to the sample, because it comes between two ticks."""
        self._player.flush()
        self._changed.set()

    def notice(self, event: Announcement) -> None:
        """Follow the state of the agent and the beginning and end of its answers."""
        self._cue.notice(event, self._player.played)
        if isinstance(event, AgentStateChanged | Usage):
            self._changed.set()

    def close(self) -> None:
        """Make `run` return; the output is whole then."""
        self._closed = True
        self._changed.set()
        self._player.stop()

    async def _next_tick(self, settled: Settled) -> bool:
        """Wait for the next tick. False: closed, there is none."""
        if not self._closed:
            await (self._pacer.tick() if self._pacer else self._go_on(settled))
        return not self._closed

    def _listen(self) -> None:
        """Emit the next 20 ms of the user."""
        if self._source is None and self._cue.due(self._player.played, more=bool(self._waiting)):
            self._next()
        source = None if self._cue.state == "reconnecting" else self._source
        self._emit(MicAudio((source.pull() if source else b"") or _SILENCE))
        if source is not None and source.ended:
            self._emit(PushToTalk(False))
            self._tell(source)
            source.close()
            self._asked = source.name
            self._source = None

    def _next(self) -> None:
        """Begin the next file, or say that there is none."""
        if self._asked and not self._cue.heard:
            self._emit(
                Trouble(f"{self._asked} holds no speech that could be heard.", "A lower --threshold may hear more.")
            )
        self._asked = ""
        if self._waiting:
            self._source = self._waiting.popleft()
            self._cue.begin()
            self._tell(self._source)
            self._emit(PushToTalk(True))
        elif not self._ended:
            self._ended = True
            self._emit(InputEnded())

    def _tell(self, source: Source) -> None:
        for warning in source.warnings():
            self._emit(Trouble(warning, "What is there was used."))

    async def _go_on(self, settled: Settled) -> None:
        """Fast: wait until the next tick can come without anybody being left behind."""
        await settled()
        while self._stands() and not self._closed:
            if not self._player.queued:
                await self._change()
            elif self._cue.whole or not await self._change(self._tail):
                return  # the last part of an answer: nothing will come to fill its block

    def _stands(self) -> bool:
        """Whether time stands still: for the agent, for the link, for a pipe, or because all is done."""
        if self._cue.state in ("reconnecting", "paused", "closed"):
            return True
        if self._cue.answering:
            return self._player.queued < pcm.BLOCK
        if self._player.busy:
            return False
        return self._ended or (self._source is not None and not self._source.ready())

    async def _change(self, seconds: float | None = None) -> bool:
        """Wait until something may be different: sound to play, another state, a pipe, the end. False: nothing was."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other) and not is_pipe(one)
    except OSError:
        return False
