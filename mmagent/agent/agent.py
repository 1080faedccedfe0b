"""`MultimodalAgent`: one session with an engine, for programs and for the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import msgspec

from mmagent.agent.handlers import F, Handler, Handlers
from mmagent.agent.tools import ToolBox
from mmagent.core import commands, events
from mmagent.core.session import Session
from mmagent.core.settings import SessionSettings
from mmagent.engines import Engine
from mmagent.runner import Runner, Watch
from mmagent.sinks import Sink
from mmagent.transports import Transport


class MultimodalAgent:
    """A voice assistant: an engine that answers, with the settings of the session.

    agent = MultimodalAgent(engine=engine, settings=SessionSettings(greet="Hello!"))

    @agent.on("user_speech_committed")
    def heard(message):
        print(message.text)

    await agent.run(transport)
    """

    def __init__(
        self,
        *,
        engine: Engine,
        settings: SessionSettings | None = None,
        tools: ToolBox | Iterable[Callable[..., Any]] = (),
    ) -> None:
        """`tools` are the functions that the model may call (`function_tool`).

        Raises:
            ConfigError: One of them cannot be described to a model.
        """
        self._tools = tools if isinstance(tools, ToolBox) else ToolBox(tools)
        self.settings = settings or SessionSettings()
        if len(self._tools):
            self.settings = msgspec.structs.replace(self.settings, tools=self._tools.specs)
        self._engine = engine
        self._handlers = Handlers()
        self._runner: Runner | None = None
        self._early: list[events.Event] = []

    @overload
    def on(self, name: str) -> Callable[[F], F]: ...
    @overload
    def on(self, name: str, handler: F) -> F: ...
    def on(self, name: str, handler: Any = None) -> Any:
        """Call `handler(event)` whenever `name` happens (`core/events.py` lists them); also a decorator."""
        return self._handlers.on(name) if handler is None else self._handlers.on(name, handler)

    def once(self, name: str, handler: Handler) -> Handler:
        """The same, the next time only."""
        return self._handlers.once(name, handler)

    def off(self, name: str, handler: Handler) -> None:
        """Call it no more."""
        self._handlers.off(name, handler)

    async def run(
        self, transport: Transport, sinks: Iterable[Sink] = (), *, watch: Watch | None = None
    ) -> commands.End:
        """Talk through `transport` until the session ends; how it ended. Once an agent.

        Raises:
            MmagentError: An edge failed, or the engine refused to go on.
        """
        if self._runner is not None:
            raise RuntimeError("An agent runs once: make another one for another session.")
        sinks = [self._handlers, *sinks]
        self._runner = Runner(Session(self.settings), transport, self._engine, sinks, tools=self._tools, watch=watch)
        for event in self._early:
            self._runner.inbox.put(event)
        try:
            return await self._runner.run()
        finally:
            await self._handlers.finish()

    def type(self, text: str) -> None:
        """Say something to the agent in writing."""
        self._put(events.Typed(text))

    def interrupt(self) -> None:
        """Make the agent be silent."""
        self._put(events.Interrupt())

    def warn(self, text: str, hint: str = "") -> None:
        """Tell everyone who watches: a `warning`."""
        self._put(events.Trouble(text, hint))

    def stop(self, reason: str = "stopped") -> None:
        """End the session well."""
        self._put(events.Stop(reason))

    @property
    def _put(self) -> Callable[[events.Event], None]:
        return self._early.append if self._runner is None else self._runner.inbox.put
