"""Functions that the model may call.

    @function_tool
    async def weather(city: Annotated[str, "A city's name"]) -> str:
        '''Tell the weather.'''

    agent = MultimodalAgent(engine=engine, tools=[weather])

Whatever happens in a function becomes an output for the model: its result, or a sentence that says what went wrong.
Nothing that a function, or a model that calls it badly, does can end the session.

1. Every call that is started gets exactly one `ToolFinished`.
2. Arguments are checked and converted before the function runs (`schema.py`).
3. A plain function runs in a thread of its own; the calls of one answer run at the same time.
4. A function that takes too long is given up: a coroutine is cancelled, a thread is left to itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import re
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

from mmagent.agent.schema import Signature, signature_of
from mmagent.core.commands import ToolCall
from mmagent.core.events import Event, ToolFinished
from mmagent.core.settings import ToolSpec
from mmagent.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")

Confirm = Callable[[ToolCall], Awaitable[bool] | bool]
"""Asked before a function runs; False: it does not run, and the model is told so."""

TIMEOUT = 30.0
"""Seconds that a function may take, unless it says otherwise."""

CONFIRM_TIMEOUT = 60.0
"""Seconds for an answer to `Confirm`; none is a no."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What the protocol's servers take for a name."""


@dataclass(frozen=True)
class Options:
    """What `function_tool` was told. `name` and `description` "": the function's own."""

    name: str = ""
    description: str = ""
    timeout: float = TIMEOUT
    confirm: bool = False


@overload
def function_tool(function: F, /) -> F: ...
@overload
def function_tool(
    *, name: str = "", description: str = "", timeout: float = TIMEOUT, confirm: bool = False
) -> Callable[[F], F]: ...
def function_tool(
    function: Any = None, /, *, name: str = "", description: str = "", timeout: float = TIMEOUT, confirm: bool = False
) -> Any:
    """Mark a function as one that the model may call. The function itself stays as it is.

    Args:
        function: The function, where the decorator is used without parentheses.
        name: What the model calls it; the function's name if "".
        description: What it is for; the docstring if "".
        timeout: Seconds until it is given up.
        confirm: Whether the user is asked each time before it runs.
    """

    def mark(marked: F) -> F:
        marked.__mmagent_tool__ = Options(name, description, timeout, confirm)  # type: ignore[attr-defined]
        return marked

    return mark if function is None else mark(function)


def options_of(function: object) -> Options | None:
    """What `function_tool` was told of this function; None if it was not asked."""
    told = getattr(function, "__mmagent_tool__", None)
    return told if isinstance(told, Options) else None


