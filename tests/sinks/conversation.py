"""A whole conversation as a session announces it: a barge-in, a tool call, an error, a late transcript, usage."""

from __future__ import annotations

import mmagent.core.events as e
from mmagent.core.events import Announcement

SCRIPT: list[tuple[float, Announcement]] = [
    (0.0, e.AgentStateChanged("connecting", "closed")),
    (0.35, e.AgentStateChanged("listening", "connecting")),
    (1.0, e.UserStartedSpeaking("u1", 700)),
    (1.0, e.AgentStateChanged("user_speaking", "listening")),
    (1.5, e.UserTranscript("u1", "how far is it")),
    (2.0, e.UserTranscript("u1", "How far is it from Oslo to")),
    (2.9, e.UserStoppedSpeaking("u1", 2900)),
    (2.9, e.AgentStateChanged("thinking", "user_speaking")),
    (3.1, e.AgentTranscript("a1", "", "It is about four hundred and sixty kilometres by road, [roughly].")),
    (3.2, e.AgentStartedSpeaking("a1")),
    (3.2, e.AgentStateChanged("speaking", "thinking")),
    (3.2, e.MetricsCollected("a1", 640, 500, 80, 50, 10)),
    (3.3, e.UserSpeechCommitted("u1", "How far is it from Oslo to Bergen?", "user", False, 1_000_000, 2_900_000)),
    (4.2, e.AgentTranscript("a1", "It is about four ", "hundred and sixty kilometres by road, [roughly].")),
    (4.4, e.Usage("r1", 120, 45, 120, 45, 0.0021, 0.0021)),
    (4.6, e.AgentTranscript("a1", "It is about four hundred ", "and sixty kilometres by road, [roughly].")),
    (4.7, e.UserStartedSpeaking("u2", 4400)),
    (
        4.8,
        e.AgentSpeechInterrupted(
            "a1", "It is about four hundred", "assistant", True, 3_200_000, 4_750_000, heard_ms=1550, received_ms=4100
        ),
    ),
    (4.8, e.AgentStoppedSpeaking("a1")),
    (4.8, e.BargeIn("a1", 62)),
    (4.8, e.AgentStateChanged("user_speaking", "speaking")),
    (5.5, e.UserTranscript("u2", "no, by")),
    (6.4, e.UserStoppedSpeaking("u2", 6400)),
    (6.4, e.AgentStateChanged("thinking", "user_speaking")),
    (6.5, e.FunctionCallsCollected(({"name": "find_train", "arguments": '{"to": "Bergen"}', "call_id": "c1"},))),
    (6.9, e.FunctionCallsFinished(({"name": "find_train", "call_id": "c1", "output": "6 h 31 min, 4 a day"},))),
    (7.0, e.Warning("The microphone is very quiet.", "Move closer, or raise its level.")),
    (7.2, e.Error("The engine refused one request: rate limit reached.", "Wait a minute.", "rate_limit_exceeded")),
    (7.3, e.AgentTranscript("a2", "", "The train takes six and a half hours.")),
    (7.4, e.AgentStartedSpeaking("a2")),
    (7.4, e.AgentStateChanged("speaking", "thinking")),
    (7.4, e.MetricsCollected("a2", 1012, 500, None, 430, 12)),
    (9.6, e.AgentTranscript("a2", "The train takes six and a half hours.", "")),
    (
        9.6,
        e.AgentSpeechCommitted("a2", "The train takes six and a half hours.", "assistant", False, 7_400_000, 9_600_000),
    ),
    (9.6, e.AgentStoppedSpeaking("a2")),
    (9.7, e.UserSpeechCommitted("u2", "No, by train, please.", "user", False, 4_700_000, 6_400_000)),
    (9.7, e.Usage("r2", 1310, 62, 1430, 107, 0.0131, 0.0152, estimated=True)),
    (9.7, e.AgentStateChanged("listening", "speaking")),
    (12.0, e.SessionReconnecting("the server closed the connection", 1)),
    (12.0, e.AgentStateChanged("reconnecting", "listening")),
    (13.2, e.SessionReconnected(1200)),
    (13.2, e.AgentStateChanged("listening", "reconnecting")),
    (15.0, e.AgentStateChanged("closed", "listening")),
    (15.0, e.Closed("the user ended the session")),
]


def microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def announcements() -> list[tuple[int, Announcement]]:
    return [(microseconds(at), event) for at, event in SCRIPT]
