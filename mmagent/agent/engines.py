"""Which engine the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from mmagent.config import SETTINGS, Loaded, engine_choice
from mmagent.core.settings import SessionSettings
from mmagent.engines import Engine
from mmagent.errors import ConfigError

if TYPE_CHECKING:
    from mmagent.engines.local.parts import PartNames, Progress
    from mmagent.engines.remote import Address

OPENAI = "https://api.openai.com/v1"

DEFAULT_MODEL = "gpt-realtime-2.1"
"""OpenAI's current model (reference, section 0)."""


def open_engine(loaded: Loaded, progress: Progress) -> Engine:
    """The engine of these settings, not running yet.

    Raises:
        ConfigError: A key is missing, or this engine cannot do what the settings ask for.
    """
    choice = engine_choice(loaded)
    if choice == "local":
        return _local(loaded, progress)
    from mmagent.engines.remote import RemoteEngine

    return RemoteEngine(_address(choice, loaded))


def _local(loaded: Loaded, progress: Progress) -> Engine:
    from mmagent.engines.local.engine import LocalEngine

    settings = loaded.settings
    if settings.turn_detection == "semantic_vad":
        raise ConfigError(
            "The local engine has no semantic_vad.", "Use --turn-detection server_vad, or none for push to talk."
        )
    speaks = "audio" in settings.modalities
    return LocalEngine(
        part_names(loaded), temperature=settings.temperature, speaks=speaks, progress=progress, dialect=settings.dialect
    )


def calls_functions(loaded: Loaded) -> bool:
    """Whether the engine of these settings can call functions, as far as one can know."""
    return engine_choice(loaded) != "local" or loaded.settings.brain.startswith(("http://", "https://"))


def session_settings(loaded: Loaded) -> SessionSettings:
    """What the session is to know. Models of this machine are named so, because they cost nothing."""
    settings = loaded.session()
    if engine_choice(loaded) == "local" and not loaded.settings.brain.startswith("http"):
        return msgspec.structs.replace(settings, model="local", transcription_model="local")
    return settings


_LOCAL_ONLY = ("brain", "stt", "tts")
_REMOTE_ONLY = ("model", "transcription_model", "eagerness")


def ignored(loaded: Loaded) -> list[str]:
    """The settings that somebody set and that mean nothing to this engine: they are told, not dropped in silence."""
    local = engine_choice(loaded) == "local"
    names = [*_REMOTE_ONLY, "voice"] if local else [*_LOCAL_ONLY]
    if local and loaded.settings.voice.endswith(".onnx"):
        names.remove("voice")
    if local and loaded.settings.brain.startswith("http"):
        names.remove("model")  # it is the endpoint's
    return [name for name in names if getattr(loaded.settings, name) != SETTINGS[name].default]


def part_names(loaded: Loaded) -> PartNames:
    """Which models the local engine is to be made of."""
    from mmagent.engines.local.parts import PartNames

    settings, usual = loaded.settings, PartNames()
    return PartNames(
        brain=settings.brain or usual.brain,
        stt=settings.stt or usual.stt,
        tts=settings.tts or (settings.voice if settings.voice.endswith(".onnx") else usual.tts),
        model=settings.model,
        key=_key_for(settings.brain, loaded),
    )


def _address(choice: str, loaded: Loaded) -> Address:
    """Where the server is, with its key in a header."""
    from mmagent.engines.remote import Address, realtime_url

    model = loaded.settings.model
    if choice == "azure":
        base = loaded.variable("AZURE_OPENAI_ENDPOINT")
        if not base:
            raise ConfigError(
                "The engine azure needs the address of its resource.",
                "Set AZURE_OPENAI_ENDPOINT to https://NAME.openai.azure.com.",
            )
        if not model:
            raise ConfigError("The engine azure needs the name of a deployment.", "Give it as --model NAME.")
        url = realtime_url(base.rstrip("/").removesuffix("/openai/v1") + "/openai/v1", model)
        return Address(url, {"api-key": loaded.secret("AZURE_OPENAI_API_KEY") or ""})
    base = (loaded.variable("OPENAI_BASE_URL") or OPENAI) if choice == "openai" else choice
    key = loaded.secret("OPENAI_API_KEY") if choice == "openai" else _key_for(choice, loaded)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if loaded.settings.dialect == "beta":
        headers["OpenAI-Beta"] = "realtime=v1"
    return Address(realtime_url(base, model or DEFAULT_MODEL), headers)


def _key_for(url: str, loaded: Loaded) -> str:
    """The key for a server that is named by its address: OpenAI's own for OpenAI only, else `MMAGENT_API_KEY`."""
    openai = {urlsplit(base).hostname for base in (OPENAI, loaded.variable("OPENAI_BASE_URL") or OPENAI)}
    name = "OPENAI_API_KEY" if urlsplit(url).hostname in openai else "MMAGENT_API_KEY"
    return loaded.secret(name) or ""
