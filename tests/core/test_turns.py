from __future__ import annotations

import itertools
from typing import get_args

import pytest

from mmagent.core import turns
from mmagent.core.events import State
from mmagent.core.turns import Facts, barge_in, state


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(), "connecting"),
        (Facts(ready=True, begun=True), "listening"),
        (Facts(begun=True), "reconnecting"),
        (Facts(ready=True, begun=True, answer_due=True), "thinking"),
        (Facts(ready=True, begun=True, answer_due=True, user_speaking=True), "user_speaking"),
        (Facts(ready=True, begun=True, audible=True, user_speaking=True), "speaking"),
        (Facts(ready=True, begun=True, audible=True, paused=True), "paused"),
        (Facts(begun=True, audible=True, paused=True), "reconnecting"),
        (Facts(audible=True, user_speaking=True), "connecting"),
        (Facts(ready=True, begun=True, closed=True, audible=True), "closed"),
    ],
)
def test_the_first_row_that_holds_wins(facts: Facts, expected: State) -> None:
    assert state(facts) == expected


def test_every_state_can_be_reached_and_no_other() -> None:
    names = Facts.__struct_fields__
    combinations = itertools.product([False, True], repeat=len(names))
    reached = {state(Facts(**dict(zip(names, values, strict=True)))) for values in combinations}
    assert reached == set(get_args(State))


def test_the_table_above_the_code_is_the_one_in_it() -> None:
    assert turns.__doc__ is not None
    rows = [line.split()[0] for line in turns.__doc__.splitlines() if line.startswith("    ")]
    assert rows == [*(name for name, _ in turns._ROWS), "listening"]


@pytest.mark.parametrize("interruptions", [True, False])
@pytest.mark.parametrize("something", [True, False])
def test_barge_in(interruptions: bool, something: bool) -> None:
    assert barge_in(interruptions=interruptions, something_to_cut=something) is (interruptions and something)
