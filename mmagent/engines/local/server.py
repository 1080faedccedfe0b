"""The local engine behind a websocket: a Realtime server on this machine, for any client that speaks the protocol.

One engine a client, one set of models for all. What clients rely on (reference, section 4.4): `session.created` at
once, a subprotocol only if one was offered, frames of at most 200 ms of sound, no compression.
"""

from __future__ import annotations

import asyncio
import hmac
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

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

_SOUND = b'{"type":"response.output_audio.delta"'
_SPEECH = b'{"type":"input_audio_buffer.speech_started"'


@dataclass(frozen=True)
class Door:
    """Where the server listens and who may come in. Without `token` anyone who reaches the port may."""

    host: str = "127.0.0.1"
    port: int = 8765
    token: str = ""
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
    """Serves until it is told to stop."""

    def __init__(self, door: Door, names: PartNames, parts: Parts, *, temperature: float | None = None) -> None:
        self._door = door
        self._names = names
        self._parts = parts
        self._temperature = temperature
        self._stop = asyncio.Event()
        self._count = 0
        self.clients = 0

    async def run(self, ready: Callable[[int], None]) -> None:
        """Listen; `ready(port)` is called once. Returns after `stop`.

        Raises:
            ConnectError: The port is taken or not ours to take.
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
            )
        except OSError as error:
            raise ConnectError(
                f"Port {door.port} on {door.host} cannot be listened on ({error.strerror or error}).",
                "Choose another --port.",
            ) from error
        async with server:
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
            return _answer(link, HTTPStatus.NOT_FOUND, b'{"error":"There is a Realtime server at /v1/realtime only."}')
        origin = request.headers.get("Origin")
        if origin is not None and not self._trusts(origin):
            return _answer(link, HTTPStatus.FORBIDDEN, b'{"error":"This origin is not allowed: see --allow-origin."}')
        if self._door.token and not hmac.compare_digest(_key_in(request).encode(), self._door.token.encode()):
            return _answer(link, HTTPStatus.UNAUTHORIZED, b'{"error":"The key is missing or wrong."}')
        return None

    def _trusts(self, origin: str) -> bool:
        """A web page may connect if it comes from this machine, or was named. Others' pages may not talk to it."""
        return origin in self._door.origins or urlsplit(origin).hostname in ("localhost", "127.0.0.1", "::1")

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
                with suppress(ConnectionClosed):
                    async for message in link:
                        await waiting.began.wait()
                        engine.send(message.encode() if isinstance(message, str) else message)
                engine.close()
                await running
                sending.cancel()
        except* (ConnectionClosed, MmagentError):
            pass
        finally:
            self.clients -= 1


class _Waiting:
    """Messages for a client. What of an answer's sound still waits when the user speaks up is thrown away (trap 18)."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self._messages: deque[bytes] = deque()
        self._came = asyncio.Event()

    def put(self, event: Event) -> None:
        if not isinstance(event, Received):
            return
        self.began.set()
        if event.message.startswith(_SPEECH):
            self._messages = deque(m for m in self._messages if not m.startswith(_SOUND))
        self._messages.append(event.message)
        self._came.set()

    async def take(self) -> bytes:
        while not self._messages:
            self._came.clear()
            await self._came.wait()
        return self._messages.popleft()

    @property
    def too_many(self) -> bool:
        return len(self._messages) > WAITING_LIMIT


async def _send_all(link: ServerConnection, waiting: _Waiting) -> None:
    while True:
        message = await waiting.take()
        if waiting.too_many:
            await link.close(1008, "The client is too slow.")
        await link.send(message, text=True)


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
