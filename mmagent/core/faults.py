"""What a server's error code means for the user: is it a harmless race, does it end the session, what to do.

Source: reference, section 1.7. A code that is not listed is shown, with its own sentence, and ends nothing.
"""

from __future__ import annotations

QUIET = {
    "response_cancel_not_active": "the answer was over before the cancel arrived",
    "conversation_already_has_active_response": "asked again when that answer is done",
    "input_audio_buffer_commit_empty": "the server had committed it already, or nothing was said",
    "item_truncate_invalid_item_id": "the item was gone already",
    "item_delete_invalid_item_id": "the item was gone already",
    "unsupported_content_type": "there was no sound in the item to truncate yet",
}
"""Races that hurt nobody, with what happened."""

FATAL = {
    "beta_api_shape_disabled": "This server speaks GA only: leave out --dialect beta.",
    "insufficient_quota": "Look at the billing page of the account, or talk to --engine local.",
    "credit_balance_exhausted": "Add credit to the account, or talk to --engine local.",
    "billing_hard_limit_reached": "Raise the billing limit of the account, or talk to --engine local.",
    "invalid_api_key": "Check the key in the environment or in .env, or talk to --engine local.",
    "account_deactivated": "Ask the provider about the account, or talk to --engine local.",
    "model_not_found": "Check --model: the account may not have that model.",
}
"""What ends the session, with what to do."""

HINTS = {
    "rate_limit_exceeded": "Wait a moment and ask again.",
    "server_error": "The server failed: ask again.",
    "session_expired": "Start again: a session lasts an hour at most.",
    "unknown_parameter": "This server does not know that setting: leave it out.",
}
"""What to do about faults that end nothing."""
