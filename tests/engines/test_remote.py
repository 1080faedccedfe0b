"""Any Realtime server as the engine: mmagent/engines/remote.py, over real websockets on this machine.

The other end is our own server on faked models, or a few lines that misbehave. Every message that the client sends is
held to the official SDK's types.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from mmagent.core.events import Event, LinkDown, LinkUp, Received
from mmagent.core.settings import SessionSettings, TurnDetection
from mmagent.engines.local import server as module
from mmagent.engines.local.engine import LocalEngine
from mmagent.engines.remote import WAITING_LIMIT, Address, Pulse, RemoteEngine, realtime_url
from mmagent.errors import ConfigError, ConnectError, MmagentError
from tests import realtime_oracle
from tests.engines.conformance import EngineConformance, connected
from tests.engines.local.fakes import FakeParts, loud, silence
from tests.serving import PATIENCE, Served, serving

KEY = "sk-very-secret"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What clients sent to the server, as it came."""
    kept: list[bytes] = []

    class Tapped(LocalEngine):
        def send(self, message: bytes) -> None:
            kept.append(message)
            super().send(message)

    monkeypatch.setattr(module, "LocalEngine", Tapped)
    return kept


@pytest.fixture
def served(said: list[bytes]) -> Iterator[Served]:
    parts = FakeParts.make()
    with serving(parts) as running:
        yield running
    parts.close()


class TestConformance(EngineConformance):
    @pytest.fixture
    def make(self, served: Served) -> Callable[[], RemoteEngine]:
        return lambda: RemoteEngine(Address(served.url))


@pytest.mark.asyncio
async def test_all_that_the_client_says_is_official(served: Served, said: list[bytes]) -> None:
    settings = SessionSettings(turn_detection=TurnDetection(idle_timeout_ms=9000), instructions="x")
    async with connected(RemoteEngine(Address(served.url)), settings) as client:
        client.protocol.add_text("Hello.")
        client.protocol.reply("Briefly.")
        client.flush()
        item = (await client.until("response.done"))["response"]["output"][0]["id"]
        client.protocol.truncate(item, 0, 100)
        client.protocol.reply()
        client.flush()
        client.protocol.cancel()
        await client.speak(loud(1) + silence(600))
        again = (await client.until("response.done", 3))["response"]["output"][0]["id"]
        client.protocol.delete(again)
        client.protocol.append(silence(200))
        client.protocol.clear()
        client.protocol.append(silence(200))
        client.protocol.commit()
        client.flush()
        await client.until("conversation.item.deleted")
        await client.until("input_audio_buffer.committed", 2)
    kinds = {realtime_oracle.from_client(message)["type"] for message in said}
    assert kinds == set(realtime_oracle.registry("Client")) - {
        "output_audio_buffer.clear",
        "conversation.item.retrieve",
    }


@pytest.mark.asyncio
async def test_null_turn_detection_is_said(served: Served, said: list[bytes]) -> None:
    """Trap 1: what is left out stays on."""
    async with connected(RemoteEngine(Address(served.url)), SessionSettings(turn_detection=TurnDetection(type="none"))):
        pass
    assert realtime_oracle.from_client(said[0])["session"]["audio"]["input"]["turn_detection"] is None


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m"),
        ("http://127.0.0.1:8765/v1/", "ws://127.0.0.1:8765/v1/realtime?model=m"),
        ("ws://127.0.0.1:8765/v1/realtime", "ws://127.0.0.1:8765/v1/realtime?model=m"),
        ("ws://127.0.0.1:8765/v1/realtime/", "ws://127.0.0.1:8765/v1/realtime?model=m"),
        ("wss://host", "wss://host/realtime?model=m"),
        ("wss://host/v1?model=theirs", "wss://host/v1/realtime?model=theirs"),
        ("wss://host/v1?a=1&a=2&b=", "wss://host/v1/realtime?a=1&a=2&b=&model=m"),
        ("wss://host/v1?call_id=c", "wss://host/v1/realtime?call_id=c"),
        ("wss://host/v1?intent=transcription", "wss://host/v1/realtime?intent=transcription"),
        ("wss://user:word@[::1]:9/v1#top", "wss://user:word@[::1]:9/v1/realtime?model=m"),
    ],
)
def test_makes_the_address_as_the_sdk_does(base: str, url: str) -> None:
    assert realtime_url(base, "m") == url


def test_a_model_that_is_no_word_is_written_safely() -> None:
    assert realtime_url("ws://h", "a b&c") == "ws://h/realtime?model=a+b%26c"


