"""Two real ends on a fake link: whatever happens in whatever order, they end in agreeing states."""

from __future__ import annotations

import random
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import happenings as h
from mmagent.core import pcm, wire
from mmagent.core.protocol import Protocol, Role
from mmagent.core.settings import Dialect, SessionSettings

_SERVER = ["turn", "turn", "words", "transcribe", "item", "text_item", "say", "say", "say", "close", "end"]
_CLIENT = ["type", "type", "ask", "interrupt", "interrupt", "delete", "cut", "cut", "commit", "clear", "append"]
DEEDS = [*["up", "down"] * 4, *_SERVER, *_CLIENT]
plans = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(1, 900)), min_size=10, max_size=60)
NOTHING = h.UsageCount()


class Pair:
    """A client's and a server's end. What one says waits in a queue until `up` or `down` carries it over.

    `loss`: how carelessly messages are carried: dropped, doubled, or put behind later ones.
    """

    def __init__(self, dialect: Dialect = "ga", loss: random.Random | None = None) -> None:
        self.client = Protocol(Role.CLIENT, dialect=dialect)
        self.server = Protocol(Role.SERVER, dialect=dialect)
        self.to_server: deque[bytes] = deque()
        self.to_client: deque[bytes] = deque()
        self.sent: list[bytes] = []
        self.learned: list[h.Happening] = []
        self.loss = loss
        self.server.open("sess_1", "test")

    # --- the link ---

    def carry(self, queue: deque[bytes]) -> bytes | None:
        if not queue:
            return None
        chance = 1.0 if self.loss is None else self.loss.random()
        if chance < 0.1:
            queue.popleft()
            return None
        if chance < 0.2:
            return queue[0]
        if chance < 0.3:
            queue.append(queue.popleft())
        return queue.popleft()

    def up(self, _: int = 0) -> None:
        if (message := self.carry(self.to_server)) is not None:
            for happening in self.server.receive(message):
                self.serve(happening)

    def down(self, _: int = 0) -> None:
        if (message := self.carry(self.to_client)) is not None:
            self.learned += self.client.receive(message)

    def do(self, deed: str, number: int) -> None:
        getattr(self, deed)(number)
        self.take()

    def take(self) -> None:
        said = self.client.take()
        self.sent += said
        self.to_server += said
        self.to_client += self.server.take()

    def settle(self) -> None:
        """The server finishes; all that was said arrives, until there is nothing left to say."""
        self.loss = None
        for _ in range(100):
            self.finish()
            self.take()
            while self.to_server or self.to_client:
                self.do("up", 0)
                self.do("down", 0)
            if self.server.response is None and not self.client.busy:
                return
        raise AssertionError("they never stop")

    # --- what a server does ---

    def serve(self, happening: h.Happening) -> None:
        match happening:
            case h.ReplyAsked():
                self.server.begin_response()
            case h.CancelAsked():
                self.finish("cancelled")
            case h.CommitAsked():
                self.server.committed()
            case _:
                pass

    def finish(self, status: str = "completed") -> None:
        response = self.server.response
        if response is not None:
            for entry in list(self.server.conversation.entries.values()):
                self.close_entry(entry.id, whole=status == "completed")
            self.server.end_response(response, status, "", NOTHING)

    def close_entry(self, item_id: str, *, whole: bool) -> None:
        entry = self.server.conversation.entries[item_id]
        if entry.response_id and entry.status == "in_progress":
            self.server.end_item(entry.response_id, item_id, spoken=not entry.written, whole=whole)

    def turn(self, ms: int) -> None:
        speech = self.server.conversation.speech
        if speech is None:
            self.server.speech_started(ms)
            if ms % 2:
                self.finish("cancelled")
        else:
            self.server.speech_stopped(speech, ms)
            self.server.committed(speech)

    def words(self, number: int) -> None:
        if users := [e.id for e in self.server.conversation.entries.values() if e.role == "user"]:
            self.server.transcribing(users[number % len(users)], "and ")

    def transcribe(self, number: int) -> None:
        if users := [e.id for e in self.server.conversation.entries.values() if e.role == "user" and not e.written]:
            self.server.transcribed(users[number % len(users)], f"words {number}", 1.0)

    def begin(self, _: int) -> None:
        if self.server.response is None:
            self.server.begin_response()

    def item(self, _: int, *, spoken: bool = True) -> None:
        self.begin(0)
        assert self.server.response is not None
        self.server.begin_item(self.server.response, spoken=spoken)

    def text_item(self, number: int) -> None:
        self.item(number, spoken=False)

    def say(self, ms: int) -> None:
        for entry in list(self.server.conversation.entries.values())[-2:]:
            if entry.response_id and entry.response_id == self.server.response:
                self.server.words(entry.response_id, entry.id, f"w{ms} ", spoken=not entry.written)
                if not entry.written:
                    self.server.sound(entry.response_id, entry.id, pcm.silence(ms * 7))

    def close(self, number: int) -> None:
        if entries := list(self.server.conversation.entries):
            self.close_entry(entries[number % len(entries)], whole=True)

    def end(self, number: int) -> None:
        self.finish(["completed", "failed", "incomplete"][number % 3])

    # --- what a client does ---

    def type(self, number: int) -> None:
        self.client.add_text(f"line {number}")
        self.client.reply()

    def ask(self, _: int) -> None:
        self.client.reply()

    def interrupt(self, ms: int) -> None:
        """Cancel, and tell of every open item what was heard of it, as a session does."""
        self.client.cancel()
        for entry in list(self.client.conversation.entries.values()):
            if entry.role == "assistant" and entry.status == "in_progress" and not entry.text.startswith("text"):
                self.cut_entry(entry.id, ms)

    def cut_entry(self, item_id: str, ms: int) -> None:
        entry = self.client.conversation.entries[item_id]
        if entry.audio_ms > 0:
            self.client.truncate(item_id, 0, 1 + ms % entry.audio_ms)
        else:
            self.client.delete(item_id)

    def cut(self, number: int) -> None:
        spoken = [e.id for e in self.client.conversation.entries.values() if e.role == "assistant" and e.audio_ms]
        if spoken:
            self.cut_entry(spoken[number % len(spoken)], number)

    def delete(self, number: int) -> None:
        if entries := list(self.client.conversation.entries):
            self.client.delete(entries[number % len(entries)])

    def append(self, ms: int) -> None:
        self.client.append(pcm.silence(pcm.ms_to_samples(ms)))

    def commit(self, _: int) -> None:
        self.client.commit()

    def clear(self, _: int) -> None:
        self.client.clear()


