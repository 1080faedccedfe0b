from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from mmagent.core import happenings as h


def test_every_happening_is_in_the_union() -> None:
    made = {cls for cls in vars(h).values() if isinstance(cls, type) and issubclass(cls, h._Happening)}
    assert made - {h._Happening} >= set(get_args(h.Happening))
    assert {cls.__name__ for cls in made - set(get_args(h.Happening))} <= {"_Happening", "Line"}


def test_happenings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        h.SpeechBegan("a", 1).item_id = "b"  # type: ignore[misc]


def test_every_happening_says_what_it_means() -> None:
    for cls in get_args(h.Happening):
        assert issubclass(cls, msgspec.Struct)
        assert cls.__doc__
