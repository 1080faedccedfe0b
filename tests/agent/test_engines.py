"""Which engine the settings name: mmagent/agent/engines.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmagent.agent.engines import DEFAULT_MODEL, ignored, open_engine, part_names
from mmagent.config import Loaded, load
from mmagent.engines.local.engine import LocalEngine
from mmagent.engines.remote import RemoteEngine
from mmagent.errors import ConfigError


def loaded(tmp_path: Path, environ: dict[str, str] | None = None, **given: str) -> Loaded:
    return load(given, (), {"XDG_CONFIG_HOME": str(tmp_path), **(environ or {})}, tmp_path)


def address(engine: Any) -> Any:
    assert isinstance(engine, RemoteEngine)
    return engine._address


def nothing(*_: object) -> None:
    return


def test_without_a_key_it_is_this_machine(tmp_path: Path) -> None:
    assert isinstance(open_engine(loaded(tmp_path), nothing), LocalEngine)


def test_with_a_key_it_is_openai(tmp_path: Path) -> None:
    found = address(open_engine(loaded(tmp_path, {"OPENAI_API_KEY": "sk-1"}), nothing))
    assert found.url == f"wss://api.openai.com/v1/realtime?model={DEFAULT_MODEL}"
    assert found.headers == {"Authorization": "Bearer sk-1"}


def test_openai_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        open_engine(loaded(tmp_path, engine="openai"), nothing)


def test_the_beta_dialect_says_so(tmp_path: Path) -> None:
    found = address(open_engine(loaded(tmp_path, {"OPENAI_API_KEY": "sk-1"}, dialect="beta"), nothing))
    assert found.headers["OpenAI-Beta"] == "realtime=v1"


def test_any_server_by_its_address(tmp_path: Path) -> None:
    found = address(open_engine(loaded(tmp_path, engine="ws://127.0.0.1:8765/v1", model="mine"), nothing))
    assert found.url == "ws://127.0.0.1:8765/v1/realtime?model=mine"
    assert found.headers == {}


def test_openais_key_goes_to_openai_only(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "sk-1", "MMAGENT_API_KEY": "other"}
    found = address(open_engine(loaded(tmp_path, keys, engine="wss://example.org/v1"), nothing))
    assert found.headers == {"Authorization": "Bearer other"}
    assert part_names(loaded(tmp_path, keys, brain="https://example.org/v1")).key == "other"
    assert part_names(loaded(tmp_path, keys, brain="https://api.openai.com/v1")).key == "sk-1"


@pytest.mark.parametrize("given", [{}, {"AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com"}])
def test_azure_needs_its_resource_and_a_deployment(tmp_path: Path, given: dict[str, str]) -> None:
    environ = {"AZURE_OPENAI_API_KEY": "az-1", **given}
    with pytest.raises(ConfigError):
        open_engine(loaded(tmp_path, environ, engine="azure"), nothing)


def test_azure(tmp_path: Path) -> None:
    environ = {"AZURE_OPENAI_API_KEY": "az-1", "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/"}
    found = address(open_engine(loaded(tmp_path, environ, engine="azure", model="gpt-realtime"), nothing))
    assert found.url == "wss://mine.openai.azure.com/openai/v1/realtime?model=gpt-realtime"
    assert found.headers == {"api-key": "az-1"}


def test_this_machine_has_no_semantic_vad(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no semantic_vad"):
        open_engine(loaded(tmp_path, engine="local", turn_detection="semantic_vad"), nothing)


def test_the_parts_that_were_named(tmp_path: Path) -> None:
    names = part_names(loaded(tmp_path, brain="mine.gguf", stt="whisper", tts="voice.onnx"))
    assert (names.brain, names.stt, names.tts) == ("mine.gguf", "whisper", "voice.onnx")
    usual = part_names(loaded(tmp_path))
    assert (usual.brain, usual.stt, usual.tts) == ("smollm2", "moonshine", "joe")


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({}, []),
        ({"engine": "local", "voice": "shimmer", "model": "gpt-realtime"}, ["model", "voice"]),
        ({"engine": "local", "voice": "joe.onnx", "threshold": "0.7"}, []),
        ({"engine": "ws://127.0.0.1:1/v1", "brain": "x.gguf", "voice": "cedar"}, ["brain"]),
    ],
)
def test_what_an_engine_cannot_use_is_named(flags: dict[str, object], names: list[str], tmp_path: Path) -> None:
    assert ignored(load(flags, [], {}, tmp_path)) == names
