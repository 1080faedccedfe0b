"""Where settings stand: the user's config folder, presets, TOML files and `.env`. Each fault names its file."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmagent.errors import ConfigError


def config_folder(environ: Mapping[str, str]) -> Path:
    """The folder where this platform keeps a user's settings; it need not exist."""
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "mmagent"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "mmagent"
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "mmagent"


def config_file(environ: Mapping[str, str], cwd: Path) -> Path:
    """The user's config file, or the one that `MMAGENT_CONFIG` names."""
    named = environ.get("MMAGENT_CONFIG")
    return cwd / Path(named).expanduser() if named else config_folder(environ) / "config.toml"


def shipped_presets() -> Path:
    """The presets that come with mmagent: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "_presets"
    return inside if inside.is_dir() else package.parent / "presets"


def presets(environ: Mapping[str, str]) -> dict[str, Path]:
    """Every preset that has a name. The user's own stands before one of ours of the same name."""
    folders = (shipped_presets(), config_folder(environ) / "presets")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def find_preset(name: str, environ: Mapping[str, str], cwd: Path) -> Path:
    """A path if it looks like one (a slash, or `.toml`), else the preset of that name."""
    if "/" in name or os.sep in name or name.endswith(".toml"):
        return cwd / Path(name).expanduser()
    known = presets(environ)
    if name not in known:
        hint = nearest(name, known) or f"Presets here: {', '.join(sorted(known)) or 'none'}; or give a path."
        raise ConfigError(f'There is no preset "{name}"; there are {", ".join(sorted(known)) or "none"}.', hint)
    return known[name]


def nearest(word: str, known: Iterable[str]) -> str:
    """`Did you mean X?` for the nearest known word, or nothing."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f'Did you mean "{found[0]}"?' if found else ""


def read_text(path: Path, what: str) -> str:
    """The text of a file in UTF-8, with or without a mark at its beginning. Raises `ConfigError`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{what} {path} is not text in UTF-8.", "Save it as UTF-8.") from None
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise ConfigError(f"{what} {path} cannot be read: {reason}.", "Check the path and its permissions.") from None


def read_toml(path: Path, what: str) -> dict[str, object]:
    """The keys of a TOML file. Raises `ConfigError` with the file and the line."""
    import tomllib

    text = read_text(path, what)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        fault, _, place = str(exc).partition(" (at ")
        found = re.match(r"line (\d+)", place)
        line = int(found[1]) if found else text.count("\n") + 1
        raise ConfigError(
            f"{what} {path}, line {line}, is not TOML: {fault[:1].lower()}{fault[1:]}.",
            'A line reads `key = value`, with text in quotes: voice = "alloy".',
        ) from None


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file; none where there is no such file."""
    if not path.is_file():
        return {}
    from io import StringIO

    from dotenv import dotenv_values

    found = dotenv_values(stream=StringIO(read_text(path, "The file")))
    return {name: value for name, value in found.items() if value is not None}
