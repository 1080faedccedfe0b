from pathlib import Path

import pytest

from mmagent.config import Loaded, engine_choice, load
from mmagent.core.settings import SessionSettings
from mmagent.errors import ConfigError, MmagentError, UsageError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables of a user whose config folder is inside `tmp_path`."""
    (tmp_path / "mmagent").mkdir()
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_nothing_given_is_the_cores_own_defaults(tmp_path: Path, environ: dict[str, str]) -> None:
    loaded = load({}, [], environ, tmp_path)
    assert loaded.session() == SessionSettings()
    assert loaded.origin("threshold") == "default"
    assert not loaded.given("threshold")


def test_each_place_beats_the_one_before(tmp_path: Path, environ: dict[str, str]) -> None:
    def threshold(flags: dict[str, object], presets: list[str]) -> tuple[float, str]:
        loaded = load(flags, presets, environ, tmp_path)
        return loaded.settings.threshold, loaded.origin("threshold")

    assert threshold({}, []) == (0.5, "default")
    (tmp_path / "one.toml").write_text("threshold = 0.1")
    (tmp_path / "two.toml").write_text("threshold = 0.2")
    assert threshold({}, ["two.toml", "one.toml"]) == (0.1, f"preset one ({tmp_path / 'one.toml'})")
    both = ["one.toml", "two.toml"]
    assert threshold({}, both) == (0.2, f"preset two ({tmp_path / 'two.toml'})")
    file = tmp_path / "mmagent" / "config.toml"
    file.write_text("threshold = 0.3")
    assert threshold({}, both) == (0.3, f"config file {file}")
    (tmp_path / ".env").write_text("MMAGENT_THRESHOLD=0.4")
    assert threshold({}, both) == (0.4, ".env")
    environ["MMAGENT_THRESHOLD"] = "0.6"
    assert threshold({}, both) == (0.6, "environment MMAGENT_THRESHOLD")
    assert threshold({"threshold": "0.7"}, both) == (0.7, "flag --threshold")


def test_layers_mix(tmp_path: Path, environ: dict[str, str]) -> None:
    environ["MMAGENT_VOICE"] = "echo"
    loaded = load({"silence_duration_ms": "200"}, ["noisy-room"], environ, tmp_path)
    session = loaded.session()
    assert (session.voice, session.turn_detection.silence_duration_ms) == ("echo", 200)
    assert session.turn_detection.threshold == 0.7


def test_an_empty_variable_is_not_set(tmp_path: Path, environ: dict[str, str]) -> None:
    environ |= {"MMAGENT_THRESHOLD": "", "MMAGENT_CONFIG": "", "OPENAI_API_KEY": ""}
    loaded = load({}, [], environ, tmp_path)
    assert loaded.origin("threshold") == "default"
    assert loaded.secret("OPENAI_API_KEY") is None


def test_another_config_file(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "mmagent" / "config.toml").write_text('voice = "usual"')
    (tmp_path / "other.toml").write_text('voice = "other"')
    environ["MMAGENT_CONFIG"] = "other.toml"
    assert load({}, [], environ, tmp_path).settings.voice == "other"
    environ["MMAGENT_CONFIG"] = "gone.toml"
    with pytest.raises(ConfigError, match=r"gone\.toml cannot be read"):
        load({}, [], environ, tmp_path)


def test_other_names_of_a_key(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "p.toml").write_text('max_response_output_tokens = "inf"')
    loaded = load({}, ["p.toml"], environ, tmp_path)
    assert loaded.session().max_output_tokens is None
    assert loaded.given("max_output_tokens")


@pytest.mark.parametrize(
    ("place", "error", "where"),
    [
        ("preset", ConfigError, "preset p ({dir}/p.toml)"),
        ("file", ConfigError, "config file {dir}/mmagent/config.toml"),
        ("dotenv", ConfigError, ".env"),
        ("environment", ConfigError, "environment MMAGENT_TRESHOLD"),
        ("flag", UsageError, "flag --treshold"),
    ],
)
def test_an_unknown_key_is_refused_with_its_place_and_the_nearest(
    place: str, error: type[MmagentError], where: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    loaded, caught = _load_from(place, "treshold", "0.5", tmp_path, environ)
    assert loaded is None
    assert type(caught) is error
    assert caught.message == f'There is no setting "treshold" ({where.format(dir=tmp_path)}).'
    assert caught.hint == 'Did you mean "threshold"?'


@pytest.mark.parametrize(
    ("place", "error", "where"),
    [
        ("preset", ConfigError, "preset p ({dir}/p.toml)"),
        ("file", ConfigError, "config file {dir}/mmagent/config.toml"),
        ("dotenv", ConfigError, ".env"),
        ("environment", ConfigError, "environment MMAGENT_THRESHOLD"),
        ("flag", UsageError, "flag --threshold"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_place_and_the_range(
    place: str, error: type[MmagentError], where: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    loaded, caught = _load_from(place, "threshold", "1.5", tmp_path, environ)
    assert loaded is None
    assert type(caught) is error
    at = where.format(dir=tmp_path)
    assert caught.message == f"threshold cannot be 1.5 ({at}): it takes a number from 0 to 1."


def _load_from(
    place: str, key: str, value: str, folder: Path, environ: dict[str, str]
) -> tuple[Loaded | None, MmagentError]:
    flags: dict[str, object] = {}
    presets: list[str] = []
    match place:
        case "preset":
            (folder / "p.toml").write_text(f"{key} = {value}")
            presets = ["p.toml"]
        case "file":
            (folder / "mmagent" / "config.toml").write_text(f"{key} = {value}")
        case "dotenv":
            (folder / ".env").write_text(f"MMAGENT_{key.upper()}={value}")
        case "environment":
            environ[f"MMAGENT_{key.upper()}"] = value
        case _:
            flags = {key: value}
    try:
        return load(flags, presets, environ, folder), UsageError("nothing was refused")
    except MmagentError as fault:
        return None, fault


def test_a_mistyped_choice_gets_the_nearest(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        load({"turn_detection": "semantic-vad"}, [], environ, tmp_path)
    assert caught.value.hint == 'Did you mean "semantic_vad"?'


def test_a_key_in_a_settings_file_is_refused_and_not_repeated(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "p.toml").write_text('openai_api_key = "sk-hush"')
    with pytest.raises(ConfigError) as caught:
        load({}, ["p.toml"], environ, tmp_path)
    assert "hush" not in str(caught.value)
    assert "OPENAI_API_KEY" in caught.value.hint


def test_instructions_from_a_file(tmp_path: Path, environ: dict[str, str]) -> None:
    sub = tmp_path / "sub"
    sub.mkdir()
    (sub / "who.txt").write_text("You are a ship's cook.\n", encoding="utf-8")
    (sub / "p.toml").write_text('instructions = "@who.txt"')
    beside = load({}, ["sub/p.toml"], environ, tmp_path)
    assert beside.settings.instructions == "You are a ship's cook."
    from_flag = load({"instructions": "@sub/who.txt"}, [], environ, tmp_path)
    assert from_flag.settings.instructions == "You are a ship's cook."
    with pytest.raises(ConfigError, match=r"instructions file \(flag --instructions\) .*gone\.txt cannot be read"):
        load({"instructions": "@gone.txt"}, [], environ, tmp_path)


def test_secrets_say_only_where_they_are(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / ".env").write_text("LIVEKIT_API_SECRET=hush\nOPENAI_API_KEY=from-file\nLIVEKIT_URL=ws://x\n")
    environ["OPENAI_API_KEY"] = "from-environment"
    loaded = load({}, [], environ, tmp_path)
    assert loaded.secret("OPENAI_API_KEY") == "from-environment"
    assert loaded.secret_origin("OPENAI_API_KEY") == "set (environment)"
    assert loaded.secret("LIVEKIT_API_SECRET") == "hush"
    assert loaded.secret_origin("LIVEKIT_API_SECRET") == "set (.env)"
    assert loaded.secret_origin("AZURE_OPENAI_API_KEY") == "not set"
    assert loaded.variable("LIVEKIT_URL") == "ws://x"
    assert "hush" not in repr(loaded)
    assert "from-environment" not in repr(loaded)


@pytest.mark.parametrize(
    ("engine", "key", "choice"),
    [
        ("auto", "", "local"),
        ("auto", "k", "openai"),
        ("local", "k", "local"),
        ("openai", "k", "openai"),
        ("ws://127.0.0.1:9", "", "ws://127.0.0.1:9"),
    ],
)
def test_the_engine_that_it_comes_to(
    engine: str, key: str, choice: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    environ["OPENAI_API_KEY"] = key
    assert engine_choice(load({"engine": engine}, [], environ, tmp_path)) == choice


@pytest.mark.parametrize(("engine", "variable"), [("openai", "OPENAI_API_KEY"), ("azure", "AZURE_OPENAI_API_KEY")])
def test_an_engine_without_its_key(engine: str, variable: str, tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        engine_choice(load({"engine": engine}, [], environ, tmp_path))
    assert variable in caught.value.message
    assert "--engine local" in caught.value.hint
