"""Which engine the settings name."""

from __future__ import annotations

from mmagent.config import Loaded, engine_choice
from mmagent.engines import Engine
from mmagent.engines.local.parts import PartNames, Progress
from mmagent.errors import ConfigError


def open_engine(loaded: Loaded, progress: Progress) -> Engine:
    """The engine of these settings, not running yet.

    Raises:
        ConfigError: A key is missing, or this engine cannot do what the settings ask for.
    """
    choice = engine_choice(loaded)
    settings = loaded.settings
    if choice != "local":
        raise ConfigError(
            f"This version cannot talk to the engine {choice}.",
            "Use --engine local, which needs no key and no network.",
        )
    if settings.turn_detection == "semantic_vad":
        raise ConfigError(
            "The local engine has no semantic_vad.", "Use --turn-detection server_vad, or none for push to talk."
        )
    from mmagent.engines.local.engine import LocalEngine

    usual = PartNames()
    names = PartNames(
        settings.brain or usual.brain,
        settings.stt or usual.stt,
        settings.tts or usual.tts,
        loaded.secret("OPENAI_API_KEY") or "",
    )
    return LocalEngine(
        names, temperature=settings.temperature, speaks="audio" in settings.modalities, progress=progress
    )
