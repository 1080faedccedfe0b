"""Functions that the model may call: mmagent/agent/tools.py, and with them a session: runner and core."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from mmagent.agent import MultimodalAgent, ToolBox, function_tool
from mmagent.agent import tools as tools_module
from mmagent.agent.tools import Confirm, Tool, text_of
from mmagent.core import happenings as h
from mmagent.core.commands import ToolCall
from mmagent.core.events import Announcement, Event, LinkUp, Received, ToolFinished
from mmagent.core.protocol import Protocol, Role
from mmagent.core.settings import SessionSettings
from mmagent.errors import ConfigError
from mmagent.transports import Emit, Settled

pytestmark = pytest.mark.asyncio

PATIENCE = 20.0
"""Seconds after which a test is taken for hung; none waits for it to pass."""


async def run(function: Any, arguments: str = "{}", *, confirm: Confirm | None = None) -> ToolFinished:
    """What comes of one call."""
    (finished,) = await run_all([function], [ToolCall("c", Tool(function).name, arguments)], confirm)
    return finished


async def run_all(functions: list[Any], calls: list[ToolCall], confirm: Confirm | None = None) -> list[ToolFinished]:
    box, done, all_done = ToolBox(functions, confirm=confirm), list[ToolFinished](), asyncio.Event()

    def emit(event: Event) -> None:
        assert isinstance(event, ToolFinished)
        done.append(event)
        if len(done) == len(calls):
            all_done.set()

    box.start(calls, emit)
    async with asyncio.timeout(PATIENCE):
        await all_done.wait()
    await box.close()
    assert sorted(finished.call_id for finished in done) == sorted(call.call_id for call in calls)
    return done


@dataclass
class Report:
    sky: str
    degrees: float


# --- describing -----------------------------------------------------------------------------------------------------


async def test_the_decorator_leaves_the_function_as_it_is() -> None:
    @function_tool
    def double(x: int) -> int:
        """Double a number."""
        return 2 * x

    @function_tool(name="half", description="Halve it.", timeout=1, confirm=True)
    def halve(x: int) -> float:
        return x / 2

    assert (double(2), halve(2)) == (4, 1.0)
    first, second = ToolBox([double, halve])
    assert (first.name, first.description, first.timeout, first.confirm) == ("double", "Double a number.", 30.0, False)
    assert (second.name, second.description, second.timeout, second.confirm) == ("half", "Halve it.", 1, True)


async def test_what_the_model_is_told() -> None:
    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    (spec,) = ToolBox([weather]).specs
    assert (spec.name, spec.description) == ("weather", "Tell the weather.")
    assert json.loads(spec.parameters)["required"] == ["city"]


async def test_names() -> None:
    def weather(city: str) -> str:
        return city

    with pytest.raises(ConfigError, match="Two tools are called weather"):
        ToolBox([weather, weather])
    with pytest.raises(ConfigError, match="<lambda>"):
        ToolBox([lambda: 1])
    with pytest.raises(ConfigError, match="wet weather"):
        ToolBox([function_tool(name="wet weather")(lambda: 1)])


# --- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        (None, ""),
        (7, "7"),
        (True, "true"),
        ({"sky": "clear"}, '{"sky":"clear"}'),
        ([1, "två"], '[1,"två"]'),
        (Report("clear", 21.5), '{"sky":"clear","degrees":21.5}'),
    ],
)
@pytest.mark.parametrize("coroutine", [True, False])
async def test_results_as_the_model_reads_them(result: Any, text: str, coroutine: bool) -> None:
    async def later() -> Any:
        return result

    def now() -> Any:
        return result

    assert await run(later if coroutine else now) == ToolFinished("c", text, is_error=False)
    assert text_of(result) == text


async def test_a_plain_function_runs_in_a_thread_of_its_own_with_the_context() -> None:
    room = contextvars.ContextVar("room", default="nowhere")
    room.set("kitchen")

    def where() -> str:
        return f"{room.get()} {threading.current_thread() is threading.main_thread()}"

    assert (await run(where)).output == "kitchen False"


async def test_a_plain_function_that_hands_back_a_coroutine() -> None:
    async def inner() -> str:
        return "inner"

    assert (await run(lambda_named("outer", lambda: inner()))).output == "inner"


def lambda_named(name: str, function: Callable[[], Any]) -> Any:
    return function_tool(name=name)(function)


async def test_arguments_arrive_converted() -> None:
    def forecast(report: Report, unit: Literal["C", "F"] = "C") -> str:
        return f"{type(report).__name__} {report.degrees + 1} {unit}"

    assert (await run(forecast, '{"report":{"sky":"clear","degrees":1}}')).output == "Report 2.0 C"


# --- what goes wrong ------------------------------------------------------------------------------------------------


def weather(city: str, days: int = 1) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"city":', "the arguments do not fit: Input data was truncated"),
        ("{}", "missing required field `city`"),
        ('{"city":"Oslo","planet":"Earth"}', "unknown field `planet`"),
        ('{"city":"Oslo","days":"two"}', "Expected `int`, got `str` - at `$.days`"),
        ('"Oslo"', "Expected `object`, got `str`"),
    ],
)
async def test_arguments_that_do_not_fit(arguments: str, words: str) -> None:
    finished = await run(weather, arguments)
    assert finished.is_error
    assert finished.output.startswith("Error: the arguments do not fit: ")
    assert words in finished.output


async def test_an_unknown_function() -> None:
    (finished,) = await run_all([weather], [ToolCall("c", "whether", "{}")])
    assert finished.output == "Error: there is no function 'whether'; the functions are: weather."


def raises(error: BaseException) -> Any:
    def tool() -> None:
        raise error

    return tool


def raises_later(error: BaseException) -> Any:
    async def tool() -> None:
        raise error

    return tool


@pytest.mark.parametrize("make", [raises, raises_later])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such city"), "Error: ValueError: no such city"),
        (ZeroDivisionError(), "Error: ZeroDivisionError"),
        (TimeoutError("the oven"), "Error: TimeoutError: the oven"),
        (asyncio.CancelledError(), "cancelled"),
        (SystemExit(3), "Error: SystemExit: 3"),
        (StopIteration("end"), "StopIteration"),
    ],
)
async def test_what_a_function_raises_is_told_without_a_traceback(
    make: Callable[[BaseException], Any], error: BaseException, words: str
) -> None:
    finished = await run(make(error))
    assert words.lower() in finished.output.lower()
    assert finished.is_error
    assert "Traceback" not in finished.output
    assert "\n" not in finished.output


async def test_a_result_that_json_cannot_carry() -> None:
    def odd() -> object:
        return object()

    finished = await run(odd)
    assert finished.is_error
    assert finished.output.startswith("Error: TypeError")


async def test_half_a_character_is_no_trouble() -> None:
    assert (await run(lambda_named("odd", lambda: "a\ud83d"))).output == "a?"


async def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    cancelled = asyncio.Event()

    @function_tool(timeout=0.01)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    finished = await run(slow)
    assert finished == ToolFinished("c", "Error: slow took longer than 0.01 s and was given up.", is_error=True)
    assert cancelled.is_set()


async def test_one_that_cannot_be_cancelled_holds_up_nobody() -> None:
    free = asyncio.Event()

    @function_tool(timeout=0.01)
    async def stubborn() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    box, done = ToolBox([stubborn]), asyncio.Queue[Event]()
    box.start([ToolCall("c", "stubborn", "{}")], done.put_nowait)
    async with asyncio.timeout(PATIENCE):
        finished = await done.get()
    assert isinstance(finished, ToolFinished)
    assert "given up" in finished.output
    free.set()
    await box.close()


async def test_a_thread_that_takes_too_long_is_left_to_itself() -> None:
    go_on = threading.Event()

    @function_tool(timeout=0.01)
    def slow() -> str:
        go_on.wait(PATIENCE)
        return "too late"

    finished = await run(slow)
    assert finished.is_error
    assert "took longer than 0.01 s" in finished.output
    go_on.set()


async def test_calls_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def meet() -> str:
        both.wait()
        return "met"

    done = await run_all([meet], [ToolCall("a", "meet", "{}"), ToolCall("b", "meet", "")])
    assert [finished.output for finished in done] == ["met", "met"]


async def test_the_end_cancels_what_runs() -> None:
    began = asyncio.Event()

    async def slow() -> None:
        began.set()
        await asyncio.Event().wait()

    box, done = ToolBox([slow]), list[Event]()
    box.start([ToolCall("c", "slow", "{}")], done.append)
    await began.wait()
    await box.close()
    assert done == [ToolFinished("c", "Error: the call was cancelled.", is_error=True)]


# --- asking before --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [True, False])
@pytest.mark.parametrize("allowed", [True, False])
async def test_the_user_is_asked(allowed: bool, later: bool) -> None:
    asked: list[ToolCall] = []

    async def confirm_later(call: ToolCall) -> bool:
        asked.append(call)
        return allowed

    def confirm(call: ToolCall) -> bool:
        asked.append(call)
        return allowed

    careful = function_tool(confirm=True)(lambda_named_weather())
    finished = await run(careful, '{"city":"Oslo"}', confirm=confirm_later if later else confirm)
    assert asked == [ToolCall("c", "weather", '{"city":"Oslo"}')]
    assert finished.is_error is not allowed
    assert finished.output == ("sunny in Oslo" if allowed else "Error: the user did not allow this call.")


def lambda_named_weather() -> Any:
    def copy(city: str) -> str:
        return f"sunny in {city}"

    copy.__name__ = "weather"
    return copy


async def test_nobody_is_asked_about_what_cannot_run_or_needs_no_asking() -> None:
    def never(call: ToolCall) -> bool:
        raise AssertionError(call)

    careful = function_tool(confirm=True)(lambda_named_weather())
    assert "do not fit" in (await run(careful, "{}", confirm=never)).output
    assert (await run(weather, '{"city":"Oslo"}', confirm=never)).output == "sunny in Oslo"


async def test_nobody_to_ask_or_no_answer_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    careful = function_tool(confirm=True)(lambda_named_weather())
    assert "not allow" in (await run(careful, '{"city":"Oslo"}')).output
    monkeypatch.setattr(tools_module, "CONFIRM_TIMEOUT", 0.01)

    async def silent(_call: ToolCall) -> bool:
        await asyncio.Event().wait()
        return True

    assert "not allow" in (await run(careful, '{"city":"Oslo"}', confirm=silent)).output


async def test_all_may_be_asked_about() -> None:
    box, done = ToolBox([weather], confirm=lambda _call: False, confirm_all=True), asyncio.Queue[Event]()
    box.start([ToolCall("c", "weather", '{"city":"Oslo"}')], done.put_nowait)
    async with asyncio.timeout(PATIENCE):
        assert "not allow" in str(await done.get())
    await box.close()


# --- in a session: the failure table of the reference, section 1.13 -------------------------------------------------


class Server:
    """An engine whose model first calls functions, and then says what it was told. No server of a network."""

    def __init__(self, *calls: tuple[str, str]) -> None:
        self.link = Protocol(Role.SERVER)
        self.outputs: list[str] = []
        self.replies = 0
        self.calls = calls
        self._closed = asyncio.Event()

    async def run(self, emit: Emit) -> None:
        self._emit = emit
        emit(LinkUp())
        self.link.open("sess_1", "test")
        self._tell()
        await self._closed.wait()

    def send(self, message: bytes) -> None:
        for happening in self.link.receive(message):
            if isinstance(happening, h.ItemPut):
                entry = self.link.conversation.entries[happening.item_id]
                if entry.kind == "function_call_output":
                    self.outputs.append(entry.text)
            if isinstance(happening, h.ReplyAsked):
                self._reply()
        self._tell()

    def _reply(self) -> None:
        self.replies += 1
        response = self.link.begin_response()
        if self.replies == 1:
            for number, (name, arguments) in enumerate(self.calls):
                item = self.link.begin_call(response, name, f"call_{number}")
                self.link.call_arguments(response, item, arguments)
                self.link.end_call(response, item)
        else:
            item = self.link.begin_item(response, spoken=False)
            self.link.words(response, item, "The end.", spoken=False)
            self.link.end_item(response, item, spoken=False, whole=True)
        self.link.end_response(response, "completed", "", h.UsageCount())

    def _tell(self) -> None:
        for message in self.link.take():
            self._emit(Received(message))

    async def settled(self) -> None:
        return

    def close(self) -> None:
        self._closed.set()


class Nobody:
    """A user who says nothing by himself."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    async def run(self, emit: Emit, settled: Settled) -> None:
        await self._closed.wait()

    def play(self, pcm: bytes) -> None:
        return

    def flush(self) -> None:
        return

    def notice(self, event: Announcement) -> None:
        return

    def close(self) -> None:
        self._closed.set()