def truncates(pair: Pair) -> Counter[str]:
    sent = [wire.decode_client(message, pair.client.dialect) for message in pair.sent]
    return Counter(message.item_id for message in sent if isinstance(message, wire.ConversationItemTruncate))


@given(plans)
def test_two_ends_agree_when_all_has_arrived(plan: list[tuple[str, int]]) -> None:
    pair = Pair()
    for deed in plan:
        pair.do(*deed)
    pair.settle()
    assert pair.client.conversation.snapshot() == pair.server.conversation.snapshot()
    assert set(truncates(pair).values()) <= {1}
    assert not [x for x in pair.learned if isinstance(x, h.Fault) and not x.quiet]


@given(plans, st.randoms(use_true_random=False))
def test_a_bad_link_neither_breaks_nor_holds_up_either_end(plan: list[tuple[str, int]], chance: random.Random) -> None:
    pair = Pair(loss=chance)
    for deed in plan:
        pair.do(*deed)
    pair.to_client.clear()
    pair.begin(0)
    pair.finish()
    pair.client.take()
    for message in pair.server.take():  # the server ends its answer, and that arrives
        pair.client.receive(message)
    assert pair.client.response is None
    pair.client.give_up()
    assert not pair.client.busy
    known = pair.server.conversation.entries
    for entry in pair.client.conversation.entries.values():
        if entry.id in known and entry.role:
            assert (entry.kind, entry.role) == (known[entry.id].kind, known[entry.id].role)
            assert entry.samples >= 0
    assert all(count <= 2 for count in truncates(pair).values())


@given(plans)
def test_no_answer_is_asked_for_while_one_is_being_made(plan: list[tuple[str, int]]) -> None:
    """Rule 2 of the client: "at most one is asked for or being made"."""
    pair = Pair()
    for deed, number in plan:
        asked = pair.client._asked
        was_busy = pair.client.response is not None or asked is not None
        before = len(pair.sent)
        pair.do(deed, number)
        creates = [m for m in pair.sent[before:] if b'"response.create"' in m]
        assert len(creates) <= 1
        if was_busy and deed != "down":
            assert not creates


@pytest.mark.parametrize("dialect", ["ga", "beta"])
def test_a_whole_turn_in_both_dialects(dialect: Dialect) -> None:
    pair = Pair(dialect)
    pair.client.configure(SessionSettings(dialect=dialect))
    for deed in ("append", "turn", "turn", "transcribe", "ask", "up", "up", "up", "down", "down", "item", "say", "end"):
        pair.do(deed, 200)
    pair.settle()
    kinds = [type(x) for x in pair.learned]
    for kind in (h.SessionBegan, h.SessionReady, h.SpeechBegan, h.SpeechEnded, h.TurnTaken, h.UserWords):
        assert kind in kinds
    order = [h.ResponseBegan, h.AnswerBegan, h.AnswerWords, h.AnswerSound, h.AnswerText, h.AnswerEnded, h.ResponseEnded]
    assert [kind for kind in dict.fromkeys(kinds) if kind in order] == order


@given(st.binary(max_size=60), st.sampled_from(list(Role)))
def test_nothing_that_a_peer_sends_can_raise(data: bytes, role: Role) -> None:
    assert [x for x in Protocol(role).receive(data) if not isinstance(x, h.Fault)] == []


def test_an_end_says_how_it_stands() -> None:
    client = Protocol(Role.CLIENT)
    client.reply()
    client.reply()
    text = "<Protocol client <Conversation 0 items, response None, speech None>, asked evt_000001, wishes 1>"
    assert repr(client) == text
