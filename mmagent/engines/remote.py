"""Any server that speaks the Realtime protocol, over a websocket. Bytes only: what they mean is the session's business.

The address is made as the official SDK makes it: `/realtime` and `?model=` are added to a base such as
`https://api.openai.com/v1`. Keys go into a header and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mmagent.core.events import Event, LinkDown, LinkUp, Received
from mmagent.engines import Emit
from mmagent.errors import ConfigError, ConnectError

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

PING_SECONDS = 10
"""A link that does not answer a ping for as long again is dead: a half-open one is noticed within 20 s at the most."""

PONG_SECONDS = 5

OPEN_SECONDS = 10

WAITING_LIMIT = 4096
"""Messages that may wait to be sent (80 s of microphone audio) before the link counts as lost."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and with what headers it is to be asked."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """The address without what may be secret: user, password, query."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def realtime_url(base: str, model: str) -> str:
    """A base or full address -> the websocket's own, with `/realtime` and `?model=`.

    Raises:
        ConfigError: It is no address of a server.
    """
    parts = urlsplit(base)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigError(f'"{base}" is no address of a Realtime server.', "Give one such as ws://127.0.0.1:8765/v1.")
    path = parts.path.rstrip("/")
    if not path.endswith("/realtime"):
        path += "/realtime"
    query = dict(parse_qsl(parts.query))
    if model:
        query.setdefault("model", model)
    return urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))


class RemoteEngine:
    """One websocket at a time to one server."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_LIMIT)
        self._closed = asyncio.Event()
        self._lost = asyncio.Event()

    async def run(self, emit: Emit) -> None:
        """Connect, carry messages both ways until closed or lost; `LinkDown` says why it was lost."""
        from websockets.exceptions import ConnectionClosed

        link = await self._connect()
        async with link:
            emit(LinkUp())
            try:
                async with asyncio.TaskGroup() as tasks:
                    sending = tasks.create_task(self._send_all(link))
                    closing = tasks.create_task(self._close_when_told(link))
                    async for message in link:
                        emit(Received(message if isinstance(message, bytes) else message.encode()))
                    sending.cancel()
                    closing.cancel()
            except* ConnectionClosed:
                pass
            if not self._closed.is_set():
                emit(_why(link))

    def send(self, message: bytes) -> None:
        """Queue a message; one too many means that the link takes no more, and is lost."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self._lost.set()

    async def settled(self) -> None:
        """A server elsewhere does not say how far it has listened: it is given real time."""
        await asyncio.sleep(0.02)

    def close(self) -> None:
        """Make `run` return."""
        self._closed.set()
        self._lost.set()

    async def _connect(self) -> ClientConnection:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus

        shown = self._address.shown
        try:
            return await connect(
                self._address.url,
                additional_headers=self._address.headers,
                compression=None,
                max_size=None,  # "one huge output_audio.delta per reply" (reference, section 3, LocalAI)
                ping_interval=PING_SECONDS,
                ping_timeout=PONG_SECONDS,
                open_timeout=OPEN_SECONDS,
                close_timeout=1,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status in (401, 403):
                raise ConfigError(
                    f"{shown} refused the key (HTTP {status}).", "Check the key in the environment or in .env."
                ) from error
            hint = "Check the address and --model." if status in (400, 404) else "Try again later."
            raise ConnectError(f"{shown} refused the connection (HTTP {status}).", hint) from error
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise ConnectError(
                f"{shown} cannot be reached ({_reason(error)}).",
                "Check the address and the network, or use --engine local.",
            ) from error

    async def _send_all(self, link: ClientConnection) -> None:
        while True:
            message = await self._waiting.get()
            await link.send(message, text=True)

    async def _close_when_told(self, link: ClientConnection) -> None:
        await self._lost.wait()
        await link.close()


def _why(link: ClientConnection) -> Event:
    """Why the server is gone, in words."""
    code, reason = link.close_code, link.close_reason
    if code == 4000:
        return LinkDown(f"The server ended the session: {reason or 'no reason given'}.", "", fatal=True)
    if code in (1000, 1001):
        return LinkDown(f"The server closed the session{f': {reason}' if reason else ''}.")
    return LinkDown(f"The connection to the server was lost{f' ({reason})' if reason else ''}.")


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
