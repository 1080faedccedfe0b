"""Who answers.

    local   this machine: voice activity detection, speech to text, a language model, text to speech

An engine moves messages of the Realtime protocol and gives them no meaning: the session knows the client's role.
Every member passes `tests/engines/conformance.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mmagent.core.events import Event

Emit = Callable[[Event], None]
"""Tells the session an event. Never blocks."""


class Engine(Protocol):
    """The model's side of a session."""

    async def run(self, emit: Emit) -> None:
        """Serve one session until `close`: emit `LinkUp`, then `Received` for each message, `LinkDown` when lost.

        Raises an `MmagentError` when there is no beginning: no key, no model, no server. After a loss it may be run
        again; what was sent before is forgotten then.
        """
        ...

    def send(self, message: bytes) -> None:
        """Hand over a client message. Never blocks."""
        ...

    async def settled(self) -> None:
        """Wait until all that was sent has been dealt with, as far as this engine can know."""
        ...

    def close(self) -> None:
        """Make `run` return soon."""
        ...
