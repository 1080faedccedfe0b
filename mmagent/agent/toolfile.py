"""`--tools FILE.py`: a Python file -> its functions."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mmagent.agent.tools import Tool, options_of
from mmagent.errors import ConfigError


def functions_in(path: Path) -> list[Tool]:
    """The functions that a file offers, in its own order: those marked, else every public one with annotations.

    Raises:
        ConfigError: The file cannot be read or run, offers nothing, or what cannot be described.
    """
    module = _run(path)
    functions = [value for value in vars(module).values() if callable(value) and not inspect.isclass(value)]
    marked = [function for function in functions if options_of(function) is not None]
    chosen = marked or [function for function in functions if _offered(function, module)]
    if not chosen:
        raise ConfigError(
            f"{path} has no functions for the model to call.",
            "Write one with annotations: def weather(city: str) -> str.",
        )
    return [_tool(path, function) for function in dict.fromkeys(chosen)]


def _run(path: Path) -> ModuleType:
    """Run the file as a module of its own. Files beside it can be imported, as by `python FILE.py`."""
    if not path.is_file():
        raise ConfigError(f"The tools file {path} is missing.", "Check --tools.")
    spec = importlib.util.spec_from_loader(f"mmagent_tools_{path.stem}", loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses and annotations look for their module there
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        code = compile(path.read_bytes(), str(path), "exec")
        exec(code, module.__dict__)
    except SyntaxError as error:
        where = f"{error.filename or path}:{error.lineno or 1}"
        raise ConfigError(f"{where}: SyntaxError: {error.msg}.", "Correct the tools file.") from error
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": .")
        raise ConfigError(f"{_line(path, error)}: {said}.", "Correct the tools file.") from error
    return module


def _line(path: Path, error: BaseException) -> str:
    """`FILE.py:12`: the last line of that file on the way to the error."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _offered(function: Callable[..., Any], module: ModuleType) -> bool:
    """Whether a function that is not marked is meant for the model: public, written in this file, with annotations."""
    if not inspect.isfunction(function) or function.__name__.startswith("_") or function.__module__ != module.__name__:
        return False
    return bool(inspect.get_annotations(function))


def _tool(path: Path, function: Callable[..., Any]) -> Tool:
    try:
        return Tool(function)
    except ConfigError as error:
        code = getattr(inspect.unwrap(function), "__code__", None)
        line = f":{code.co_firstlineno}" if code is not None else ""
        raise ConfigError(f"{path}{line}: {error.message}", error.hint) from error
