"""Sessions that nobody wrote: conversations that might be (`talks`), anything at all (`chaos`), and what must hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import strategies as st

from mmagent.core import commands, events, pcm, wire
from mmagent.core.commands import Command
from mmagent.core.events import Event
from mmagent.core.session import Session, drive
from mmagent.core.settings import SessionSettings, TurnDetection
from tests.core.playbook import Playbook

Timed = list[tuple[int, Command]]

some_settings = st.builds(
    SessionSettings,
    turn_detection=st.sampled_from([
        TurnDetection(), TurnDetection(type="none"), TurnDetection(interrupt_response=False),
        TurnDetection(type="semantic_vad"), TurnDetection(create_response=False),
    ]),
    interruptions=st.booleans(),
    greet=st.sampled_from(["", "Hello!"]),
    max_minutes=st.sampled_from([None, 0.2]),
    max_cost=st.sampled_from([None, 0.001]),
    model=st.just("gpt-realtime"),
)  # fmt: skip

# --- conversations as they might go -------------------------------------------------------------------------------

_OFTEN = ["starts", "stops", "begins", "says", "says", "says", "closes", "ends", "hear", "hear", "hear", "hear_all"]
_SELDOM = ["mic", "hears", "item", "cancelled", "failed", "flush", "flush", "typed", "interrupt", "key", "key", "wait"]
DEEDS = [*_OFTEN, *_OFTEN, *_SELDOM, "long_wait", "input_ended"]

talks = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 1200)), max_size=60)
"""Deeds with a number: milliseconds of whatever is done."""


class Talk(Playbook):
    """A playbook that plays: its transport knows what it was given, and hears no more than that."""

    def __init__(self, settings: SessionSettings) -> None:
        super().__init__(**{name: getattr(settings, name) for name in settings.__struct_fields__})
        self.queued = self.played = self.flushes = 0
        self.down = False
        self._asserted = True
        self._seen = 0
        self.do("link", 0)

    def do(self, deed: str, ms: int) -> None:  # noqa: C901, PLR0912 - a table: one arm a deed
        """One deed, where it is possible at all."""
        s = self.server
        idle = s.link.response is None
        match deed:
            case "mic":
                self.tell(events.MicAudio(pcm.silence(pcm.ms_to_samples(ms))))
            case "starts" if s.link.conversation.speech is None:
                s.starts(ms)
            case "stops" if s.link.conversation.speech is not None:
                s.stops(ms)
            case "hears" if s.turn:
                s.hears("some words of the user")
            case "begins" if idle:
                s.item = ""
                s.begins()
            case "says" | "item" if not idle:
                s.says("and so on ", ms, new=deed == "item", spoken=ms % 7 != 0)
            case "closes" if not idle and s.item:
                s.closes()
            case "ends" | "cancelled" | "failed" if not idle:
                s.ends({"ends": "completed"}.get(deed, deed), "whatever")
            case "hear" | "hear_all" if self.queued:
                count = min(self.queued, pcm.ms_to_samples(ms)) if deed == "hear" else self.queued
                self.queued -= count
                self.played += count
                self.tell(events.Played(self.played))
            case "flush" if self.flushes:
                self.flushes -= 1
                self.tell(events.Flushed(self.played))
            case "typed":
                self.tell(events.Typed(f"line {ms}"))
            case "interrupt":
                self.tell(events.Interrupt())
            case "key":
                self.down = not self.down
                self.tell(events.PushToTalk(self.down))
            case "wait" | "long_wait":
                self.pass_time(ms * (100 if deed == "long_wait" else 1))
            case "input_ended":
                self.tell(events.InputEnded())
            case "link" if not self.events:
                self.tell(events.LinkUp())
                s.open()
            case _:
                return
        self._deliver()
        self._listen()

    def tell(self, event: Event) -> None:
        """Give the session an event, a moment after the one before."""
        self.now += 1000
        self._drive(event)

    def pass_time(self, ms: int) -> None:
        """Let the deadlines fire that are due."""
        self.now += ms * 1000
        self._drive(None)

    def _listen(self) -> None:
        """The transport performs what it was told."""
        for _, command in self.commands[self._seen :]:
            if isinstance(command, commands.Play):
                self.queued += pcm.samples(command.pcm)
            elif isinstance(command, commands.StopPlaying):
                self.queued, self.flushes = 0, self.flushes + 1
        self._seen = len(self.commands)


# --- anything at all ----------------------------------------------------------------------------------------------

_ids = st.sampled_from(["item_1", "item_2", "item_3", "msg_000001", ""])
_responses = st.sampled_from(["resp_1", "resp_2", ""])
_numbers = st.integers(-(10**6), 10**9) | st.integers(0, 5000)
_words = st.text(max_size=12)
_sound = st.binary(max_size=4001)
_items = st.builds(
    wire.Item,
    type=st.sampled_from(["message", "function_call"]),
    id=_ids,
    status=st.sampled_from([None, "in_progress", "completed", "incomplete"]),
    role=st.sampled_from([None, "user", "assistant"]),
)
_error = st.builds(
    wire.ErrorDetail,
    type=st.just("invalid_request_error"),
    code=st.sampled_from([None, "response_cancel_not_active", "conversation_already_has_active_response", "strange"]),
    message=st.sampled_from(["x", "Audio content of 30ms is already shorter than 40ms", "Audio content of 9" * 3]),
    event_id=st.sampled_from([None, "evt_000002", "evt_000003", "evt_000004"]),
)
_response = st.builds(
    wire.Response, status=st.sampled_from(["completed", "cancelled", "failed", "incomplete", "odd"]), id=_responses
)


def _messages(kind: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.builds(kind, **fields).map(lambda message: events.Received(wire.encode(message)))


_of = {"item_id": _ids, "response_id": _responses, "content_index": st.integers(0, 1)}
received = st.one_of(
    _messages(wire.SessionCreated, session=st.just(wire.Session())),
    _messages(wire.SessionUpdated, session=st.just(wire.Session())),
    _messages(wire.InputAudioBufferSpeechStarted, item_id=_ids, audio_start_ms=_numbers),
    _messages(wire.InputAudioBufferSpeechStopped, item_id=_ids, audio_end_ms=_numbers),
    _messages(wire.InputAudioBufferCommitted, item_id=_ids),
    _messages(wire.InputAudioBufferCleared),
    _messages(wire.ConversationItemAdded, item=_items, previous_item_id=_ids),
    _messages(wire.ConversationItemDone, item=_items),
    _messages(wire.ConversationItemDeleted, item_id=_ids),
    _messages(wire.ConversationItemTruncated, item_id=_ids, audio_end_ms=_numbers),
    _messages(wire.ConversationItemInputAudioTranscriptionDelta, item_id=_ids, delta=_words),
    _messages(wire.ConversationItemInputAudioTranscriptionUpdated, item_id=_ids, transcript=_words),
    _messages(wire.ConversationItemInputAudioTranscriptionCompleted, item_id=_ids, transcript=_words),
    _messages(wire.ConversationItemInputAudioTranscriptionFailed, item_id=_ids, error=_error),
    _messages(wire.ResponseCreated, response=_response),
    _messages(wire.ResponseDone, response=_response),
    _messages(wire.ResponseOutputItemAdded, item=_items, response_id=_responses),
    _messages(wire.ResponseOutputItemDone, item=_items, response_id=_responses),
    _messages(wire.ResponseOutputAudioDelta, delta=_sound, **_of),
    _messages(wire.ResponseOutputAudioDelta, delta=_sound, **_of),
    _messages(wire.ResponseOutputAudioTranscriptDelta, delta=_words, **_of),
    _messages(wire.ResponseOutputAudioTranscriptDone, transcript=_words, **_of),
    _messages(wire.ResponseOutputTextDelta, delta=_words, **_of),
    _messages(wire.ResponseOutputTextDone, text=_words, **_of),
    _messages(wire.Error, error=_error),
    st.builds(events.Received, st.binary(max_size=40)),
    st.sampled_from([b"[]", b"null", b'{"type":"response.done"}', b'{"type":1}', b'{"type":"ping"}']).map(
        events.Received
    ),
)
local = st.one_of(
    st.builds(events.MicAudio, _sound),
    st.builds(events.Played, _numbers),
    st.builds(events.Played, _numbers),
    st.builds(events.Flushed, _numbers),
    st.builds(events.Typed, _words),
    st.builds(events.PushToTalk, st.booleans()),
    st.builds(events.MicDropped, st.integers(0, 10**6)),
    st.sampled_from(
        [events.Interrupt(), events.LinkUp(), events.LinkDown("gone"), events.InputEnded(), events.Trouble("x", "y")]
    ),
)
last: st.SearchStrategy[Event] = st.sampled_from([events.Stop("enough"), events.LinkDown("gone", "look", fatal=True)])
gaps = st.integers(0, 100_000) | st.integers(0, 100_000_000)


@st.composite
def chaos(draw: st.DrawFn) -> list[tuple[int, Event]]:
    """Any events at any times; a session that is ready comes first, now and then."""
    now = 0
    script: list[tuple[int, Event]] = []
    if draw(st.booleans()):
        hello: list[wire.ServerMessage] = [
            wire.SessionCreated(session=wire.Session()),
            wire.SessionUpdated(session=wire.Session()),
        ]
        script = [(0, events.LinkUp())]
        script += [(0, events.Received(wire.encode(message))) for message in hello]
    for event in draw(st.lists(st.one_of(received, received, local), max_size=50)):
        now += draw(gaps)
        script.append((now, event))
    script.append((now, draw(last)))
    return script


# --- what must hold -----------------------------------------------------------------------------------------------


def run(settings: SessionSettings, script: list[tuple[int, Event]]) -> tuple[Session, Timed]:
    """A session that was told all this."""
    session, told = Session(settings), []
    for now, event in script:
        told += list(drive(session, event, now))
        check_ledger(session)
    return session, told


def check_ledger(session: Session) -> None:
    """0 <= heard <= received, of every part of every item."""
    for item in session.history.items():
        for part in session._answers.playout.parts(item.id):
            assert 0 <= part.heard <= part.received


def check(session: Session, told: Timed) -> None:
    """What holds of every session that has ended, whatever it was told."""
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    ends = [i for i, (_, command) in enumerate(told) if isinstance(command, commands.End)]
    assert ends == [len(told) - 1], "exactly one End, and nothing after it"
    announced = [command.event for _, command in told if isinstance(command, commands.Announce)]
    _check_pairs(announced, events.UserStartedSpeaking, events.UserStoppedSpeaking)
    _check_pairs(announced, events.AgentStartedSpeaking, events.AgentStoppedSpeaking)
    states = [event for event in announced if isinstance(event, events.AgentStateChanged)]
    assert [s.previous for s in states] == ["connecting", *(s.state for s in states[:-1])]
    assert states[-1].state == "closed"
    settled = Counter(event.item_id for event in announced if isinstance(event, events.SpeechCommitted))
    assert settled == Counter(item.id for item in session.history.items()), "each item is settled exactly once"
    for event in announced:
        if isinstance(event, events.AgentSpeechInterrupted):
            assert 0 <= event.heard_ms <= event.received_ms
        if isinstance(event, events.SpeechCommitted):
            item = session.history.get(event.item_id)
            assert item is not None
            assert (event.role, event.text) == (item.role, item.text)
            assert isinstance(event, events.UserSpeechCommitted) == (item.role == "user")
    sent = [wire.decode_client(command.message) for _, command in told if isinstance(command, commands.Send)]
    assert not [message for message in sent if isinstance(message, wire.Malformed | wire.Unknown)]
    cuts = Counter(message.item_id for message in sent if isinstance(message, wire.ConversationItemTruncate))
    assert all(count <= 2 for count in cuts.values()), "one truncate an item, and one more with X - 1"
    deleted = Counter(message.item_id for message in sent if isinstance(message, wire.ConversationItemDelete))
    assert all(count == 1 for count in deleted.values())


def _check_pairs(announced: list[events.Announcement], start: type[Any], stop: type[Any]) -> None:
    marks = [event for event in announced if isinstance(event, start | stop)]
    assert [type(event) for event in marks] == [start, stop] * (len(marks) // 2)
    assert all(first.item_id == second.item_id for first, second in zip(marks[::2], marks[1::2], strict=True))
