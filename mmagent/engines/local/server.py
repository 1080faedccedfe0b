"""The local engine behind a websocket: a Realtime server on this machine, for any client that speaks the protocol.

One engine a client, one set of models for all. What clients rely on (reference, section 4.4): `session.created` at
once, a subprotocol only if one was offered, frames of at most 200 ms of sound, no compression.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from mmagent.core.events import Event, Received
from mmagent.core.settings import Dialect
from mmagent.engines.local.engine import LocalEngine
from mmagent.engines.local.parts import PartNames, Parts
from mmagent.errors import ConfigError, ConnectError, MmagentError

PATHS = ("/v1/realtime", "/realtime", "/openai/v1/realtime")

KEY_PROTOCOL = "openai-insecure-api-key."

LARGEST = 24 * 1024 * 1024
"""Bytes in a client's message: 15 MiB of sound in base64, and room to spare."""

WAITING_LIMIT = 4000
"""Messages that may wait for a slow client (some ten minutes of sound) before it is let go."""

BEHIND = 32 * 1024 * 1024
"""Bytes of a client's sound that may wait to be listened to, before no more is read from its link."""

_SOUND = re.compile(rb'\{"type":"response\.(?:output_)?audio\.delta"')
_CANCELLED = re.compile(rb'\{"type":"response\.done".*"status":"cancelled"')
_RESPONSE = re.compile(rb'"(?:response_)?id":"(resp[\w]*)"')


@dataclass(frozen=True)
class Door:
    """Where the server listens and who may come in. Without `token` anyone who reaches the port may."""

    host: str = "127.0.0.1"
    port: int = 8765
    token: str = field(default="", repr=False)
    origins: Sequence[str] = ()
    tls_cert: str = ""
    tls_key: str = ""
    dialect: Dialect = "ga"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("127.0.0.1", "::1", "localhost")

    def tls(self) -> ssl.SSLContext | None:
        """The certificate, ready to be shown.

        Raises:
            ConfigError: It cannot be read.
        """
        if not self.tls_cert:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"The certificate {self.tls_cert} cannot be used ({error}).",
                "Give --tls-cert and --tls-key as PEM files.",
            ) from error
        return context


