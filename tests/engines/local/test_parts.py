"""The four models loaded together: mmagent/engines/local/parts.py. With the real ones: tests/cli/test_talk_local.py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from mmagent.engines.local import parts as module
from mmagent.engines.local.brain import ChatMessage
from mmagent.engines.local.parts import PartNames, Parts
from mmagent.engines.local.vad import Silero
from mmagent.errors import MissingModel, MmagentError
from tests.engines.local.fakes import FakeBrain, FakeDetector, FakeRecogniser, FakeVoice, echo

pytestmark = pytest.mark.asyncio


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The models, faked; each load notes in which thread it was."""
    threads: dict[str, str] = {}

    def load(what: str, model: Any) -> Any:
        def loaded(*_: object, **__: object) -> Any:
            threads[what] = threading.current_thread().name
            return model

        return loaded

    monkeypatch.setattr(Silero, "load", load("detector", FakeDetector()))
    monkeypatch.setattr(module, "load_recogniser", load("recogniser", FakeRecogniser()))
    monkeypatch.setattr(module, "load_brain", load("brain", FakeBrain(echo)))
    monkeypatch.setattr(module, "load_voice", load("voice", FakeVoice()))
    return threads


async def test_each_model_has_a_thread_of_its_own(loads: dict[str, str]) -> None:
    told: list[tuple[str, int, int]] = []
    parts = await Parts.load(PartNames(), progress=lambda *what: told.append(what))
    parts.close()
    assert set(loads) == {"detector", "recogniser", "brain", "voice"}
    assert len(set(loads.values())) == 4
    assert all(name.startswith("mmagent-") for name in loads.values())
    assert told == [("Loading the local engine", count, 4) for count in range(5)]


async def test_without_speech_no_voice_is_loaded(loads: dict[str, str]) -> None:
    parts = await Parts.load(PartNames(), speaks=False)
    parts.close()
    assert parts.voice is None
    assert "voice" not in loads


async def test_they_load_at_the_same_time(loads: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(2, timeout=20)

    def meet(model: object) -> Any:
        def load(*_: object, **__: object) -> object:
            meeting.wait()
            return model

        return load

    monkeypatch.setattr(module, "load_recogniser", meet(FakeRecogniser()))
    monkeypatch.setattr(module, "load_voice", meet(FakeVoice()))
    (await Parts.load(PartNames())).close()


async def test_a_missing_model_ends_it(loads: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise MissingModel("There is no voice.", "Get one.")

    monkeypatch.setattr(module, "load_voice", missing)
    with pytest.raises(MissingModel, match="There is no voice"):
        await Parts.load(PartNames())


async def test_a_transfer_that_nobody_waits_for_any_more_ends(
    loads: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Python would wait for all of it before it ends, whatever the user presses."""
    begun, broke_off = threading.Event(), threading.Event()

    def fetch(_name: str, *, progress: Any, **_: object) -> None:
        try:
            for count in range(10**9):
                progress(count, 10**9)
                begun.set()
        except MmagentError:
            broke_off.set()
            raise

    monkeypatch.setattr(module, "load_brain", fetch)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        loading = tasks.create_task(Parts.load(PartNames()))
        assert await loop.run_in_executor(None, begun.wait, 20)
        loading.cancel()
    assert await loop.run_in_executor(None, broke_off.wait, 20)


async def test_the_key_is_not_shown() -> None:
    assert "secret" not in repr(PartNames(key="secret"))


async def test_each_session_has_a_detector_of_its_own(loads: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Silero, "load", FakeDetector)
    parts = await Parts.load(PartNames())
    parts.close()
    assert parts.detector() is not parts.detector()


async def test_the_brain_is_freed_when_nothing_is_thought_any_more(
    loads: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    freed, thinking = threading.Event(), threading.Event()

    class Thoughtful(FakeBrain):
        def prepare(self, messages: Sequence[ChatMessage]) -> None:
            thinking.set()
            self.gate.wait(20)
            order.append("thought")

        def close(self) -> None:
            order.append("freed")
            freed.set()

    brain = Thoughtful(echo)
    brain.gate.clear()
    monkeypatch.setattr(module, "load_brain", lambda *_, **__: brain)
    parts = await Parts.load(PartNames())
    waiting = [parts.thinking.submit(brain.prepare, []) for _ in range(3)]
    waiting[-1].add_done_callback(lambda _: brain.gate.set())  # what had not begun is dropped
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, thinking.wait, 20)
    parts.close()
    assert await loop.run_in_executor(None, freed.wait, 20)
    assert order == ["thought", "freed"]
