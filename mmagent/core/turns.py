"""Whose turn it is, and the barge-in decision.

Whose turn it is follows from facts, not from a path: there is no state to get stuck in. The first row that holds, wins.

    closed          the session is over
    reconnecting    the link was up once and is down
    connecting      the session has not begun
    paused          the user asked for a pause
    speaking        the agent can be heard, or the transport has yet to obey a stop
    user_speaking   the engine hears speech
    thinking        an answer was asked for or is being made
    listening       otherwise

`speaking` stands above `user_speaking`: while both talk the agent has the word, until barge-in has taken it away.

Barge-in (design, section 7): the engine hears the user while the agent has something left to say. The answer is cut if
interruptions are wanted. A typed line and a key press always cut.
"""

from __future__ import annotations

import msgspec

from mmagent.core.events import State


class Facts(msgspec.Struct):
    """What is the case now."""

    closed: bool = False
    begun: bool = False
    ready: bool = False
    paused: bool = False
    audible: bool = False
    user_speaking: bool = False
    answer_due: bool = False

    @property
    def lost(self) -> bool:
        """The engine was there once and is not there now."""
        return self.begun and not self.ready

    @property
    def not_begun(self) -> bool:
        """The engine has not been ready yet."""
        return not self.begun


_ROWS: tuple[tuple[State, str], ...] = (
    ("closed", "closed"),
    ("reconnecting", "lost"),
    ("connecting", "not_begun"),
    ("paused", "paused"),
    ("speaking", "audible"),
    ("user_speaking", "user_speaking"),
    ("thinking", "answer_due"),
)


def state(facts: Facts) -> State:
    """The state that the facts amount to: the first row whose fact holds."""
    for name, fact in _ROWS:  # asked after every event, so no generator
        if getattr(facts, fact):
            return name
    return "listening"


def barge_in(*, interruptions: bool, something_to_cut: bool) -> bool:
    """Whether speech that the engine heard just now takes the word from the agent."""
    return interruptions and something_to_cut
