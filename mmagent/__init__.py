"""mmagent: a realtime voice assistant in the terminal, and the library under it.

The map, from the ground up (arrows point down only):

    core        what a session is: events in, commands out; pure, told the time, replayable
    config      settings, and where each came from; clock: the only clock
    transports  where sound and words come from and go to: files, pipes, typed lines
    engines     who answers: the local engine
    sinks       who watches: console, plain lines, JSON lines
    runner      the only place that owns tasks: one inbox, one loop
    agent       the library's face: `MultimodalAgent`
    cli         one file per subcommand
"""

__version__ = "0.1.0.dev0"

__all__ = [
    "MmagentError",
    "MultimodalAgent",
    "SessionSettings",
    "ToolBox",
    "TurnDetection",
    "__version__",
    "function_tool",
]

_HOMES = {
    "MmagentError": "mmagent.errors",
    "MultimodalAgent": "mmagent.agent",
    "SessionSettings": "mmagent.core.settings",
    "ToolBox": "mmagent.agent",
    "TurnDetection": "mmagent.core.settings",
    "function_tool": "mmagent.agent",
}


def __getattr__(name: str) -> object:
    """The names that users import, imported when they are asked for: `import mmagent` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mmagent' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
