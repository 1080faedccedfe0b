"""The session: one event in, a list of commands out.

It puts together the protocol (client role), the agent's answers, the turns and the history. Its only entry is
`step(event, now)`; `deadline()` says when it wants to be woken, `fire()` is the waking. `drive` joins them, for live
runs and replay alike.

What takes the word from the agent: speech that the engine heard, if interruptions are wanted; a typed line; a key. What
was typed, and any new answer that is asked for, waits until the transport has said what was heard (`answers.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from mmagent.core import commands, events, pcm
from mmagent.core import happenings as h
from mmagent.core.answers import Answers
from mmagent.core.calls import Calls
from mmagent.core.commands import Command
from mmagent.core.cost import Meter
from mmagent.core.events import Event
from mmagent.core.history import History, Item
from mmagent.core.latency import MicClock, TurnMarks
from mmagent.core.lifeline import ROTATE_AFTER, ROTATE_AGAIN, Lifeline
from mmagent.core.protocol import LEAST_COMMIT_MS, Protocol, Role
from mmagent.core.settings import SAY, SessionSettings
from mmagent.core.turns import Facts, barge_in, state

SECOND = 1_000_000

SETTINGS_WAIT = 5 * SECOND
"""A server that never says `session.updated` is believed after this (reference, tolerance rule 6)."""

FLUSH_WAIT = SECOND
"""A transport that does not say what was heard is not waited for longer."""

ANSWER_WAIT = 60 * SECOND
"""An answer that does not begin is not expected any longer."""

STALL_WAIT = 180 * SECOND
"""Nor is an answer that has begun and does not go on; nor, when the user will say nothing more, that anything comes."""

TEXT_WAIT = 5 * SECOND
"""When the user will say nothing more, missing transcripts are waited for so long."""

LIMIT_WAIT = 30 * SECOND
"""When a limit is reached, the answer that is being heard may last so much longer."""


class Session:
    """One conversation between a user and an engine."""

    def __init__(self, settings: SessionSettings) -> None:
        self.settings = settings
        self.history = History()
        self._out: list[Command] = []
        self._protocol = Protocol(Role.CLIENT, dialect=settings.dialect)
        self._answers = Answers(self.history, self._protocol, self._out)
        self._calls = Calls(settings, self._protocol, self._out)
        self._facts = Facts()
        self._state: events.State = "connecting"
        self._mic = MicClock()
        self._meter = Meter(settings.model, settings.transcription_model)
        self._deadlines: dict[str, int] = {}
        self._counted = (0, 0)
        self._lifeline = Lifeline()
        self._owed = self._silenced = self._expires = False
        self._awaited = False
        self._speaker = ""
        self._talk: tuple[int, int] | None = None
        self._news = 0
        self._typed: list[str] = []
        self._ending = ""
        self._now = 0

    def __repr__(self) -> str:
        return f"<Session {self._state}, {len(self.history.items())} items, {self._answers.playout!r}>"

    # --- the three doors ---

    def step(self, event: Event, now: int) -> list[Command]:
        """Handle one event at `now`; what to do about it, in order. Nothing comes after `End`."""
        if self._facts.closed:
            return []
        self._now = now
        self._handle(event)
        if isinstance(event, events.MicAudio):  # by far the most frequent; it changes nothing but what the engine hears
            return [commands.Send(message) for message in self._protocol.take()]
        return self._finish_step()

    def deadline(self) -> int | None:
        """When `fire` is due, in microseconds since the session began."""
        return min(self._deadlines.values(), default=None)

    def fire(self) -> list[Command]:
        """Do what is due at the earliest deadline, at its time."""
        name = min(self._deadlines, key=self._deadlines.__getitem__)
        self._now = self._deadlines.pop(name)
        self._due(name)
        return self._finish_step()

    def _finish_step(self) -> list[Command]:
        if not self._facts.closed:
            self._mind_calls()
            making = self._protocol.response
            due = self._awaited or self._protocol.busy
            self._watch_for_answer(due=due, begun=making is not None)
            self._answers.stop_speaking_if_done(making)
            # An answer that was made and is not heard yet is still to come.
            self._facts.answer_due = due or self._answers.something_to_hear or self._calls.pending
            self._facts.audible = self._answers.audible
            self._tell_state()
            self._out.extend(map(commands.Send, self._protocol.take()))
            if self._ending:
                self._end_when_quiet()
        out = self._out.copy()
        self._out.clear()
        return out

    # --- what the edges say ---

    def _handle(self, event: Event) -> None:  # noqa: C901, PLR0912 - a table: one arm an event
        match event:
            case events.MicAudio(pcm=sound):
                self._hear(sound)
            case events.Played(samples=total):
                if total > self._answers.playout.total:
                    self._news = self._now
                    self._answers.played(total, self._now)
            case events.Received() if self._silenced:
                pass  # a last word over a link that is lost already
            case events.Received(message=message):
                for happening in self._protocol.receive(message):
                    if not self._facts.closed:
                        self._learn(happening)
            case events.Flushed(samples=total):
                self._flushed(total)
            case events.Typed(text=text):
                self._typed.append(text)
                self._take_the_word()
                self._say_typed()
            case events.PushToTalk(down=down):
                self._push_to_talk(down)
            case events.Interrupt():
                self._take_the_word(expected=self._awaited)
                self._awaited = False
                self._calls.hush()
            case events.ToolFinished(call_id=call_id, output=output):
                self._news = self._now
                self._calls.finished(call_id, output)
            case events.InputEnded():
                self._push_to_talk(False)
                self._ending = self._ending or "done"
                self._news = self._now
            case events.MicDropped(samples=count):
                ms = pcm.samples_to_ms(count)
                self._announce(events.Warning(f"{ms} ms of microphone audio came too late and were dropped."))
            case events.Trouble(text=text, hint=hint):
                self._announce(events.Warning(text, hint))
            case events.Stop(reason=reason):
                self._end(reason)
            case events.LinkUp():
                self._facts.ready = self._silenced = False
            case events.LinkDown():
                self._link_down(event)
            case _:
                assert_never(event)

    def _link_down(self, event: events.LinkDown) -> None:
        """The session goes on without the link, unless it never had one or trying again is of no use."""
        if event.fatal or not self._facts.begun:
            self._end(event.reason, error=event.reason, hint=event.hint, kind="connection")
            return
        self._silenced = True
        if not self._lifeline.cut:
            self._lose()
        wait = self._lifeline.lost(self._now)
        self._deadlines["give up"] = self._lifeline.give_up_at or self._now
        self._announce(events.SessionReconnecting(event.reason, self._lifeline.attempt))
        self._out.append(commands.Reconnect(wait))

    def _lose(self) -> None:
        """Settle what hung on the link. An answer that was expected is owed; one that was begun ends where it is."""
        nothing_begun = not any(item.has_audio or item.written for item in self.history.open_items("assistant"))
        self._owed = (self._awaited or self._protocol.busy) and nothing_begun
        self._awaited = self._facts.ready = False
        if self._facts.user_speaking:
            self._user_stopped(self._mic.sent_ms)
        for item in self.history.open_items("user"):
            self._commit_user(item, item.text)
        self._answers.link_lost(self._now)
        self._protocol.reset()
        for name in ("settings", "answer", "stall", "rotate"):
            self._deadlines.pop(name, None)

    def _restore(self) -> None:
        """A new conversation at the server: give it the old one as it was heard, and what was said meanwhile."""
        away = self._lifeline.back(self._now)
        self._deadlines.pop("give up", None)
        self._mic = MicClock()
        self._counted = (0, self._answers.received)
        for item in self.history.items():
            text = item.text if item.outcome != "open" else item.words.text
            if text.strip():
                self._protocol.restore(item.id, item.role, text.strip())
        self._calls.restore()
        self._announce(events.SessionReconnected(away))
        for sound in self._lifeline.take_kept():
            self._hear(sound)
        if self._owed:
            self._owed = False
            self._protocol.reply()

    def _hear(self, sound: bytes) -> None:
        """With push to talk, the engine hears nothing while the key is up."""
        if self._lifeline.cut:
            self._lifeline.keep(sound)
        elif self._facts.ready and (self._facts.user_speaking or not self._by_hand):
            self._protocol.append(sound)
            self._mic.sent(pcm.samples(sound), self._now)

    @property
    def _by_hand(self) -> bool:
        """Whether the user says where a turn begins and ends."""
        return self.settings.turn_detection.type == "none"

    def _push_to_talk(self, down: bool) -> None:
        if not self._by_hand or not self._facts.ready or down == self._facts.user_speaking:
            return
        if down:
            self._protocol.clear()
            self._talk = (self._now, self._mic.sent_ms)
            self._user_started("", self._mic.sent_ms)
            self._take_the_word()
            return
        since, from_ms = self._talk or (self._now, 0)
        self._user_stopped(self._mic.sent_ms)
        if self._mic.sent_ms - from_ms < LEAST_COMMIT_MS:  # a slip of the hand
            self._protocol.clear()
            return
        self._talk = (since, self._now)
        self._answers.marks = TurnMarks(voiced=self._now, stopped=self._now)
        self._protocol.commit()
        self._protocol.reply()

    # --- what the engine says ---

    def _learn(self, happening: h.Happening) -> None:  # noqa: C901, PLR0912 - a table: one arm a happening
        self._news = now = self._now
        match happening:
            case h.AnswerSound(response_id=response, item_id=item, content_index=index, pcm=sound):
                self._deadlines.pop("stall", None)
                self._answers.sound(item, response, index, sound, now)
            case h.AnswerWords(response_id=response, item_id=item, delta=delta, spoken=spoken):
                self._deadlines.pop("stall", None)
                self._answers.words(item, response, delta, now, spoken=spoken)
            case h.AnswerText(item_id=item, text=text):
                self._answers.text(item, text)
            case h.AnswerBegan(response_id=response, item_id=item):
                self._answers.began(item, response)
            case h.AnswerEnded(item_id=item):
                self._answers.item_ended(item, now)
            case h.ResponseBegan():
                self._awaited = False
            case h.ResponseEnded():
                self._response_ended(happening)
            case h.SpeechBegan():
                self._speech_began(happening)
            case h.SpeechEnded():
                self._speech_ended(happening)
            case h.TurnTaken(item_id=item):
                self._turn_taken(item)
            case h.UserWords():
                self._user_words(happening)
            case h.SessionBegan(expires_at=expires_at):
                self._expires = expires_at is not None
                for name in self._protocol.configure(self.settings):
                    self._announce(events.Warning(f"This engine's dialect has no {name}: it is left out."))
                self._deadlines["settings"] = now + SETTINGS_WAIT
            case h.SessionReady():
                self._ready()
            case h.Fault():
                self._fault(happening)
            case _:
                raise AssertionError(f"a client cannot learn {happening}")

    def _ready(self) -> None:
        self._deadlines.pop("settings", None)
        if self._facts.ready:
            return
        first = not self._facts.begun
        self._facts.begun = self._facts.ready = True
        if self._expires:
            self._deadlines["rotate"] = self._now + ROTATE_AFTER
        if self._lifeline.cut:
            self._restore()
        if first and self.settings.max_minutes is not None:
            self._deadlines["limit"] = self._now + int(self.settings.max_minutes * 60 * SECOND)
        if first and self.settings.greet:
            self._protocol.reply(instructions=SAY + self.settings.greet)
        self._say_typed()

    def _speech_began(self, happening: h.SpeechBegan) -> None:
        if self._by_hand or (self._facts.user_speaking and self._speaker == happening.item_id):
            return
        item = self.history.ensure(happening.item_id, "user")
        if item.outcome == "open":
            item.started_at = self._mic.captured_at(happening.audio_start_ms)
        self._user_started(happening.item_id, happening.audio_start_ms)
        server_cancels = self.settings.interrupts_response
        if self.settings.interruptions:
            self._awaited = False
        due = self._answers.something_to_hear or self._protocol.busy
        if barge_in(interruptions=self.settings.interruptions, something_to_cut=due):
            self._take_the_word(server_cancels=server_cancels)

    def _speech_ended(self, happening: h.SpeechEnded) -> None:
        if self._by_hand or not self._facts.user_speaking:
            return
        # "This will correspond to the end of audio sent to the model, and thus includes the
        # `min_silence_duration_ms` configured in the Session." (input_audio_buffer.speech_stopped, audio_end_ms)
        detection = self.settings.turn_detection
        silence = detection.silence_duration_ms if detection.type == "server_vad" else 0
        voiced = self._mic.captured_at(max(0, happening.audio_end_ms - silence))
        item = self.history.ensure(self._speaker, "user")
        if item.outcome == "open":
            item.ended_at = voiced
        self._answers.marks = TurnMarks(voiced=voiced, stopped=self._now)
        self._user_stopped(happening.audio_end_ms)
        # The server makes one answer at a time: while one is being made that goes on, this turn gets none.
        if detection.create_response and (self._protocol.response is None or self.settings.interruptions):
            self._awaited = True

    def _turn_taken(self, item_id: str) -> None:
        """The user's turn is an item now. Some servers do not say before that the speech is over."""
        item = self.history.ensure(item_id, "user")
        if self._by_hand:
            if self._talk is not None and item.started_at is None:
                item.started_at, item.ended_at = self._talk
                self._talk = None
        elif item_id == self._speaker:
            self._speech_ended(h.SpeechEnded(item_id, self._mic.sent_ms))

    def _user_started(self, item_id: str, audio_ms: int) -> None:
        self._calls.user_turn()
        if self._facts.user_speaking:
            self._user_stopped(audio_ms)
        self._facts.user_speaking, self._speaker = True, item_id
        self._announce(events.UserStartedSpeaking(item_id, audio_ms))

    def _user_stopped(self, audio_ms: int) -> None:
        self._facts.user_speaking = False
        self._announce(events.UserStoppedSpeaking(self._speaker, audio_ms))

    def _user_words(self, happening: h.UserWords) -> None:
        item = self.history.ensure(happening.item_id, "user")
        if item.role != "user":
            return
        if not happening.final:
            if item.outcome == "open":
                item.text = happening.text.strip()
                self._announce(events.UserTranscript(item.id, happening.text))
            return
        if happening.usage is not None:
            self._meter.transcription(happening.usage)
        self._commit_user(item, happening.text)

    def _commit_user(self, item: Item, text: str) -> None:
        if self.history.settle(item, "committed", text, self._now):
            self._announce(
                events.UserSpeechCommitted(item.id, item.text, "user", False, item.started_at, item.ended_at)
            )

    def _response_ended(self, happening: h.ResponseEnded) -> None:
        self._answers.response_ended(happening.response_id, self._now)
        if happening.why:
            self._announce(events.Error(happening.why, code=happening.status))
        if happening.status != "in_progress":
            self._count(happening)
        self._calls.made(happening.calls, self._now, cut=happening.cut)

    def _count(self, happening: h.ResponseEnded) -> None:
        # What was sent and made since the last answer: read only where the server says nothing of usage.
        sent, made = self._mic.sent_samples, self._answers.received
        charge = self._meter.response(happening.usage, sent - self._counted[0], made - self._counted[1])
        self._counted = (sent, made)
        total = self._meter.cost
        self._announce(
            events.Usage(
                response_id=happening.response_id,
                input_tokens=charge.tokens.input,
                output_tokens=charge.tokens.output,
                session_input_tokens=self._meter.tokens.input,
                session_output_tokens=self._meter.tokens.output,
                cost_usd=None if charge.usd is None else float(charge.usd),
                session_cost_usd=None if total is None else float(total),
                estimated=self._meter.estimated,
            )
        )
        limit = self.settings.max_cost
        if limit is not None and self._meter.known_cost >= limit:
            self._reach_limit(f"The limit of {limit:g} USD is reached.")

    def _fault(self, happening: h.Fault) -> None:
        if happening.quiet:
            self._out.append(commands.Note("debug", f"{happening.code}: {happening.message}"))
            return
        self._announce(events.Error(happening.message, happening.hint, happening.code, happening.fatal))
        if happening.fatal:
            self._end(happening.message, error=happening.message, hint=happening.hint, kind="engine")

    # --- what functions say ---

    @property
    def _our_turn(self) -> bool:
        """Whether nobody speaks for the user, and no answer is expected or being made."""
        taken = self._facts.user_speaking or self._awaited or self._protocol.busy or self._answers.stopping
        return not taken and not self._typed

    def _mind_calls(self) -> None:
        if self._facts.ready:
            self._calls.go_on(our_turn=self._our_turn)
        self._deadlines.pop("filler", None)
        if self._calls.fill_at is not None:
            self._deadlines["filler"] = self._calls.fill_at

    # --- taking the word, and giving it ---

    def _take_the_word(self, *, server_cancels: bool = False, expected: bool = False) -> None:
        """The agent is to be silent, and to stop making the answer that it makes, or is `expected` to make."""
        self._protocol.cancel(server_cancels=server_cancels, expected=expected)
        self._answers.stop(self._now)
        if self._answers.stopping:
            self._deadlines.setdefault("flush", self._now + FLUSH_WAIT)

    def _flushed(self, total: int) -> None:
        self._deadlines.pop("flush", None)
        self._answers.flushed(total, self._now)
        if self._answers.stopping:
            self._deadlines["flush"] = self._now + FLUSH_WAIT
        self._say_typed()

    def _say_typed(self) -> None:
        """Hand over what was typed, once the agent is silent and the engine is ready."""
        if self._answers.stopping or not self._facts.ready or not self._typed:
            return
        self._answers.marks = TurnMarks(voiced=self._now, stopped=self._now)
        self._calls.user_turn()
        for text in self._typed:
            self._commit_user(self.history.ensure(self._protocol.add_text(text), "user"), text)
        self._typed.clear()
        self._protocol.reply()

    def _watch_for_answer(self, *, due: bool, begun: bool) -> None:
        """An answer was asked for, or the engine heard a turn end: it must begin some day, and go on."""
        if not due:
            self._deadlines.pop("answer", None)
            self._deadlines.pop("stall", None)
        elif begun:
            self._deadlines.pop("answer", None)
            self._deadlines.setdefault("stall", self._now + STALL_WAIT)
        else:
            self._deadlines.pop("stall", None)
            self._deadlines.setdefault("answer", self._now + ANSWER_WAIT)

    # --- deadlines ---

    def _due(self, name: str) -> None:
        match name:
            case "settings":
                self._ready()
            case "flush":
                self._answers.overdue(self._now)
                self._say_typed()
            case "filler":
                self._calls.fill(quiet=self._our_turn and not self._answers.something_to_hear)
            case "answer" | "stall":
                self._give_up()
            case "rotate":
                self._rotate()
            case "give up":
                reason = "The connection to the engine did not come back."
                self._end(reason, error=reason, hint="Look at the network and the server.", kind="connection")
            case "limit":
                self._reach_limit(f"The limit of {self.settings.max_minutes:g} minutes is reached.")
            case _:
                self._end(self._ending)

    def _rotate(self) -> None:
        """The server will end this session soon: begin a new one, between two turns."""
        if self._state == "listening" and not self._ending:
            self._link_down(events.LinkDown("The session is nearly an hour old, and a new one takes over."))
        else:
            self._deadlines["rotate"] = self._now + ROTATE_AGAIN

    def _give_up(self) -> None:
        self._awaited = False
        making = self._protocol.response
        if making is not None:
            self._protocol.cancel()
        self._protocol.give_up()
        if making is not None:
            self._answers.response_ended(making, self._now)
        self._announce(events.Warning("The engine did not answer.", "Ask again, or look at the engine's log."))

    def _reach_limit(self, reason: str) -> None:
        self._ending = reason
        self._deadlines.setdefault("patience", self._now + LIMIT_WAIT)

    # --- ending ---

    def _end_when_quiet(self) -> None:
        """The user will say nothing more: end when the last answer was heard and every text is known."""
        self._deadlines.pop("silence", None)
        if self._state in ("connecting", "reconnecting"):
            self._deadlines.pop("text", None)
        elif self._state != "listening" or self._typed or self._answers.something_to_hear:
            self._deadlines.pop("text", None)
            self._deadlines["silence"] = self._news + STALL_WAIT
        elif not self.history.open_items("user"):
            self._end(self._ending)
        else:
            self._deadlines.setdefault("text", self._now + TEXT_WAIT)

    def _end(self, reason: str, *, error: str = "", hint: str = "", kind: commands.EndKind = "") -> None:
        if self._facts.user_speaking:
            self._user_stopped(self._mic.sent_ms)
        for item in self.history.open_items("user"):
            self._commit_user(item, item.text)
        self._answers.close(self._now)
        self._calls.close()
        self._facts.closed = True
        self._deadlines.clear()
        self._tell_state()
        self._announce(events.Closed(reason))
        self._out.append(commands.End(reason, error, hint, kind))

    # --- telling ---

    def _announce(self, event: events.Announcement) -> None:
        self._out.append(commands.Announce(event))

    def _tell_state(self) -> None:
        new = state(self._facts)
        if new != self._state:
            previous, self._state = self._state, new
            self._announce(events.AgentStateChanged(new, previous))


def drive(session: Session, event: Event | None, now: int) -> Iterator[tuple[int, Command]]:
    """All commands up to `now`, each with its time: first those of the deadlines that are due, then those of `event`.

    A deadline fires at its own time however late it is found due, so the lateness of a loop changes nothing.
    """
    while (due := session.deadline()) is not None and due <= now:
        yield from ((due, command) for command in session.fire())
    if event is not None:
        yield from ((now, command) for command in session.step(event, now))
