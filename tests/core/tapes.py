"""The golden tapes: recordings that must replay to the letter for as long as their format can be read.

`MMAGENT_REWRITE_TAPES=1 pytest tests/core/test_replay.py` writes them again; look at the difference before you keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

from mmagent.core import pcm, tape
from mmagent.core.commands import Command
from mmagent.core.events import Event, Flushed, InputEnded, Interrupt, LinkUp, MicAudio, Played, PushToTalk, Typed
from mmagent.core.settings import SessionSettings, TurnDetection
from tests.core.playbook import Playbook

FOLDER = Path(__file__).parent.parent / "tapes"
MS = pcm.ms_to_samples(1)
_BLOCK = MicAudio(pcm.silence(pcm.BLOCK))


def lines(watched: Iterable[tuple[int, Event | Command]]) -> list[bytes]:
    """What a recorder writes of a session, below the header."""
    return [
        tape.encode_event(at, what) if isinstance(what, get_args(Event)) else tape.encode_command(at, what)  # type: ignore[arg-type]
        for at, what in watched
    ]


def spoken_turn() -> tuple[SessionSettings, Playbook]:
    """A greeting, a spoken question, its answer; the microphone runs all the time."""
    settings = SessionSettings(model="gpt-realtime", greet="Welcome!")
    book = Playbook(model="gpt-realtime", greet="Welcome!")
    s = book.server
    book >> LinkUp() >> s.open() >> 100 >> s.answers("Welcome!", 400)
    for ms in range(120, 3000, 20):
        book >> ms >> _BLOCK
        match ms:
            case 300 | 400 | 500 | 600:
                book >> Played((ms - 200) * MS)
            case 1000:
                book >> s.starts(500)
            case 2000:
                book >> s.stops(1700)
            case 2100:
                book >> s.begins().says("Four ", 300).says("it is.", 300)
            case 2200:
                book >> s.hears("What is two and two?") >> s.ends()
            case 2400 | 2600 | 2800:
                book >> Played((ms - 1800) * MS)
            case _:
                pass
    book >> 3000 >> InputEnded()
    return settings, book


def barge_in() -> tuple[SessionSettings, Playbook]:
    """An answer of two items is cut in the middle; the next is cut while the transport is slow to stop."""
    book = Playbook()
    s = book.server
    book >> LinkUp() >> s.open() >> 500 >> _BLOCK >> s.starts(100) >> 900 >> s.stops(600) >> s.hears("Tell me a story.")
    book >> 1000 >> s.begins().says("Once upon a time ", 900).closes().says("there was a king.", 900, new=True)
    book >> 1500 >> Played(400 * MS) >> s.starts(1100) >> s.ends("cancelled", "turn_detected") >> Flushed(410 * MS)
    book >> 2000 >> s.stops(1500) >> s.answers("All right.", 700) >> 2200 >> Played(500 * MS) >> Interrupt()
    book >> 2300 >> s.hears("Stop it.") >> 4000 >> Flushed(600 * MS) >> Typed("Go on.")
    book >> 4100 >> s.answers("As you like.", 300) >> 4500 >> Played(900 * MS) >> InputEnded()
    return SessionSettings(), book


def by_hand() -> tuple[SessionSettings, Playbook]:
    """Push to talk: a turn, a slip of the hand, and an engine that does not answer."""
    settings = SessionSettings(turn_detection=TurnDetection(type="none"))
    book = Playbook(turn_detection=TurnDetection(type="none"))
    s = book.server
    book >> LinkUp() >> s.open() >> 500 >> PushToTalk(True) >> _BLOCK >> 600 >> PushToTalk(False)
    book >> 1000 >> PushToTalk(True)
    for ms in range(1020, 1400, 20):
        book >> ms >> _BLOCK
    book >> 1400 >> PushToTalk(False)
    s.turn = s.link.committed()
    book >> s >> s.hears("Is anybody there?") >> 70_000 >> InputEnded()
    return settings, book


TAPES: dict[str, Callable[[], tuple[SessionSettings, Playbook]]] = {
    "spoken_turn": spoken_turn,
    "barge_in": barge_in,
    "by_hand": by_hand,
}


def write(name: str) -> None:
    """Make a tape anew."""
    settings, book = TAPES[name]()
    book._asserted = True
    path = FOLDER / name / "session.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tape.encode_header("0.1.0", settings) + b"".join(lines(book.tape)))