@pytest.mark.parametrize(
    "base", ["", "host/v1", "ftp://host", "ws://", "ws:///v1", "ws://host:port/v1", "ws://host:99999", "ws://[::1/v1"]
)
def test_refuses_what_is_no_address(base: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a Realtime server"):
        realtime_url(base, "m")


@pytest.mark.parametrize("base", [f"ftp://me:{KEY}@host/v1?key={KEY}", f"ws://me:{KEY}@[::1/v1?key={KEY}"])
def test_a_wrong_address_tells_no_secret(base: str) -> None:
    with pytest.raises(ConfigError) as failed:
        realtime_url(base, "m")
    assert KEY not in str(failed.value)


def test_the_key_is_shown_nowhere() -> None:
    address = Address(f"wss://me:{KEY}@host/v1/realtime?key={KEY}", {"Authorization": f"Bearer {KEY}"})
    for shown in (repr(address), str(address), address.shown, repr(RemoteEngine(address))):
        assert KEY not in shown
    assert address.shown == "wss://host/v1/realtime"


# --- a link that cannot be made ---------------------------------------------------------------------------------------


async def refusal(address: Address, **options: Any) -> MmagentError:
    """Why no link could be made."""
    with pytest.raises(MmagentError) as failed:
        await RemoteEngine(address, **options).run(lambda _event: None)
    assert KEY not in str(failed.value)
    assert failed.value.__cause__ is None or KEY not in str(failed.value.__cause__)
    assert failed.value.message.count(". ") == 0
    return failed.value


@asynccontextmanager
async def answering(raw: bytes | None, *, wait: bool = False) -> Any:
    """A port that answers every request with these bytes; None: with nothing."""
    hold = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if raw is not None:
            writer.write(raw)
        if wait:
            await hold.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield Address(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime?k={KEY}", {"api-key": KEY})
        hold.set()


@pytest.mark.parametrize(
    ("status", "kind", "exit_code", "words"),
    [
        (401, ConfigError, 3, "refused the key (HTTP 401)"),
        (403, ConfigError, 3, "refused the key (HTTP 403)"),
        (404, ConnectError, 5, "refused the connection (HTTP 404)"),
        (429, ConnectError, 5, "refused the connection (HTTP 429)"),
        (500, ConnectError, 5, "refused the connection (HTTP 500)"),
    ],
)
@pytest.mark.asyncio
async def test_a_refusal_is_one_sentence(status: int, kind: type[Exception], exit_code: int, words: str) -> None:
    async with answering(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()) as address:
        error = await refusal(address)
    assert isinstance(error, kind)
    assert (error.exit_code, words in error.message, bool(error.hint)) == (exit_code, True, True)


@pytest.mark.parametrize(
    "raw",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\n", b"", b"\x15\x03\x01\x00\x02\x02F"],
)
@pytest.mark.asyncio
async def test_what_is_no_websocket_server(raw: bytes) -> None:
    async with answering(raw) as address:
        assert (await refusal(address)).exit_code == 5


@pytest.mark.asyncio
async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = await refusal(Address(f"ws://127.0.0.1:{port}/v1/realtime?k={KEY}"))
    assert (error.exit_code, "nothing listens there" in error.message) == (5, True)


@pytest.mark.asyncio
async def test_there_is_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nowhere(*_args: object, **_options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nowhere)
    error = await refusal(Address(f"ws://no.such.host/v1/realtime?k={KEY}"))
    assert error.message == "ws://no.such.host/v1/realtime cannot be reached: there is no such host."


@pytest.mark.asyncio
async def test_no_answer_in_time() -> None:
    async with answering(None, wait=True) as address:
        error = await refusal(address, patience=0.05)
    assert "did not answer in time" in error.message


@pytest.mark.asyncio
async def test_close_ends_a_link_that_is_being_made() -> None:
    async with answering(None, wait=True) as address, asyncio.TaskGroup() as tasks:
        engine = RemoteEngine(address)
        running = tasks.create_task(engine.run(lambda event: pytest.fail(f"{event}")))
        await asyncio.sleep(0)
        engine.close()
        async with asyncio.timeout(PATIENCE):
            await running


@pytest.mark.asyncio
async def test_a_key_does_not_follow_to_another_server() -> None:
    asked: list[bytes] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    elsewhere = await asyncio.start_server(other, "127.0.0.1", 0)
    async with elsewhere:
        url = f"ws://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/"
        moved = f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with answering(moved) as address:
            error = await refusal(Address(address.url, {"Authorization": f"Bearer {KEY}", "api-key": KEY}))
    assert "HTTP 302" in error.message
    assert asked == []


# --- a link that ends -------------------------------------------------------------------------------------------------


async def talk(serving_one: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> list[Event]:
    """All events of a session with such a server, until it is over."""
    events: list[Event] = []
    async with serve(serving_one, "127.0.0.1", 0, max_size=None, ping_interval=None, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        engine = RemoteEngine(Address(f"ws://127.0.0.1:{port}/v1/realtime?k={KEY}"), **options)
        async with asyncio.timeout(PATIENCE):
            await engine.run(events.append)
    assert events[0] == LinkUp()
    return events


@pytest.mark.parametrize(
    ("code", "reason", "fatal", "words", "hint"),
    [
        (1000, "", False, "The server closed the session.", ""),
        (1001, "Your session hit the maximum duration.", False, "closed the session: Your session hit the maxi", ""),
        (1011, "keepalive ping timeout", False, "was lost: keepalive ping timeout", ""),
        (1012, "", False, "closed the session", ""),
        (4000, "invalid_request_error.beta_api_shape_disabled", True, "beta_api_shape_disabled", "--dialect beta"),
        (4000, "", True, "no reason given", ""),
        (3000, "invalid_request_error.invalid_api_key", True, "invalid_api_key", "Check the key"),
        (1008, "insufficient_quota", True, "insufficient_quota", "billing"),
        (1008, "go away", True, "refused to go on: go away (close code 1008)", ""),
        (1009, "", True, "close code 1009", ""),
    ],
)
@pytest.mark.asyncio
async def test_tells_why_the_server_went(code: int, reason: str, fatal: bool, words: str, hint: str) -> None:
    async def close(link: ServerConnection) -> None:
        await link.close(code, reason)

    down = (await talk(close))[-1]
    assert isinstance(down, LinkDown)
    assert (down.fatal, words in down.reason, hint in down.hint) == (fatal, True, True)


@pytest.mark.asyncio
async def test_a_link_that_breaks_is_lost() -> None:
    async def cut(link: ServerConnection) -> None:
        link.transport.abort()

    assert (await talk(cut))[-1] == LinkDown("The connection to the server was lost.")


def test_a_half_open_link_is_noticed_within_15_s() -> None:
    assert Pulse().noticed <= 15
    assert 10 <= Pulse().every <= 20


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.asyncio
async def test_notices_a_server_that_is_there_no_more(busy: bool) -> None:
    """Also while sound goes up and fills every buffer: the library's own keepalive would wait for room for ever."""
    gone = asyncio.Event()

    async def freeze(link: ServerConnection) -> None:
        link.transport.pause_reading()  # neither reads nor pongs, and the socket stays open
        await gone.wait()

    events: list[Event] = []
    async with serve(freeze, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        engine = RemoteEngine(Address(f"ws://127.0.0.1:{port}/v1/realtime"), pulse=Pulse(0.05, 0.05))

        def emit(event: Event) -> None:
            events.append(event)
            for _ in range(100 if busy else 0):
                engine.send(b"x" * 200_000)

        async with asyncio.timeout(PATIENCE):
            await engine.run(emit)
        gone.set()
    assert events == [LinkUp(), LinkDown("The server has not answered for 0.05 s.")]


@pytest.mark.asyncio
async def test_while_bytes_come_the_link_is_alive() -> None:
    """Behind a frame of 20 MiB a pong comes late."""

    class Busy:
        heard = False
        pings = 0

        async def ping(self) -> asyncio.Future[float]:
            self.pings += 1
            self.heard = self.pings < 4
            return asyncio.get_running_loop().create_future()

    link = Busy()
    async with asyncio.timeout(PATIENCE):
        await RemoteEngine(Address("ws://h"), pulse=Pulse(0.001, 0.001))._feel_the_pulse(link)  # type: ignore[arg-type]
    assert link.pings == 4


@pytest.mark.asyncio
async def test_frames_of_any_size_come_in() -> None:
    big = json.dumps({"type": "x", "delta": "A" * (20 * 1024 * 1024)})

    async def pour(link: ServerConnection) -> None:
        await link.send(big)
        await link.send("")
        await link.send(b"\x00binary")
        await link.send(iter(["a", "", "b"]))
        await link.close()

    events = await talk(pour)
    assert events[1:-1] == [Received(m) for m in (big.encode(), b"", b"\x00binary", b"ab")]


@pytest.mark.asyncio
async def test_a_link_that_takes_no_more_is_lost() -> None:
    stuck = asyncio.Event()

    async def wait(_link: ServerConnection) -> None:
        await stuck.wait()

    events: list[Event] = []
    async with serve(wait, "127.0.0.1", 0, close_timeout=0.1) as server:
        engine = RemoteEngine(Address(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/realtime"))

        def emit(event: Event) -> None:
            events.append(event)
            for _ in range(WAITING_LIMIT + 1):
                engine.send(b"{}")

        async with asyncio.timeout(PATIENCE):
            await engine.run(emit)
        stuck.set()
    assert events[-1] == LinkDown("The connection to the server takes no more.")
