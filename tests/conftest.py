"""Hypothesis' profiles: `fast` for every run, `deep` for a long search (HYPOTHESIS_PROFILE=deep)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A busy machine is slow; that says nothing about the code.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("fast", _PATIENT, max_examples=50)
settings.register_profile("deep", _PATIENT, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
