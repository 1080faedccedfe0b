"""The library's face: what users import, and what the commands use."""

from mmagent.agent.agent import MultimodalAgent
from mmagent.agent.handlers import Handlers
from mmagent.agent.tools import Tool, ToolBox, function_tool

__all__ = ["Handlers", "MultimodalAgent", "Tool", "ToolBox", "function_tool"]
