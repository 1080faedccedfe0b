"""The language model in this process, and chat endpoints: a real llama.cpp server and a fake for what goes wrong."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from mmagent.engines.local import store
from mmagent.engines.local.brain import Brain, ChatEndpoint, ChatMessage, Llama, load_brain
from mmagent.errors import ConfigError, ConnectError, EngineError, MissingModel

SYSTEM = ChatMessage(
    "system", "You are a friendly voice assistant. Reply with one or two short spoken sentences, in plain words."
)


def user(text: str) -> ChatMessage:
    return ChatMessage("user", text)


def assistant(text: str) -> ChatMessage:
    return ChatMessage("assistant", text)


def answer(
    brain: Brain,
    messages: Sequence[ChatMessage],
    max_tokens: int | None = 16,
    stopped: Callable[[], bool] = lambda: False,
) -> list[str]:
    return list(brain.reply(messages, temperature=0.5, max_tokens=max_tokens, seed=5, stopped=stopped))


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    pytest.importorskip("xllamacpp", reason="pip install 'mmagent[local]'")
    weights = store.where("smollm2")
    if weights is None:
        pytest.skip("the language model is not in the cache: mmagent models fetch")
    brain = Llama.load(weights, context=512, heat=0.0)
    yield brain
    brain.close()


class TestLlama:
    def test_answers_in_pieces(self, llama: Llama) -> None:
        pieces = answer(llama, [SYSTEM, user("What is the capital of France?")], 24)
        assert "Paris" in "".join(pieces)
        assert 3 < len(pieces) <= 24

    def test_the_same_seed_says_the_same(self, llama: Llama) -> None:
        messages = [SYSTEM, user("Tell me about cats.")]
        assert answer(llama, messages) == answer(llama, messages)

    def test_stops_soon_after_it_is_told(self, llama: Llama) -> None:
        heard: list[str] = []
        replies = llama.reply(
            [SYSTEM, user("Tell me a very long story.")],
            temperature=0.5,
            max_tokens=400,
            seed=1,
            stopped=lambda: len(heard) >= 3,
        )
        for piece in replies:
            heard.append(piece)  # noqa: PERF402 - `stopped` looks at it meanwhile
        assert len(heard) == 3

    def test_closing_the_answer_frees_the_model(self, llama: Llama) -> None:
        replies = llama.reply(
            [SYSTEM, user("Count to a thousand.")],
            temperature=0.5,
            max_tokens=400,
            seed=1,
            stopped=lambda: False,
        )
        next(replies)
        replies.close()  # type: ignore[attr-defined]
        assert "brain" not in {thread.name for thread in threading.enumerate()}
        assert answer(llama, [SYSTEM, user("Hello.")], 4)

    def test_a_history_that_is_too_long_loses_its_oldest_turns(self, llama: Llama) -> None:
        turns = [message for n in range(60) for message in (user(f"Number {n}?"), assistant("A number."))]
        messages = [SYSTEM, *turns, user("Are you there?")]
        kept = llama._fit(messages, 64)
        assert kept[0] == SYSTEM
        assert kept[1].role == "user"
        assert kept[-1] == messages[-1]
        assert kept[1:] == messages[-len(kept) + 1 :]
        assert 3 < len(kept) < len(messages)
        assert answer(llama, messages, 4)

    def test_a_short_history_is_whole(self, llama: Llama) -> None:
        messages = [SYSTEM, user("Hello."), assistant("Hello!"), user("Bye.")]
        assert llama._fit(messages, 64) == messages

    def test_one_message_that_is_too_long_is_an_error(self, llama: Llama) -> None:
        with pytest.raises(EngineError, match="exceeds"):
            answer(llama, [SYSTEM, user("word " * 900)])

    def test_counts_tokens(self, llama: Llama) -> None:
        assert llama.count("") == 0
        assert llama.count("Hello there, Anna!") == 5

    def test_what_was_prepared_is_not_read_again(self, llama: Llama) -> None:
        start = [SYSTEM, user("My sister lives in a small house by the sea with two dogs."), assistant("Nice!")]
        llama.prepare(start)
        chunks: list[dict[str, object]] = []
        llama._server.handle_chat_completions(
            {"messages": msgspec.to_builtins([*start, user("Where?")]), "max_tokens": 2, "cache_prompt": True},
            chunks.append,
        )
        timings = msgspec.convert(chunks[-1]["timings"], dict[str, float])
        assert timings["cache_n"] >= 30
        assert timings["prompt_n"] <= 16


@pytest.fixture
def real(llama: Llama) -> ChatEndpoint:
    brain = ChatEndpoint.load(f"{llama._server.listening_address}/v1", llama._key)
    assert isinstance(brain, ChatEndpoint)
    return brain


class TestRealServer:
    def test_streams(self, real: ChatEndpoint) -> None:
        pieces = answer(real, [SYSTEM, user("What is the capital of France?")])
        assert len(pieces) > 3

    def test_takes_the_name_of_the_first_model(self, real: ChatEndpoint) -> None:
        assert "SmolLM2" in real.name

    def test_stops(self, real: ChatEndpoint) -> None:
        calls = itertools.count()
        assert len(answer(real, [SYSTEM, user("Tell me a story.")], 200, lambda: next(calls) > 6)) < 8

    def test_a_wrong_key_is_refused_and_not_shown(self, llama: Llama) -> None:
        with pytest.raises(ConfigError) as caught:
            load_brain(f"{llama._server.listening_address}/v1", key="sk-wrong")
        assert "OPENAI_API_KEY" in caught.value.hint
        assert "sk-wrong" not in str(caught.value)


class Fake:
    """A chat endpoint that answers what it is told to."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.requests: list[tuple[str, str | None, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers["Content-Length"] or 0)
                outer.requests.append((self.path, self.headers["Authorization"], self.rfile.read(length)))
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.close()


