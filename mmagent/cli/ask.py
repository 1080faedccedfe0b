"""Yes or no, asked on the terminal in the middle of a session: what `--confirm-tools` needs.

The question is told as a warning, so that it comes in its place whatever the screen is made of; the next line that is
typed answers it. In a typed chat that line must not become the user's turn, so `Questions` is the chat's standard
input, too: it passes on the lines that answer nothing.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

from mmagent.core.commands import ToolCall

YES = ("y", "yes")


class Questions:
    """Asks on the terminal that `stream` reads. `tell` shows a sentence and a hint."""

    def __init__(self, stream: TextIO) -> None:
        self.tell: Callable[[str, str], None] = lambda _text, _hint: None
        self._stream = stream
        self._pending: deque[Callable[[str], None]] = deque()
        self._one_at_a_time = asyncio.Lock()
        self._read_by_chat = False
        self._reader: threading.Thread | None = None

    async def ask(self, call: ToolCall) -> bool:
        """Whether the user lets the call run. Waits for a line, however long that takes."""
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[str] = loop.create_future()

            def settle(line: str) -> None:
                loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(line))

            self._pending.append(settle)
            self._listen()
            arguments = "" if call.arguments.strip() in ("", "{}") else call.arguments
            self.tell(f"The assistant wants to call {call.name}({arguments}).", "y and Enter: yes; anything else: no.")
            try:
                return (await answer).strip().lower() in YES
            finally:
                if settle in self._pending:  # nobody waits for the answer any more
                    self._pending.remove(settle)

    # --- as the standard input of a typed chat ---

    def isatty(self) -> bool:
        """It is one."""
        return True

    def fileno(self) -> int:
        """None of its own: it is to be read line by line."""
        raise OSError("read it line by line")

    def __iter__(self) -> Iterator[str]:
        """The lines that answer no question, as they are typed."""
        self._read_by_chat = True
        for line in self._lines():
            if self._pending:
                self._pending.popleft()(line)
            else:
                yield line

    # --- reading ---

    def _listen(self) -> None:
        """Where there is no chat, lines are read from the first question on; those that answer nothing are lost."""
        if self._read_by_chat or self._reader is not None:
            return
        self._reader = threading.Thread(target=lambda: deque(self, maxlen=0), name="questions", daemon=True)
        self._reader.start()

    def _lines(self) -> Iterator[str]:
        """Not by `input` or the stream itself: their locks and modes would outlive a thread that is left behind."""
        rest = b""
        while data := self._read():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
        for settle in tuple(self._pending):
            settle("")  # the end of the terminal is a no

    def _read(self) -> bytes:
        try:
            return os.read(self._stream.fileno(), 1 << 16)
        except OSError:
            return b""
