"""The language model: any GGUF in this process, or any chat endpoint that speaks OpenAI's Chat Completions."""

from __future__ import annotations

import http.client
import os
import queue
import secrets
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from mmagent.core.settings import ToolSpec
from mmagent.engines.local import store
from mmagent.errors import ConfigError, ConnectError, EngineError, MissingModel, MmagentError

INSTALL = "pip install 'mmagent[local]'"

SMOLLM2_LONGEST = 160
"""Tokens, about 45 s of speech: so small a model goes round in circles after that."""

SMOLLM2_HEAT = 0.4
"""A temperature of 0.8, the protocol's default, makes nonsense of 135 million parameters: of 18 easy facts 10 to 13
were right at 0.8 and 13 to 17 at 0.3. So its temperatures are scaled, and 0.8 means 0.32."""


class Function(msgspec.Struct, frozen=True):
    """What is called; `arguments` is JSON text."""

    name: str
    arguments: str


class ChatCall(msgspec.Struct, frozen=True):
    """A function call of the model."""

    id: str
    function: Function
    type: str = "function"


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of the conversation. Those of `tool` are what functions said (`engines/local/functions.py`)."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ChatCall, ...] = ()
    tool_call_id: str = ""


class Brain(Protocol):
    """Answers a conversation. Blocking; one thread at a time."""

    name: str

    def reply(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float,
        max_tokens: int | None,
        seed: int,
        stopped: Callable[[], bool],
    ) -> Iterator[str]:
        """The answer, in pieces as they are generated; it ends early soon after `stopped()`, or when closed.

        Raises:
            EngineError: The model refused or failed.
            ConnectError: The endpoint cannot be reached.
        """
        ...

    def prepare(self, messages: Sequence[ChatMessage]) -> None:
        """Read a conversation ahead, so that an answer that begins with the same messages begins sooner."""
        ...

    def count(self, text: str) -> int:
        """How many tokens `text` has (an endpoint's are estimated at 4 characters each)."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class Llama:
    """A GGUF model in this process, through llama.cpp (`xllamacpp`), with the chat template that is in the file.

    What was evaluated stays: of system prompt and history that come again nothing is read twice, and when the oldest
    turns are dropped the rest is shifted, not read again (`n_cache_reuse`). On 2 idle cores SmolLM2 says its first
    token 50-80 ms after a question of 15 tokens, then one every 10 ms.
    """

    # The tail of a small model's distribution is noise. DRY keeps it from going round in circles; a penalty on
    # repeated words would do so too, but it punishes the name that the user has just said.
    _SAMPLING = {"top_k": 40, "top_p": 0.9, "min_p": 0.1, "dry_multiplier": 0.8}  # noqa: RUF012
    _TEMPLATE_TOKENS = 8

    def __init__(self, server: Any, name: str, context: int, key: str, heat: float, longest: int) -> None:
        self._server = server
        self._longest = longest
        self._context = context
        self._key = key
        self._heat = heat
        self._counts: dict[str, int] = {}
        self.name = name

    @classmethod
    def load(cls, file: Path, context: int = 4096, heat: float = 1.0, longest: int = 4096) -> Llama:
        """Load a model (0.6 s for SmolLM2). `context` is in tokens; `heat` is a factor on every temperature,
        `longest` the most tokens of an answer.

        Raises:
            MissingModel: llama.cpp or the file is not here, or the file is no model.
        """
        if not file.is_file():
            raise MissingModel(f"The model file {file} is missing.", "Check --brain.")
        try:
            import xllamacpp
        except (ImportError, OSError) as error:
            raise MissingModel(f"llama.cpp is not installed ({error}).", f"Install it with: {INSTALL}") from error
        # Half of the cores: llama.cpp's threads wait for each other at every layer, so one that must share its core
        # with the voice or another program holds up all. 2 threads on 2 cores: 100 tokens a second, or 2 when the
        # machine is busy; 1 thread: 80, or 70.
        threads = max(1, min(4, (os.cpu_count() or 2) // 2))
        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx = context
        params.n_parallel = 1
        params.n_gpu_layers = 0
        params.n_cache_reuse = 16
        params.cache_ram_mib = 0
        params.verbosity = -1
        params.ui = False
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads = threads
            cpu.poll = 0  # a thread that spins takes the time of the voice's
        # It opens a port on loopback whether one wants it or not: nobody else can use it without this key.
        key = secrets.token_hex(16)
        params.api_keys = [key]
        try:
            return cls(xllamacpp.Server(params), file.stem, context, key, heat, longest)
        except RuntimeError as error:
            raise MissingModel(f"{file} is not a model that llama.cpp can load.", "Check --brain.") from error

    def reply(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float,
        max_tokens: int | None,
        seed: int,
        stopped: Callable[[], bool],
    ) -> Iterator[str]:
        """The answer in pieces. Oldest turns that do not fit are left out; the system message stays."""
        room = min(max_tokens or 512, self._context // 4)
        request = {
            "messages": msgspec.to_builtins(self._fit(messages, room)),
            "stream": True,
            "cache_prompt": True,
            "temperature": temperature * self._heat,
            "seed": seed % 2**32,
            "max_tokens": min(max_tokens or self._context, self._longest),
            **self._SAMPLING,
        }
        left = threading.Event()
        pieces: queue.SimpleQueue[str | MmagentError | None] = queue.SimpleQueue()

        def hear(chunk: dict[str, Any]) -> bool:
            """llama.cpp's callback: True ends the generation. What it raises would be lost."""
            if "error" in chunk:
                message = str(chunk["error"].get("message", "unknown"))
                pieces.put(EngineError(f"The language model failed ({message})."))
                return True
            for choice in chunk.get("choices", ()):
                if text := (choice.get("delta") or {}).get("content"):
                    pieces.put(text)
            return left.is_set() or stopped()

        def run() -> None:
            try:
                self._server.handle_chat_completions(request, hear)
            except RuntimeError as error:
                pieces.put(EngineError(f"The language model failed ({error})."))
            finally:
                pieces.put(None)

        thread = threading.Thread(target=run, name="brain", daemon=True)
        thread.start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, MmagentError):
                    raise piece
                if stopped():
                    return
                yield piece
        finally:
            left.set()
            thread.join()

    def prepare(self, messages: Sequence[ChatMessage]) -> None:
        """Evaluate a conversation and throw the one token away that comes of it."""
        answer = self.reply(messages, temperature=0.0, max_tokens=1, seed=0, stopped=lambda: False)
        for _ in answer:
            pass

    def count(self, text: str) -> int:
        """How many tokens `text` has, by the model's own vocabulary (1 ms; known texts cost nothing)."""
        if text not in self._counts:
            if len(self._counts) > 2000:
                self._counts.clear()
            where = urlsplit(self._server.listening_address)
            link = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
            try:
                body = msgspec.json.encode({"content": text})
                link.request("POST", "/tokenize", body, {"Authorization": f"Bearer {self._key}"})
                answer = msgspec.json.decode(link.getresponse().read(), type=dict[str, Any])
            except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
                raise EngineError(f"The language model does not count ({error}).") from error
            finally:
                link.close()
            self._counts[text] = len(answer.get("tokens", ()))
        return self._counts[text]

    def close(self) -> None:
        """End llama.cpp's threads and free the weights."""
        self._server = None

    def _fit(self, messages: Sequence[ChatMessage], room: int) -> list[ChatMessage]:
        """`messages` without the oldest turns that would leave less than `room` tokens for the answer.

        A third of the context is freed at once, because whatever is dropped moves all that follows.
        """
        costs = [self.count(message.content) + self._TEMPLATE_TOKENS for message in messages]
        limit = self._context - room
        if sum(costs) <= limit:
            return list(messages)
        kept = [(m, c) for m, c in zip(messages, costs, strict=True) if m.role == "system"]
        turns = [(m, c) for m, c in zip(messages, costs, strict=True) if m.role != "system"]
        limit = limit * 2 // 3 - sum(cost for _, cost in kept)
        while len(turns) > 1 and (sum(c for _, c in turns) > limit or turns[0][0].role != "user"):
            del turns[0]
        return [message for message, _ in kept + turns]


