"""The session outlives the socket: when to connect again, and what to keep meanwhile.

The rules (issue "sessions that survive"; reference, section 1.7: "A reconnect is a *new empty conversation*"):

1. A link that is lost is made again at once, then after waits that double up to `LONGEST_WAIT`. The waits begin anew
   only when the server took our settings: an upgrade alone can still be followed by a refusal.
2. What the microphone gives meanwhile is kept, the last two seconds of it and no more, and sent when the link is back.
3. After `GIVE_UP` without a link the session ends. A fatal refusal ends it at once.
4. A server that says when a session expires ends it after 60 minutes without a warning. Shortly before, between two
   turns, a new one takes over.
"""

from __future__ import annotations

from collections import deque

from mmagent.core import pcm

SECOND = 1_000_000

FIRST_WAIT = SECOND // 10

LONGEST_WAIT = 10 * SECOND

GIVE_UP = 10 * 60 * SECOND

KEEP = 2 * pcm.RATE
"""Samples of the microphone that are kept."""

ROTATE_AFTER = 55 * 60 * SECOND

ROTATE_AGAIN = 2 * SECOND
"""Somebody is speaking: the rotation waits so long before it looks again."""


class Lifeline:
    """The link as the session sees it. Times in microseconds since the session began."""

    def __init__(self) -> None:
        self.attempt = 0
        self._lost_at: int | None = None
        self._kept: deque[bytes] = deque()
        self._kept_samples = 0

    @property
    def cut(self) -> bool:
        """Whether the link is lost and not back yet."""
        return self._lost_at is not None

    @property
    def give_up_at(self) -> int | None:
        """When trying again is of no use any more."""
        return None if self._lost_at is None else self._lost_at + GIVE_UP

    def lost(self, now: int) -> int:
        """The link is lost, or could not be made; how long to wait before it is tried again."""
        if self._lost_at is None:
            self._lost_at = now
        self.attempt += 1
        return 0 if self.attempt == 1 else min(LONGEST_WAIT, FIRST_WAIT << min(self.attempt - 2, 20))

    def back(self, now: int) -> int:
        """The server took our settings; milliseconds that it was away."""
        away, self._lost_at, self.attempt = now - (self._lost_at or now), None, 0
        return away // 1000

    def keep(self, sound: bytes) -> None:
        """Microphone audio that cannot be sent now."""
        self._kept.append(sound)
        self._kept_samples += pcm.samples(sound)
        while self._kept_samples > KEEP:
            self._kept_samples -= pcm.samples(self._kept.popleft())

    def take_kept(self) -> list[bytes]:
        """What was kept, in order; it is given out once."""
        kept = list(self._kept)
        self._kept.clear()
        self._kept_samples = 0
        return kept
