r"""Text from outside, made safe to show; and how figures are spelled.

A transcript, a server's error message or a tool's answer may hold anything: escape sequences that repaint the terminal
or change its title, carriage returns that overwrite a line, marks that turn the direction of writing. `printable` takes
their power and leaves the words.
"""

from __future__ import annotations

import re

from mmagent.core.events import MetricsCollected, Usage

# ECMA-48, 5.4 and 5.6: control sequences, command strings (OSC, DCS, SOS, PM, APC; ended by ST, in xterm also by BEL),
# and the short escapes. A string without an end is none: only its first character is changed, so that it hides nothing.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b[0-OQ-WYZ\\`-~]"
)
_SPACES = re.compile(r"[ \t\n\v\f\r\x85\u2028\u2029]+")
_SPACES_BUT_NEWLINES = re.compile(r"[ \t\v\f\r\x85\u2028\u2029]+")
_CONTROLS = (
    {c: 0x2400 + c for c in range(0x20) if c != 0x0A} | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
)
# Unicode TR36, 2.1: embeddings, overrides and isolates let a text pose as another. The joiners stay: scripts need them.
_REMOVED: dict[int, None] = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF])
_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: str, *, newlines: bool = False) -> str:
    r"""The words of `text` with nothing in them that acts on a terminal.

    Escape sequences and marks of direction go; any other control character becomes its picture (`\x07` is `␇`); white
    space becomes single spaces, so that the result is one line. With `newlines`, line ends stay.
    """
    text = _SEQUENCE.sub("", text)
    text = (_SPACES_BUT_NEWLINES if newlines else _SPACES).sub(" ", text.replace("\r\n", "\n"))
    if not newlines:
        text = text.replace("\n", " ")
    return _SURROGATES.sub("\ufffd", text.translate(_CONTROLS).translate(_REMOVED))


def shorten(text: str, most: int) -> str:
    """At most so many characters, the last an ellipsis where some were cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def latency(event: MetricsCollected) -> str:
    """`640 ms (waiting 500, thinking 80, voicing 50, playout 10)`: how long the user waited, and for what."""
    causes = {
        "waiting": event.waiting_ms,
        "thinking": event.thinking_ms,
        "voicing": event.voicing_ms,
        "playout": event.playout_ms,
    }
    known = ", ".join(f"{name} {ms}" for name, ms in causes.items() if ms is not None)
    return wait(event) + (f" ({known})" if known else "")


def wait(event: MetricsCollected) -> str:
    """`640 ms`: how long the user waited in all."""
    return "unknown" if event.total_ms is None else f"{event.total_ms} ms"


def money(usd: float, estimated: bool) -> str:
    """`$0.0042`, with a `~` where it is an estimate. Small sums keep two figures that say something."""
    return f"{'~' if estimated else ''}${usd:.{2 if usd >= 1 or usd == 0 else 4}f}"


def usage(event: Usage) -> str:
    """`120 in + 45 out tokens, session 1,234 tokens, $0.0042`."""
    total = event.session_input_tokens + event.session_output_tokens
    spelled = f"{event.input_tokens:,} in + {event.output_tokens:,} out tokens, session {total:,} tokens"
    return spelled + ("" if event.session_cost_usd is None else f", {money(event.session_cost_usd, event.estimated)}")