class Tool:
    """A function with what the model must know of it.

    Raises:
        ConfigError: It cannot be described to a model.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        options = options_of(function) or Options()
        self.function = function
        self.name = options.name or getattr(function, "__name__", "")
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"A tool cannot be called {self.name!r}: a name has up to 64 letters, digits, _ and -.",
                'Give it one: @function_tool(name="...").',
            )
        self.signature: Signature = signature_of(function)
        self.description = options.description or self.signature.description
        self.timeout = options.timeout
        self.confirm = options.confirm

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        return ToolSpec(self.name, self.description, msgspec.json.encode(self.signature.parameters).decode())

    async def call(self, arguments: str) -> str:
        """Run it, however long it takes. Raises what it raises, and `ValueError` for arguments that do not fit."""
        placed, named = self.signature.bind(arguments)
        work = functools.partial(self.function, *placed, **named)
        try:
            result = await (work() if inspect.iscoroutinefunction(self.function) else _in_thread(work, self.name))
            if inspect.isawaitable(result):  # a plain function that hands back a coroutine
                result = await result
        except SystemExit as error:
            raise _Exit(f"SystemExit: {error}") from None  # it would end the whole program
        return text_of(result)


class ToolBox:
    """The functions of a session; the runner has them run.

    Args:
        tools: Functions, marked by `function_tool` or not.
        confirm: Asked before those run that want it.
        confirm_all: It is asked before every one.

    Raises:
        ConfigError: A function cannot be described, or two have one name.
    """

    def __init__(
        self,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        *,
        confirm: Confirm | None = None,
        confirm_all: bool = False,
    ) -> None:
        self.confirm = confirm
        self.confirm_all = confirm_all
        self._tools: dict[str, Tool] = {}
        self._running: set[asyncio.Task[Any]] = set()
        for each in tools:
            tool = each if isinstance(each, Tool) else Tool(each)
            if tool.name in self._tools:
                raise ConfigError(f"Two tools are called {tool.name}.", 'Rename one: @function_tool(name="...").')
            self._tools[tool.name] = tool

    @classmethod
    def from_file(cls, path: str | Path) -> ToolBox:
        """The functions of a Python file: those marked by `function_tool`, else every public one with annotations.

        Raises:
            ConfigError: The file cannot be read or run, has no functions, or one that cannot be described.
        """
        from mmagent.agent.toolfile import functions_in

        return cls(functions_in(Path(path)))

    def __len__(self) -> int:
        return len(self._tools)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told of them: `SessionSettings.tools`."""
        return tuple(tool.spec for tool in self)

    # --- running: what the runner asks for ---

    def start(self, calls: Iterable[ToolCall], emit: Callable[[Event], None]) -> None:
        """Run the calls, all at the same time; `emit` is given a `ToolFinished` for each."""
        for call in calls:
            self._spawn(self._run(call, emit))

    async def close(self) -> None:
        """Cancel what still runs, and give it a second to clean up."""
        running = set(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=1.0)

    def _spawn(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # of what was given up, nobody wants to know it

    async def _run(self, call: ToolCall, emit: Callable[[Event], None]) -> None:
        try:
            output, is_error = await self._output(call), False
        except (_Refused, _Exit) as refused:
            output, is_error = f"Error: {refused}", True
        except asyncio.CancelledError:
            output, is_error = "Error: the call was cancelled.", True
        except Exception as error:  # noqa: BLE001 - whatever a function throws is told to the model
            output, is_error = f"Error: {type(error).__name__}: {error}".rstrip(": "), True
        # Half a character cannot be sent: UTF-8 has no bytes for it.
        emit(ToolFinished(call.call_id, output.encode(errors="replace").decode(), is_error))

    async def _output(self, call: ToolCall) -> str:
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            raise _Refused(f"there is no function {call.name!r}; the functions are: {known}.")
        try:
            tool.signature.bind(call.arguments)
        except ValueError as error:
            raise _Refused(f"the arguments do not fit: {error}.") from None
        if (tool.confirm or self.confirm_all) and not await self._allowed(call):
            raise _Refused("the user did not allow this call.")
        # A task of its own: whoever does not let himself be cancelled holds up nobody.
        work = self._spawn(tool.call(call.arguments))
        try:
            done, _ = await asyncio.wait({work}, timeout=tool.timeout)
        finally:
            work.cancel()
        if not done:
            raise _Refused(f"{tool.name} took longer than {tool.timeout:g} s and was given up.")
        return work.result()

    async def _allowed(self, call: ToolCall) -> bool:
        """The user's word. Nobody to ask, or no answer, is a no."""
        if self.confirm is None:
            return False
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                answer = self.confirm(call)
                return await answer if inspect.isawaitable(answer) else bool(answer)
        except TimeoutError:
            return False


class _Refused(Exception):
    """A call that came to no result of its own; the text is for the model."""


class _Exit(Exception):
    """A function wanted to end the program."""


def text_of(result: object) -> str:
    """A result as the model reads it: text as it is, nothing for None, else JSON.

    Raises:
        TypeError: JSON cannot carry it.
    """
    if result is None:
        return ""
    return result if isinstance(result, str) else msgspec.json.encode(result).decode()


async def _in_thread(work: Callable[[], Any], name: str) -> Any:
    """`work()` in a thread of its own. One that never ends holds up neither the session nor the program's end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: Exception | None) -> None:
        if done.done():
            return  # given up
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result: Any = None
        error: Exception | None = None
        try:
            result = context.run(work)
        except Exception as caught:  # noqa: BLE001 - whatever it is, it belongs to whoever called
            # A future does not carry StopIteration.
            error = _Exit(f"StopIteration: {caught}") if isinstance(caught, StopIteration) else caught
        except BaseException as caught:  # noqa: BLE001 - SystemExit and the like end this thread only
            error = _Exit(f"{type(caught).__name__}: {caught}")
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            return  # the session is over

    threading.Thread(target=run, name=f"tool {name}", daemon=True).start()
    return await done
