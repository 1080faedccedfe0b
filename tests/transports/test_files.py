"""Files as the user: the timeline, the turns, fast and paced, pipes that come and go."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mmagent.core import pcm
from mmagent.core.events import (
    AgentSpeechInterrupted,
    AgentStartedSpeaking,
    AgentStateChanged,
    Announcement,
    Event,
    Flushed,
    InputEnded,
    MicAudio,
    Played,
    PushToTalk,
    Stop,
    Trouble,
)
from mmagent.errors import AudioFileError, UsageError
from mmagent.transports import wav
from mmagent.transports.files import Cue, FilesTransport
from mmagent.transports.wavwriter import WavWriter
from tests.transports.conformance import Session, VirtualTime, check, converse, runs, tone

pytestmark = pytest.mark.asyncio

Make = Callable[..., FilesTransport]
SECOND = pcm.RATE


@pytest.fixture(params=["fast", "paced"])
def make(request: pytest.FixtureRequest) -> Make:
    """A transport in either mode, on virtual time."""

    def transport(*inputs: Path | str, output: Path | None = None, **options: object) -> FilesTransport:
        time = VirtualTime()
        fast = request.param == "fast"
        names = [str(path) for path in inputs]
        out = str(output) if output else None
        return FilesTransport.open(names, out, fast=fast, clock=time, sleep=time.sleep, **options)  # type: ignore[arg-type]

    return transport


def record(path: Path, sound: bytes) -> Path:
    writer = WavWriter(path)
    writer.write(sound)
    writer.close()
    return path


@pytest.fixture
def question(tmp_path: Path) -> Path:
    """0.2 s of silence, 0.5 s of sound, 0.1 s of silence and a bit."""
    return record(tmp_path / "q.wav", pcm.silence(4800) + tone(12_000) + pcm.silence(2_411))


def sound_of(path: Path) -> bytes:
    return b"".join(wav.read(path).blocks())


async def test_it_conforms(make: Make, question: Path, tmp_path: Path) -> None:
    await check(lambda: make(question, output=tmp_path / "out.wav"))
    await check(lambda: make(question, question, overlap=0.5))


async def test_in_and_out_share_one_timeline(make: Make, question: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    session = await converse(make(question, output=out), Session(answer=10_000, silence_ms=500))
    assert bytes(session.heard[: 19_211 * 2]) == sound_of(question)
    answer = sound_of(out)
    assert len(answer) in (len(session.heard), len(session.heard) - 960)
    ((first, end),) = runs(answer)
    assert first >= 16_800 + SECOND // 2  # 500 ms after the last loud sample
    assert end - first == 10_000
    if not session.all(Flushed):
        assert session.all(Played)[-1] == Played(10_000)


async def test_fast_time_stands_still_while_the_answer_is_made(question: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    transport = FilesTransport.open([str(question)], str(out), fast=True)
    await converse(transport, Session(answer=9_999, pieces=9, silence_ms=200))
    ((first, end),) = runs(sound_of(out))
    # The block that ends the turn is the last before the answer, and no silence is within it.
    assert first == 16_800 + pcm.ms_to_samples(200)
    assert end - first == 9_999


async def test_nothing_is_heard_before_the_session_listens(make: Make, question: Path) -> None:
    class Slow(Session):
        async def run(self) -> None:
            for _ in range(50):
                await asyncio.sleep(0)
            assert not self.events
            await super().run()

    session = await converse(make(question), Slow())
    assert session.events[0] == PushToTalk(True)


async def test_the_second_file_waits_for_the_answer_to_the_first(make: Make, question: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    session = await converse(make(question, question, output=out), Session(answer=48_000))
    assert session.turns == 2
    first, second = runs(sound_of(out))
    turns = runs(bytes(session.heard))
    assert turns[1][0] - 4800 - first[1] == pytest.approx(4800, abs=2 * pcm.BLOCK)  # 0.2 s after the answer
    assert not session.all(AgentSpeechInterrupted)
    assert second[1] - second[0] == 48_000


async def test_the_talk_key_is_down_for_exactly_the_file(make: Make, question: Path) -> None:
    session = await converse(make(question), Session())
    kinds = [type(event).__name__ for event in session.events]
    down, up = kinds.index("PushToTalk"), len(kinds) - 1 - kinds[::-1].index("PushToTalk")
    assert (session.events[down], session.events[up]) == (PushToTalk(True), PushToTalk(False))
    assert kinds[down:up].count("MicAudio") == 41  # 19,211 samples


async def test_overlap_talks_over_the_answer(make: Make, question: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    session = await converse(make(question, question, output=out, overlap=1.5), Session(answer=10 * SECOND, pieces=50))
    assert len(session.all(AgentSpeechInterrupted)) == 1
    first, second = runs(sound_of(out))
    cut = session.all(Flushed)[0].samples
    assert cut == pytest.approx(1.5 * SECOND + 4800, abs=4 * pcm.BLOCK)  # the file begins with 0.2 s of silence
    assert first[1] - first[0] == pytest.approx(cut + 120, abs=2)  # and the fade, whose last sample may be 0
    assert second[1] - second[0] == 10 * SECOND


async def test_an_answer_shorter_than_the_overlap(make: Make, question: Path) -> None:
    session = await converse(make(question, question, overlap=5.0), Session(answer=4800))
    assert session.turns == 2
    assert not session.all(AgentSpeechInterrupted)


async def test_silence_that_nobody_answers_ends_after_the_patience(make: Make, tmp_path: Path) -> None:
    path = record(tmp_path / "silence.wav", pcm.silence(9600))
    session = await converse(make(path, path, patience_ms=1000), Session())
    assert session.turns == 0
    assert session.events[-1] == MicAudio(pcm.silence(480)) or session.events[-1] == InputEnded()
    assert len(session.heard) // 2 == pytest.approx(2 * (9600 + SECOND), abs=4 * pcm.BLOCK)


async def test_after_the_end_sound_is_still_played_until_close(make: Make, question: Path) -> None:
    class Late(Session):
        def step(self, event: Event) -> None:
            super().step(event)
            if isinstance(event, InputEnded):
                self.think()  # one more answer, that nobody asked for
            elif self.state == "listening" and self.turns == 2:
                self.transport.close()

    session = await converse(make(question), Late(close_at_end=False))
    assert session.turns == 2
    assert session.played == session.given


async def test_ctrl_c_leaves_a_whole_file(make: Make, question: Path, tmp_path: Path) -> None:
    class Stopped(Session):
        def step(self, event: Event) -> None:
            super().step(event)
            if isinstance(event, Played) and event.samples > 5_000:
                self.transport.close()

    out = tmp_path / "out.wav"
    session = await converse(make(question, output=out), Stopped())
    ((first, end),) = runs(sound_of(out))
    assert end - first == session.played


async def test_a_file_cut_short_is_told_and_heard(make: Make, question: Path) -> None:
    os.truncate(question, os.path.getsize(question) - 2000)  # noqa: ASYNC240
    session = await converse(make(question), Session())
    assert session.turns == 1
    (trouble,) = session.all(Trouble)
    assert "is cut short" in trouble.text


async def test_what_is_wrong_is_told_before_anything_begins(question: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="There is no file"):
        FilesTransport.open([str(question), "nowhere.wav"])
    with pytest.raises(UsageError, match="only once"):
        FilesTransport.open(["-", "-"])
    with pytest.raises(UsageError, match="is the input and the output"):
        FilesTransport.open([str(question)], str(question))
    assert sound_of(question)
    with pytest.raises(UsageError, match="overlap"):
        FilesTransport.open([str(question)], overlap=-1)
    with pytest.raises(AudioFileError, match="Make its folder first"):
        FilesTransport.open([], str(tmp_path / "nowhere" / "out.wav"))


async def test_standard_input_wav_or_raw(make: Make, question: Path) -> None:
    sound = sound_of(question)
    wave = io.BytesIO()
    writer = WavWriter(wave)
    writer.write(sound)
    for data in (wave.getvalue(), sound):
        session = await converse(make("-", stdin=io.BytesIO(data)), Session())
        assert session.turns == 1
        loud = runs(bytes(session.heard))
        assert [end - first for first, end in loud] == [12_000]


async def test_text_on_standard_input_is_told(make: Make) -> None:
    with pytest.raises(AudioFileError, match="--text"):
        await converse(make("-", stdin=io.BytesIO(b"What is the time?\n")), Session())
    with pytest.raises(AudioFileError, match="Standard input is empty"):
        await converse(make("-", stdin=io.BytesIO(b"")), Session())


async def test_a_pipe_slower_than_time_is_filled_with_silence_and_loses_nothing(question: Path) -> None:
    reader, end = os.pipe()
    sound = sound_of(question)[9600:]  # begins loud
    time = VirtualTime()
    with os.fdopen(reader, "rb") as source:
        transport = FilesTransport.open(["-"], clock=time, sleep=time.sleep, stdin=source)  # type: ignore[arg-type]

        class Writer(Session):
            """Writes a third of the sound each half second of the session."""

            def step(self, event: Event) -> None:
                nonlocal end
                third = len(sound) // 3 & ~1
                at = len(self.heard) // 2 // 480
                if isinstance(event, MicAudio) and end >= 0 and at in (25, 50, 75):
                    part = at // 25 - 1
                    os.write(end, sound[part * third : (part + 1) * third if part < 2 else None])
                    if part == 2:
                        os.close(end)
                        end = -1
                super().step(event)

        session = await converse(transport, Writer(silence_ms=5000))
    whole = bytes(session.heard)
    assert b"".join(whole[2 * a : 2 * b] for a, b in runs(whole)) == tone(12_000)
    assert len(whole) > len(sound) + 2 * SECOND // 2


async def test_a_silent_pipe_does_not_hold_up_the_end(make: Make) -> None:
    reader, end = os.pipe()
    with os.fdopen(reader, "rb") as source:

        class Impatient(Session):
            def step(self, event: Event) -> None:
                asyncio.get_running_loop().call_soon(self.transport.close)

        session = Impatient()
        await converse(make("-", stdin=source), session)
        os.close(end)  # the thread, left behind, ends
    assert not any(session.heard)


async def test_an_output_that_nobody_reads_stops_the_session(make: Make, question: Path) -> None:
    reader, end = os.pipe()
    os.close(reader)
    with os.fdopen(end, "wb") as target:
        time = VirtualTime()
        transport = FilesTransport.open(
            [str(question)],
            "-",
            clock=time,  # type: ignore[arg-type]
            sleep=time.sleep,
            stdout=target,
        )
        session = await converse(transport, Session())
    assert len(session.all(Stop)) == 1


# --- Cue: when the next file may begin ---


def told(cue: Cue, *events: Announcement, played: int = 0) -> None:
    for event in events:
        cue.notice(event, played)


async def test_cue_the_first_file_begins_when_the_session_listens() -> None:
    cue = Cue(patience=4800, overlap=None)
    assert not cue.due(0, more=True)
    told(cue, AgentStateChanged("listening", "connecting"))
    assert cue.due(0, more=True)


async def test_cue_patience_counts_only_listening() -> None:
    cue = Cue(patience=960, overlap=None)
    told(cue, AgentStateChanged("listening", "connecting"))
    cue.begin()
    assert [cue.due(0, more=True) for _ in range(2)] == [False, False]
    told(cue, AgentStateChanged("user_speaking", "listening"))
    assert not any(cue.due(0, more=True) for _ in range(100))
    told(cue, AgentStateChanged("listening", "user_speaking"))
    assert [cue.due(0, more=True) for _ in range(3)] == [False, False, True]


async def test_cue_overlap_counts_what_is_heard_of_this_answer() -> None:
    cue = Cue(patience=960, overlap=1000)
    told(cue, AgentStateChanged("speaking", "thinking"), AgentStartedSpeaking("a"), played=500)
    assert not cue.due(1499, more=True)
    assert cue.due(1500, more=True)
    assert not cue.due(1500, more=False)  # the end waits for the whole of it
    cue.begin()
    assert not cue.due(9999, more=True)  # that was another answer
