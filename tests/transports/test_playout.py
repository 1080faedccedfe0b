"""The queue, the count, the fade, the grid of ticks."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

from mmagent.core import pcm
from mmagent.core.events import Event, Flushed, Played, Stop
from mmagent.errors import AudioFileError
from mmagent.transports import wav
from mmagent.transports.playout import FADE, Pacer, Player, open_output
from mmagent.transports.wavwriter import WavWriter
from tests.transports.conformance import VirtualTime, tone

pytestmark = pytest.mark.asyncio


def player() -> tuple[Player, list[Event], io.BytesIO]:
    out, events = io.BytesIO(), list[Event]()
    it = Player(WavWriter(out))
    it.start(events.append)
    return it, events, out


def written(out: io.BytesIO) -> bytes:
    return out.getvalue()[44:]


async def test_what_is_written_is_what_is_counted() -> None:
    it, events, out = player()
    await it.tick()
    it.play(tone(700))
    assert (it.queued, it.busy) == (700, True)
    for _ in range(3):
        await it.tick()
    assert events == [Played(480), Played(700)]  # only what is new is told
    assert written(out) == pcm.silence(480) + tone(700) + pcm.silence(480 + 260)
    assert (it.queued, it.busy, it.played) == (0, False, 700)


async def test_a_cut_voice_dies_away_and_that_counts_for_nothing() -> None:
    it, events, out = player()
    it.play(tone(2000, 10_000))
    await it.tick()
    it.flush()
    it.play(tone(300, 77))
    await it.tick()
    await it.tick()
    assert events == [Played(480), Flushed(480), Played(780)]
    x = np.abs(pcm.as_array(written(out)).astype(int))
    fade = x[480 : 480 + FADE]
    assert fade[0] == 10_000
    assert np.all(np.diff(fade) < 0)
    assert fade[-1] < 10_000 / FADE + 1
    assert np.all(x[480 + FADE : 780 + FADE] == 77)
    assert not x[780 + FADE :].any()


async def test_a_flush_of_nothing_is_answered_also_before_the_start() -> None:
    events: list[Event] = []
    it = Player(None)
    it.flush()
    it.start(events.append)
    it.flush()
    await it.tick()
    assert events == [Flushed(0), Flushed(0)]


async def test_without_padding_only_sound_is_written() -> None:
    it, events, out = player()
    it.play(tone(500))
    await it.tick(pad=False)
    await it.tick(pad=False)
    assert written(out) == tone(500)
    assert events == [Played(480), Played(500)]


async def test_a_reader_that_goes_ends_the_session_and_not_the_program() -> None:
    reader, end = os.pipe()
    os.close(reader)
    events: list[Event] = []
    with os.fdopen(end, "wb") as target:
        it = Player(open_output("-", target))
        it.start(events.append)
        it.play(tone(960))
        await it.tick()
        await it.tick()
    assert events == [Stop("Nobody reads Standard output any more."), Played(480), Played(960)]


async def test_a_terminal_gets_no_sound() -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    with pytest.raises(AudioFileError, match="aplay"):
        open_output("-", Terminal())
    assert open_output(None) is None


async def test_the_grid_does_not_drift() -> None:
    time = VirtualTime()
    pacer = Pacer(time.now, time.sleep)
    seen = []
    for work in (0, 3_000, 70_000, 0, 0, 0, 0, 0):  # one tick takes 70 ms
        await pacer.tick()
        seen.append(time.us)
        time.us += work
    assert seen == [0, 20_000, 40_000, 110_000, 110_000, 110_000, 120_000, 140_000]


async def test_after_half_a_second_the_grid_begins_anew() -> None:
    time = VirtualTime()
    pacer = Pacer(time.now, time.sleep)
    await pacer.tick()
    time.us = 10_000_000
    await pacer.tick()
    await pacer.tick()
    assert time.us == 10_020_000
    pacer.restart()
    time.us = 10_300_000
    await pacer.tick()
    assert time.us == 10_300_000


async def test_the_stream_can_be_read_by_our_own_reader() -> None:
    it, _, out = player()
    it.play(tone(480))
    await it.tick()
    it.close()
    assert b"".join(wav.read(io.BytesIO(out.getvalue())).blocks()) == tone(480)
