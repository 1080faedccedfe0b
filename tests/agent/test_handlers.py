"""`agent.on(name)`: mmagent/agent/handlers.py."""

from __future__ import annotations

import asyncio
import logging

import pytest

from mmagent.agent import Handlers
from mmagent.core import events

SAID = events.UserSpeechCommitted("item_1", "Hello.", "user", False)


def test_handlers_are_called_in_order_with_the_event_or_with_nothing() -> None:
    handlers, called = Handlers(), list[object]()
    handlers.on("user_speech_committed", called.append)
    handlers.on("user_speech_committed", lambda: called.append("nothing"))
    handlers.on("agent_speech_committed", called.append)
    handlers.handle(0, SAID)
    assert called == [SAID, "nothing"]


def test_it_is_a_decorator_that_leaves_the_function_alone() -> None:
    handlers = Handlers()

    @handlers.on("closed")
    def end(event: events.Closed) -> None:
        seen.append(event.reason)

    seen: list[str] = []
    handlers.handle(0, events.Closed("done"))
    end(events.Closed("again"))
    assert seen == ["done", "again"]


def test_once_is_once() -> None:
    handlers, called = Handlers(), list[object]()
    handlers.once("user_speech_committed", called.append)
    handlers.handle(0, SAID)
    handlers.handle(0, SAID)
    assert called == [SAID]


def test_off_takes_one_away_even_while_handlers_are_called() -> None:
    handlers, called = Handlers(), list[object]()

    def first(event: object) -> None:
        handlers.off("user_speech_committed", first)
        called.append("first")

    handlers.on("user_speech_committed", first)
    handlers.on("user_speech_committed", called.append)
    handlers.handle(0, SAID)
    handlers.handle(0, SAID)
    assert called == ["first", SAID, SAID]
    handlers.off("user_speech_committed", first)


def test_a_name_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"no event 'user_spoke'.*user_speech_committed"):
        Handlers().on("user_spoke", print)


def test_a_handler_that_fails_is_reported_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    handlers, called = Handlers(), list[object]()

    def fail(_event: object) -> None:
        raise ValueError("It is broken.")

    handlers.on("user_speech_committed", fail)
    handlers.on("user_speech_committed", called.append)
    with caplog.at_level(logging.ERROR, "mmagent"):
        handlers.handle(0, SAID)
    assert called == [SAID]
    assert "A handler of user_speech_committed failed" in caplog.text
    assert "It is broken." in caplog.text


@pytest.mark.asyncio
async def test_coroutines_are_started_and_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    handlers, called = Handlers(), list[object]()

    async def slow(event: object) -> None:
        await asyncio.sleep(0)
        called.append(event)

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("It is broken.")

    handlers.on("user_speech_committed", slow)
    handlers.on("user_speech_committed", fail)
    with caplog.at_level(logging.ERROR, "mmagent"):
        handlers.handle(0, SAID)
        assert not called
        handlers.close()
        await handlers.finish()
    assert called == [SAID]
    assert "It is broken." in caplog.text
    await handlers.finish()
