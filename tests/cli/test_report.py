import io
import sys

import pytest

from mmagent.cli import report
from mmagent.errors import UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_an_error_is_plain_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    report.error(UsageError("It is wrong.", "Do it right."))
    assert capsys.readouterr() == ("", "mmagent: It is wrong.\n  Do it right.\n")


def test_an_error_without_a_hint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report.error(UsageError("It is wrong."))
    assert capsys.readouterr().err == "mmagent: It is wrong.\n"


def test_an_error_has_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    report.error(UsageError("It is wrong."))
    assert "\x1b[1;31mmmagent:\x1b[0m It is wrong." in sys.stderr.getvalue()  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert not report.coloured(Terminal())


def test_a_files_name_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    report.error(UsageError("There is no \x1b[2Jfile\n.wav."))
    assert capsys.readouterr().err == "mmagent: There is no \\x1b[2Jfile\\n.wav.\n"


def test_a_table_in_a_pipe_is_columns_that_are_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    report.table(("Name", "What"), [("a", "x" * 300), ("long name", "y")])
    assert capsys.readouterr().out == f"name       what\na          {'x' * 300}\nlong name  y\n"


def test_a_table_on_a_terminal_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    report.table(("Name", "What"), [("a", "[bold]" + "x" * 80)])
    text = sys.stdout.getvalue()  # type: ignore[union-attr]
    assert text.count("x") == 80
    assert "[bold]" in text
