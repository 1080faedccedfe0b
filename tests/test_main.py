import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmagent import __main__ as program
from mmagent import __version__
from mmagent.errors import ConfigError, DeviceError

Raises = Callable[[BaseException], None]


def mmagent(*args: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MMAGENT_", "OPENAI_", "LIVEKIT_"))}
    root = str(Path(program.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "mmagent", *args],
        cwd=cwd,
        env={**kept, "PYTHONPATH": root, "XDG_CONFIG_HOME": str(cwd), **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def raises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Raises:
    """Make every command line raise something."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def arrange(exc: BaseException) -> None:
        def run(args: list[str]) -> int:
            raise exc

        monkeypatch.setattr("mmagent.cli.run", run)

    return arrange


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from mmagent.__main__ import main; code = main(['--help']);"
        "heavy = {'numpy', 'livekit', 'sounddevice', 'rich', 'msgspec', 'websockets', 'dotenv', 'asyncio', 'tomllib'};"
        "print('HEAVY', sorted(heavy & set(sys.modules)), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: mmagent" in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY [] 0"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"mmagent {__version__} (Python 3.")


def test_no_arguments_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([]) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["confg"], 'There is no command "confg".', 'Did you mean "config"?'),
        (["dance"], 'There is no command "dance".', "The commands are talk-local, serve, models, config."),
        (["--verson"], "No such option: --verson (Possible options: --version).", "See `mmagent --help`."),
        (["config", "--treshold", "1"], None, "See `mmagent config --help`."),
        (["config", "--threshold"], "Option '--threshold' requires an argument.", "See `mmagent config --help`."),
        (["config", "extra"], "Got unexpected extra argument(s) (extra).", "See `mmagent config --help`."),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_a_hint(
    args: list[str], message: str | None, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(args) == 2
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert first.startswith("mmagent: ")
    assert message is None or first == f"mmagent: {message}"
    assert second == f"  {hint}"


def test_our_own_errors_have_their_exit_codes(raises: Raises, capsys: pytest.CaptureFixture[str]) -> None:
    raises(DeviceError("The microphone is busy.", "Close what uses it."))
    assert program.main(["x"]) == 4
    assert capsys.readouterr().err == "mmagent: The microphone is busy.\n  Close what uses it.\n"


def test_an_error_from_a_task_group_is_told_as_itself(raises: Raises, capsys: pytest.CaptureFixture[str]) -> None:
    inner = BaseExceptionGroup("b", [ValueError("because of it"), ConfigError("No key.")])
    raises(BaseExceptionGroup("a", [OSError("another"), inner]))
    assert program.main(["x"]) == 3
    assert capsys.readouterr().err == "mmagent: No key.\n"


def test_ctrl_c_is_quiet(raises: Raises, capsys: pytest.CaptureFixture[str]) -> None:
    raises(KeyboardInterrupt())
    assert program.main(["x"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_says_so_and_keeps_its_traceback(
    raises: Raises, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMAGENT_DEBUG", raising=False)
    raises(ZeroDivisionError("by nought"))
    assert program.main(["x"]) == program.EXIT_BUG
    (saved,) = tmp_path.glob("mmagent-*.txt")
    assert "ZeroDivisionError: by nought" in saved.read_text()
    err = capsys.readouterr().err
    assert err.startswith("mmagent: ZeroDivisionError: this is a bug in mmagent.\n")
    assert str(saved) in err
    assert "Traceback" not in err


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_bug_shows_its_traceback_when_asked(
    how: str, raises: Raises, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMAGENT_DEBUG", "1" if how == "variable" else "")
    raises(ZeroDivisionError("by nought"))
    assert program.main(["x", "-v"] if how == "flag" else ["x"]) == program.EXIT_BUG
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    assert not list(tmp_path.glob("mmagent-*.txt"))


def test_a_broken_pipe_of_something_else_is_no_reason_to_be_quiet(
    raises: Raises, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMAGENT_DEBUG", raising=False)
    raises(BrokenPipeError("the engine's socket"))
    assert program.main(["x"]) == program.EXIT_BUG


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such pipe on Windows")
@pytest.mark.parametrize("args", [["--help"], ["config"]])
def test_a_reader_that_leaves_ends_it_quietly(args: list[str], tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    root = str(Path(program.__file__).parents[1])
    command = [sys.executable, "-m", "mmagent", *args]
    environ = {**os.environ, "PYTHONPATH": root, "XDG_CONFIG_HOME": str(tmp_path)}
    with os.fdopen(write, "wb") as stdout:
        done = subprocess.run(
            command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environ, check=False
        )
    assert done.returncode == 0
    assert "Broken" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "environ", "code", "words"),
    [
        (["config", "--threshold", "2"], {}, 2, "a number from 0 to 1"),
        (["config"], {"MMAGENT_THRESHOLD": "2"}, 3, "environment MMAGENT_THRESHOLD"),
        (["config", "--preset", "offlin"], {}, 3, 'Did you mean "offline"?'),
        (["config", "--preset", "bad.toml"], {}, 3, "bad.toml, line 2, is not TOML"),
    ],
)
def test_exit_codes_from_outside(
    args: list[str], environ: dict[str, str], code: int, words: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text("voice = 'a'\nvoice\n")
    done = mmagent(*args, cwd=tmp_path, **environ)
    assert done.returncode == code
    assert done.stdout == ""
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_output_survives_a_narrow_encoding(tmp_path: Path) -> None:
    done = mmagent("config", "--voice", "Zoë", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "Zo\\xeb" in done.stdout
