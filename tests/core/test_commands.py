from __future__ import annotations

from typing import get_args

import msgspec

from mmagent.core import commands
from mmagent.core.commands import Command
from mmagent.core.events import Warning


def test_a_command_is_called_in_a_recording_what_it_is_called_here() -> None:
    assert msgspec.json.encode(commands.StopPlaying()) == b'{"command":"stop_playing"}'
    told = commands.Announce(Warning("careful"))
    event = {"event": "warning", "message": "careful", "hint": ""}
    assert msgspec.to_builtins(told) == {"command": "announce", "event": event}


def test_every_command_is_in_the_union_and_says_what_it_does() -> None:
    made = {cls for cls in vars(commands).values() if isinstance(cls, type) and issubclass(cls, commands._Command)}
    assert made - {commands._Command} == set(get_args(Command))
    assert all(cls.__doc__ for cls in get_args(Command))
