"""`mmagent talk-local`: talk to the assistant through files and pipes, or by typing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmagent.cli.options import Command, command_app, with_settings
from mmagent.cli.tools import ConfirmTools, ToolsFile, open_tools
from mmagent.config import Loaded
from mmagent.errors import UsageError

if TYPE_CHECKING:
    from mmagent.sinks import Sink
    from mmagent.transports import Transport

app = command_app()

SAMPLE = "sample"
"""As an --input: the question that ships with mmagent, "What is the capital of France?" (flite, voice slt)."""


@app.command(cls=Command)
@with_settings
def talk_local(
    loaded: Loaded,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="FILE|-",
            help="A wav file, or sound on standard input (wav, or raw 24 kHz 16-bit mono); repeatable: a file a turn. "
            f"'{SAMPLE}' is a question that ships with mmagent.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", metavar="FILE|-", help="Where the answers go: a wav file, or a pipe.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Type instead of speaking: lines from standard input.")] = False,
    overlap: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Begin each file so long after the answer to the one before it began."),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="As fast as the engine can, not in real time.")] = False,
    tools: ToolsFile = None,
    confirm_tools: ConfirmTools = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object an event on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say less.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more: states, latency, usage.")] = False,
) -> None:
    """Talk to the assistant through files and pipes, or by typing.

    mmagent talk-local --input question.wav --output answer.wav
    mmagent talk-local --text
    """
    from mmagent.cli.live import run_session

    if text == bool(inputs):
        raise UsageError(
            "There is nobody to talk to: this version has no sound card yet."
            if not text
            else "Typing (--text) and sound files (--input) do not go together.",
            "Give --input FILE (wav, or - for a pipe), or --text to type.",
        )
    if overlap is not None and len(inputs or ()) < 2:
        raise UsageError("--overlap says when the next file begins, and there is none.", "Give --input twice or more.")
    if json and output == "-":
        raise UsageError("Sound (--output -) and --json cannot share standard output.", "Write one of them to a file.")
    if text and output is None:
        loaded = loaded.but(modalities=("text",))

    box, questions = open_tools(tools, confirm_tools, silent=quiet or json)

    def transport() -> Transport:
        if text:
            from mmagent.transports.typed import TypedTransport

            return TypedTransport.open(output, fast=fast, prompt=_prompt, stdin=questions)
        from mmagent.transports.files import FilesTransport

        patience = loaded.settings.silence_duration_ms + 1000
        paths = [_sample_path() if path == SAMPLE else path for path in inputs or ()]
        return FilesTransport.open(paths, output, fast=fast, overlap=overlap, patience_ms=patience)

    def sinks() -> list[Sink]:
        return _sinks(text, output, json, quiet, verbose)

    run_session(loaded, transport, sinks, quiet=quiet, tools=box, questions=questions)


def _sinks(text: bool, output: str | None, json: bool, quiet: bool, verbose: bool) -> list[Sink]:
    """Who watches: JSON lines on stdout; else a live view on a terminal, plain lines in a pipe."""
    import sys

    if json:
        from mmagent.sinks.jsonl import JsonLines

        return [JsonLines(sys.stdout)]
    # Who types sees the own line already: a live view of it would be in the way.
    if not text and sys.stderr.isatty() and (sys.stdout.isatty() or output == "-"):
        from mmagent.sinks.console import LiveConsole

        return [LiveConsole(verbose=verbose, quiet=quiet)]
    from mmagent.sinks.lines import Lines

    out = sys.stderr if output == "-" else sys.stdout
    return [Lines(out, sys.stderr, only_answers=text, quiet=quiet, verbose=verbose)]


def _prompt() -> None:
    import sys

    if sys.stderr.isatty():
        sys.stderr.write("> ")
        sys.stderr.flush()


def _sample_path() -> str:
    from importlib.resources import files

    return str(files("mmagent") / "sample" / "question.wav")
