"""The group of commands: mmagent/cli/__init__.py."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmagent import cli

ROOT = str(Path(cli.__file__).parents[2])


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_a_file_and_says_what_its_line_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert importlib.util.find_spec(f"mmagent.cli.{name.replace('-', '_')}") is not None
    assert cli.run([name, "--help"]) == 0
    assert f"Usage: mmagent {name}" in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for name, line in cli.COMMANDS.items():
        assert f"{name} {line}" in words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("mmagent ", {"talk-local", "serve", "models", "config"}),
        ("mmagent config --preset no", {"noisy-room"}),
        ("mmagent config --dialect ", {"ga", "beta"}),
        ("mmagent config --no-int", {"--no-interruptions", "--no-interrupt-response"}),
    ],
)
def test_the_shell_completes(line: str, words: set[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmagent"],
        env={
            **os.environ,
            "PYTHONPATH": ROOT,
            "XDG_CONFIG_HOME": str(tmp_path),
            "_MMAGENT_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        },
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert set(done.stdout.split()) == words
