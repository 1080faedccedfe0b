"""Questions on the terminal: mmagent/cli/ask.py, with a pipe in the terminal's place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mmagent.cli.ask import Questions
from mmagent.core.commands import ToolCall

pytestmark = pytest.mark.asyncio

CALL = ToolCall("c", "delete", '{"path":"x"}')
PATIENCE = 20.0


class Terminal:
    """Where a test types, and what was shown."""

    def __init__(self) -> None:
        read, self.write = os.pipe()
        self.stream = os.fdopen(read)
        self.questions = Questions(self.stream)
        self.questions.tell = self.tell
        self.told: list[str] = []
        self.asked = asyncio.Event()
        self.closed = False

    def tell(self, text: str, hint: str) -> None:
        self.told.append(text)
        self.asked.set()

    def type(self, text: str) -> None:
        os.write(self.write, text.encode())

    def close(self) -> None:
        if not self.closed:
            os.close(self.write)
        self.closed = True

    async def answer(self, text: str, call: ToolCall = CALL) -> bool:
        """What comes of a question that is answered so."""
        self.asked.clear()
        asking = asyncio.get_running_loop().create_task(self.questions.ask(call))
        async with asyncio.timeout(PATIENCE):
            await self.asked.wait()
            if text:
                self.type(text)
            else:
                self.close()
            return await asking


@pytest_asyncio.fixture
async def terminal() -> AsyncIterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()
    reader = terminal.questions._reader
    if reader is not None:
        await asyncio.to_thread(reader.join)
    terminal.stream.close()


@pytest.mark.parametrize(
    ("typed", "allowed"), [("y\n", True), (" YES \n", True), ("n\n", False), ("\n", False), ("sure\n", False)]
)
async def test_yes_or_no(terminal: Terminal, typed: str, allowed: bool) -> None:
    assert await terminal.answer(typed) is allowed
    assert terminal.told == ['The assistant wants to call delete({"path":"x"}).']


async def test_one_question_after_another(terminal: Terminal) -> None:
    assert await terminal.answer("y\n")
    assert not await terminal.answer("n\n", ToolCall("d", "now", "{}"))
    assert terminal.told[1] == "The assistant wants to call now()."


async def test_the_end_of_the_terminal_is_a_no(terminal: Terminal) -> None:
    assert not await terminal.answer("")


async def test_a_question_that_was_given_up_takes_no_line(terminal: Terminal) -> None:
    asking = asyncio.get_running_loop().create_task(terminal.questions.ask(CALL))
    await terminal.asked.wait()
    asking.cancel()
    await asyncio.wait({asking})
    assert await terminal.answer("y\n")


async def test_in_a_chat_the_other_lines_pass_through(terminal: Terminal) -> None:
    lines = iter(terminal.questions)
    assert terminal.questions.isatty()
    with pytest.raises(OSError, match="line by line"):
        terminal.questions.fileno()
    terminal.type("Hello\n")
    assert await asyncio.to_thread(next, lines) == "Hello"
    reading = asyncio.get_running_loop().run_in_executor(None, next, lines, "")
    assert await terminal.answer("y\n")
    terminal.type("Thanks\n")
    assert await reading == "Thanks"
    assert terminal.questions._reader is None
