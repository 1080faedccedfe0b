"""Of 100 words, how many are wrong: 20 questions in two of flite's voices, and people, through the whole tool.

    python tests/benchmarks/word_error_rate.py [--json]

Each voice asks its questions in one conversation (`mmagent talk-local --fast`, answers cut short to save time). People
(../shared/speech, if it is there) are compared with the recogniser alone, which gets the clip as it was recorded.
Ends with 1 if more than 15 % of the voices' words are wrong, or more of the people's than by the recogniser alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from mmagent.engines.local.stt import load_recogniser  # noqa: E402
from tests import speech  # noqa: E402

QUESTIONS = Path(__file__).with_name("questions.txt").read_text(encoding="utf-8").splitlines()
VOICES = ("rms", "slt")
MOST = 0.15
BRIEFLY = ("--max-output-tokens", "24")


def heard(files: Sequence[Path], *more: str) -> str:
    """All that the tool writes down of these files."""
    args = [word for path in files for word in ("--input", str(path))]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mmagent",
            "talk-local",
            "--engine",
            "local",
            "--fast",
            "--json",
            *BRIEFLY,
            *more,
            *args,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return " ".join(event["text"] for event in events if event["event"] == "user_speech_committed")


def main() -> int:
    """Print the tables."""
    rows: dict[str, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for voice in VOICES:
            files = [speech.say(Path(folder), question, voice) for question in QUESTIONS]
            rows[voice] = speech.word_errors(" ".join(QUESTIONS), heard(files))
    rows["both"] = tuple(map(sum, zip(rows["rms"], rows["slt"], strict=True)))  # type: ignore[assignment]
    recordings = speech.recordings()
    if recordings:
        recogniser = load_recogniser("moonshine")
        said = " ".join(recording.transcript for recording in recordings)
        whole = [recogniser.transcribe(speech.stored(r.path, recogniser.rate)) for r in recordings]
        rows["people"] = speech.word_errors(said, heard([r.path for r in recordings], "--no-create-response"))
        rows["people, recogniser alone"] = speech.word_errors(said, " ".join(whole))
    good = rows["both"][0] <= MOST * rows["both"][1]
    good = good and rows.get("people", (0, 0))[0] <= rows.get("people, recogniser alone", (0, 0))[0]
    if "--json" in sys.argv:
        print(json.dumps({name: {"errors": e, "words": n, "rate": e / n} for name, (e, n) in rows.items()}))
        return not good
    print(f"{'':26} wrong  words   rate")
    for name, (errors, words) in rows.items():
        print(f"{name:26} {errors:5} {words:6} {errors / words:6.1%}")
    return not good


if __name__ == "__main__":
    sys.exit(main())
