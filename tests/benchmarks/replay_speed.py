"""How fast a recorded session replays: 20 minutes with talk on both sides, through `drive`.

    python tests/benchmarks/replay_speed.py

50 blocks of microphone a second all the time, 50 reports of what was played while the agent speaks, its words and
sound in pieces of 200 ms. Prints the seconds that it took (the best of several runs, because what disturbs a
measurement only ever makes it slower) and the ratio to real time. Exit code 1 below 1000 times real time.
"""

from __future__ import annotations

import sys
from collections import deque
from time import perf_counter

from mmagent.core import commands, events, pcm
from mmagent.core.events import Event
from mmagent.core.happenings import UsageCount
from mmagent.core.protocol import Protocol, Role
from mmagent.core.session import Session, drive
from mmagent.core.settings import SessionSettings

MINUTES = 20
GOAL = 1000
RUNS = 5

TURN_MS = 20_000
"""A turn: 2 s of silence, 5 s of the user, half a second of thought, 10 s of the agent, and silence."""

_MIC = events.MicAudio(pcm.silence(pcm.BLOCK))
_PIECE = pcm.silence(pcm.RATE // 5)

Script = list[tuple[int, Event]]


class Recording:
    """Makes the script: a server's end and a loudspeaker that knows what it was given."""

    def __init__(self) -> None:
        self.script: Script = []
        self.session = Session(SessionSettings(model="gpt-realtime"))
        self.server = Protocol(Role.SERVER)
        self.queued = self.played = 0
        self.user = self.response = self.item = ""
        self.tell(0, events.LinkUp())
        self.server.open("sess_1", "gpt-realtime")

    def tell(self, now: int, event: Event) -> None:
        """One event, and what the session does about it."""
        waiting = deque([event])
        while waiting:
            self.script.append((now, waiting[0]))
            for _, command in drive(self.session, waiting.popleft(), now):
                if isinstance(command, commands.Play):
                    self.queued += pcm.samples(command.pcm)
                elif isinstance(command, commands.Send):
                    self.server.receive(command.message)
            waiting.extend(events.Received(message) for message in self.server.take())

    def tick(self, ms: int) -> None:
        """20 ms of the session."""
        self.tell(ms * 1000, _MIC)
        self.serve(ms)
        for message in self.server.take():
            self.tell(ms * 1000, events.Received(message))
        if self.queued:
            self.played += min(self.queued, pcm.BLOCK)
            self.queued -= min(self.queued, pcm.BLOCK)
            self.tell(ms * 1000, events.Played(self.played))

    def serve(self, ms: int) -> None:
        """What the server says, once every 20 s, and while it answers."""
        at = ms % TURN_MS
        if at == 2000:
            self.user = self.server.speech_started(ms - 300)
        elif at == 7000:
            self.server.speech_stopped(self.user, ms)
            self.server.committed(self.user)
        elif at == 7500:
            self.server.transcribed(self.user, "Tell me something of middling length, if you please.", 5.0)
            self.response = self.server.begin_response()
            self.item = self.server.begin_item(self.response, spoken=True)
        elif 7500 < at <= 12_500 and at % 100 == 0:
            self.server.words(self.response, self.item, "word ", spoken=True)
            self.server.sound(self.response, self.item, _PIECE)
        elif at == 12_600:
            self.server.end_item(self.response, self.item, spoken=True, whole=True)
            self.server.end_response(self.response, "completed", "", UsageCount(100, 100, 60, 200))


def record() -> Script:
    """The script of `MINUTES` minutes."""
    recording = Recording()
    for ms in range(20, MINUTES * 60_000, 20):
        recording.tick(ms)
    return recording.script


def replay(script: Script) -> int:
    """Run it; the number of commands."""
    session = Session(SessionSettings(model="gpt-realtime"))
    return sum(1 for now, event in script for _ in drive(session, event, now))


def measure(script: Script) -> float:
    """Seconds of the fastest run."""
    seconds = []
    for _ in range(RUNS):
        start = perf_counter()
        replay(script)
        seconds.append(perf_counter() - start)
    return min(seconds)


def main() -> int:
    """Print the figures; 1 if it is too slow."""
    script = record()
    kinds = {kind: sum(isinstance(event, kind) for _, event in script) for kind in (events.MicAudio, events.Played)}
    count = replay(script)
    seconds = measure(script)
    ratio = MINUTES * 60 / seconds
    mic, played = kinds.values()
    print(f"{MINUTES} minutes: {len(script)} events ({mic} of the microphone, {played} played), {count} commands")
    print(f"{seconds:.3f} s, {ratio:.0f} times real time, {seconds / len(script) * 1e6:.1f} us an event (goal {GOAL}x)")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