def delta(text: str) -> bytes:
    return b"data: " + msgspec.json.encode({"choices": [{"delta": {"content": text}}]}) + b"\n\n"


class TestEndpoint:
    def test_what_is_sent_and_read(self, fake: Fake) -> None:
        silent = b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n: ping\n\ndata: {"choices": []}\n\n'
        fake.body = silent + delta("Hel") + delta("lo") + b"data: [DONE]\n\n" + delta("never")
        brain = ChatEndpoint(fake.url, "sk-1", "tiny")
        assert answer(brain, [SYSTEM, user("Hi")], 7) == ["Hel", "lo"]
        path, authorization, body = fake.requests[0]
        assert (path, authorization) == ("/v1/chat/completions", "Bearer sk-1")
        assert msgspec.json.decode(body) == {
            "model": "tiny",
            "messages": msgspec.to_builtins([SYSTEM, user("Hi")]),
            "stream": True,
            "temperature": 0.5,
            "seed": 5,
            "max_tokens": 7,
        }

    def test_no_limit_and_no_key_are_not_sent(self, fake: Fake) -> None:
        answer(ChatEndpoint(fake.url, model="tiny"), [user("Hi")], None)
        _, authorization, body = fake.requests[0]
        assert authorization is None
        assert "max_tokens" not in msgspec.json.decode(body)

    @pytest.mark.parametrize(
        ("status", "body", "kind", "words"),
        [
            (500, b'{"error": {"message": "out of memory"}}', EngineError, "HTTP 500: out of memory"),
            (404, b'{"error": "model not found"}', EngineError, "model not found"),
            (502, b"<html>", EngineError, "no reason given"),
            (401, b"{}", ConfigError, "refused the key"),
            (200, b'data: {"error": {"message": "overloaded"}}\n\n', EngineError, "overloaded"),
            (200, b"data: {nonsense\n\n", EngineError, "no JSON"),
        ],
    )
    def test_what_goes_wrong(self, fake: Fake, status: int, body: bytes, kind: type[Exception], words: str) -> None:
        fake.status, fake.body = status, body
        with pytest.raises(kind, match=words) as caught:
            answer(ChatEndpoint(fake.url, "sk-secret", "tiny"), [user("Hi")])
        assert "sk-secret" not in str(caught.value)

    @pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": []}', b'{"data": [{}]}', b"what?"])
    def test_no_models(self, fake: Fake, body: bytes) -> None:
        fake.body = body
        with pytest.raises(EngineError, match="lists no models"):
            load_brain(fake.url)

    def test_nobody_listens(self) -> None:
        with pytest.raises(ConnectError, match="cannot be reached"):
            load_brain("http://127.0.0.1:9/v1")

    def test_a_password_in_the_address_is_not_shown(self) -> None:
        with pytest.raises(ConnectError) as caught:
            load_brain("http://me:sesame@127.0.0.1:9/v1")
        assert "sesame" not in str(caught.value)

    def test_an_address_without_a_host(self) -> None:
        with pytest.raises(ConfigError, match="no http address"):
            load_brain("http:///v1")

    def test_an_estimate_of_tokens(self) -> None:
        brain = ChatEndpoint("http://127.0.0.1:9/v1")
        assert [brain.count(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]


def test_missing_file() -> None:
    with pytest.raises(MissingModel, match=r"none\.gguf"):
        load_brain("none.gguf")


def test_missing_package_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingModel) as caught:
        load_brain(os.fspath(tmp_path / "x.gguf"))
    assert "pip install 'mmagent[local]'" in caught.value.hint


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="pip install 'mmagent[local]'")
    (tmp_path / "x.gguf").write_bytes(b"no model")
    with pytest.raises(MissingModel, match="not a model"):
        load_brain(os.fspath(tmp_path / "x.gguf"))
