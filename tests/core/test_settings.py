from __future__ import annotations

import pytest

from mmagent.core.settings import SessionSettings, TurnDetection


def test_the_seeds_defaults() -> None:
    settings = SessionSettings()
    assert settings.turn_detection == TurnDetection(
        type="server_vad", threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500
    )
    assert (settings.voice, settings.max_output_tokens, settings.modalities) == ("alloy", 2048, ("text", "audio"))


@pytest.mark.parametrize(("modalities", "speaks"), [(("text",), False), (("audio",), True), (("text", "audio"), True)])
def test_text_alone_is_legal(modalities: tuple[str, ...], speaks: bool) -> None:
    assert SessionSettings(modalities=modalities).speaks is speaks  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("interruptions", "detection", "expected"),
    [
        (True, TurnDetection(), True),
        (False, TurnDetection(), False),
        (True, TurnDetection(interrupt_response=False), False),
        (True, TurnDetection(type="semantic_vad"), True),
        (True, TurnDetection(type="none"), False),
    ],
)
def test_when_the_server_interrupts_by_itself(interruptions: bool, detection: TurnDetection, expected: bool) -> None:
    assert SessionSettings(interruptions=interruptions, turn_detection=detection).interrupts_response is expected
