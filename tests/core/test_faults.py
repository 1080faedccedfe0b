from __future__ import annotations

from mmagent.core.faults import FATAL, HINTS, QUIET


def test_a_fault_is_of_one_kind() -> None:
    kinds = [*QUIET, *FATAL, *HINTS]
    assert len(kinds) == len(set(kinds))


def test_what_the_user_is_told_to_do_is_a_sentence() -> None:
    for hint in (*FATAL.values(), *HINTS.values()):
        assert hint[0].isupper()
        assert hint.endswith(".")


def test_the_codes_that_the_reference_calls_fatal() -> None:
    """Reference, section 1.7: "match in `code` or `type` ... yes, do not retry"."""
    assert FATAL.keys() == {
        "beta_api_shape_disabled", "insufficient_quota", "credit_balance_exhausted", "invalid_api_key",
        "account_deactivated", "billing_hard_limit_reached", "model_not_found",
    }  # fmt: skip
