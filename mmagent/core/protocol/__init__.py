"""The Realtime protocol's state machine, both roles in one class.

A `Protocol` takes bytes from its peer and says what they mean (`receive` -> happenings); it is told what to say by
methods and keeps the bytes
to be sent (`take`). What both ends know stands in `Conversation`; a message changes it in the same way
whether it was sent or received.

The rules of the client:

1. "The client must not need to send anything first": it waits for `session.created`, sends `session.update`, and asks
   for nothing before `session.updated` (trap 15).
2. Answers go through one gate: at most one is asked for or being made; further wishes wait for `response.done` (trap
   8).
3. What arrives for an item that was cut or deleted, or for an answer that is over, is dropped (trap 9).
4. At most one truncate an item. "Audio content of Xms is already shorter than Yms": once more with X - 1.
5. Nothing that a server sends can raise; what is not understood is left alone (tolerance rules 2 to 9).

The rules of the server:

1. `session.created` at once; a message that is refused has no effect at all, and the error names its `event_id`.
2. One answer at a time; a second `response.create` is refused as OpenAI refuses it.
3. Truncation fails with OpenAI's three sentences, and only shortens.
"""

from __future__ import annotations

from mmagent.core import happenings as h
from mmagent.core import wire
from mmagent.core.protocol.client import Client
from mmagent.core.protocol.functions import FunctionServer
from mmagent.core.protocol.link import Role
from mmagent.core.protocol.server import LEAST_COMMIT_MS

__all__ = ["LEAST_COMMIT_MS", "Protocol", "Role"]


class Protocol(Client, FunctionServer):
    """One end of a Realtime link."""

    def __repr__(self) -> str:
        return f"<Protocol {self.role.value} {self.conversation!r}, asked {self._asked}, wishes {len(self._wishes)}>"

    def receive(self, data: bytes) -> list[h.Happening]:
        """What a message of the peer means. Never raises: a broken peer is a happening, or nothing."""
        if self.role is Role.CLIENT:
            return list(self._from_server(wire.decode_server(data)))
        return list(self._from_client(wire.decode_client(data, self.dialect)))
