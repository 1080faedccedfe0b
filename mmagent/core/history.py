"""The conversation: items in order, with the text that was heard.

The rules:

1. Items stand in the order in which they began to be spoken (or were typed), whatever order their texts arrive in.
2. Each item is settled exactly once: committed (all of it was said and heard) or interrupted (cut where the ledger
   says).
3. The text of an interrupted item is what was heard, ends at a word, and is what everything later goes by.
4. An item of which nothing was heard stays out of the text that is sent again after a reconnection.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mmagent.core.alignment import Alignment
from mmagent.core.events import Role

Outcome = Literal["open", "committed", "interrupted"]


class Item(msgspec.Struct):
    """One turn of one side. Times in microseconds since the session began: when it was heard to begin and to end.

    `cut`: nothing more of it is wanted, though what was heard of it is not known yet. `broken`: the link was lost in
    the middle of it, and what is here is all there will be.
    """

    id: str
    role: Role
    words: Alignment
    outcome: Outcome = "open"
    text: str = ""
    started_at: int | None = None
    ended_at: int | None = None
    has_audio: bool = False
    written: bool = False
    all_here: bool = False
    response_id: str = ""
    shown: tuple[int, int] = (0, 0)
    cut: bool = False
    broken: bool = False


class History:
    """The items of a session."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}

    def items(self) -> list[Item]:
        """The items in order."""
        return list(self._items.values())

    def get(self, item_id: str) -> Item | None:
        """The item of that id, if it is known."""
        return self._items.get(item_id)

    def ensure(self, item_id: str, role: Role) -> Item:
        """The item of that id; a new one goes to the end."""
        if item_id not in self._items:
            self._items[item_id] = Item(item_id, role, Alignment())
        return self._items[item_id]

    def open_items(self, role: Role) -> list[Item]:
        """The items of one side that are not settled yet, in order."""
        return [item for item in self._items.values() if item.role == role and item.outcome == "open"]

    def settle(self, item: Item, outcome: Outcome, text: str, now: int) -> bool:
        """Commit or interrupt an item. False if that was done before: rule 2."""
        if item.outcome != "open":
            return False
        item.outcome, item.text = outcome, text
        if item.ended_at is None and item.started_at is not None:
            item.ended_at = now
        return True
