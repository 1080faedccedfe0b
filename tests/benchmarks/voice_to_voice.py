"""How long one waits for an answer: last voiced sample of the question to first voiced sample of the answer.

    python tests/benchmarks/voice_to_voice.py [--conversation] [--json]

20 questions, spoken by flite's slt and rms in turn, each in a session of its own (`--conversation`: all in one, whose
history grows) with the real models, loaded once, in real time. Question and answer stand on one timeline, that of the
output file, so the wait is measured in its samples and not asked of the tool; where each question begins is where the
transport began to send it. The split by cause is the tool's own (`metrics_collected`). Answers are limited to 24
tokens, so that a run takes three minutes.

Ends with 1 if the median is more than 150 ms, or the 95th percentile more than 400 ms, above the configured silence.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from mmagent.agent import MultimodalAgent  # noqa: E402
from mmagent.core import commands, events, pcm  # noqa: E402
from mmagent.core.settings import SessionSettings, TurnDetection  # noqa: E402
from mmagent.engines.local.engine import LocalEngine  # noqa: E402
from mmagent.engines.local.parts import PartNames, Parts  # noqa: E402
from mmagent.transports.files import FilesTransport  # noqa: E402
from tests import speech  # noqa: E402

QUESTIONS = Path(__file__).with_name("questions.txt").read_text(encoding="utf-8").splitlines()
VOICES = ("slt", "rms")
SILENCE_MS = 500
TOKENS = 24
MEDIAN_ABOVE, P95_ABOVE = 150, 400
CAUSES = ("waiting", "thinking", "voicing", "playout")


class Watcher:
    """Where each question began, in samples of the session's sound, and what the tool says of each answer."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.metrics: list[events.MetricsCollected] = []
        self._samples = 0

    def __call__(self, _now: int, thing: events.Event | commands.Command) -> None:
        match thing:
            case events.MicAudio(pcm=sound):
                self._samples += pcm.samples(sound)
            case events.PushToTalk(down=True):
                self.began.append(self._samples)
            case commands.Announce(event=events.MetricsCollected() as metrics):
                self.metrics.append(metrics)
            case _:
                pass


def peak_mb() -> int:
    """The most memory that this process has taken, in MB; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) // 1000 if found else 0


async def ask(parts: Parts, files: list[Path], output: Path) -> Watcher:
    """One session, in real time."""
    watcher = Watcher()
    settings = SessionSettings(turn_detection=TurnDetection(silence_duration_ms=SILENCE_MS), max_output_tokens=TOKENS)
    agent = MultimodalAgent(engine=LocalEngine(PartNames(), parts=parts), settings=settings)
    transport = FilesTransport.open([str(path) for path in files], str(output), patience_ms=SILENCE_MS + 1000)
    await agent.run(transport, watch=watcher)
    return watcher


async def ask_all(sessions: list[list[Path]], output: Path) -> tuple[list[int | None], list[events.MetricsCollected]]:
    """All sessions one after another, with the same models; what is measured, and what the tool says."""
    parts = await Parts.load(PartNames())
    measured: list[int | None] = []
    told: list[events.MetricsCollected] = []
    for files in sessions:
        watcher = await ask(parts, files, output)
        measured += waits(files, output, watcher.began)
        told += watcher.metrics
    parts.close()
    return measured, told


def waits(files: list[Path], output: Path, began: list[int]) -> list[int | None]:
    """Milliseconds for each question, from the samples; None where no answer came."""
    played = speech.sound(output)
    found: list[int | None] = []
    for path, start, end in zip(files, began, [*began[1:], len(played)], strict=True):
        asked = start + speech.voiced(speech.sound(path))[1]
        first, last = speech.voiced(played[asked:end])
        found.append(pcm.samples_to_ms(first) if last else None)
    return found


def main() -> int:
    """Print the table."""
    before = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        files = [speech.say(Path(folder), text, VOICES[i % 2]) for i, text in enumerate(QUESTIONS)]
        sessions = [files] if "--conversation" in sys.argv else [[path] for path in files]
        measured, told = asyncio.run(ask_all(sessions, Path(folder) / "out.wav"))
    resident = peak_mb()
    known = sorted(ms for ms in measured if ms is not None)
    if not known:
        print("There was no answer at all.")
        return 1
    median, p95 = statistics.median(known), known[-(-len(known) * 95 // 100) - 1]
    good = len(known) == len(QUESTIONS) and median <= SILENCE_MS + MEDIAN_ABOVE and p95 <= SILENCE_MS + P95_ABOVE
    if "--json" in sys.argv:
        figures = {
            "median_ms": median,
            "p95_ms": p95,
            "each_ms": measured,
            "engine_mb": resident - before,
            "peak_mb": resident,
        }
        print(json.dumps(figures))
        return not good
    print(f"ms  {'measured':>8} {''.join(f'{cause:>10}' for cause in CAUSES)}   question")
    for index, (text, ms) in enumerate(zip(QUESTIONS, measured, strict=True)):
        split = told[index] if len(told) == len(QUESTIONS) else None
        causes = "".join(f"{getattr(split, f'{cause}_ms', '')!s:>10}" for cause in CAUSES)
        print(f"    {ms if ms is not None else 'none':>8} {causes}   {VOICES[index % 2]}: {text}")
    print(f"median          {median:6.0f} ms   at most {SILENCE_MS + MEDIAN_ABOVE}")
    print(f"95th percentile {p95:6.0f} ms   at most {SILENCE_MS + P95_ABOVE}")
    print(f"the slowest     {known[-1]:6.0f} ms")
    print(f"engine in memory {resident - before:5} MB   of {resident} MB of the whole process")
    return not good


if __name__ == "__main__":
    sys.exit(main())
