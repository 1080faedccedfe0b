"""`--tools FILE.py`: mmagent/agent/toolfile.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmagent.agent import ToolBox
from mmagent.errors import EXIT_CONFIG, ConfigError


def box(folder: Path, text: str, name: str = "tools.py") -> ToolBox:
    (folder / name).write_text(text)
    return ToolBox.from_file(folder / name)


def names(tools: ToolBox) -> list[str]:
    return [tool.name for tool in tools]


def test_the_marked_ones(tmp_path: Path) -> None:
    tools = box(
        tmp_path,
        "from mmagent import function_tool\n"
        "def helper(x: int) -> int: return x\n"
        "@function_tool\n"
        "def weather(city: str) -> str: return city\n"
        "@function_tool(name='clock', timeout=3, description='The time.')\n"
        "async def now() -> str: return ''\n",
    )
    assert names(tools) == ["weather", "clock"]
    clock = list(tools)[1]
    assert (clock.timeout, clock.description) == (3, "The time.")


def test_else_every_public_one_with_annotations_that_is_its_own(tmp_path: Path) -> None:
    tools = box(
        tmp_path,
        "from __future__ import annotations\n"
        "from os.path import join\n"
        "from textwrap import dedent\n"
        "class Home: ...\n"
        "def weather(city: str) -> str: return city\n"
        "def main(): ...\n"
        "def _private(x: int) -> int: return x\n"
        "twin = weather\n",
    )
    assert names(tools) == ["weather"]


def test_files_beside_it_and_types_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("HOME = 'Oslo'\n")
    tools = box(
        tmp_path,
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "import beside_it\n"
        "@dataclass\n"
        "class Place:\n"
        "    name: str = beside_it.HOME\n"
        "def weather(place: Place) -> str: return place.name\n",
    )
    assert next(iter(tools)).signature.bind('{"place":{}}')[1]["place"].name == "Oslo"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def weather(city: str) ->\n", "tools.py:1: SyntaxError"),
        ("import json\n\nnowhere()\n", "tools.py:3: NameError: name 'nowhere' is not defined."),
        ("import json\njson.loads('{')\n", "tools.py:2: JSONDecodeError"),
        ("import no_such_module\n", "tools.py:1: ModuleNotFoundError"),
        ("raise SystemExit('no')\n", "tools.py:1: SystemExit: no."),
        ("open('/no/such/file')\n", "tools.py:1: FileNotFoundError"),
        ("x = 1\n", "has no functions"),
        ("\ndef weather(city) -> str: ...\n", "tools.py:2: The tool weather does not say what type"),
        ("def weather(city: str, *rest: int) -> str: ...\n", "tools.py:1: The tool weather takes any number"),
        ("\0", "tools.py"),
    ],
)
def test_what_goes_wrong_is_one_sentence_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        box(tmp_path, text)
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == EXIT_CONFIG


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.py is missing"):
        ToolBox.from_file(tmp_path / "none.py")
