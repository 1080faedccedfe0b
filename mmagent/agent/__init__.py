"""The library's face: what users import, and what the commands use."""

from mmagent.agent.agent import MultimodalAgent
from mmagent.agent.handlers import Handlers

__all__ = ["Handlers", "MultimodalAgent"]
