"""`--tools` and `--confirm-tools`: mmagent/cli/tools.py."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from mmagent import cli
from mmagent.cli.tools import open_tools
from mmagent.errors import ConfigError, UsageError


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    path = tmp_path / "tools.py"
    path.write_text("def weather(city: str) -> str: return city\n")
    return path


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fixture: pytest puts its own streams back between a fixture and the test."""
    monkeypatch.setattr(sys, "stdin", Tty())
    monkeypatch.setattr(sys, "stderr", Tty())


def test_no_tools() -> None:
    assert open_tools(None, False, silent=False) == (None, None)


def test_tools_without_questions(tools: Path) -> None:
    box, questions = open_tools(tools, False, silent=False)
    assert box is not None
    assert [tool.name for tool in box] == ["weather"]
    assert questions is None


def test_questions_before_every_function(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    box, questions = open_tools(tools, True, silent=False)
    assert box is not None
    assert questions is not None
    assert box.confirm == questions.ask
    assert box.confirm_all


def test_questions_before_those_that_want_it(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    tools.write_text("from mmagent import function_tool\n@function_tool(confirm=True)\ndef go() -> str: ...\n")
    box, questions = open_tools(tools, False, silent=False)
    assert box is not None
    assert questions is not None
    assert box.confirm == questions.ask
    assert not box.confirm_all


def test_nobody_to_ask(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(UsageError, match="no terminal to ask on"):
        open_tools(tools, True, silent=False)


def test_a_question_that_would_not_be_shown(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    with pytest.raises(UsageError, match="neither -q nor --json"):
        open_tools(tools, True, silent=True)


def test_nothing_to_ask_about() -> None:
    with pytest.raises(UsageError, match="there are none"):
        open_tools(None, True, silent=False)


def test_a_file_that_fails(tools: Path) -> None:
    tools.write_text("\n\n1 / 0\n")
    with pytest.raises(ConfigError, match=r"tools\.py:3: ZeroDivisionError"):
        open_tools(tools, False, silent=False)


def test_the_command_opens_the_tools_before_anything_else(tools: Path) -> None:
    tools.write_text("\n\n1 / 0\n")
    with pytest.raises(ConfigError, match=r"tools\.py:3: ZeroDivisionError: division by zero\."):
        cli.run(["talk-local", "--text", "--tools", str(tools)])
    with pytest.raises(UsageError, match="--confirm-tools"):
        cli.run(["talk-local", "--text", "--confirm-tools"])