class RealtimeServer:
    """Serves until it is told to stop. `load` brings the models, which all clients share; they are not closed here."""

    def __init__(
        self, door: Door, names: PartNames, load: Callable[[], Awaitable[Parts]], *, temperature: float | None = None
    ) -> None:
        self._door = door
        self._names = names
        self._load = load
        self._temperature = temperature
        self._stop = asyncio.Event()
        self._count = 0
        self.clients = 0

    async def run(self, ready: Callable[[int], None]) -> None:
        """Take the port, load the models, listen; `ready(port)` is called once. Returns after `stop`.

        Raises:
            ConnectError: The port is taken or not ours to take.
            ConfigError: The certificate or a model cannot be used.
        """
        door = self._door
        try:
            server = await serve(
                self._serve,
                door.host,
                door.port,
                ssl=door.tls(),
                process_request=self._admit,
                select_subprotocol=_choose,
                compression=None,
                max_size=LARGEST,
                ping_interval=20,
                ping_timeout=20,
                start_serving=False,
            )
        except OSError as error:
            raise ConnectError(
                f"Port {door.port} on {door.host} cannot be listened on ({error.strerror or error}).",
                "Choose another --port.",
            ) from error
        async with server:
            self._parts = await self._load()
            await server.start_serving()
            ready(next(iter(server.sockets)).getsockname()[1])
            await self._stop.wait()

    def stop(self) -> None:
        """Make `run` return; clients are told that the server goes away."""
        self._stop.set()

    # --- at the door ---

    def _admit(self, link: ServerConnection, request: Request) -> Response | None:
        path = urlsplit(request.path).path.rstrip("/") or "/"
        if "websocket" not in request.headers.get("Upgrade", "").lower():
            known = path in ("/", "/health")
            body = msgspec.json.encode({"status": "ok", "clients": self.clients} if known else {"status": "not found"})
            return _answer(link, HTTPStatus.OK if known else HTTPStatus.NOT_FOUND, body)
        if path not in PATHS:
            return _answer(link, HTTPStatus.NOT_FOUND, _error("There is a Realtime server at /v1/realtime only."))
        if not all(map(self._trusts, request.headers.get_all("Origin"))):
            return _answer(link, HTTPStatus.FORBIDDEN, _error("This origin is not allowed: see --allow-origin."))
        key = _key_in(request).encode(errors="surrogateescape")
        if self._door.token and not hmac.compare_digest(key, self._door.token.encode()):
            return _answer(link, HTTPStatus.UNAUTHORIZED, _error("The key is missing or wrong.", "invalid_api_key"))
        return None

    def _trusts(self, origin: str) -> bool:
        """A web page may connect if it comes from this machine, or was named. Others' pages may not talk to it."""
        try:
            return origin in self._door.origins or urlsplit(origin).hostname in ("localhost", "127.0.0.1", "::1")
        except ValueError:
            return False

    # --- with a client ---

    async def _serve(self, link: ServerConnection) -> None:
        self._count += 1
        self.clients += 1
        waiting = _Waiting()
        engine = LocalEngine(
            self._names,
            temperature=self._temperature,
            parts=self._parts,
            session_id=f"{self._count}",
            dialect=self._door.dialect,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(engine.run(waiting.put))
                sending = tasks.create_task(_send_all(link, waiting))
                bounding = tasks.create_task(_let_go(link, waiting))
                await waiting.began.wait()
                if _intent(link) == "transcription":
                    engine.send(b'{"type":"session.update","session":{"type":"transcription"}}')
                await _receive_all(link, engine)
                engine.close()
                await running
                sending.cancel()
                bounding.cancel()
        except* MmagentError as group:
            await link.close(1011, str(group.exceptions[0])[:120])
        finally:
            self.clients -= 1


async def _receive_all(link: ServerConnection, engine: LocalEngine) -> None:
    """All that the client says, until it goes. A client that brings sound faster than it can be heard has to wait."""
    with suppress(ConnectionClosed):
        async for message in link:
            engine.send(message.encode(errors="replace") if isinstance(message, str) else message)
            if engine.backlog > BEHIND:
                await engine.settled()


class _Waiting:
    """Messages for a client. Of an answer that was cancelled, the sound that still waits is thrown away (trap 18)."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.too_many = asyncio.Event()
        self._messages: deque[bytes] = deque()
        self._came = asyncio.Event()

    def put(self, event: Event) -> None:
        if not isinstance(event, Received):
            return
        self.began.set()
        if _CANCELLED.match(event.message) and (done := _RESPONSE.search(event.message)):
            over = b'"response_id":"' + done[1] + b'"'
            self._messages = deque(m for m in self._messages if not (over in m and _SOUND.match(m)))
        self._messages.append(event.message)
        if len(self._messages) > WAITING_LIMIT:
            self.too_many.set()
        self._came.set()

    async def take(self) -> bytes:
        while not self._messages:
            self._came.clear()
            await self._came.wait()
        return self._messages.popleft()


async def _send_all(link: ServerConnection, waiting: _Waiting) -> None:
    with suppress(ConnectionClosed):
        while True:
            await link.send(await waiting.take(), text=True)


async def _let_go(link: ServerConnection, waiting: _Waiting) -> None:
    """A client that takes nothing would not take a goodbye either: the link is cut."""
    await waiting.too_many.wait()
    link.transport.abort()


def _intent(link: ServerConnection) -> str:
    """`?intent=transcription` is a session that only writes down (reference, section 1.1)."""
    path = link.request.path if link.request is not None else ""
    return parse_qs(urlsplit(path).query).get("intent", [""])[0]


def _choose(_link: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """`realtime` only if offered: an answer to nobody's question is refused by clients (trap 17)."""
    return Subprotocol("realtime") if "realtime" in offered else None


def _key_in(request: Request) -> str:
    bearer = request.headers.get("Authorization", "")
    if bearer.lower().startswith("bearer "):
        return bearer[7:].strip()
    if key := request.headers.get("api-key"):
        return key
    offered: Any = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    return next((p.strip().removeprefix(KEY_PROTOCOL) for p in offered if p.strip().startswith(KEY_PROTOCOL)), "")


def _answer(link: ServerConnection, status: HTTPStatus, body: bytes) -> Response:
    response = link.respond(status, body.decode())
    response.headers["Content-Type"] = "application/json"
    return response


def _error(text: str, code: str = "") -> bytes:
    """A refusal at the door, shaped as OpenAI's are."""
    return msgspec.json.encode(
        {"error": {"type": "invalid_request_error", "message": text, "code": code or None, "param": None}}
    )
