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