class ChatEndpoint:
    """Any server that speaks OpenAI's Chat Completions, streamed as server-sent events.

    Args:
        base: Its address up to and including `/v1`.
        key: The bearer token, "" for none. It is never shown.
        model: The model's name; the first one that `/models` lists if "".
        timeout: Seconds without a byte until it counts as lost.
    """

    def __init__(self, base: str, key: str = "", model: str = "", timeout: float = 60.0) -> None:
        where = urlsplit(base.rstrip("/"))
        if where.scheme not in ("http", "https") or not where.hostname:
            raise ConfigError(f"{base} is no http address.", "Give --brain http://HOST:PORT/v1.")
        self._where = where
        self._key = key
        self._timeout = timeout
        self._model = model
        self.name = model or where.netloc.rpartition("@")[2]

    @classmethod
    def load(cls, base: str, key: str = "", model: str = "") -> ChatEndpoint:
        """Reach the endpoint, and take its first model where none is named.

        Raises:
            ConnectError: It cannot be reached.
            EngineError: It refused.
        """
        endpoint = cls(base, key, model)
        if not model:
            with endpoint._ask("GET", "/models") as answer:
                body = answer.read()
            try:
                listed = msgspec.json.decode(body, type=dict[str, Any]).get("data") or []
                endpoint._model = endpoint.name = str(listed[0]["id"])
            except (msgspec.DecodeError, IndexError, KeyError, TypeError) as error:
                raise EngineError(f"{endpoint._shown} lists no models.", "Name one, or check the address.") from error
        return endpoint

    def reply(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float,
        max_tokens: int | None,
        seed: int,
        stopped: Callable[[], bool],
    ) -> Iterator[str]:
        """The answer in pieces; closing the connection is what ends the generation at the other side."""
        request = self._request(messages, temperature, max_tokens, seed)
        for delta in self._deltas(request, stopped):
            if text := delta.get("content"):
                yield str(text)

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
        """The same, and then the functions that it wants called."""
        from mmagent.engines.local.functions import CallsInPieces, tools_in_request

        request = self._request(messages, temperature, max_tokens, seed) | tools_in_request(tools, tool_choice)
        calls = CallsInPieces()
        for delta in self._deltas(request, stopped):
            if text := delta.get("content"):
                yield str(text)
            calls.add(delta.get("tool_calls"))
        if not stopped():
            yield from calls.whole()

    def _request(
        self, messages: Sequence[ChatMessage], temperature: float, max_tokens: int | None, seed: int
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "messages": list(messages),
            "stream": True,
            "temperature": temperature,
            "seed": seed,
        }
        return request if max_tokens is None else request | {"max_tokens": max_tokens}

    def _deltas(self, request: dict[str, Any], stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """What is streamed, as it comes."""
        answer = self._ask("POST", "/chat/completions", msgspec.json.encode(request))
        try:
            while not stopped() and (line := answer.readline()):
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                yield self._delta(data)
        except (OSError, http.client.HTTPException) as error:
            raise ConnectError(f"{self._shown} was lost in the middle of an answer ({error}).") from error
        finally:
            answer.close()

    def prepare(self, messages: Sequence[ChatMessage]) -> None:
        """Nothing: it would cost the user tokens."""

    def count(self, text: str) -> int:
        """An estimate: 4 characters a token."""
        return -(-len(text) // 4)

    def close(self) -> None:
        """Nothing is held between answers."""

    @property
    def _shown(self) -> str:
        return f"{self._where.scheme}://{self._where.netloc.rpartition('@')[2]}{self._where.path}"

    def _delta(self, data: bytes) -> dict[str, Any]:
        try:
            chunk = msgspec.json.decode(data, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise EngineError(f"{self._shown} sent what is no JSON.") from error
        if chunk.get("error"):
            raise EngineError(f"{self._shown} failed: {_reason(chunk)}.")
        choices = chunk.get("choices") or [{}]
        return choices[0].get("delta") or {}

    def _ask(self, method: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
        """The answer's head has come and is good; whoever closes the answer closes the connection."""
        host, port = self._where.hostname or "", self._where.port
        link: http.client.HTTPConnection
        if self._where.scheme == "https":
            context = ssl.create_default_context()
            link = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)
        else:
            link = http.client.HTTPConnection(host, port, timeout=self._timeout)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            link.request(method, self._where.path + path, body, headers)
            answer = link.getresponse()
            if answer.status < 300:
                return answer
            with answer:
                reason = _reason(answer.read(4096))
        except (OSError, http.client.HTTPException) as error:
            link.close()
            raise ConnectError(
                f"The chat endpoint {self._shown} cannot be reached ({error}).",
                "Check that it runs, and the address given as --brain.",
            ) from error
        if answer.status in (401, 403):
            raise ConfigError(
                f"The chat endpoint {self._shown} refused the key (HTTP {answer.status}).",
                "Set MMAGENT_API_KEY (for OpenAI: OPENAI_API_KEY) to its key.",
            )
        raise EngineError(f"The chat endpoint {self._shown} refused (HTTP {answer.status}: {reason}).")


def _reason(answer: bytes | dict[str, Any]) -> str:
    """The words of an error answer, whichever of the usual shapes it has."""
    try:
        said = msgspec.json.decode(answer, type=dict[str, Any]) if isinstance(answer, bytes) else answer
    except msgspec.DecodeError:
        return "no reason given"
    error = said.get("error", said.get("message"))
    if isinstance(error, dict):
        error = error.get("message")
    return " ".join(str(error or "no reason given").split())[:200].rstrip(".")


def load_brain(spec: str, *, key: str = "", model: str = "", progress: store.Progress | None = None) -> Brain:
    """The brain that `spec` names: "smollm2" (fetched if need be), a GGUF file, or an http address ending in /v1.

    Args:
        spec: What `--brain` was given.
        key: For an endpoint: its key.
        model: For an endpoint: the model's name, "" for its first.
        progress: Told (bytes so far, bytes in all) if the weights have to be fetched.
    """
    if spec.startswith(("http://", "https://")):
        return ChatEndpoint.load(spec, key, model)
    if spec == store.SMOLLM2.name:
        weights = store.ensure(spec, progress or (lambda done, total: None))
        return Llama.load(weights, heat=SMOLLM2_HEAT, longest=SMOLLM2_LONGEST)
    return Llama.load(Path(spec).expanduser())
