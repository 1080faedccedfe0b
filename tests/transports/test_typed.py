"""Typed lines: one a turn from a pipe, at once from a terminal."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from mmagent.core.events import AgentSpeechInterrupted, Event, InputEnded, MicAudio, Played, Typed
from mmagent.transports import wav
from mmagent.transports.typed import TypedTransport
from tests.transports.conformance import Session, VirtualTime, check, converse, tone

pytestmark = pytest.mark.asyncio


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make(text: str, output: Path | None = None, *, fast: bool = False, terminal: bool = False) -> TypedTransport:
    time = VirtualTime()
    stream = (Terminal if terminal else io.StringIO)(text)
    out = str(output) if output else None
    return TypedTransport.open(out, fast=fast, clock=time, sleep=time.sleep, stdin=stream)  # type: ignore[arg-type]


@pytest.mark.parametrize("fast", [True, False])
async def test_it_conforms(fast: bool, tmp_path: Path) -> None:
    await check(lambda: make("Hello?\n", fast=fast))
    await check(lambda: make("One.\nTwo.\n", tmp_path / "out.wav", fast=fast))


@pytest.mark.parametrize("fast", [True, False])
async def test_each_line_waits_for_the_answer_to_the_one_before(fast: bool) -> None:
    session = await converse(make("One.\n\n   \n Two. \nThree.", fast=fast), Session(answer=5_000))
    told = [
        event.text if isinstance(event, Typed) else event.state  # type: ignore[union-attr]
        for event in session.log
        if isinstance(event, Typed) or getattr(event, "state", "") in ("thinking", "listening")
    ]
    assert told == ["listening", *(x for line in ("One.", "Two.", "Three.") for x in (line, "thinking", "listening"))]
    assert session.events[-1] == InputEnded()
    assert not session.all(MicAudio)


async def test_answers_in_words_alone_need_no_sound() -> None:
    class Writer(Session):
        def think(self) -> None:
            self.become("thinking")
            self.turns += 1
            self.become("listening")

    session = await converse(make("One.\nTwo.\n"), Writer())
    assert session.turns == 2
    assert not session.all(Played)


async def test_a_line_typed_into_an_answer_goes_at_once() -> None:
    reader, end = os.pipe()
    os.write(end, b"Talk.\n")
    time = VirtualTime()
    prompts: list[bool] = []
    with os.fdopen(reader) as stream:
        stream.isatty = lambda: True  # type: ignore[method-assign]
        transport = TypedTransport.open(
            clock=time,  # type: ignore[arg-type]
            sleep=time.sleep,
            stdin=stream,
            prompt=lambda: prompts.append(True),
        )
        session = await converse(transport, Closing(end, answer=24_000 * 60))
    assert [event.text for event in session.all(Typed)] == ["Talk.", "Stop that."]
    assert len(session.all(AgentSpeechInterrupted)) == 1
    assert prompts


class Closing(Session):
    """Types a second line when the first answer is heard, and hangs up after the second answer."""

    def __init__(self, end: int, answer: int) -> None:
        super().__init__(answer=answer, close_at_end=False)
        self._typing = end

    def step(self, event: Event) -> None:
        super().step(event)
        if self.state == "speaking" and self._typing >= 0:
            os.write(self._typing, b"Stop that.\n")
            os.close(self._typing)
            self._typing = -1
        if self.state == "listening" and self.turns == 2:
            self.transport.close()


async def test_the_output_holds_the_answers_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    await converse(make("One.\nTwo.\n", out), Session(answer=5_555, pieces=5))
    one = tone(1111) * 5
    assert b"".join(wav.read(out).blocks()) == one + one


async def test_lines_of_a_pipe_are_cut_and_decoded() -> None:
    reader, end = os.pipe()
    os.write(end, "Grüße\r\nzwei".encode() + b"\xff")
    os.close(end)
    with os.fdopen(reader) as stream:
        session = await converse(TypedTransport.open(fast=True, stdin=stream), Session(answer=500))
    assert [event.text for event in session.all(Typed)] == ["Grüße", "zwei\ufffd"]
