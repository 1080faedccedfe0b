"""What both roles of a Realtime link share: the conversation, ids, and the messages to be sent."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from mmagent.core import wire
from mmagent.core.conversation import Conversation
from mmagent.core.settings import Dialect


class Role(Enum):
    """Which end of the link we are."""

    CLIENT = "client"
    SERVER = "server"


def counter(prefix: str) -> Iterator[str]:
    """Ids without chance, so that a session replays: `item_000001`, `item_000002`, ..."""
    number = 0
    while True:
        number += 1
        yield f"{prefix}_{number:06d}"


class Link:
    """One end of a Realtime link. `ids` makes this end's ids unique among those who share a server."""

    def __init__(self, role: Role, *, dialect: Dialect = "ga", ids: str = "") -> None:
        self.role = role
        self.dialect: Dialect = dialect
        self.conversation = Conversation()
        self._out: list[bytes] = []
        self._event_ids = counter(f"evt{ids}" if role is Role.CLIENT else f"event{ids}")
        self._item_ids = counter(f"msg{ids}" if role is Role.CLIENT else f"item{ids}")

    def take(self) -> list[bytes]:
        """The messages to be sent now, in order; each is given out once."""
        out, self._out = self._out, []
        return out

    @property
    def response(self) -> str | None:
        """The answer that is being made."""
        return self.conversation.response

    def _send(self, message: wire.ClientMessage | wire.ServerMessage) -> None:
        data = wire.encode(message, self.dialect)
        if data:
            self._out.append(data)

    def _event_id(self) -> str:
        return next(self._event_ids)
