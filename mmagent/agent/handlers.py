"""`agent.on(name)`: Python functions that are called when something happens.

Better than the reference (its section 1.2): handlers are called in the order in which they were added, may be coroutine
functions, and a handler that fails is reported and harms nothing.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, get_args, overload

from mmagent.core.events import Announcement, name_of

Handler = Callable[..., Awaitable[None] | None]
F = TypeVar("F", bound=Handler)

NAMES = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Announcement))
"""The names that can be listened to."""

logger = logging.getLogger("mmagent")


class Handlers:
    """The handlers of one agent. It is a sink: the session's announcements come to `handle`."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._running: set[asyncio.Future[None]] = set()

    @overload
    def on(self, name: str) -> Callable[[F], F]: ...
    @overload
    def on(self, name: str, handler: F) -> F: ...
    def on(self, name: str, handler: Any = None) -> Any:
        """Call `handler(event)` whenever `name` happens; without a handler, a decorator.

        Raises:
            ValueError: There is no event of that name.
        """
        if name not in NAMES:
            raise ValueError(f"There is no event {name!r}; the events are {', '.join(sorted(NAMES))}.")

        def add(function: F) -> F:
            self._handlers.setdefault(name, []).append(function)
            return function

        return add if handler is None else add(handler)

    def once(self, name: str, handler: Handler) -> Handler:
        """The same, the next time only."""

        def call(event: Announcement) -> Awaitable[None] | None:
            self.off(name, call)
            return _call(handler, event)

        self.on(name, call)
        return handler

    def off(self, name: str, handler: Handler) -> None:
        """Call it no more; a handler that is not there is no error."""
        known = self._handlers.get(name, [])
        if handler in known:
            known.remove(handler)

    def handle(self, _now: int, event: Announcement) -> None:
        """Call the handlers of this event, in order; coroutines are started."""
        for handler in tuple(self._handlers.get(name_of(event), ())):
            try:
                result = _call(handler, event)
            except Exception:
                logger.exception("A handler of %s failed", name_of(event))
                continue
            if inspect.isawaitable(result):
                self._start(name_of(event), result)

    def close(self) -> None:
        """What still runs may end by itself."""

    async def finish(self) -> None:
        """Wait for the coroutines that were started."""
        if self._running:
            await asyncio.wait(self._running)

    def _start(self, name: str, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:
                logger.exception("A handler of %s failed", name)

        task = asyncio.get_running_loop().create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _call(handler: Handler, event: Announcement) -> Awaitable[None] | None:
    """A handler may take the event or nothing."""
    takes = len(inspect.signature(handler).parameters)
    return handler(event) if takes else handler()
