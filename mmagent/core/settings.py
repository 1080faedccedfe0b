"""What a session needs to be told before it begins. `mmagent.config` fills these in and says where each came from."""

from __future__ import annotations

from typing import Literal

import msgspec

Modality = Literal["audio", "text"]
Dialect = Literal["ga", "beta"]
Eagerness = Literal["auto", "low", "medium", "high"]


SAY = "Say to the user, word for word: "
"""The instructions of a greeting begin so. The local engine, whose model is small, then says the rest by itself."""


class TurnDetection(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine finds the end of the user's turn. Every field has its own default (seed, "Turn detection").

    `threshold` is a speech probability. `prefix_padding_ms` is audio kept from before the detected start; it is *not* a
    least length of speech, whatever the seed's first description says (it contradicts itself further down).
    `silence_duration_ms` ends the turn. `idle_timeout_ms` makes the engine speak up after so long a silence
    (None: never).
    """

    type: Literal["server_vad", "semantic_vad", "none"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None


class ToolSpec(msgspec.Struct, frozen=True):
    """A function that the model may call. `parameters` is the JSON schema of its arguments, an object, as text."""

    name: str
    description: str
    parameters: str


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the core reads. `max_output_tokens` None means `inf`; limits None mean without limit.

    `temperature` None: the model's own; GA has none. `tool_filler` is said when a tool takes its time; "": nothing.
    """

    model: str = ""
    dialect: Dialect = "ga"
    instructions: str = ""
    voice: str = "alloy"
    temperature: float | None = None
    max_output_tokens: int | None = 2048
    modalities: tuple[Modality, ...] = ("text", "audio")
    turn_detection: TurnDetection = TurnDetection()
    transcription_model: str = "gpt-4o-mini-transcribe"
    interruptions: bool = True
    greet: str = ""
    tools: tuple[ToolSpec, ...] = ()
    max_tool_rounds: int = 8
    tool_filler: str = ""
    max_minutes: float | None = None
    max_cost: float | None = None

    @property
    def speaks(self) -> bool:
        """Whether answers are to be audio. Text alone is a legal choice."""
        return "audio" in self.modalities

    @property
    def interrupts_response(self) -> bool:
        """Whether the server stops its answer by itself when it hears the user."""
        return self.interruptions and self.turn_detection.type != "none" and self.turn_detection.interrupt_response
