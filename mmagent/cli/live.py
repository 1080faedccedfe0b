"""What every session command does around its session: progress while models load, signals, the exit code."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmagent.agent import MultimodalAgent, ToolBox
from mmagent.agent.engines import calls_functions, ignored, open_engine, session_settings
from mmagent.cli.ask import Questions
from mmagent.config import Loaded
from mmagent.engines.local.parts import Progress
from mmagent.errors import EXIT_INTERRUPTED
from mmagent.sinks import Sink
from mmagent.transports import Transport

INTERRUPTED = "interrupted"


def run_session(
    loaded: Loaded,
    transport: Callable[[], Transport],
    sinks: Callable[[], list[Sink]],
    *,
    quiet: bool,
    tools: ToolBox | None = None,
    questions: Questions | None = None,
) -> None:
    """Run one session to its end. Ctrl-C once ends it well, twice at once; both exit with 130.

    The transport is opened before anything is loaded, so that a missing file is told at once. `questions` are asked
    before functions run.
    """
    import typer

    try:
        reason = asyncio.run(_talk(loaded, transport, sinks, quiet, tools, questions))
    except asyncio.CancelledError:  # the second signal
        reason = INTERRUPTED
    if reason == INTERRUPTED:
        raise typer.Exit(EXIT_INTERRUPTED)


async def _talk(
    loaded: Loaded,
    transport: Callable[[], Transport],
    sinks: Callable[[], list[Sink]],
    quiet: bool,
    tools: ToolBox | None,
    questions: Questions | None,
) -> str:
    side = transport()
    with loading(quiet=quiet) as progress:
        agent = MultimodalAgent(
            engine=open_engine(loaded, progress), settings=session_settings(loaded), tools=tools or ()
        )
        if questions is not None:
            questions.tell = agent.warn
        for name in ignored(loaded):
            flag = f"--{name.replace('_', '-')}"
            agent.warn(f"This engine has no {flag}: it stays unused.", f"It came from: {loaded.origin(name)}.")
        if tools is not None and not calls_functions(loaded):
            text = "The local engine's own language model cannot call functions: the tools stay unused."
            agent.warn(text, "Name one that can: --brain http://HOST:PORT/v1, or talk to another --engine.")
        with _signals(agent):
            end = await agent.run(side, sinks())
    return end.reason


@contextmanager
def _signals(agent: MultimodalAgent) -> Iterator[None]:
    """SIGINT and SIGTERM end the session well; a second one ends everything now."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked and task is not None:
            task.cancel()
        asked = True
        agent.stop(INTERRUPTED)

    names = (signal.SIGINT, signal.SIGTERM)
    try:
        for name in names:
            loop.add_signal_handler(name, stop)
    except NotImplementedError:  # Windows: the second Ctrl-C is the first
        yield
        return
    try:
        yield
    finally:
        for name in names:
            loop.remove_signal_handler(name)


@contextmanager
def loading(*, quiet: bool) -> Iterator[Progress]:
    """A line on stderr while models are fetched or loaded; on a terminal it is wiped when that is done."""
    if quiet or not sys.stderr.isatty():
        yield _told_once()
        return

    def show(what: str, done: int, total: int) -> None:
        share = f" {100 * done // total} %" if total else ""
        what = what[: max(10, shutil.get_terminal_size().columns - 12)]
        sys.stderr.write(f"\r\x1b[2K{what} ...{share}" if not total or done < total else "\r\x1b[2K")
        sys.stderr.flush()

    yield show


def _told_once() -> Progress:
    """Without a terminal only what may take minutes is told, once."""
    told: set[str] = set()

    def show(what: str, _done: int, total: int) -> None:
        if total > 1_000_000 and what not in told:
            told.add(what)
            sys.stderr.write(f"{what} ({total // 1_000_000} MB) ...\n")

    return show
