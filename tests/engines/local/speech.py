"""Human speech for the tests of this folder, from the folder beside the repository where it is there."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[4] / "shared" / "speech"


def sentence(name: str) -> NDArray[np.int16]:
    """A recording at 16 kHz; the test is skipped where the folder is absent."""
    if not (FOLDER / name).is_file():
        pytest.skip(f"no recordings: {name} is not in ../shared/speech")
    with wave.open(str(FOLDER / name)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
