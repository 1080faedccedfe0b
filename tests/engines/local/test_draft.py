"""An answer in the making: mmagent/engines/local/draft.py, with the models faked (see fakes.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from mmagent.core import pcm
from mmagent.engines.local.brain import ChatMessage
from mmagent.engines.local.draft import Draft, Manner, Piece
from mmagent.errors import EngineError
from tests.engines.local.fakes import WORD, FakeParts

pytestmark = pytest.mark.asyncio

ASKED = [ChatMessage("user", "How are you?")]
LONG = "This is the first sentence of them. This is the second sentence of them. And this one is the third."


@pytest.fixture
def parts() -> Iterator[FakeParts]:
    made = FakeParts.make(lambda _: LONG)
    yield made
    made.close()


def manner(
    *, spoken: bool = True, max_tokens: int | None = None, verbatim: str | None = None, temperature: float = 0.5
) -> Manner:
    return Manner(temperature, max_tokens, 1, spoken, verbatim)


async def pieces(draft: Draft) -> list[Piece]:
    found = []
    async with asyncio.timeout(20):
        while (piece := await draft.pieces.get()) is not None:
            found.append(piece)
    return found


def text(found: list[Piece]) -> str:
    return "".join(word for piece in found for word, _ in piece.words)


async def test_all_words_are_there_each_with_its_own_sound(parts: FakeParts) -> None:
    draft = Draft(parts, manner())
    await draft.answer(ASKED)
    found = await pieces(draft)
    assert text(found) == LONG
    words = [(word.split(), pcm.samples(sound)) for piece in found for word, sound in piece.words]
    assert all(len(word) == 1 and samples == WORD for word, samples in words)
    assert draft.failure is None
    assert draft.tokens_out == len(LONG.split())
    assert draft.tokens_in == 3


async def test_the_first_sentence_is_spoken_while_the_rest_is_thought(parts: FakeParts) -> None:
    thinking = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow:
        name = "slow"

        def reply(self, *_: object, **__: object) -> Iterator[str]:
            yield "This is the first sentence of them. "
            yield "This "
            loop.call_soon_threadsafe(thinking.set)
            parts.thinker.gate.wait(20)
            yield "is the second."

        def count(self, _text: str) -> int:
            return 1

        def close(self) -> None:
            return

    parts.thinker.gate.clear()
    parts.brain = Slow()  # type: ignore[assignment]
    draft = Draft(parts, manner())
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(draft.answer(ASKED))
        first = await draft.pieces.get()
        assert first is not None
        assert text([first]).startswith("This is the first")
        await thinking.wait()
        parts.thinker.gate.set()


async def test_in_writing_there_is_no_sound(parts: FakeParts) -> None:
    draft = Draft(parts, manner(spoken=False))
    await draft.answer(ASKED)
    found = await pieces(draft)
    assert text(found) == LONG
    assert not any(sound for piece in found for _, sound in piece.words)
    assert not parts.speaker.threads


async def test_word_for_word_without_the_model(parts: FakeParts) -> None:
    draft = Draft(parts, manner(verbatim="Good morning, Anna. How are you?"))
    await draft.answer(ASKED)
    assert text(await pieces(draft)) == "Good morning, Anna. How are you?"
    assert not parts.thinker.asked
    assert draft.tokens_out == draft.tokens_in == 0


@pytest.mark.parametrize(("limit", "short"), [(3, True), (None, False)])
async def test_the_limit_cuts_it_short(parts: FakeParts, limit: int | None, short: bool) -> None:
    draft = Draft(parts, manner(max_tokens=limit))
    await draft.answer(ASKED)
    assert len(text(await pieces(draft)).split()) == (limit or len(LONG.split()))
    assert draft.cut_short is short


@pytest.mark.parametrize("culprit", ["brain", "voice"])
async def test_a_failure_ends_it_and_is_kept(parts: FakeParts, culprit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = EngineError("There is no memory left.")

    def fail(_text: str) -> None:
        raise failure

    if culprit == "brain":
        parts.thinker.fails = failure
    else:
        monkeypatch.setattr(parts.speaker, "speak_words", fail)
    draft = Draft(parts, manner())
    await draft.answer(ASKED)
    assert await pieces(draft) == []
    assert draft.failure is failure


async def test_thrown_away_it_ends_soon_and_says_nothing(parts: FakeParts) -> None:
    parts.thinker.gate.clear()
    draft = Draft(parts, manner())
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(draft.answer(ASKED))
        while not parts.thinker.asked:
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        draft.stop()
        assert draft.stopped
    assert await pieces(draft) == []
    assert parts.thinker.stops == 1
    assert draft.failure is None
