import sys
import tomllib
from pathlib import Path

import pytest

from mmagent.config import SETTINGS, load, places
from mmagent.errors import ConfigError

SHIPPED = sorted(places.shipped_presets().glob("*.toml"))


def test_the_presets_of_the_design_are_here() -> None:
    assert [path.stem for path in SHIPPED] == ["default", "noisy-room", "offline", "push-to-talk", "telephone"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_shipped_preset_loads_and_says_why(path: Path, tmp_path: Path) -> None:
    loaded = load({}, [path.stem], {"HOME": str(tmp_path)}, tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    for key, value in tomllib.loads("\n".join(lines)).items():
        assert loaded.origin(key) == f"preset {path.stem} ({path})"
        assert SETTINGS[key].show(getattr(loaded.settings, key)) == SETTINGS[key].show(
            SETTINGS[key].parse(value, lax=False)
        )
    assert all("#" in line for line in lines if " = " in line and path.stem != "default")


def test_the_preset_default_states_the_defaults(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert load({}, ["default"], environ, tmp_path).settings == load({}, [], environ, tmp_path).settings


def test_presets_do_what_their_names_say(tmp_path: Path) -> None:
    def settings(name: str):  # type: ignore[no-untyped-def]
        return load({}, [name], {"HOME": str(tmp_path), "OPENAI_API_KEY": "k"}, tmp_path).settings

    usual = settings("default")
    assert settings("offline").engine == "local"
    assert settings("push-to-talk").turn_detection == "none"
    noisy = settings("noisy-room")
    assert noisy.threshold > usual.threshold
    assert noisy.silence_duration_ms > usual.silence_duration_ms
    assert settings("telephone").threshold > usual.threshold


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {"HOME": "/h"}, "/h/.config/mmagent"),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/mmagent"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/mmagent"),
        ("win32", {"HOME": "/h", "APPDATA": "/a"}, "/a/mmagent"),
    ],
)
def test_each_platform_has_its_folder(
    platform: str, environ: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert places.config_folder(environ) == Path(folder)


def test_the_users_preset_stands_before_ours(tmp_path: Path) -> None:
    mine = tmp_path / "mmagent" / "presets"
    mine.mkdir(parents=True)
    (mine / "offline.toml").write_text("")
    (mine / "boat.toml").write_text("")
    found = places.presets({"XDG_CONFIG_HOME": str(tmp_path)})
    assert found["offline"] == mine / "offline.toml"
    assert found["boat"] == mine / "boat.toml"
    assert found["telephone"].parent == places.shipped_presets()


@pytest.mark.parametrize("name", ["here.toml", "./here", "sub/here"])
def test_a_preset_that_looks_like_a_path_is_one(name: str, tmp_path: Path) -> None:
    assert places.find_preset(name, {}, tmp_path) == tmp_path / name


def test_an_unknown_preset_names_the_nearest_and_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        places.find_preset("noisy", {"HOME": str(tmp_path)}, tmp_path)
    assert "default, noisy-room, offline, push-to-talk, telephone" in caught.value.message
    assert caught.value.hint == 'Did you mean "noisy-room"?'


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb 2\n", 2), ("a = 1\n\na = 2\n", 3), ('a = "', 1), ("a = 1\nb = [", 2)],
)
def test_a_malformed_file_is_named_with_its_line(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        places.read_toml(path, "The preset")
    assert caught.value.message.startswith(f"The preset {path}, line {line}, is not TOML: ")


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b'\xef\xbb\xbfvoice = "a"\r\n')
    assert places.read_toml(path, "The preset") == {"voice": "a"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        places.read_toml(path, "The preset")
    assert str(path) in caught.value.message


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        places.read_toml(tmp_path, "The preset")


def test_dotenv(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert places.read_dotenv(path) == {}
    path.write_text("# comment\nA=1\nexport B='two words'\nC=\n")
    assert places.read_dotenv(path) == {"A": "1", "B": "two words", "C": ""}


def test_the_example_of_dotenv_sets_nothing() -> None:
    example = places.read_dotenv(Path(__file__).parents[2] / ".env.example")
    assert example
    assert not any(example.values())
    settings = {name.removeprefix("MMAGENT_").lower() for name in example if name.startswith("MMAGENT_")}
    assert settings - {"config", "api_key", "serve_token"} <= set(SETTINGS)
