"""The local engine's half of the protocol: mmagent/engines/local/engine.py, with the four models faked (see fakes.py).

With the real models it is tried in tests/cli/test_talk_local.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mmagent.core.settings import SAY, SessionSettings, TurnDetection
from mmagent.engines.local.brain import ChatMessage
from mmagent.engines.local.engine import LocalEngine
from mmagent.engines.local.memory import DEFAULT_INSTRUCTIONS
from mmagent.engines.local.parts import PartNames, Parts
from mmagent.errors import EngineError, MissingModel
from tests.engines.conformance import Client, EngineConformance, connected
from tests.engines.local.fakes import NOISE, WORD, FakeParts, loud, silence

pytestmark = pytest.mark.asyncio

SYSTEM = ChatMessage("system", DEFAULT_INSTRUCTIONS)


def user(text: str) -> ChatMessage:
    return ChatMessage("user", text)


def assistant(text: str) -> ChatMessage:
    return ChatMessage("assistant", text)


def server_vad(**fields: Any) -> SessionSettings:
    return SessionSettings(turn_detection=TurnDetection(**fields))


@pytest.fixture
def parts() -> FakeParts:
    return FakeParts.make()


@pytest.fixture
def make(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> Callable[[], LocalEngine]:
    async def load(*_args: object, **_options: object) -> Parts:
        return parts

    monkeypatch.setattr(Parts, "load", load)
    return lambda: LocalEngine(PartNames(), progress=lambda *_: None)


class TestConformance(EngineConformance):
    @pytest.fixture
    def make(self, parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> Callable[[], LocalEngine]:
        async def load(*_args: object, **_options: object) -> Parts:
            return parts

        monkeypatch.setattr(Parts, "load", load)
        return lambda: LocalEngine(PartNames(), progress=lambda *_: None)


@pytest.fixture
def talk(make: Callable[[], LocalEngine]) -> Callable[..., Any]:
    """`async with talk(settings) as client`."""

    @asynccontextmanager
    async def session(settings: SessionSettings | None = None) -> AsyncIterator[Client]:
        async with connected(make(), settings) as client:
            yield client

    return session


Talk = Callable[..., Any]


async def test_an_answer_comes_in_openais_order(talk: Talk) -> None:
    async with talk() as client:
        await client.speak(loud(1, 2) + silence(600))
        await client.until("response.done")
        await client.until("conversation.item.input_audio_transcription.completed")
    turn = [kind for kind in client.kinds if kind.startswith("input_audio_buffer")]
    assert turn == [f"input_audio_buffer.{what}" for what in ("speech_started", "speech_stopped", "committed")]
    answer = [kind for kind in client.kinds if kind.startswith("response")]
    deltas = ("response.output_audio_transcript.delta", "response.output_audio.delta")
    assert [kind for kind in answer if kind not in deltas] == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    # Each word stands before its own sound: so one knows what was heard.
    assert [kind for kind in answer if kind in deltas] == list(deltas) * 4
    assert client.of("conversation.item.input_audio_transcription.completed")[0]["transcript"] == "one two"
    assert client.of("response.output_audio_transcript.done")[0]["transcript"] == "You said one two."


async def test_times_are_of_the_audio_that_was_sent(talk: Talk) -> None:
    async with talk() as client:
        await client.speak(silence(1000) + loud(3) + silence(700))
        stopped = await client.until("input_audio_buffer.speech_stopped")
    started = client.of("input_audio_buffer.speech_started")[0]
    assert 1000 - 300 - 40 <= started["audio_start_ms"] <= 1000 - 300 + 40  # prefix padding, in windows of 32 ms
    assert 1300 + 500 <= stopped["audio_end_ms"] <= 1300 + 500 + 64
    assert stopped["item_id"] == started["item_id"] == client.of("input_audio_buffer.committed")[0]["item_id"]


async def test_the_draft_is_ready_when_the_turn_ends(talk: Talk, parts: FakeParts) -> None:
    """The silence that ends a turn is used: the model is asked while it runs."""
    async with talk() as client:
        await client.speak(loud(1, 2) + silence(400))
        while not parts.thinker.asked:
            await client.speak(silence(0))
            await _others()
        assert not client.of("input_audio_buffer.speech_stopped")
        assert not client.of("response.created")
        await client.speak(silence(200))
        await client.until("response.done")
    assert parts.thinker.asked == [[SYSTEM, user("one two")]]


async def test_speech_that_goes_on_throws_the_draft_away(talk: Talk, parts: FakeParts) -> None:
    parts.thinker.gate.clear()
    async with talk() as client:
        await client.speak(loud(1) + silence(300))
        while not parts.thinker.asked:
            await _others()
        await client.speak(loud(2))
        while not parts.thinker.stops:  # what was being thought is stopped, not waited for
            await _others()
        parts.thinker.gate.set()
        await client.speak(silence(600))
        done = await client.until("response.done")
        assert client.text(done["response"]["id"]) == "You said one two."
    assert [asked[-1] for asked in parts.thinker.asked] == [user("one"), user("one two")]
    assert len(client.of("response.created")) == len(client.of("input_audio_buffer.committed")) == 1


async def test_the_next_turn_leans_on_this_one(talk: Talk, parts: FakeParts) -> None:
    async with talk() as client:
        await client.speak(loud(1) + silence(600))
        await client.until("response.done")
        await client.speak(loud(2) + silence(600))
        await client.until("response.done", 2)
    assert parts.thinker.asked[-1] == [SYSTEM, user("one"), assistant("You said one."), user("two")]


async def test_what_was_not_heard_is_not_remembered(talk: Talk, parts: FakeParts) -> None:
    async with talk() as client:
        await client.speak(loud(1) + silence(600))
        await client.until("response.done")
        item_id = client.of("response.output_item.added")[0]["item"]["id"]
        client.protocol.truncate(item_id, 0, 410)
        client.flush()
        await client.until("conversation.item.truncated")
        await client.speak(loud(2) + silence(600))
        await client.until("response.done", 2)
    assert parts.thinker.asked[-1][2] == assistant("You said")


async def test_a_deleted_answer_is_forgotten(talk: Talk, parts: FakeParts) -> None:
    async with talk() as client:
        await client.speak(loud(1) + silence(600))
        await client.until("response.done")
        client.protocol.delete(client.of("response.output_item.added")[0]["item"]["id"])
        client.flush()
        await client.until("conversation.item.deleted")
        await client.speak(loud(2) + silence(600))
        await client.until("response.done", 2)
    assert parts.thinker.asked[-1] == [SYSTEM, user("one"), user("two")]


async def test_speech_cancels_the_answer_that_is_made(talk: Talk, parts: FakeParts) -> None:
    parts.thinker.gate.clear()
    async with talk() as client:
        await client.speak(loud(1) + silence(600))
        await client.until("response.created")
        await client.speak(loud(2))
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "turn_detected"
        parts.thinker.gate.set()
        await client.speak(silence(600))
        done = await client.until("response.done", 2)
        assert done["response"]["status"] == "completed"
    assert parts.thinker.asked[-1] == [SYSTEM, user("one"), user("two")]


async def test_speech_does_not_cancel_where_it_shall_not(talk: Talk, parts: FakeParts) -> None:
    parts.thinker.gate.clear()
    async with talk(server_vad(interrupt_response=False)) as client:
        await client.speak(loud(1) + silence(600))
        await client.until("response.created")
        await client.speak(loud(2))
        assert not client.of("response.done")
        parts.thinker.gate.set()
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"


async def test_a_turn_that_ends_during_an_answer_is_answered_after_it(talk: Talk, parts: FakeParts) -> None:
    parts.thinker.gate.clear()
    async with talk(server_vad(interrupt_response=False)) as client:
        await client.speak(loud(1) + silence(600))
        await client.until("response.created")
        await client.speak(loud(2) + silence(600))
        await client.until("input_audio_buffer.committed", 2)
        parts.thinker.gate.set()
        done = await client.until("response.done", 2)
        assert client.text(done["response"]["id"]) == "You said two."
    assert [m["response"]["status"] for m in client.of("response.done")] == ["completed", "completed"]


async def test_a_cancelled_answer_ends(talk: Talk, parts: FakeParts) -> None:
    parts.thinker.gate.clear()
    async with talk() as client:
        client.protocol.add_text("Hello.")
        client.protocol.reply()
        client.flush()
        await client.until("response.created")
        client.protocol.cancel()
        client.flush()
        done = await client.until("response.done")
        assert done["response"]["status"] == "cancelled"
        assert done["response"]["status_details"]["reason"] == "client_cancelled"


async def test_noise_gets_no_answer(talk: Talk, parts: FakeParts) -> None:
    async with talk() as client:
        await client.speak(loud(NOISE) + silence(600))
        done = await client.until("response.done")
        assert done["response"]["status"] == "completed"
        assert done["response"]["output"] == []
        words = await client.until("conversation.item.input_audio_transcription.completed")
        assert words["transcript"] == ""
    assert not parts.thinker.asked
    assert not client.of("response.output_audio.delta")


async def test_a_turn_is_not_answered_before_the_client_asks(talk: Talk, parts: FakeParts) -> None:
    async with talk(server_vad(create_response=False)) as client:
        await client.speak(loud(1) + silence(600))
        await client.until("conversation.item.input_audio_transcription.completed")
        assert not client.of("response.created")
        client.protocol.reply()
        client.flush()
        done = await client.until("response.done")
        assert client.text(done["response"]["id"]) == "You said one."
    assert parts.writer.heard.count("one") == 1  # written down once


async def test_turns_by_hand(talk: Talk, parts: FakeParts) -> None:
    """Commit and request come at once, while the last of the sound is still being listened to."""
    async with talk(server_vad(type="none")) as client:
        await client.speak(loud(1, 2))
        client.protocol.append(loud(3))
        client.protocol.commit()
        client.protocol.reply()
        client.flush()
        done = await client.until("response.done")
        assert client.text(done["response"]["id"]) == "You said one two three."
        client.protocol.append(loud(4))
        client.protocol.commit()
        client.protocol.reply()
        client.flush()
        done = await client.until("response.done", 2)
        assert client.text(done["response"]["id"]) == "You said four."
    assert parts.thinker.asked[-1][1:3] == [user("one two three"), assistant("You said one two three.")]
    assert not client.of("input_audio_buffer.speech_started")


async def test_what_was_cleared_is_not_in_the_turn(talk: Talk) -> None:
    async with talk(server_vad(type="none")) as client:
        await client.speak(loud(1, 2))
        client.protocol.clear()
        client.flush()
        await client.until("input_audio_buffer.cleared")
        await client.speak(loud(3))
        client.protocol.commit()
        client.flush()
        words = await client.until("conversation.item.input_audio_transcription.completed")
        assert words["transcript"] == "three"


async def test_the_limit_of_tokens_ends_an_answer(talk: Talk, parts: FakeParts) -> None:
    parts.thinker.answer = lambda _: "This is much too long to be said in three words."
    async with talk(SessionSettings(max_output_tokens=3)) as client:
        await client.speak(loud(1) + silence(600))
        done = await client.until("response.done")
        assert done["response"]["status"] == "incomplete"
        assert done["response"]["status_details"]["reason"] == "max_output_tokens"
        assert client.text(done["response"]["id"]).strip() == "This is much"


@pytest.mark.parametrize("failure", [EngineError("The language model failed (no memory)."), RuntimeError("no memory")])
async def test_a_brain_that_fails_fails_one_answer(talk: Talk, parts: FakeParts, failure: Exception) -> None:
    parts.thinker.fails = failure
    async with talk() as client:
        await client.speak(loud(1) + silence(600))
        done = await client.until("response.done")
        assert done["response"]["status"] == "failed"
        error = (await client.until("error"))["error"]
        assert error["type"] == "server_error"
        assert "no memory" in error["message"]
        assert ".." not in error["message"]
        parts.thinker.fails = None
        await client.speak(loud(2) + silence(600))
        done = await client.until("response.done", 2)
        assert client.text(done["response"]["id"]) == "You said two."


@pytest.mark.parametrize("failure", [EngineError("It is deaf."), RuntimeError("It is deaf")])
async def test_a_recogniser_that_fails_leaves_one_turn_unwritten(
    talk: Talk, parts: FakeParts, failure: Exception
) -> None:
    parts.writer.fails = failure
    async with talk() as client:
        await client.speak(loud(1) + silence(600))
        assert "It is deaf" in (await client.until("error"))["error"]["message"]
        await client.until("response.done")
        parts.writer.fails = None
        await client.speak(loud(2) + silence(600))
        done = await client.until("response.done", 2)
        assert client.text(done["response"]["id"]) == "You said two."


async def test_a_long_silence_makes_it_speak_up(talk: Talk, parts: FakeParts) -> None:
    async with talk(server_vad(idle_timeout_ms=5000)) as client:
        await client.speak(silence(6000))
        assert not client.of("input_audio_buffer.timeout_triggered")  # it counts from the end of an answer
        await client.speak(loud(1) + silence(600))
        await client.until("response.done")
        played = 3 * WORD // 24  # ms of "You said one."
        await client.speak(silence(played + 4800))
        assert not client.of("input_audio_buffer.timeout_triggered")
        await client.speak(silence(400))
        timeout = await client.until("input_audio_buffer.timeout_triggered")
        assert 5000 <= timeout["audio_end_ms"] - timeout["audio_start_ms"] <= 5100
        await client.until("response.done", 2)
        await client.speak(silence(20_000))
    assert len(client.of("input_audio_buffer.timeout_triggered")) >= 1
    assert parts.thinker.asked[1] == [SYSTEM, user("one"), assistant("You said one.")]


async def test_answers_in_writing_have_no_sound(talk: Talk, parts: FakeParts) -> None:
    async with talk(SessionSettings(modalities=("text",))) as client:
        await client.speak(loud(1) + silence(600))
        done = await client.until("response.done")
        assert client.of("response.output_text.done")[0]["text"] == "You said one."
        assert done["response"]["status"] == "completed"
    assert not client.of("response.output_audio.delta")
    assert not parts.speaker.threads


async def test_a_greeting_is_said_word_for_word(talk: Talk, parts: FakeParts) -> None:
    async with talk() as client:
        client.protocol.reply(instructions=f"{SAY}Good morning, Anna.")
        client.flush()
        done = await client.until("response.done")
        assert client.text(done["response"]["id"]) == "Good morning, Anna."
        assert client.of("response.output_audio.delta")
        await client.speak(loud(1) + silence(600))
        await client.until("response.done", 2)
    assert parts.thinker.asked == [[SYSTEM, assistant("Good morning, Anna."), user("one")]]


async def test_instructions_reach_the_model(talk: Talk, parts: FakeParts) -> None:
    async with talk(SessionSettings(instructions="Speak like a pirate.")) as client:
        await client.speak(loud(1) + silence(600))
        await client.until("response.done")
    assert parts.thinker.asked[0][0] == ChatMessage("system", "Speak like a pirate.")
    assert parts.thinker.prepared[0] == [ChatMessage("system", "Speak like a pirate.")]


async def test_usage_is_counted_in_tokens(talk: Talk) -> None:
    """10 tokens a second of the user's sound, 20 of the agent's."""
    async with talk() as client:
        await client.speak(silence(1000) + loud(1, ms=1000) + silence(600))
        usage = (await client.until("response.done"))["response"]["usage"]
    assert 17 <= usage["input_token_details"]["audio_tokens"] <= 19  # 0.3 s before, 1 s of speech, 0.5 s after
    assert usage["output_token_details"]["audio_tokens"] == 3 * WORD * 20 // 24_000
    assert usage["output_token_details"]["text_tokens"] == 3
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_words_are_shown_while_they_are_spoken(talk: Talk) -> None:
    async with talk() as client:
        for level in (1, 2, 3, 4, 5, 6, 7, 8, 9):
            await client.speak(loud(level, ms=500))
            await _others()
        deltas = client.of("conversation.item.input_audio_transcription.delta")
        assert deltas
        await client.speak(silence(600))
        await client.until("response.done")
    told = "".join(delta["delta"] for delta in deltas)
    assert "one two three four five six seven eight nine".startswith(told)


async def test_nothing_is_computed_on_the_event_loop(talk: Talk, parts: FakeParts) -> None:
    async with talk() as client:
        await client.speak(loud(1, 2, ms=1000) + silence(600))
        await client.until("response.done")
    for model, pool in ((parts.ears, "vad"), (parts.writer, "stt"), (parts.thinker, "brain"), (parts.speaker, "tts")):
        assert {name.rpartition("_")[0] for name in model.threads} == {f"mmagent-{pool}"}


async def test_closes_in_the_middle_of_a_thought(talk: Talk, parts: FakeParts) -> None:
    parts.thinker.gate.clear()
    async with talk() as client:
        await client.speak(loud(1) + silence(600))
        await client.until("response.created")
        while not parts.thinker.asked:
            await _others()
    assert parts.thinker.stops == 1


async def test_a_missing_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load(*_args: object, **_options: object) -> Parts:
        raise MissingModel("There is no voice.", "Install it.")

    monkeypatch.setattr(Parts, "load", load)
    events: list[object] = []
    with pytest.raises(MissingModel, match=r"There is no voice\."):
        await LocalEngine(PartNames(), progress=lambda *_: None).run(events.append)
    assert not events


async def _others() -> None:
    """Let the models' threads and the engine get on."""
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)
