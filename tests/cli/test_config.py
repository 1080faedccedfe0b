import json
from pathlib import Path

import pytest

from mmagent.cli import run
from mmagent.config import SECRETS, SETTINGS


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in (*SECRETS, "MMAGENT_CONFIG", *(setting.env for setting in SETTINGS.values())):
        monkeypatch.delenv(name, raising=False)


def test_every_setting_with_value_and_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("MMAGENT_VOICE=echo\nLIVEKIT_API_SECRET=hush-hush\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush-hush")
    assert run(["config", "--threshold", "0.25", "--preset", "offline"]) == 0
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()}
    assert set(SETTINGS) | set(SECRETS) == set(rows) - {"setting"}
    assert rows["threshold"] == ["0.25", "flag --threshold"]
    assert rows["voice"] == ["echo", ".env"]
    assert rows["engine"][1].startswith("preset offline (")
    assert rows["max_output_tokens"] == ["2048", "default"]
    assert rows["OPENAI_API_KEY"] == ["set", "(environment)"]
    assert rows["LIVEKIT_API_SECRET"] == ["set", "(.env)"]
    assert "hush" not in out + err
    assert err == f"Config file: {tmp_path / 'mmagent' / 'config.toml'} (none yet)\n"


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush-hush")
    args = ["config", "--json", "--no-interruptions", "--max-output-tokens", "inf", "--brain", "http://me:pw@host/v1"]
    assert run(args) == 0
    out = capsys.readouterr().out
    told = json.loads(out)
    assert list(told["settings"]) == list(SETTINGS)
    assert told["settings"]["interruptions"] == {"value": False, "origin": "flag --no-interruptions"}
    assert told["settings"]["max_output_tokens"]["value"] is None
    assert told["settings"]["modalities"]["value"] == ["text", "audio"]
    assert told["settings"]["brain"]["value"] == "http://...@host/v1"
    assert told["secrets"]["OPENAI_API_KEY"] == "set (environment)"
    assert told["config_file"]["exists"] is False
    assert "hush" not in out
