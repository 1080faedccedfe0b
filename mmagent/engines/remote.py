"""Any server that speaks the Realtime protocol, over a websocket. Bytes only: what they mean is the session's business.

The address is made as the official SDK makes it: `/realtime` and `?model=` are added to a base such as
`https://api.openai.com/v1`. Keys go into a header and nowhere else.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from mmagent.core.events import Event, LinkDown, LinkUp, Received
from mmagent.core.faults import FATAL
from mmagent.engines import Emit
from mmagent.errors import ConfigError, ConnectError, MmagentError

OPEN_SECONDS = 10
"""For address, connection, TLS and the opening handshake."""

WAITING_LIMIT = 4096
"""Messages that may wait to be sent (80 s of microphone audio) before the link counts as lost."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

RECONNECTABLE = (1000, 1001, 1005, 1006, 1011, 1012, 1013, 1015)
"""Close codes after which a new link may work; no other code is worth a try (reference, section 1.7)."""


@dataclass(frozen=True)
class Pulse:
    """When a link is asked whether it is there, and how long it may take to answer, in seconds.

    Bytes of any kind are an answer too: behind a frame of 20 MiB a pong comes late.
    """

    every: float = 10.0
    within: float = 4.0

    @property
    def noticed(self) -> float:
        """Seconds at the most, from the death of a link until it is noticed."""
        return self.every + self.within


@dataclass(frozen=True)
class Address:
    """Where a server is, and with what headers it is to be asked."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.shown

    @property
    def shown(self) -> str:
        """The address without what may be secret: user, password, query."""
        return _shown(self.url)


def realtime_url(base: str, model: str) -> str:
    """A base or full address -> the websocket's own, with `/realtime` and `?model=`.

    One that names a call or an intent takes no model: "exactly one of" them (reference, section 1.1).

    Raises:
        ConfigError: It is no address of a server.
    """
    wrong = ConfigError(
        f'"{_shown(base)}" is no address of a Realtime server.', "Give one such as ws://127.0.0.1:8765/v1."
    )
    try:
        parts = urlsplit(base)
        reachable = bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # a port of letters, half an IPv6 address
        raise wrong from error
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not reachable:
        raise wrong
    path = parts.path.rstrip("/")
    if not path.endswith("/realtime"):
        path += "/realtime"
    query = parse_qsl(parts.query, keep_blank_values=True)
    if model and not {"model", "call_id", "intent", "deployment"} & {name for name, _ in query}:
        query.append(("model", model))
    return urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))


class _Link(ClientConnection):
    """A link that knows whether anything came."""

    heard = False

    def data_received(self, data: bytes) -> None:
        self.heard = True
        super().data_received(data)


class _Connecting(connect):
    """Goes where it was sent, and nowhere else: a redirect would take an `api-key` header to another's server."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class RemoteEngine:
    """One websocket at a time to one server."""

    def __init__(self, address: Address, *, pulse: Pulse | None = None, patience: float = OPEN_SECONDS) -> None:
        """`patience`: seconds for the link to be made."""
        self._address = address
        self._pulse = pulse or Pulse()
        self._patience = patience
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_LIMIT)
        self._closed = asyncio.Event()
        self._given_up = asyncio.Event()
        self._cause = ""

    async def run(self, emit: Emit) -> None:
        """Connect, carry messages both ways until closed or lost; `LinkDown` says why it was lost.

        Raises:
            ConfigError: The key was refused.
            ConnectError: There is no such server, or it refused the connection.
        """
        self._waiting = asyncio.Queue(WAITING_LIMIT)  # what was meant for a lost link is not for this one
        self._given_up.clear()
        self._cause = ""
        link = await self._connect_unless_closed()
        if link is None:
            return
        async with link:
            emit(LinkUp())
            async with asyncio.TaskGroup() as tasks:
                working = [
                    tasks.create_task(self._send_all(link)),
                    tasks.create_task(self._feel_the_pulse(link)),
                    tasks.create_task(self._close_when_told(link)),
                ]
                try:
                    async for message in link:
                        if self._closed.is_set():
                            break
                        emit(Received(message if isinstance(message, bytes) else message.encode()))
                except ConnectionClosed:
                    pass
                for work in working:
                    work.cancel()
        if not self._closed.is_set():
            emit(LinkDown(self._cause) if self._cause else _why(link))

    def send(self, message: bytes) -> None:
        """Queue a message; one too many means that the link takes no more, and is lost."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self._give_up("The connection to the server takes no more")

    async def settled(self) -> None:
        """A server elsewhere does not say how far it has listened: it is given real time."""
        await asyncio.sleep(0.02)

    def close(self) -> None:
        """Make `run` return."""
        self._closed.set()

    def _give_up(self, cause: str) -> None:
        self._cause = self._cause or f"{cause}."
        self._given_up.set()

    async def _connect_unless_closed(self) -> _Link | None:
        """The link; None if `close` came first."""
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(self._closed.wait())
            connecting = tasks.create_task(self._try_to_connect())
            await asyncio.wait((closing, connecting), return_when=asyncio.FIRST_COMPLETED)
            closing.cancel()
            if not connecting.done():
                connecting.cancel()
        if connecting.cancelled():
            return None
        link = connecting.result()
        if isinstance(link, MmagentError):
            raise link
        return link

    async def _try_to_connect(self) -> _Link | MmagentError:
        """A failure is a result, so that it is raised alone and not in a group."""
        try:
            return await self._connect()
        except InvalidStatus as error:
            return self._refused(error.response.status_code)
        except (OSError, TimeoutError, WebSocketException, ImportError, ValueError) as error:
            hint = "Check the address and the network, or use --engine local."
            if isinstance(error, ssl.SSLCertVerificationError):
                hint = "Name the authority's certificate in SSL_CERT_FILE, or use the name that the certificate is for."
            return ConnectError(f"{self._address.shown} cannot be reached: {_reason(error)}.", hint)

    async def _connect(self) -> _Link:
        async with asyncio.timeout(self._patience):
            link = await _Connecting(
                self._address.url,
                additional_headers=self._address.headers,
                create_connection=_Link,
                compression=None,
                max_size=None,  # "one huge output_audio.delta per reply" (reference, section 3, LocalAI)
                max_queue=None,  # a session takes messages as they come
                ping_interval=None,  # see _feel_the_pulse
                open_timeout=None,
                close_timeout=1,
                proxy=None if urlsplit(self._address.url).hostname in LOOPBACK else True,
            )
        assert isinstance(link, _Link)
        return link

    def _refused(self, status: int) -> MmagentError:
        shown = self._address.shown
        if status in (401, 403):
            what = (
                "the key" if "Authorization" in self._address.headers or self._address.headers else "us without a key"
            )
            return ConfigError(
                f"{shown} refused {what} (HTTP {status}).", "Check the key in the environment or in .env."
            )
        hint = "Check the address and --model." if status in (400, 404) else "Try again later."
        return ConnectError(f"{shown} refused the connection (HTTP {status}).", hint)

    async def _send_all(self, link: _Link) -> None:
        try:
            while True:
                await link.send(await self._waiting.get(), text=True)
        except ConnectionClosed:
            pass  # the receiving end says why

    async def _feel_the_pulse(self, link: _Link) -> None:
        """Notice a half-open link. The library's own keepalive waits, without limit, for room to write its ping in."""
        while True:
            await asyncio.sleep(self._pulse.every)
            answered = False
            while not answered:
                link.heard = False
                try:
                    async with asyncio.timeout(self._pulse.within):
                        await (await link.ping())
                        answered = True
                except TimeoutError:
                    if not link.heard:
                        self._give_up(f"The server has not answered for {self._pulse.within:g} s")
                        return
                except ConnectionClosed:
                    return

    async def _close_when_told(self, link: _Link) -> None:
        async with asyncio.TaskGroup() as tasks:
            both = [tasks.create_task(self._closed.wait()), tasks.create_task(self._given_up.wait())]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in both:
                each.cancel()
        if self._given_up.is_set():
            link.transport.abort()  # there is nobody to say goodbye to
        else:
            await link.close()


