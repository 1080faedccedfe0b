"""Settings: what each one means, and where its value came from.

    built-in default < preset(s), in order < config file < `.env` < environment < flag

    table    every setting: type, range, choices, help; the only list of them
    places   config folder, presets, TOML, `.env`
    load     the layers become one, each value remembers its own

An empty variable counts as not set. Secrets are read here too, from the environment and `.env`, and are never shown.
"""

from mmagent.config.load import SECRETS, Loaded, engine_choice, load
from mmagent.config.places import presets
from mmagent.config.table import SETTINGS, Setting, Settings

__all__ = ["SECRETS", "SETTINGS", "Loaded", "Setting", "Settings", "engine_choice", "load", "presets"]
