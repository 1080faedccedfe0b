"""What surrounds every session: mmagent/cli/live.py. What a user sees of it is tried in test_talk_local.py."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
import typer

from mmagent.cli import live
from mmagent.config import load
from mmagent.core.events import AgentStateChanged, Announcement
from mmagent.engines import Emit as EngineEmit
from mmagent.errors import AudioFileError, EngineError
from mmagent.sinks import Sink
from mmagent.transports import Emit, Settled


class Silent:
    """An engine that never has anything to say."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    async def run(self, emit: EngineEmit) -> None:
        await self._closed.wait()

    def send(self, message: bytes) -> None:
        return

    async def settled(self) -> None:
        return

    def close(self) -> None:
        self._closed.set()


class Waiting:
    """A transport that gets `signals` from outside; a stubborn one does not close when it is told to."""

    def __init__(self, *, signals: int = 1, stubborn: bool = False) -> None:
        self._signals = signals
        self._stubborn = stubborn
        self._closed = asyncio.Event()
        self.left = False

    async def run(self, emit: Emit, settled: Settled) -> None:
        try:
            for _ in range(self._signals):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0)
            await self._closed.wait()
        finally:
            self.left = True

    def play(self, pcm: bytes) -> None:
        return

    def flush(self) -> None:
        return

    def notice(self, event: Announcement) -> None:
        return

    def close(self) -> None:
        if not self._stubborn:
            self._closed.set()


class Kept:
    """A sink that keeps names of states."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.closed = False

    def handle(self, _now: int, event: Announcement) -> None:
        if isinstance(event, AgentStateChanged):
            self.states.append(event.state)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "open_engine", lambda _loaded, _progress: Silent())


def run(side: Waiting, sink: Sink) -> None:
    live.run_session(load({}, (), {}, Path()), lambda: side, lambda: [sink], quiet=True)


@pytest.mark.usefixtures("engine")
def test_a_signal_ends_the_session_well() -> None:
    side, sink = Waiting(), Kept()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(typer.Exit) as ended:
        run(side, sink)
    assert ended.value.exit_code == 130
    assert side.left
    assert sink.closed
    assert sink.states == ["closed"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("engine")
def test_a_second_signal_does_not_wait_for_what_does_not_end() -> None:
    side, sink = Waiting(signals=2, stubborn=True), Kept()
    with pytest.raises(typer.Exit) as ended:
        run(side, sink)
    assert ended.value.exit_code == 130
    assert side.left
    assert sink.closed


def test_the_input_is_looked_at_before_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def engine(*_: object) -> Silent:
        raise EngineError("The engine was asked first.")

    def transport() -> Waiting:
        raise AudioFileError("There is no such file.")

    monkeypatch.setattr(live, "open_engine", engine)
    with pytest.raises(AudioFileError):
        live.run_session(load({}, (), {}, Path()), transport, list, quiet=True)