def boom() -> None:
    raise RuntimeError("boom")


def report() -> dict[str, str]:
    return {"sky": "clear"}


def nothing() -> None:
    return


@function_tool(timeout=0.01)
async def slow() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("calls", "outputs"),
    [
        ([("boom", "{}")], ["Error: RuntimeError: boom"]),
        ([("report", "{}")], ['{"sky":"clear"}']),
        ([("nothing", "")], [""]),
        ([("whether", "{}")], ["Error: there is no function 'whether'; the functions are: "]),
        ([("weather", '{"city"')], ["Error: the arguments do not fit: "]),
        ([("weather", "{}")], ["Error: the arguments do not fit: Object missing required field `city`"]),
        ([("weather", '{"city":"Oslo"}'), ("report", "{}")], ["sunny in Oslo", '{"sky":"clear"}']),
        ([("slow", "{}")], ["Error: slow took longer than 0.01 s"]),
    ],
    ids=["raises", "dict", "None", "unknown", "bad JSON", "missing argument", "two calls", "slow"],
)
async def test_each_call_has_one_output_and_one_answer_follows(
    calls: list[tuple[str, str]], outputs: list[str]
) -> None:
    server = Server(*calls)
    settings = SessionSettings(modalities=("text",))
    agent = MultimodalAgent(engine=server, settings=settings, tools=[weather, boom, report, nothing, slow])
    told: list[str] = []
    agent.on("function_calls_collected", lambda event: told.extend(call["name"] for call in event.calls))
    agent.on("function_calls_finished", lambda event: told.extend(result["output"] for result in event.results))
    agent.on("agent_speech_committed", lambda message: agent.stop("enough"))
    agent.type("What is it like?")
    async with asyncio.timeout(PATIENCE):
        await agent.run(Nobody())
    assert len(server.outputs) == len(outputs)
    for output, beginning in zip(server.outputs, outputs, strict=True):
        assert output.startswith(beginning)
    assert server.replies == 2
    assert told == [*(name for name, _ in calls), *server.outputs]


async def test_an_agent_without_tools_still_answers_a_server_that_calls_one() -> None:
    server = Server(("weather", "{}"))
    agent = MultimodalAgent(engine=server, settings=SessionSettings(modalities=("text",)))
    agent.on("agent_speech_committed", lambda message: agent.stop("enough"))
    agent.type("What is it like?")
    async with asyncio.timeout(PATIENCE):
        await agent.run(Nobody())
    assert server.outputs == ["Error: there is no function 'weather'; the functions are: none."]


async def test_a_session_that_ends_does_not_wait_for_a_function() -> None:
    async def endless() -> None:
        await asyncio.Event().wait()

    server = Server(("endless", "{}"))
    agent = MultimodalAgent(engine=server, settings=SessionSettings(modalities=("text",)), tools=[endless])
    outputs: list[str] = []
    agent.on("function_calls_collected", lambda: agent.stop("enough"))
    agent.on("function_calls_finished", lambda event: outputs.extend(result["output"] for result in event.results))
    agent.type("What is it like?")
    async with asyncio.timeout(PATIENCE):
        end = await agent.run(Nobody())
    assert end.reason == "enough"
    assert outputs == ["Error: the session ended before the function had answered."]