def _why(link: ClientConnection) -> Event:
    """Why the server is gone, in words; what to do, and whether it is worth another try."""
    code, reason = link.close_code, link.close_reason or ""
    known = next((word for word in re.findall(r"\w+", reason) if word in FATAL), "")
    if known or code == 4000:
        return LinkDown(f"The server ended the session: {reason or 'no reason given'}.", FATAL.get(known, ""), True)
    told = f": {reason.rstrip('.')}" if reason else ""
    if code in (1000, 1001, 1012, 1013):
        return LinkDown(f"The server closed the session{told}.")
    if code in RECONNECTABLE:
        return LinkDown(f"The connection to the server was lost{told}.")
    return LinkDown(f"The server refused to go on{told} (close code {code}).", "", True)


def _shown(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0].rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")) or "an empty text"


def _reason(error: BaseException) -> str:
    """Few words, and none of the address, which may hold what is secret."""
    match error:
        case TimeoutError():
            words = "it did not answer in time"
        case socket.gaierror():
            words = "there is no such host"
        case ssl.SSLCertVerificationError():
            words = f"its certificate is not trusted ({error.verify_message})"
        case OSError() if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
            words = "nothing listens there"
        case OSError():
            words = error.strerror or type(error).__name__
        case ImportError():
            words = "the proxy in the environment needs the package python-socks"
        case WebSocketException():
            words = "it does not speak the websocket protocol"
        case _:
            words = type(error).__name__
    return words
