"""What can go wrong, in words.

Each exception writes its own sentence (what happened), carries a hint (what to do) and knows the exit code with which a
command ends (design, section 3). Only `mmagent.cli` prints them. A fault of the remote engine is an *event*, because
the session may go on; it becomes an `EngineError` only when it ends the session.

    MmagentError
        UsageError        2   the command line makes no sense
        ConfigError       3   a setting, preset, key or token is missing or wrong
          MissingModel    3   a local model is not here; the hint is the command that installs it
        DeviceError       4   a sound device is missing, busy or gone
        ConnectError      5   the engine or the room cannot be reached, or was lost for good
        EngineError       6   the engine refused or failed
        AudioFileError    2   a sound file cannot be read or written
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_CHECK_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 3
EXIT_DEVICE = 4
EXIT_CONNECTION = 5
EXIT_ENGINE = 6
EXIT_INTERRUPTED = 130


class MmagentError(Exception):
    """The base of all that mmagent raises on purpose.

    Args:
        message: One sentence: what happened.
        hint: One sentence: what to do about it; may be empty.
    """

    exit_code = EXIT_ENGINE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(MmagentError):
    """The options contradict each other, or a value is out of its range."""

    exit_code = EXIT_USAGE


class AudioFileError(UsageError):
    """A sound file is missing, empty, cut short, or no sound file at all."""


class ConfigError(MmagentError):
    """A setting, a preset or a credential is missing or wrong."""

    exit_code = EXIT_CONFIG


class MissingModel(ConfigError):
    """A part of the local engine is not installed or not fetched."""


class DeviceError(MmagentError):
    """A sound device is missing, busy or gone."""

    exit_code = EXIT_DEVICE


class ConnectError(MmagentError):
    """The engine or the room cannot be reached, or was lost for good."""

    exit_code = EXIT_CONNECTION


class EngineError(MmagentError):
    """The engine refused to go on, or failed."""

    exit_code = EXIT_ENGINE
