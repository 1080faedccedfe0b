"""The local engine as a Realtime server: mmagent/engines/local/server.py, with the four models faked (see fakes.py).

Every message that it sends in any of these tests is held to the official SDK's types (see realtime_oracle.py). With
real models and other people's clients it is tried in tests/foreign.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from mmagent.core import pcm
from mmagent.core.pcm import Encoding
from mmagent.engines.local import server as module
from mmagent.engines.local.formats import Decoder, Encoder
from mmagent.engines.local.parts import PartNames, Parts
from mmagent.engines.local.server import LARGEST, Door, RealtimeServer
from mmagent.errors import ConfigError, ConnectError
from tests.engines.local.fakes import WORD, FakeParts, loud, silence
from tests.serving import Served, peer, serving

pytestmark = pytest.mark.asyncio

PCM = {"type": "audio/pcm", "rate": 24000}


@pytest.fixture
def parts() -> Iterator[FakeParts]:
    fake = FakeParts.make()
    yield fake
    fake.close()


@pytest.fixture
def served(parts: FakeParts) -> Iterator[Served]:
    with serving(parts) as running:
        yield running


# --- turns ------------------------------------------------------------------------------------------------------------


async def test_says_hello_before_it_is_asked(served: Served) -> None:
    async with peer(served.url) as client:
        session = client.messages[0]["session"]
    assert client.kinds[0] == "session.created"
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == PCM
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
        "idle_timeout_ms": None,
    }
    assert session["id"] == "sess_1"


async def test_a_turn_in_writing(served: Served) -> None:
    async with peer(served.url) as client:
        await client.update(output_modalities=["text"])
        await client.type("Hello there")
        done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "You said Hello there."}]
    assert done["conversation_id"] == "conv_1"
    assert "response.output_audio.delta" not in client.kinds
    added, finished = client.of("conversation.item.added")[1], client.of("conversation.item.done")[1]
    assert (
        added["previous_item_id"]
        == finished["previous_item_id"]
        == client.of("conversation.item.done")[0]["item"]["id"]
    )


async def test_a_spoken_turn(served: Served) -> None:
    async with peer(served.url) as client:
        await client.append(loud(1, 2) + silence(700))
        done = (await client.until("response.done"))["response"]
        said = await client.until("conversation.item.input_audio_transcription.completed")
    assert said["transcript"] == "one two"
    item = done["output"][0]
    assert item["content"] == [{"type": "output_audio", "transcript": "You said one two."}]
    assert pcm.samples(client.sound(item["id"])) == 4 * WORD
    sizes = [len(base64.b64decode(m["delta"])) for m in client.of("response.output_audio.delta")]
    assert max(sizes) <= pcm.RATE // 5 * 2


async def test_barge_in_and_truncate(served: Served, parts: FakeParts) -> None:
    parts.thinker.answer = lambda _messages: "one two three four five six seven eight. " * 3
    async with peer(served.url) as client:
        await client.append(loud(1) + silence(700))
        delta = await client.until("response.output_audio.delta")
        parts.thinker.gate.clear()
        await client.until("response.done")
        await client.append(loud(2))
        await client.until("input_audio_buffer.speech_started", 2)
        await client.send("conversation.item.truncate", item_id=delta["item_id"], content_index=0, audio_end_ms=400)
        cut = await client.until("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=delta["item_id"])
        kept = (await client.until("conversation.item.retrieved"))["item"]
        parts.thinker.gate.set()
        await client.append(silence(700))
        await client.until("response.done", 2)
    assert cut["audio_end_ms"] == 400
    assert kept["content"] == [{"type": "output_audio"}]
    assert [message.content for message in parts.thinker.asked[-1][1:]] == ["one", "one two", "two"]


async def test_speech_cancels_the_answer(served: Served, parts: FakeParts) -> None:
    async with peer(served.url) as client:
        parts.thinker.gate.clear()
        await client.append(loud(1) + silence(700))
        await client.until("response.created")
        await client.append(loud(2))
        done = (await client.until("response.done"))["response"]
        parts.thinker.gate.set()
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


async def test_the_three_ways_in_which_a_truncation_fails(served: Served) -> None:
    async with peer(served.url) as client:
        await client.type("Hi")
        done = (await client.until("response.done"))["response"]
        item, user = done["output"][0]["id"], client.of("conversation.item.added")[0]["item"]["id"]
        cut = {"content_index": 0, "audio_end_ms": 601}
        long = await client.refused("conversation.item.truncate", item_id=item, **cut)
        typed = await client.refused("conversation.item.truncate", item_id=user, **cut)
        none = await client.refused("conversation.item.truncate", item_id="item_none", **cut)
        late = await client.refused("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=1.5)
    assert (long["code"], long["message"]) == (
        "invalid_value",
        "Audio content of 600ms is already shorter than 601ms",
    )
    assert (typed["code"], typed["message"]) == (
        "unsupported_content_type",
        "Only model output audio messages can be truncated",
    )
    assert none["code"] == "item_truncate_invalid_item_id"
    assert late["code"] == "invalid_value"


async def test_races_are_answered_in_openais_words(served: Served, parts: FakeParts) -> None:
    async with peer(served.url) as client:
        idle = await client.refused("response.cancel")
        short = await client.refused("input_audio_buffer.commit")
        parts.thinker.gate.clear()
        await client.type("Hi")
        response_id = (await client.until("response.created"))["response"]["id"]
        busy = await client.refused("response.create")
        other = await client.refused("response.cancel", response_id="resp_other")
        await client.send("response.cancel", response_id=response_id)
        done = (await client.until("response.done"))["response"]
        late = await client.refused("response.cancel", response_id=response_id)
        parts.thinker.gate.set()
    assert idle["code"] == late["code"] == other["code"] == "response_cancel_not_active"
    assert idle["message"] == "Cancellation failed: no active response found"
    assert short["code"] == "input_audio_buffer_commit_empty"
    assert busy["code"] == "conversation_already_has_active_response"
    assert busy["message"].startswith(f"Conversation already has an active response in progress: {response_id}.")
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}


async def test_turns_by_hand(served: Served) -> None:
    async with peer(served.url) as client:
        session = await client.update(audio={"input": {"turn_detection": None}})
        assert session["audio"]["input"]["turn_detection"] is None
        await client.append(loud(4))
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        await client.append(loud(5))
        await client.send("input_audio_buffer.commit")
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["transcript"] == "You said five."
    assert "input_audio_buffer.speech_started" not in client.kinds


async def test_items_are_put_deleted_and_told_again(served: Served, parts: FakeParts) -> None:
    async with peer(served.url) as client:
        item: dict[str, Any] = {}
        for name, role, kind, after in (("b", "user", "input_text", None), ("a", "assistant", "output_text", "root")):
            item = {"type": "message", "id": name, "role": role, "content": [{"type": kind, "text": name}]}
            await client.send("conversation.item.create", item=item, **({"previous_item_id": after} if after else {}))
        await client.until("conversation.item.done", 2)
        twice = await client.refused("conversation.item.create", item=item)
        lost = await client.refused("conversation.item.create", item={**item, "id": "c"}, previous_item_id="nobody")
        await client.send("conversation.item.retrieve", item_id="a")
        told = (await client.until("conversation.item.retrieved"))["item"]
        gone = await client.refused("conversation.item.retrieve", item_id="nobody")
        never = await client.refused("conversation.item.delete", item_id="nobody")
        await client.send("response.create")
        await client.until("response.done")
        await client.send("conversation.item.delete", item_id="b")
        await client.until("conversation.item.deleted")
    assert told["content"] == [{"type": "output_text", "text": "a"}]
    assert twice["code"] == "item_create_duplicate_item_id"
    assert lost["param"] == "previous_item_id"
    assert (gone["code"], never["code"]) == ("item_retrieve_invalid_item_id", "item_delete_invalid_item_id")
    assert [message.content for message in parts.thinker.asked[0][1:]] == ["a", "b"]


# --- answers out of band ----------------------------------------------------------------------------------------------


async def test_an_answer_out_of_band(served: Served, parts: FakeParts) -> None:
    """ "no conversation.item.* events, conversation_id null, may run in parallel; match by metadata"."""
    async with peer(served.url) as client:
        item = {"type": "message", "id": "known", "role": "user", "content": [{"type": "input_text", "text": "Known"}]}
        await client.send("conversation.item.create", item=item)
        await client.until("conversation.item.done")
        asked = {
            "conversation": "none",
            "output_modalities": ["text"],
            "metadata": {"topic": "x"},
            "instructions": "Sum up.",
            "input": [
                {"type": "item_reference", "id": "known"},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Aside"}]},
            ],
        }
        await client.send("response.create", response=asked)
        done = (await client.until("response.done"))["response"]
        await client.type("After")
        after = (await client.until("response.done", 2))["response"]
    created = client.of("response.created")[0]["response"]
    assert created["metadata"] == done["metadata"] == {"topic": "x"}
    assert created["conversation_id"] is None
    assert done["conversation_id"] is None
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "You said Aside."}]
    aside = done["output"][0]["id"]
    assert not [m for m in client.messages if m["type"].startswith("conversation.item") and m["item"]["id"] == aside]
    assert [message.content for message in parts.thinker.asked[0]] == ["Sum up.", "Known", "Aside"]
    assert [message.content for message in parts.thinker.asked[1]][1:] == ["Known", "After"]
    assert after["metadata"] is None


async def test_out_of_band_runs_beside_another(served: Served, parts: FakeParts) -> None:
    async with peer(served.url) as client:
        parts.thinker.gate.clear()
        await client.type("Hi")
        first = (await client.until("response.created"))["response"]["id"]
        await client.send("response.create", response={"conversation": "none", "metadata": {"n": "2"}})
        second = (await client.until("response.created", 2))["response"]["id"]
        await client.send("response.cancel", response_id=second)
        cancelled = (await client.until("response.done"))["response"]
        parts.thinker.gate.set()
        done = (await client.until("response.done", 2))["response"]
    assert (cancelled["id"], cancelled["status"], cancelled["metadata"]) == (second, "cancelled", {"n": "2"})
    assert (done["id"], done["status"]) == (first, "completed")


# --- sound as clients write it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "encoding"),
    [
        (PCM, Encoding()),
        ({"type": "audio/pcm"}, Encoding()),
        ({"type": "audio/pcm", "rate": 16000}, Encoding(rate=16000)),
        ({"type": "audio/pcmu"}, Encoding("audio/pcmu", 8000)),
        ({"type": "audio/pcma"}, Encoding("audio/pcma", 8000)),
    ],
)
async def test_sound_in_every_format_both_ways(served: Served, given: dict[str, Any], encoding: Encoding) -> None:
    async with peer(served.url) as client:
        session = await client.update(audio={"input": {"format": given}, "output": {"format": given}})
        encoder = Encoder(encoding)
        await client.append(encoder.push(silence(1000) + loud(3) + silence(700)) + encoder.finish(), step=997)
        done = (await client.until("response.done"))["response"]
        item = done["output"][0]["id"]
        sound, length = client.sound(item), 3 * WORD * 1000 // pcm.RATE
        beyond = await client.refused(
            "conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=length + 1
        )
        await client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=length)
        await client.until("conversation.item.truncated")
    whole = PCM if given == {"type": "audio/pcm"} else given
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == whole
    started, stopped = (client.of(f"input_audio_buffer.speech_{what}")[0] for what in ("started", "stopped"))
    assert 640 <= started["audio_start_ms"] <= 760
    assert 1780 <= stopped["audio_end_ms"] <= 1880
    assert len(sound) == 3 * WORD * encoding.rate * encoding.sample_bytes // pcm.RATE
    assert abs(pcm.level(Decoder(encoding).push(sound)) - pcm.level(loud(0) + b"\x88\x13" * 100)) < 40
    assert beyond["message"] == f"Audio content of {length}ms is already shorter than {length + 1}ms"


async def test_a_format_may_change_in_the_middle(served: Served) -> None:
    async with peer(served.url) as client:
        await client.append(loud(1))
        await client.update(audio={"input": {"format": {"type": "audio/pcmu"}}})
        encoder = Encoder(Encoding("audio/pcmu", 8000))
        await client.append(encoder.push(loud(2) + silence(700)))
        said = await client.until("conversation.item.input_audio_transcription.completed")
    assert said["transcript"] == "one two"


async def test_an_answer_may_have_a_format_of_its_own(served: Served) -> None:
    async with peer(served.url) as client:
        await client.type("Hi", audio={"output": {"format": {"type": "audio/pcmu"}}})
        done = (await client.until("response.done"))["response"]
        await client.type("Hi")
        again = (await client.until("response.done", 2))["response"]
    assert len(client.sound(done["output"][0]["id"])) == 3 * WORD // 3
    assert len(client.sound(again["output"][0]["id"])) == 3 * WORD * 2


async def test_a_hundred_ms_are_a_hundred_ms_in_any_format(served: Served) -> None:
    async with peer(served.url) as client:
        await client.update(audio={"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}})
        await client.append(b"\xff" * 799)
        error = await client.refused("input_audio_buffer.commit")
        await client.append(b"\xff")
        await client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")
    assert "only has 99.00ms" in error["message"]


# --- settings ---------------------------------------------------------------------------------------------------------


async def test_what_is_not_said_of_turn_detection_is_filled_in(served: Served) -> None:
    async with peer(served.url) as client:
        await client.update(audio={"input": {"turn_detection": None}})
        session = await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}})
    detection = session["audio"]["input"]["turn_detection"]
    assert (detection["threshold"], detection["silence_duration_ms"], detection["interrupt_response"]) == (
        0.7,
        500,
        True,
    )


async def test_the_model_stays_what_it_is(served: Served) -> None:
    async with peer(served.url) as client:
        session = await client.update(model="gpt-realtime", tracing="auto", audio={"output": {"speed": 1.0}})
    assert session["model"] == "local/fake"


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"voice": "alloy"}, "unknown_parameter", "session.voice"),
        ({"audio": {"input": {"gain": 1}}}, "unknown_parameter", "session.audio.input.gain"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"audio": {"output": {"speed": 9}}}, "invalid_value", "session.audio.output.speed"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 44100}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        ({"type": "transcription", "instructions": "x"}, "invalid_value", "session.instructions"),
    ],
)
async def test_refuses_a_setting_and_changes_nothing(
    served: Served, session: dict[str, Any], code: str, param: str
) -> None:
    async with peer(served.url) as client:
        error = await client.refused("session.update", session={"type": "realtime", "instructions": "new", **session})
        now = await client.update()
    assert (error["code"], error["param"]) == (code, param)
    assert now["instructions"] == ""


async def test_semantic_vad_is_refused_in_words(served: Served) -> None:
    async with peer(served.url) as client:
        wanted = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
        error = await client.refused("session.update", session=wanted)
    assert "server_vad only" in error["message"]


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ({"type": "response.cancel", "why": 1}, "unknown_parameter", "why"),
        ({"type": "input_audio_buffer.append", "audio": "", "rate": 1}, "unknown_parameter", "rate"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "%%%"}, "invalid_value", "audio"),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "mood": 1}},
            "unknown_parameter",
            "item.mood",
        ),
        ({"type": "response.create", "response": {"temperature": 1}}, "unknown_parameter", "response.temperature"),
        ({"type": "response.create", "response": {"metadata": {"n": 1}}}, "invalid_value", "response.metadata.n"),
        (
            {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "x"}]}},
            "invalid_value",
            "response.input[0].id",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "x"}]},
            },
            "invalid_value",
            "item.content[0].type",
        ),
        ({"type": "output_audio_buffer.clear"}, "invalid_event", "type"),
        ({"type": "session.updated"}, "invalid_value", "type"),
        ({"event": "x"}, "missing_required_parameter", "type"),
    ],
)
async def test_refuses_what_is_no_good(served: Served, message: dict[str, Any], code: str, param: str) -> None:
    async with peer(served.url) as client:
        await client.link.send(json.dumps({**message, "event_id": "mine"}))
        error = (await client.until("error"))["error"]
        await client.update()
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")


async def test_a_session_that_only_writes_down(served: Served, parts: FakeParts) -> None:
    async with peer(served.url) as client:
        await client.send("session.update", session={"type": "transcription"})
        session = (await client.until("session.updated"))["session"]
        error = await client.refused("response.create")
        await client.append(loud(1, 2) + silence(700) + loud(3) + silence(700))
        await client.until("conversation.item.input_audio_transcription.completed", 2)
        back = await client.update(instructions="Be nice.")
        await client.type("Hi")
        await client.until("response.done")
    assert session["type"] == "transcription"
    assert set(session["audio"]) == {"input"}
    assert error["code"] == "invalid_event"
    said = [m["transcript"] for m in client.of("conversation.item.input_audio_transcription.completed")]
    assert said == ["one two", "three"]
    assert client.kinds.count("response.created") == 1
    assert (back["type"], back["instructions"]) == ("realtime", "Be nice.")
    assert len(parts.thinker.asked) == 1


async def test_intent_transcription_is_such_a_session(served: Served) -> None:
    async with peer(f"{served.base}/realtime?intent=transcription") as client:
        assert (await client.until("session.updated"))["session"]["type"] == "transcription"


async def test_transcripts_are_told_to_those_who_want_them(served: Served) -> None:
    async with peer(served.url) as client:
        await client.update(audio={"input": {"transcription": None}})
        await client.append(loud(1) + silence(700))
        done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["transcript"] == "You said one."
    assert not [kind for kind in client.kinds if "transcription" in kind]


async def test_beta_on_request(parts: FakeParts) -> None:
    with serving(parts, dialect="beta") as served:
        async with connect(served.url, proxy=None) as link:
            assert json.loads(await link.recv())["session"]["modalities"] == ["text", "audio"]
            await link.send('{"type":"session.update","session":{"modalities":["text"],"temperature":0.8}}')
            updated = json.loads(await link.recv())
    assert (updated["type"], updated["session"]["modalities"]) == ("session.updated", ["text"])


# --- at the door ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/realtime", "/realtime", "/openai/v1/realtime/"])
async def test_the_paths_that_clients_use(served: Served, path: str) -> None:
    async with peer(f"ws://127.0.0.1:{served.port}{path}?model=x") as client:
        assert client.link.subprotocol is None


async def test_another_path_is_not_found(served: Served) -> None:
    with pytest.raises(InvalidStatus, match="404"):
        await connect(f"ws://127.0.0.1:{served.port}/v2/realtime", proxy=None)


async def test_answers_realtime_to_those_who_offer_it(served: Served) -> None:
    offered = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.k")]
    async with peer(served.url, subprotocols=offered) as client:
        assert client.link.subprotocol == "realtime"


async def test_tells_its_health(served: Served) -> None:
    async with peer(served.url):
        assert await served.get("/") == (200, b'{"status":"ok","clients":1}')
    await served.until_clients(0)
    assert (await served.get("/nowhere"))[0] == 404


@pytest.mark.parametrize(
    ("options", "enters"),
    [
        ({}, False),
        ({"additional_headers": {"Authorization": "Bearer wrong"}}, False),
        ({"additional_headers": {"Authorization": "Bearer \u00fcml\u00e4ut"}}, True),
        ({"additional_headers": {"api-key": "\u00fcml\u00e4ut"}}, True),
        ({"subprotocols": [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.wrong")]}, False),
    ],
)
async def test_a_key_that_is_not_plain_letters(parts: FakeParts, options: dict[str, Any], enters: bool) -> None:
    await _try_door(parts, "\u00fcml\u00e4ut", options, enters)


@pytest.mark.parametrize(
    ("options", "enters"),
    [
        ({"additional_headers": {"Authorization": "Bearer sesame"}}, True),
        ({"additional_headers": {"Authorization": "bearer  sesame "}}, True),
        ({"additional_headers": {"api-key": "sesame"}}, True),
        ({"subprotocols": [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.sesame")]}, True),
        ({"additional_headers": {"Authorization": "Basic sesame"}}, False),
        ({"additional_headers": {"api-key": ""}}, False),
    ],
)
async def test_the_key_opens_the_door(parts: FakeParts, options: dict[str, Any], enters: bool) -> None:
    await _try_door(parts, "sesame", options, enters)


async def _try_door(parts: Parts, token: str, options: dict[str, Any], enters: bool) -> None:
    with serving(parts, token=token) as served:
        if enters:
            async with peer(served.url, **options):
                pass
        else:
            with pytest.raises(InvalidStatus) as refused:
                await connect(served.url, proxy=None, **options)
            assert refused.value.response.status_code == 401
            assert token.encode() not in (refused.value.response.body or b"")


@pytest.mark.parametrize(
    ("origin", "enters"),
    [
        ("http://localhost:3000", True),
        ("http://[::1]", True),
        ("https://my.page", True),
        ("https://evil.page", False),
        ("http://localhost.evil.page", False),
        ("null", False),
        ("http://[::1", False),
    ],
)
async def test_pages_of_others_may_not_talk_to_it(parts: FakeParts, origin: str, enters: bool) -> None:
    with serving(parts, origins=("https://my.page",)) as served:
        options: Any = {"additional_headers": {"Origin": origin}}
        if enters:
            async with peer(served.url, **options):
                return
        with pytest.raises(InvalidStatus, match="403"):
            await connect(served.url, proxy=None, **options)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One for 127.0.0.1, by our own hand, and its key."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl is not here")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    order = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    order += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([openssl, *order], check=True, capture_output=True)
    return cert, key


async def test_over_tls(parts: FakeParts, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with serving(parts, tls_cert=str(cert), tls_key=str(key)) as served:
        assert served.url.startswith("wss://")
        async with peer(served.url, ssl=ssl.create_default_context(cafile=cert)) as client:
            await client.type("Hi")
            await client.until("response.done")


async def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("not a certificate")
    with pytest.raises(ConfigError, match="cannot be used"):
        Door(tls_cert=str(tmp_path / "cert.pem")).tls()
    with pytest.raises(ConfigError, match="cannot be used"):
        Door(tls_cert=str(tmp_path / "absent.pem")).tls()


async def test_a_taken_port_is_told_before_anything_is_loaded() -> None:
    async def load() -> Parts:
        raise AssertionError("loaded")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConnectError, match=f"Port {port} on 127.0.0.1 cannot be listened on") as failed:
            await RealtimeServer(Door(port=port), PartNames(), load).run(lambda _port: None)
    assert failed.value.exit_code == 5


async def test_goodbye_when_it_stops(parts: FakeParts) -> None:
    with serving(parts) as served:
        link = await connect(served.url, proxy=None)
        await link.recv()
        served.stop()
        with pytest.raises(ConnectionClosed) as closed:
            await link.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


# --- clients that are many, gone, slow or mad -------------------------------------------------------------------------


async def test_many_clients_at_once(served: Served) -> None:
    async def one(number: int) -> tuple[str, str]:
        async with peer(served.url) as client:
            await client.append(loud(number) + silence(700))
            done = (await client.until("response.done"))["response"]
            return client.messages[0]["session"]["id"], done["output"][0]["content"][0]["transcript"]

    told = await asyncio.gather(*(one(number) for number in range(1, 10)))
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    assert [text for _, text in told] == [f"You said {word}." for word in words]
    assert len({session for session, _ in told}) == 9
    await served.until_clients(0)


@pytest.mark.parametrize("moment", ["hello", "speech", "commit", "answer", "sound"])
async def test_a_client_that_vanishes_leaves_nothing(served: Served, parts: FakeParts, moment: str) -> None:
    async with peer(served.url) as client:
        parts.thinker.gate.clear()
        if moment == "speech":
            await client.append(loud(1))
            await client.until("input_audio_buffer.speech_started")
        elif moment == "commit":
            await client.append(loud(1))
            await client.send("input_audio_buffer.commit")
            await client.send("response.create")
        elif moment in ("answer", "sound"):
            await client.type("Hi")
            await client.until("response.created")
        if moment == "sound":
            parts.thinker.gate.set()
            await client.until("response.output_audio.delta")
        client.link.transport.abort()
    await served.until_clients(0)
    assert not [name for name in served.tasks() if name.startswith(("LocalEngine", "Draft", "_send", "_let"))]
    parts.thinker.gate.set()
    async with peer(served.url) as another:
        await another.type("Still here")
        await another.until("response.done")


async def test_rubbish_does_not_end_the_session(served: Served) -> None:
    rubbish: list[str | bytes] = [
        "",
        "{",
        "[]",
        "null",
        '{"type":1}',
        '{"type":"nonsense"}',
        "[" * 5000,
        b"\x00\xff\xfe",
        b"",
        '{"type":"session.update"}',
        '{"type":"session.update","session":7}',
        '{"type":"input_audio_buffer.append","audio":7}',
        '{"type":"conversation.item.create","item":null}',
        '{"type":"conversation.item.truncate","item_id":"x","content_index":0,"audio_end_ms":1e999}',
        '{"type":"response.create","response":[]}',
        '"\ud83d"'.encode("utf-8", "surrogatepass"),
    ]
    async with peer(served.url) as client:
        for each in rubbish:
            await client.link.send(each)
        await client.until("error", len(rubbish))
        await client.link.send(b'{"type":"input_audio_buffer.clear"}')  # in a binary frame, and good
        await client.until("input_audio_buffer.cleared")
        text = json.dumps({"type": "session.update", "session": {"type": "realtime", "instructions": "\u00e4"}})
        await client.link.send(iter([bytes([b]) for b in text.encode()]), text=True)  # a byte a fragment
        assert (await client.until("session.updated"))["session"]["instructions"] == "\u00e4"
    assert len(client.of("error")) == len(rubbish)


async def test_fifteen_mebibytes_at_once(served: Served) -> None:
    sound = loud(1) + silence(700)
    sound = sound + bytes(15 * 1024 * 1024 - len(sound))
    async with peer(served.url) as client:
        await client.send("input_audio_buffer.append", audio=base64.b64encode(sound).decode())
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"][0]["transcript"] == "You said one."


async def test_a_frame_that_is_too_big_is_told(served: Served) -> None:
    link = await connect(served.url, proxy=None)

    async def say_too_much() -> None:
        await link.send("x" * (LARGEST + 1))
        while True:
            await link.recv()

    with pytest.raises(ConnectionClosed) as closed:
        await say_too_much()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    await served.until_clients(0)


async def test_a_client_that_takes_nothing_is_let_go(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_LIMIT", 20)
    parts.thinker.answer = lambda _messages: "word " * 2000
    with serving(parts) as served:
        async with peer(served.url) as client:
            client.link.transport.pause_reading()
            await client.type("Talk on")
            await served.until_clients(0)
            client.link.transport.abort()  # or it would wait for an answer to its goodbye


async def test_sound_that_waits_is_thrown_away_when_the_user_speaks_up() -> None:
    """Trap 18: on barge-in the server drops unsent frames, and no other."""
    from mmagent.core.events import Received

    waiting = module._Waiting()
    delta = b'{"type":"response.output_audio.delta","event_id":"event_1","response_id":"resp_%d","item_id":"i"}'
    messages = [
        delta % 1,
        b'{"type":"response.output_audio_transcript.delta","response_id":"resp_1"}',
        delta % 2,
        b'{"type":"input_audio_buffer.speech_started","event_id":"event_2","item_id":"u"}',
        b'{"type":"response.done","event_id":"event_3","response":{"status":"cancelled","id":"resp_1"}}',
        delta % 3,
        b'{"type":"response.done","event_id":"event_4","response":{"status":"completed","id":"resp_3"}}',
    ]
    for message in messages:
        waiting.put(Received(message))
    assert [await waiting.take() for _ in range(6)] == messages[1:]


async def test_speech_that_may_not_interrupt_keeps_the_sound(served: Served, parts: FakeParts) -> None:
    parts.thinker.answer = lambda _messages: "one two three four five six."
    async with peer(served.url) as client:
        await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
        await client.append(loud(1) + silence(700) + loud(2))
        await client.until("input_audio_buffer.speech_started", 2)
        done = (await client.until("response.done"))["response"]
    assert done["status"] == "completed"
    assert pcm.samples(client.sound(done["output"][0]["id"])) == 6 * WORD
