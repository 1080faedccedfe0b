"""What a session is, with no clock, no task and no I/O.

    pcm        samples, bytes, milliseconds, level
    events     everything that can happen
    commands   everything that a session may ask for
    wire       the Realtime protocol's messages, both directions
    protocol   the Realtime state machine, both roles in one class
    playout    the ledger: received, heard, where to cut
    turns      whose turn it is, and the barge-in decision
    vad        speech probabilities -> speech started, paused, stopped
    history    the conversation: items in order, heard text
    latency    events -> spans
    cost       usage -> money
    session    puts them together: step(event, now) -> commands
    tape       a line of a recording <-> (time, event); replay

The rules, which import-linter and the property tests hold:

1. The core is told the time (`now`, integer microseconds since the session began) and never asks it.
2. One event in, a list of commands out. It does not wait, log or open.
3. Audio is integer samples. Milliseconds appear on the wire and on the screen only.
4. A deadline fires at its own time, before the event that found it due. Live runs and replay share this one function.
5. A recording is the list of events handled, each with its `now`. So replay is exact by construction.
"""
