"""What the README shows is true: its commands parse, its code runs as far as its names go, its tables name what exists.

The two set-up commands are run as printed by `.ci/run`; what the examples do is tested in tests/cli/test_talk_local.py.
"""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from mmagent.agent.handlers import NAMES
from mmagent.cli import COMMANDS, app
from mmagent.config import presets

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND_LINES = re.findall(r"^    (.*\bmmagent (?:talk-local|serve|models|config)\b.*)$", README, re.MULTILINE)
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def mmagent_parts(line: str) -> list[list[str]]:
    """The arguments of each `mmagent` in a pipeline, without comments and redirections."""
    found = []
    for part in re.split(r"\s(?:\||&&)\s", re.sub(r"\s+#.*$", "", line)):
        words = shlex.split(re.sub(r"\s[<>]\s*\S+", "", part))
        if words and words[0].endswith("mmagent"):
            found.append(words[1:])
    return found


def test_there_are_commands_and_code_to_check() -> None:
    assert len(COMMAND_LINES) >= 10
    assert len(CODE) >= 2


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_each_command_parses(line: str) -> None:
    parts = mmagent_parts(line)
    assert parts, line
    group = typer.main.get_command(app)
    for name, *args in parts:
        command = group.get_command(group.make_context("mmagent", [name], resilient_parsing=True), name)  # type: ignore[attr-defined]
        command.make_context(name, args)


@pytest.mark.parametrize("code", CODE)
def test_each_piece_of_code_names_what_exists(code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mmagent"):
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name), f"{node.module}.{name.name}"


def test_events_files_and_presets_that_are_named_exist() -> None:
    assert set(re.findall(r'"event": "(\w+)"', README)) <= NAMES
    for script in re.findall(r"`(\w+\.py)` \|$", README, re.MULTILINE):
        assert (ROOT / "tests" / "benchmarks" / script).is_file(), script
    for name in presets({}):
        assert f"`{name}`" in README
    assert {"talk-local", "serve", "models", "config"} == set(COMMANDS)
