"""What a client may not ask a server of ours for, though the protocol has words for it; and how a session changes.

Undeclared fields and values outside OpenAI's lists are found before, by `wire.decode_client`. Here is what OpenAI
refuses by rules that no type can say, and what a machine that hears, thinks in text and speaks cannot do.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from mmagent.core import wire
from mmagent.core.protocol import forms
from mmagent.core.settings import TurnDetection

RATES = (16_000, 24_000)
"""Of PCM, in Hz. OpenAI's only is 24,000; many microphones and telephones have 16,000."""

PAIRS, NAME_LENGTH, VALUE_LENGTH = 16, 64, 512
"""Metadata: "16 pairs, 64/512 chars" (reference, section 1.2)."""


@dataclass(frozen=True)
class Refusal:
    """An `invalid_value`: one sentence, and the path of the field at fault."""

    reason: str
    param: str


# --- the session ----------------------------------------------------------------------------------------------


def of_session(session: wire.Session) -> Refusal | None:
    """What is wrong with a `session.update`."""
    audio = session.audio if isinstance(session.audio, wire.AudioConfig) else wire.AudioConfig()
    heard = audio.input if isinstance(audio.input, wire.AudioInput) else wire.AudioInput()
    if isinstance(heard.turn_detection, wire.TurnDetection) and heard.turn_detection.type == "semantic_vad":
        param = "session.audio.input.turn_detection.type"
        return Refusal("Invalid value: 'semantic_vad'. This server has server_vad only, or null.", param)
    if session.type == "transcription":
        given = [f for f in ("output_modalities", "instructions", "tools") if getattr(session, f) is not UNSET]
        if given or audio.output is not UNSET:
            name = given[0] if given else "audio.output"
            return Refusal(f"A session of type transcription has no '{name}'.", f"session.{name}")
    return (
        _of_format(heard.format, "session.audio.input.format")
        or _of_output(audio, "session.audio.output.format")
        or _of_modalities(session.output_modalities, "session.output_modalities")
    )


def updated(old: wire.Session, new: wire.Session, first: wire.Session) -> wire.Session:
    """The session after an update. `first` is what it was at the beginning: what is not said is as it was there.

    The model is fixed when the link is made, and what is said about it later changes nothing.
    """
    if new.type == "transcription":
        kept = merged(_audio(old).input, _audio(new).input)
        return wire.Session(
            type=new.type,
            audio=wire.AudioConfig(input=_filled(kept)),
            include=new.include,
            id=old.id,
            object="realtime.transcription_session",
        )
    if old.type == "transcription":
        old = msgspec.structs.replace(first, audio=merged(first.audio, old.audio))
    session: wire.Session = merged(old, msgspec.structs.replace(new, model=old.model))
    audio = _audio(session)
    spoken = audio.output if isinstance(audio.output, wire.AudioOutput) else wire.AudioOutput()
    spoken = msgspec.structs.replace(spoken, format=_whole(spoken.format))
    return msgspec.structs.replace(session, audio=wire.AudioConfig(input=_filled(audio.input), output=spoken))


def merged(old: Any, new: Any) -> Any:
    """`new` laid over `old`; where `new` says nothing, `old`."""
    return old if new is UNSET else forms.merge(old, new)


def _audio(session: wire.Session) -> wire.AudioConfig:
    return session.audio if isinstance(session.audio, wire.AudioConfig) else wire.AudioConfig()


def _filled(given: Any) -> wire.AudioInput:
    """ "Fill VAD defaults and echo" them: clients decide from `interrupt_response` who cancels (reference, 4.4)."""
    heard = given if isinstance(given, wire.AudioInput) else wire.AudioInput()
    detection = heard.turn_detection
    if isinstance(detection, wire.TurnDetection):
        usual = {f: getattr(TurnDetection(), f) for f in TurnDetection.__struct_fields__ if f != "eagerness"}
        said = {f: value for f in usual if (value := getattr(detection, f)) is not UNSET and value is not None}
        detection = wire.TurnDetection(**(usual | said))
    return msgspec.structs.replace(heard, format=_whole(heard.format), turn_detection=detection)


def _whole(given: wire.Format | msgspec.UnsetType | None) -> wire.Format:
    written = forms.encoding(given)
    return wire.Format(written.kind, written.rate) if written.kind == "audio/pcm" else wire.Format(written.kind)


# --- answers and items ----------------------------------------------------------------------------------------


def of_response(params: wire.ResponseParams | None, known: Container[str]) -> Refusal | None:
    """What is wrong with a `response.create`; `known` are the conversation's items."""
    if params is None:
        return None
    items = params.input if isinstance(params.input, list) else []
    for place, item in enumerate(items):
        path = f"response.input[{place}]"
        if item.type == "item_reference" and (item.id or "") not in known:
            return Refusal(f"There is no item with id '{item.id or ''}'.", f"{path}.id")
        if refusal := of_item(item, path):
            return refusal
    if params.conversation not in (UNSET, None, "auto", "none"):
        reason = f"Invalid value: '{params.conversation}'. Supported values are: 'auto', 'none'."
        return Refusal(reason, "response.conversation")
    audio = params.audio if isinstance(params.audio, wire.AudioConfig) else wire.AudioConfig()
    return (
        _of_metadata(params.metadata)
        or _of_output(audio, "response.audio.output.format")
        or _of_modalities(params.output_modalities, "response.output_modalities")
    )


def of_item(item: wire.Item, path: str) -> Refusal | None:
    """What is wrong with an item that a client brings. What nobody here would read is not taken in silence."""
    for place, part in enumerate(item.content or []):
        where = f"{path}.content[{place}]"
        if part.type == "input_image":
            return Refusal("This server has no eyes: it takes no images.", f"{where}.type")
        if part.type == "output_audio":
            return Refusal("Audio of the assistant cannot be created: bring its text.", f"{where}.type")
        if part.type == "input_audio" and part.transcript is None:
            reason = "This server hears the input audio buffer only: append the audio, or bring a transcript."
            return Refusal(reason, f"{where}.audio")
    return None


def _of_modalities(given: Any, path: str) -> Refusal | None:
    """'["audio"] or ["text"], never both' (reference, section 1.4)."""
    if not isinstance(given, list) or given in (["audio"], ["text"]):
        return None
    return Refusal(f"Invalid modalities: {given}. Supported combinations are: ['text'] and ['audio'].", path)


def _of_format(given: Any, path: str) -> Refusal | None:
    if not isinstance(given, wire.Format) or not isinstance(given.rate, int):
        return None
    if given.type in (UNSET, "audio/pcm"):
        if given.rate in RATES:
            return None
        rates = " and ".join(str(rate) for rate in RATES)
        return Refusal(f"Invalid value: {given.rate}. Supported rates are: {rates}.", f"{path}.rate")
    return None if given.rate == 8000 else Refusal(f"{given.type} has 8000 samples a second.", f"{path}.rate")


def _of_output(audio: wire.AudioConfig, path: str) -> Refusal | None:
    return _of_format(audio.output.format, path) if isinstance(audio.output, wire.AudioOutput) else None


def _of_metadata(given: Any) -> Refusal | None:
    if not isinstance(given, dict):
        return None
    if len(given) > PAIRS:
        return Refusal(f"Metadata has at most {PAIRS} pairs.", "response.metadata")
    for name, value in given.items():
        if len(name) > NAME_LENGTH or not isinstance(value, str) or len(value) > VALUE_LENGTH:
            reason = f"Metadata is text: names of {NAME_LENGTH} and values of {VALUE_LENGTH} characters at most."
            return Refusal(reason, f"response.metadata.{name[:NAME_LENGTH]}")
    return None
