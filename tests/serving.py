"""A real server inside the tests, in a thread of its own, and a bare client that checks all that comes."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from mmagent.core import pcm
from mmagent.engines.local.parts import PartNames, Parts
from mmagent.engines.local.server import Door, RealtimeServer
from tests import realtime_oracle

PATIENCE = 10.0
"""Seconds until what does not come is missed; never waited for when it comes."""

Message = dict[str, Any]


class Served:
    """A server that runs."""

    def __init__(self, server: RealtimeServer, loop: asyncio.AbstractEventLoop, port: int, scheme: str) -> None:
        self.server = server
        self.port = port
        self._loop = loop
        self.base = f"{scheme}://127.0.0.1:{port}/v1"
        self.url = f"{self.base}/realtime?model=local"

    async def until_clients(self, count: int) -> None:
        """Ask the health page until so many clients are served."""
        async with asyncio.timeout(PATIENCE):
            while json.loads((await self.get("/health"))[1])["clients"] != count:
                pass

    def stop(self) -> None:
        """Make the server stop, soon."""
        with suppress(RuntimeError):  # it has stopped, and its loop with it
            self._loop.call_soon_threadsafe(self.server.stop)

    def tasks(self) -> set[str]:
        """What runs on the server's loop, by the names of the coroutines."""
        return {getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks(self._loop)}

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """What a browser would be shown: status and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), body


@contextmanager
def serving(parts: Parts, **door: Any) -> Iterator[Served]:
    """Serve with these parts for the length of the block."""
    started = threading.Event()
    told: list[Any] = []

    async def load() -> Parts:
        return parts

    async def work() -> None:
        server = RealtimeServer(Door(**({"port": 0} | door)), PartNames(), load)
        told.extend((server, asyncio.get_running_loop()))

        def ready(port: int) -> None:
            told.append(port)
            started.set()

        await server.run(ready)

    def run() -> None:
        try:
            asyncio.run(work())
        finally:
            started.set()

    thread = threading.Thread(target=run, name="serve")
    thread.start()
    started.wait(PATIENCE)
    server, loop, port = told
    served = Served(server, loop, port, "wss" if door.get("tls_cert") else "ws")
    try:
        yield served
    finally:
        served.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not stop"


class Peer:
    """A client that knows only JSON. Each message that comes is held to the official types."""

    def __init__(self, link: ClientConnection) -> None:
        self.link = link
        self.messages: list[Message] = []
        self._came = asyncio.Event()

    async def listen(self) -> None:
        async for data in self.link:
            self.messages.append(realtime_oracle.from_server(data))
            self._came.set()

    async def send(self, kind: str, **fields: Any) -> None:
        await self.link.send(json.dumps({"type": kind, **fields}))

    async def update(self, **session: Any) -> Message:
        """Change the session; what it is then."""
        count = len(self.of("session.updated"))
        await self.send("session.update", session={"type": "realtime", **session})
        session_now: Message = (await self.until("session.updated", count + 1))["session"]
        return session_now

    async def append(self, sound: bytes, step: int = 9600) -> None:
        for start in range(0, len(sound), step):
            piece = base64.b64encode(sound[start : start + step]).decode()
            await self.send("input_audio_buffer.append", audio=piece)

    async def type(self, text: str, **response: Any) -> None:
        """Say something in writing, and ask for an answer."""
        content = [{"type": "input_text", "text": text}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.send("response.create", **({"response": response} if response else {}))

    async def until(self, kind: str, count: int = 1) -> Message:
        """The `count`th message of this type, come or to come."""
        async with asyncio.timeout(PATIENCE):
            while len(found := self.of(kind)) < count:
                self._came.clear()
                await self._came.wait()
        return found[count - 1]

    async def refused(self, kind: str, **fields: Any) -> Message:
        """Send what will be refused; the error."""
        count = len(self.of("error"))
        await self.send(kind, event_id="mine", **fields)
        error: Message = (await self.until("error", count + 1))["error"]
        assert error["event_id"] == "mine"
        return error

    def of(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.messages]

    def sound(self, item_id: str) -> bytes:
        deltas = self.of("response.output_audio.delta")
        return b"".join(base64.b64decode(m["delta"]) for m in deltas if m["item_id"] == item_id)


@asynccontextmanager
async def peer(url: str, **options: Any) -> AsyncIterator[Peer]:
    """A client for the length of the block."""
    async with connect(url, max_size=None, proxy=None, **options) as link, asyncio.TaskGroup() as tasks:
        client = Peer(link)
        listening = tasks.create_task(client.listen())
        await client.until("session.created")
        yield client
        listening.cancel()


def seconds(sound: bytes) -> float:
    """How long PCM of 24 kHz lasts."""
    return pcm.samples(sound) / pcm.RATE
