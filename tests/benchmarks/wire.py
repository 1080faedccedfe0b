"""Microseconds per message: mmagent.core.wire against json and base64, in the same run.

    python tests/benchmarks/wire.py

A decode ends with PCM bytes, an encode with bytes for the socket, on both sides. Each number is the best of several
repeats, because what disturbs a measurement only ever makes it slower.
"""

from __future__ import annotations

import base64
import json
import os
import timeit
from collections.abc import Callable
from pathlib import Path

from mmagent.core.pcm import ms_to_samples
from mmagent.core.wire import InputAudioBufferAppend, ResponseOutputAudioDelta, decode_client, decode_server, encode

REPEATS, LOOPS = 15, 1000

delta = ResponseOutputAudioDelta(
    os.urandom(ms_to_samples(100) * 2), event_id="event_1", response_id="resp_1", item_id="item_1"
)
append = InputAudioBufferAppend(os.urandom(ms_to_samples(20) * 2))
delta_ga, delta_beta, append_ga = encode(delta), encode(delta, "beta"), encode(append)


def plain_decode(text: bytes, field: str) -> bytes:
    """What one does without structs."""
    return base64.b64decode(json.loads(text)[field])


def plain_delta() -> bytes:
    """The delta by json."""
    tree = {
        "type": "response.output_audio.delta",
        "event_id": "event_1",
        "response_id": "resp_1",
        "item_id": "item_1",
        "output_index": 0,
        "content_index": 0,
        "delta": base64.b64encode(delta.delta).decode(),
    }
    return json.dumps(tree).encode()


def plain_append() -> bytes:
    """The append by json."""
    tree = {"type": "input_audio_buffer.append", "audio": base64.b64encode(append.audio).decode()}
    return json.dumps(tree).encode()


def best(call: Callable[[], object]) -> float:
    """Microseconds of one call."""
    return min(timeit.repeat(call, number=LOOPS, repeat=REPEATS)) / LOOPS * 1e6


def main() -> None:
    """Print the table."""
    assert json.loads(plain_delta()) == json.loads(delta_ga), "both sides must do the same work"
    assert json.loads(plain_append()) == json.loads(append_ga), "both sides must do the same work"
    rows: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("decode delta 100 ms", lambda: decode_server(delta_ga), lambda: plain_decode(delta_ga, "delta")),
        ("decode delta 100 ms, beta", lambda: decode_server(delta_beta), lambda: plain_decode(delta_beta, "delta")),
        ("encode delta 100 ms", lambda: encode(delta), plain_delta),
        ("decode append 20 ms", lambda: decode_client(append_ga), lambda: plain_decode(append_ga, "audio")),
        ("encode append 20 ms", lambda: encode(append), plain_append),
    ]
    print(f"{Path(__file__).stem}: us per message{'':6} wire  json+base64  ratio")
    for name, ours, theirs in rows:
        a, b = best(ours), best(theirs)
        print(f"{name:27} {a:8.2f} {b:12.2f} {b / a:6.1f}")


if __name__ == "__main__":
    main()
